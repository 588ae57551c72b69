/* Bodies for the control plane, numbers and strings as JSON wants them. */
#include <check.h>
#include <jansson.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/vwi.h"
#include "core/literal.h"
#include "core/wire.h"

static json_t *parse(const struct vwi_text *t)
{
    json_error_t error;
    json_t *doc = json_loadb(t->p, t->len, 0, &error);

    ck_assert_msg(doc != NULL, "%s in %s", error.text, t->p);
    return doc;
}

static long long one_idx[] = { 12 };

static struct vwi_report_snapshot example_counts(void)
{
    return (struct vwi_report_snapshot){ .cur_load = 60, .new_load = 160, .rej_load = 40, .cur_perf = 100, .working = 1,
                                         .requests_received = 4, .idxs = one_idx, .idx_count = 1 };
}

static struct vwi_wire_status example(const struct vwi_report_snapshot *counts)
{
    return (struct vwi_wire_status){ .id = 777, .mtoken = "token", .version = "1.1.0", .error_msg = "", .loadtime_s = 3.17,
                                     .url = "https://203.0.113.7:41234", .max_perf = 200, .counts = counts };
}

START_TEST(wire_status_says_the_worked_example)
{
    struct vwi_report_snapshot counts = example_counts();
    struct vwi_wire_status in = example(&counts);
    struct vwi_text out = VWI_TEXT_INIT;

    vwi_text_adds(&out, "what was there before");
    ck_assert_int_eq(vwi_wire_status(&in, &out), VW_OK);
    ck_assert_str_eq(out.p, "{\"id\":777,\"mtoken\":\"token\",\"version\":\"1.1.0\",\"loadtime\":3.17,\"cur_load\":60.0,"
                            "\"rej_load\":40.0,\"new_load\":160.0,\"error_msg\":\"\",\"max_perf\":200.0,\"cur_perf\":100.0,"
                            "\"cur_capacity\":0,\"max_capacity\":0,\"num_requests_working\":1,\"num_requests_recieved\":4,"
                            "\"additional_disk_usage\":0.0,\"working_request_idxs\":[12],"
                            "\"url\":\"https://203.0.113.7:41234\"}");
    vwi_text_fini(&out);
}
END_TEST

START_TEST(wire_status_has_all_fields_of_the_platforms_types)
{
    static const char *const reals[] = { "loadtime", "cur_load", "rej_load", "new_load", "max_perf", "cur_perf",
                                         "additional_disk_usage" };
    static const char *const integers[] = { "id", "cur_capacity", "max_capacity", "num_requests_working",
                                            "num_requests_recieved" };
    static const char *const strings[] = { "mtoken", "version", "error_msg", "url" };
    struct vwi_report_snapshot counts = { .cur_load = INFINITY, .new_load = NAN };
    struct vwi_wire_status in = { .counts = &counts, .disk_usage_gib = -0.25, .max_perf = -INFINITY };
    struct vwi_text out = VWI_TEXT_INIT;
    json_t *doc;
    size_t i;

    ck_assert_int_eq(vwi_wire_status(&in, &out), VW_OK);
    doc = parse(&out);
    ck_assert_uint_eq(json_object_size(doc), 17);
    for (i = 0; i < VWI_ARRAY_LEN(reals); i++)
        ck_assert(json_is_real(json_object_get(doc, reals[i])));
    for (i = 0; i < VWI_ARRAY_LEN(integers); i++)
        ck_assert(json_is_integer(json_object_get(doc, integers[i])));
    for (i = 0; i < VWI_ARRAY_LEN(strings); i++)
        ck_assert_str_eq(json_string_value(json_object_get(doc, strings[i])), "");
    ck_assert_uint_eq(json_array_size(json_object_get(doc, "working_request_idxs")), 0);
    ck_assert(json_is_array(json_object_get(doc, "working_request_idxs")));
    ck_assert(json_real_value(json_object_get(doc, "cur_load")) == 0);
    ck_assert(json_real_value(json_object_get(doc, "max_perf")) == 0);
    ck_assert(json_real_value(json_object_get(doc, "additional_disk_usage")) == -0.25);
    json_decref(doc);
    vwi_text_fini(&out);
}
END_TEST

START_TEST(wire_escapes_what_a_pattern_may_contain)
{
    struct vwi_report_snapshot counts = { 0 };
    struct vwi_wire_status in = { .counts = &counts,
                                  .error_msg = "a \"b\" \\ \n\t\x01 \xc3\xa9 \xff \xed\xa0\x80 \xf0\x9f\x98\x80" };
    struct vwi_text out = VWI_TEXT_INIT;
    json_t *doc;

    ck_assert_int_eq(vwi_wire_status(&in, &out), VW_OK);
    doc = parse(&out);
    ck_assert_str_eq(json_string_value(json_object_get(doc, "error_msg")),
                     "a \"b\" \\ \n\t\x01 \xc3\xa9 \xef\xbf\xbd \xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd \xf0\x9f\x98\x80");
    json_decref(doc);
    vwi_text_fini(&out);
}
END_TEST

START_TEST(wire_beacon_is_identity_and_error)
{
    struct vwi_wire_status in = example(NULL);
    struct vwi_text out = VWI_TEXT_INIT;

    in.error_msg = "bind: \"busy\"";
    in.url = NULL;
    ck_assert_int_eq(vwi_wire_beacon(&in, &out), VW_OK);
    ck_assert_str_eq(out.p, "{\"id\":777,\"mtoken\":\"token\",\"version\":\"1.1.0\",\"error_msg\":\"bind: \\\"busy\\\"\","
                            "\"url\":\"\"}");
    vwi_text_fini(&out);
}
END_TEST

static const struct vwi_deletion deletions[] = {
    { 1, 12, VWI_DELETION_SUCCESS, true, 1795422695.05, 1795422695.46, 1795422695.86, 0 },
    { 2, 13, VWI_DELETION_REJECTED, false, 1795422696, 0, 0, 0 },
    { 3, 14, VWI_DELETION_CANCELLED, true, 1795422696.000001, 0, 0, 0 },
    { 4, -15, VWI_DELETION_ERROR, false, 1795422697.5, 1795422698.25, 1795422699, 0 },
};

START_TEST(wire_deletions_list_each_request)
{
    struct vwi_text out = VWI_TEXT_INIT;

    ck_assert_int_eq(vwi_wire_deletions(777, "token", deletions, 4, &out), VW_OK);
    ck_assert_str_eq(
        out.p,
        "{\"worker_id\":777,\"mtoken\":\"token\",\"requests\":["
        "{\"request_idx\":12,\"success\":true,\"status\":\"Success\",\"entered_queue_at\":1795422695.05,"
        "\"work_started_at\":1795422695.46,\"work_completed_at\":1795422695.86},"
        "{\"request_idx\":13,\"success\":false,\"status\":\"Rejected\",\"entered_queue_at\":1795422696.0,"
        "\"work_started_at\":0.0,\"work_completed_at\":0.0},"
        "{\"request_idx\":14,\"success\":true,\"status\":\"Cancelled\",\"entered_queue_at\":1795422696.000001,"
        "\"work_started_at\":0.0,\"work_completed_at\":0.0},"
        "{\"request_idx\":-15,\"success\":false,\"status\":\"Error\",\"entered_queue_at\":1795422697.5,"
        "\"work_started_at\":1795422698.25,\"work_completed_at\":1795422699.0}]}");
    vwi_text_fini(&out);
}
END_TEST

START_TEST(wire_legacy_deletions_are_one_body_for_each_outcome)
{
    struct vwi_text out = VWI_TEXT_INIT;
    size_t named = 99;

    ck_assert_int_eq(vwi_wire_deletions_legacy(777, "token", deletions, 4, true, &out, &named), VW_OK);
    ck_assert_uint_eq(named, 2);
    ck_assert_str_eq(out.p, "{\"worker_id\":777,\"mtoken\":\"token\",\"request_idxs\":[12,14],\"success\":true}");
    ck_assert_int_eq(vwi_wire_deletions_legacy(777, "token", deletions, 4, false, &out, &named), VW_OK);
    ck_assert_str_eq(out.p, "{\"worker_id\":777,\"mtoken\":\"token\",\"request_idxs\":[13,-15],\"success\":false}");
    ck_assert_int_eq(vwi_wire_deletions_legacy(777, "token", deletions, 1, false, &out, &named), VW_OK);
    ck_assert_uint_eq(named, 0);
    vwi_text_fini(&out);
}
END_TEST

static const struct {
    double v;
    const char *number, *real, *seconds;
} numbers[] = {
    { 0, "0", "0.0", "0.0" },
    { -0.0, "0", "0.0", "0.0" },
    { 160, "160", "160.0", "160.0" },
    { -3, "-3", "-3.0", "-3.0" },
    { 0.1, "0.1", "0.1", "0.1" },
    { 0.1 + 0.2, "0.30000000000000004", "0.30000000000000004", "0.3" },
    { 1e22, "1e+22", "1e+22", "0.0" },
    { 5e-324, "4.94065645841247e-324", "4.94065645841247e-324", "0.0" },
    { 1795422695.05, "1795422695.05", "1795422695.05", "1795422695.05" },
    { -0.5, "-0.5", "-0.5", "-0.5" },
    { INFINITY, "0", "0.0", "0.0" },
    { NAN, "0", "0.0", "0.0" },
};

static void expect_numbers(void)
{
    struct vwi_text t = VWI_TEXT_INIT;
    size_t i;

    for (i = 0; i < VWI_ARRAY_LEN(numbers); i++) {
        vwi_text_clear(&t);
        vwi_literal_number(&t, numbers[i].v);
        ck_assert_str_eq(t.p, numbers[i].number);
        vwi_text_clear(&t);
        vwi_literal_real(&t, numbers[i].v);
        ck_assert_str_eq(t.p, numbers[i].real);
        vwi_text_clear(&t);
        vwi_literal_seconds(&t, numbers[i].v);
        ck_assert_str_eq(t.p, numbers[i].seconds);
    }
    vwi_text_fini(&t);
}

START_TEST(literal_numbers_are_json_in_every_locale)
{
    static const char *const locales[] = { "C", "de_DE.UTF-8", "fr_FR.UTF-8", "ps_AF.UTF-8" };
    size_t i;

    for (i = 0; i < VWI_ARRAY_LEN(locales); i++)
        if (setlocale(LC_NUMERIC, locales[i])) /* those the host has */
            expect_numbers();
    setlocale(LC_NUMERIC, "C");
}
END_TEST

START_TEST(literal_numbers_read_back_the_same)
{
    struct vwi_text t = VWI_TEXT_INIT;
    unsigned long long seed = 3;
    int i;

    for (i = 0; i < 20000; i++) {
        double v;
        unsigned long long bits = (seed = seed * 6364136223846793005ull + 1442695040888963407ull);

        memcpy(&v, &bits, sizeof(v));
        if (!isfinite(v))
            continue;
        vwi_text_clear(&t);
        vwi_literal_real(&t, v);
        ck_assert(strtod(t.p, NULL) == v);
    }
    vwi_text_fini(&t);
}
END_TEST

START_TEST(wire_survives_each_failed_allocation)
{
    static long long idxs[500];
    struct vwi_report_snapshot counts = example_counts();
    struct vwi_wire_status in = example(&counts);
    struct vwi_text out;
    vw_err err = VW_E_NOMEM;
    unsigned nth, call;
    size_t named;

    counts.idxs = idxs;
    counts.idx_count = VWI_ARRAY_LEN(idxs);
    for (call = 0; call < 4; call++, err = VW_E_NOMEM)
        for (nth = 0; err != VW_OK; nth++) {
            out = (struct vwi_text)VWI_TEXT_INIT;
            ck_assert_uint_lt(nth, 100);
            vwi_mem_fail_nth(nth);
            err = call == 0   ? vwi_wire_status(&in, &out)
                  : call == 1 ? vwi_wire_beacon(&in, &out)
                  : call == 2 ? vwi_wire_deletions(1, "t", deletions, 4, &out)
                              : vwi_wire_deletions_legacy(1, "t", deletions, 4, true, &out, &named);
            vwi_mem_fail_never();
            ck_assert(err == VW_OK || (err == VW_E_NOMEM && out.len == 0));
            vwi_text_fini(&out);
        }
}
END_TEST

Suite *wire_suite(void);

Suite *wire_suite(void)
{
    Suite *s = suite_create("wire");
    TCase *tc = tcase_create("wire");

    tcase_add_test(tc, wire_status_says_the_worked_example);
    tcase_add_test(tc, wire_status_has_all_fields_of_the_platforms_types);
    tcase_add_test(tc, wire_escapes_what_a_pattern_may_contain);
    tcase_add_test(tc, wire_beacon_is_identity_and_error);
    tcase_add_test(tc, wire_deletions_list_each_request);
    tcase_add_test(tc, wire_legacy_deletions_are_one_body_for_each_outcome);
    tcase_add_test(tc, literal_numbers_are_json_in_every_locale);
    tcase_add_test(tc, literal_numbers_read_back_the_same);
    tcase_add_test(tc, wire_survives_each_failed_allocation);
    suite_add_tcase(s, tc);
    return s;
}
