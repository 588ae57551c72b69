/* Weighing by rule: every kind, and what falls back to 100. */
#include <check.h>
#include <math.h>
#include <string.h>

#include "base/vwi.h"
#include "core/workload.h"

#define SPAN(text) ((struct vwi_span){ text, sizeof(text) - 1 })

static char max_tokens[] = "/max_tokens", input[] = "/input", plugin[] = "completions";

static const struct {
    struct vwi_workload_conf conf;
    struct vwi_span payload;
    double workload;
    bool fallback;
} cases[] = {
    { { .kind = VWI_WORKLOAD_CONSTANT, .value = 100 }, SPAN("{}"), 100, false },
    { { .kind = VWI_WORKLOAD_CONSTANT, .value = 0 }, SPAN("{}"), 0, false },
    { { .kind = VWI_WORKLOAD_CONSTANT, .value = -1 }, SPAN("{}"), 100, true },
    { { .kind = VWI_WORKLOAD_CONSTANT, .value = NAN }, SPAN("{}"), 100, true },
    { { .kind = VWI_WORKLOAD_FIELD, .value = 256, .pointer = max_tokens }, SPAN("{\"max_tokens\":128}"), 128, false },
    { { .kind = VWI_WORKLOAD_FIELD, .value = 256, .pointer = max_tokens }, SPAN("{\"max_tokens\":0}"), 0, false },
    { { .kind = VWI_WORKLOAD_FIELD, .value = 256, .pointer = max_tokens }, SPAN("{}"), 256, false },
    { { .kind = VWI_WORKLOAD_FIELD, .value = 256, .pointer = max_tokens }, SPAN("{\"max_tokens\":-1}"), 100, true },
    { { .kind = VWI_WORKLOAD_FIELD, .value = 256, .pointer = max_tokens }, SPAN("{\"max_tokens\":1e999}"), 100, true },
    { { .kind = VWI_WORKLOAD_FIELD, .value = 256, .pointer = max_tokens }, SPAN("{\"max_tokens\":\"9\"}"), 256, false },
    { { .kind = VWI_WORKLOAD_FIELD, .value = NAN, .pointer = max_tokens }, SPAN("{\"max_tokens\":2.5}"), 2.5, false },
    { { .kind = VWI_WORKLOAD_FIELD, .value = NAN, .pointer = max_tokens }, SPAN("{\"max_tokens\":null}"), 100, true },
    { { .kind = VWI_WORKLOAD_FIELD, .value = NAN, .pointer = max_tokens }, SPAN("[]"), 100, true },
    { { .kind = VWI_WORKLOAD_COUNT, .pointer = input }, SPAN("{\"input\":[\"a\",\"b\",\"c\"]}"), 3, false },
    { { .kind = VWI_WORKLOAD_COUNT, .pointer = input }, SPAN("{\"input\":[]}"), 0, false },
    { { .kind = VWI_WORKLOAD_COUNT, .pointer = input }, SPAN("{\"input\":{\"a\":1,\"b\":2}}"), 2, false },
    { { .kind = VWI_WORKLOAD_COUNT, .pointer = input }, SPAN("{\"input\":\"text\"}"), 1, false },
    { { .kind = VWI_WORKLOAD_COUNT, .pointer = input }, SPAN("{\"input\":null}"), 100, true },
    { { .kind = VWI_WORKLOAD_COUNT, .pointer = input }, SPAN("{}"), 100, true },
    { { .kind = VWI_WORKLOAD_BYTES, .value = 1024 }, SPAN("{}"), 2, false },
    { { .kind = VWI_WORKLOAD_BYTES, .value = 0 }, SPAN("{}"), 100, true },
    { { .kind = VWI_WORKLOAD_PLUGIN, .plugin = plugin }, SPAN("{}"), 100, true },
};

START_TEST(every_kind_weighs_or_falls_back)
{
    size_t i;

    for (i = 0; i < VWI_ARRAY_LEN(cases); i++) {
        vw_error_t why = { 0 };
        bool fallback = !cases[i].fallback;
        double workload = vwi_workload_weigh(&cases[i].conf, cases[i].payload, 2048, &fallback, &why);

        ck_assert_msg(workload == cases[i].workload && fallback == cases[i].fallback, "case %zu: %g, %s", i, workload, why.text);
        ck_assert_int_eq(why.code != VW_OK, fallback);
        ck_assert(vwi_workload_weigh(&cases[i].conf, cases[i].payload, 2048, &fallback, NULL) == workload);
    }
}
END_TEST

START_TEST(reasons_name_the_pointer_and_never_the_payload)
{
    struct vwi_workload_conf conf = { .kind = VWI_WORKLOAD_FIELD, .value = NAN, .pointer = max_tokens };
    vw_error_t why = { 0 };
    bool fallback;

    vwi_workload_weigh(&conf, SPAN("{\"max_tokens\":\"secret\"}"), 0, &fallback, &why);
    ck_assert_ptr_nonnull(strstr(why.text, "/max_tokens"));
    ck_assert_ptr_null(strstr(why.text, "secret"));
}
END_TEST

START_TEST(valid_is_finite_and_not_negative)
{
    ck_assert(vwi_workload_valid(0) && vwi_workload_valid(1e300) && vwi_workload_valid(-0.0));
    ck_assert(!vwi_workload_valid(-1e-9) && !vwi_workload_valid(NAN) && !vwi_workload_valid(INFINITY));
}
END_TEST

Suite *workload_suite(void);

Suite *workload_suite(void)
{
    Suite *s = suite_create("workload");
    TCase *tc = tcase_create("workload");

    tcase_add_test(tc, every_kind_weighs_or_falls_back);
    tcase_add_test(tc, reasons_name_the_pointer_and_never_the_payload);
    tcase_add_test(tc, valid_is_finite_and_not_negative);
    suite_add_tcase(s, tc);
    return s;
}
