/* /metrics as a scraper sees it: well-formed text, the same as JSON, and a page of documentation that is current. */
#include <check.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/vwi.h"
#include "core/exposition.h"
#include "core/peak.h"

/* All metrics of the interface; a name that is taken away or renamed breaks dashboards. */
static const char *const expected[] = {
    "vastworker_requests_total",      "vastworker_refusals_total",          "vastworker_request_seconds",
    "vastworker_queue_seconds",       "vastworker_first_byte_seconds",      "vastworker_workload_total",
    "vastworker_in_flight",           "vastworker_queued",                  "vastworker_load",
    "vastworker_capacity",            "vastworker_capacity_measured",
    "vastworker_state",               "vastworker_state_since_seconds",
    "vastworker_sessions",            "vastworker_reports_total",           "vastworker_report_seconds",
    "vastworker_deletions_waiting",
    "vastworker_deletions_dropped_total", "vastworker_journal_dropped_total", "vastworker_journal_recovered_total",
    "vastworker_model_connections",   "vastworker_cancels_total", "vastworker_client_connections",
    "vastworker_bytes_total",         "vastworker_loop_turn_cpu_seconds",   "vastworker_loop_stall_seconds",
    "vastworker_plugin_seconds",
    "vastworker_plugin_fallbacks_total", "vastworker_log_matches_total",    "vastworker_log_truncations_total",
    "vastworker_log_lines_dropped_total",
    "vastworker_nvml_up",             "vastworker_gpu_up",                  "vastworker_gpu_info",
    "vastworker_gpu_memory_bytes",    "vastworker_gpu_utilization_ratio",   "vastworker_gpu_temperature_celsius",
    "vastworker_gpu_throttled",       "vastworker_gpu_ecc_errors_total",    "vastworker_gpu_xid_total",
    "vastworker_model_restarts_total", "vastworker_model_lines_dropped_total", "vastworker_build_info",
    "process_cpu_seconds_total",      "process_resident_memory_bytes",      "process_open_fds",
    "process_max_fds",                "process_start_time_seconds",
};

static char serial_name[] = "serial", other_name[] = "od\"d\\\n";
static const struct vwi_lane_conf lanes[] = { { serial_name, 1, 9 }, { other_name, 1, 9 }, { serial_name, 1, 9 } };
static const char *const routes[] = { "/v1/a", "/v1/a", "/q\"\\" };
static const char *const reasons[] = { "no_route", "queue_full" };
static const char *const states[] = { "starting", "ready", "error" };
static const struct vwi_plugin_figures plugins[] = { { "embeddings", 0.5, 2 }, { "rerank", 1, 1 }, { "embeddings", 0.25, 1 } };

/* One that tells all, one that is lost. */
static const struct vwi_gpus gpus = {
    .there = true, .count = 2, .strays = 7,
    .items = { { .now = { .index = 0, .name = "NVIDIA \"H100\"", .uuid = "GPU-a", .has = 63, .memory_used = 5, .memory_total = 85899345920,
                          .utilization = 0.75, .temperature_c = 61, .throttle = VWI_GPU_SW_POWER_CAP, .corrected = 3, .uncorrected = 1 },
                 .kind_count = 2, .kinds = { { 43, 2 }, { 79, 1 } }, .other_xids = 4 },
               { .now = { .index = 1, .name = "NVIDIA H100", .uuid = "GPU-b", .answer = VWI_GPU_LOST }, .lost = true } },
};

struct fixture {
    struct vwi_ledger *ledger;
    struct vwi_queue *queue;
    struct vwi_entry entries[3];
    struct vwi_ticket tickets[4];
    struct vwi_histogram report, turn;
    struct vwi_exposition in;
};

static void set_up(struct fixture *f)
{
    const struct vwi_ledger_names names = { routes, VWI_ARRAY_LEN(routes), reasons, VWI_ARRAY_LEN(reasons) };
    struct vwi_work work = { .kind = VWI_WORK_PLAIN, .workload = 12.5 };
    size_t i;

    memset(f, 0, sizeof(*f));
    ck_assert_int_eq(vwi_ledger_create(&names, 8, &f->ledger, NULL), VW_OK);
    ck_assert_int_eq(vwi_queue_create(lanes, VWI_ARRAY_LEN(lanes), &f->queue, NULL), VW_OK);
    for (i = 0; i < 3; i++) {
        work.route = i;
        vwi_ledger_start(f->ledger, &f->entries[i], &work, 1, 1000000);
    }
    vwi_ledger_settle(f->ledger, &f->entries[0], VWI_OUTCOME_SERVED, 1040000);
    vwi_ledger_settle(f->ledger, &f->entries[1], VWI_OUTCOME_SERVED, 900000000000);
    vwi_ledger_refuse(f->ledger, VWI_NO_ROUTE, 0);
    vwi_ledger_reject(f->ledger, &work, 1, 1);
    for (i = 0; i < 4; i++)
        vwi_queue_enter(f->queue, &f->tickets[i], &(struct vwi_wish){ i % 3, 0, -1 }, 0);
    vwi_histogram_init_request(&f->report);
    vwi_histogram_init_turn(&f->turn);
    vwi_histogram_observe(&f->turn, 0.00005);
    vwi_histogram_observe(&f->turn, 0.0002);
    f->in = (struct vwi_exposition){ .version = "1.2.3",
                                     .ledger = f->ledger,
                                     .queue = f->queue,
                                     .capacity = 200.5,
                                     .states = states,
                                     .state_count = VWI_ARRAY_LEN(states),
                                     .state = 1,
                                     .state_since_s = 1795422695.5,
                                     .report_seconds = &f->report,
                                     .bytes_in = 18446744073709551615ull,
                                     .loop_turn_cpu = &f->turn,
                                     .loop_stall_s = 0.25,
                                     .plugins = plugins,
                                     .plugin_count = VWI_ARRAY_LEN(plugins),
                                     .gpus = &gpus };
}

static void tear_down(struct fixture *f)
{
    vwi_ledger_destroy(f->ledger);
    vwi_queue_destroy(f->queue);
}

static bool has_line(const char *text, const char *line)
{
    size_t len = strlen(line);
    const char *p;

    for (p = strstr(text, line); p; p = strstr(p + 1, line))
        if ((p == text || p[-1] == '\n') && p[len] == '\n')
            return true;
    return false;
}

START_TEST(exposition_text_says_what_happened)
{
    static const char *const lines[] = {
        "# TYPE vastworker_requests_total counter",
        "vastworker_requests_total{route=\"/v1/a\",outcome=\"served\"} 2",
        "vastworker_requests_total{route=\"none\",outcome=\"refused\"} 1",
        "vastworker_requests_total{route=\"/q\\\"\\\\\",outcome=\"rejected\"} 1",
        "vastworker_refusals_total{route=\"none\",reason=\"no_route\"} 1",
        "vastworker_refusals_total{route=\"/q\\\"\\\\\",reason=\"queue_full\"} 1",
        "# TYPE vastworker_request_seconds histogram",
        "vastworker_request_seconds_bucket{route=\"/v1/a\",le=\"0.025\"} 0",
        "vastworker_request_seconds_bucket{route=\"/v1/a\",le=\"0.05\"} 1",
        "vastworker_request_seconds_bucket{route=\"/v1/a\",le=\"600\"} 1",
        "vastworker_request_seconds_bucket{route=\"/v1/a\",le=\"+Inf\"} 2",
        "vastworker_request_seconds_sum{route=\"/v1/a\"} 899999.04",
        "vastworker_request_seconds_count{route=\"/v1/a\"} 2",
        "vastworker_workload_total{kind=\"received\"} 37.5",
        "vastworker_workload_total{kind=\"rejected\"} 12.5",
        "vastworker_in_flight{lane=\"serial\"} 2",
        "vastworker_queued{lane=\"serial\"} 1",
        "vastworker_in_flight{lane=\"od\\\"d\\\\\\n\"} 1",
        "vastworker_load 12.5",
        "vastworker_capacity 200.5",
        "vastworker_state{state=\"ready\"} 1",
        "vastworker_state{state=\"error\"} 0",
        "vastworker_state_since_seconds 1795422695.5",
        "vastworker_report_seconds_bucket{le=\"+Inf\"} 0",
        "vastworker_bytes_total{direction=\"in\"} 18446744073709551615",
        "vastworker_loop_turn_cpu_seconds_bucket{le=\"5e-05\"} 1",
        "vastworker_loop_turn_cpu_seconds_count 2",
        "vastworker_loop_stall_seconds 0.25",
        "vastworker_plugin_seconds_sum{plugin=\"embeddings\"} 0.75",
        "vastworker_plugin_seconds_count{plugin=\"embeddings\"} 3",
        "vastworker_nvml_up 1",
        "vastworker_gpu_up{gpu=\"0\"} 1",
        "vastworker_gpu_up{gpu=\"1\"} 0",
        "vastworker_gpu_info{gpu=\"0\",name=\"NVIDIA \\\"H100\\\"\",uuid=\"GPU-a\"} 1",
        "vastworker_gpu_memory_bytes{gpu=\"0\",kind=\"used\"} 5",
        "vastworker_gpu_memory_bytes{gpu=\"0\",kind=\"total\"} 85899345920",
        "vastworker_gpu_utilization_ratio{gpu=\"0\"} 0.75",
        "vastworker_gpu_temperature_celsius{gpu=\"0\"} 61",
        "vastworker_gpu_throttled{gpu=\"0\",reason=\"sw_power_cap\"} 1",
        "vastworker_gpu_throttled{gpu=\"0\",reason=\"hw_thermal_slowdown\"} 0",
        "vastworker_gpu_ecc_errors_total{gpu=\"0\",kind=\"corrected\"} 3",
        "vastworker_gpu_ecc_errors_total{gpu=\"0\",kind=\"uncorrected\"} 1",
        "vastworker_gpu_xid_total{gpu=\"0\",xid=\"43\"} 2",
        "vastworker_gpu_xid_total{gpu=\"0\",xid=\"79\"} 1",
        "vastworker_gpu_xid_total{gpu=\"0\",xid=\"other\"} 4",
        "vastworker_gpu_xid_total{gpu=\"unknown\",xid=\"other\"} 7",
        "vastworker_build_info{version=\"1.2.3\"} 1",
    };
    struct vwi_text out = VWI_TEXT_INIT;
    struct fixture f;
    size_t i;

    set_up(&f);
    ck_assert_int_eq(vwi_exposition_text(&f.in, &out), VW_OK);
    for (i = 0; i < VWI_ARRAY_LEN(lines); i++)
        ck_assert_msg(has_line(out.p, lines[i]), "missing: %s", lines[i]);
    vwi_text_fini(&out);
    tear_down(&f);
}
END_TEST

/* A line of samples: name, labels in braces, a number. Cuts it behind the labels. */
static void check_sample(char *line, const char *family)
{
    size_t len = strlen(family);
    char *end, *value;
    bool quoted = false;

    ck_assert_msg(strncmp(line, family, len) == 0, "%s is not of %s", line, family);
    end = line + strcspn(line, "{ ");
    if (*end == '{') {
        for (end++; *end && (quoted || *end != '}'); end++) {
            if (*end == '\\')
                end++;
            else if (*end == '"')
                quoted = !quoted;
        }
        ck_assert_int_eq(*end++, '}');
    }
    ck_assert_int_eq(*end, ' ');
    *end = '\0';
    strtod(end + 1, &value);
    ck_assert_msg(value > end + 1 && *value == '\0', "%s %s", line, end + 1);
}

static int by_text(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

START_TEST(exposition_text_is_well_formed)
{
    static char *samples[2000];
    struct vwi_text out = VWI_TEXT_INIT;
    struct fixture f;
    char *line, *rest = NULL, family[100] = "", type[20] = "";
    size_t families = 0, count = 0, i;

    set_up(&f);
    ck_assert_int_eq(vwi_exposition_text(&f.in, &out), VW_OK);
    ck_assert_int_eq(out.p[out.len - 1], '\n');
    for (line = strtok_r(out.p, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        if (strncmp(line, "# HELP ", 7) == 0) {
            ck_assert_int_eq(sscanf(line, "# HELP %99s", family), 1);
            ck_assert_uint_lt(families, VWI_ARRAY_LEN(expected));
            ck_assert_str_eq(family, expected[families++]);
        } else if (strncmp(line, "# TYPE ", 7) == 0) {
            ck_assert_int_eq(sscanf(line, "# TYPE %*s %19s", type), 1);
            ck_assert_int_eq(strcmp(type, "counter") == 0,
                             strlen(family) > 6 && strcmp(family + strlen(family) - 6, "_total") == 0);
        } else {
            check_sample(line, family);
            ck_assert_uint_lt(count, VWI_ARRAY_LEN(samples));
            samples[count++] = line;
        }
    }
    ck_assert_uint_eq(families, VWI_ARRAY_LEN(expected));
    qsort(samples, count, sizeof(*samples), by_text);
    for (i = 1; i < count; i++)
        ck_assert_msg(strcmp(samples[i - 1], samples[i]) != 0, "twice: %s", samples[i]);
    vwi_text_fini(&out);
    tear_down(&f);
}
END_TEST

START_TEST(exposition_json_says_the_same)
{
    struct vwi_text out = VWI_TEXT_INIT;
    struct fixture f;
    json_error_t error;
    json_t *doc, *sample;
    size_t i;

    set_up(&f);
    ck_assert_int_eq(vwi_exposition_json(&f.in, &out), VW_OK);
    doc = json_loadb(out.p, out.len, JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, &error);
    ck_assert_msg(doc != NULL, "%s", error.text);
    ck_assert_uint_eq(json_object_size(doc), VWI_ARRAY_LEN(expected));
    for (i = 0; i < VWI_ARRAY_LEN(expected); i++) {
        json_t *family = json_object_get(doc, expected[i]);

        ck_assert(json_is_string(json_object_get(family, "type")) && json_is_string(json_object_get(family, "help")));
        ck_assert(json_is_array(json_object_get(family, "samples")));
    }
    sample = json_array_get(json_object_get(json_object_get(doc, "vastworker_load"), "samples"), 0);
    ck_assert(json_real_value(json_object_get(sample, "value")) == 12.5);
    sample = json_array_get(json_object_get(json_object_get(doc, "vastworker_queued"), "samples"), 1);
    ck_assert_str_eq(json_string_value(json_object_get(json_object_get(sample, "labels"), "lane")), other_name);
    sample = json_array_get(json_object_get(json_object_get(doc, "vastworker_request_seconds"), "samples"), 0);
    ck_assert(json_real_value(json_object_get(sample, "count")) == 2);
    sample = json_array_get(json_object_get(sample, "buckets"), 18);
    ck_assert_str_eq(json_string_value(json_object_get(sample, "le")), "+Inf");
    ck_assert(json_real_value(json_object_get(sample, "count")) == 2);
    json_decref(doc);
    vwi_text_fini(&out);
    tear_down(&f);
}
END_TEST

START_TEST(exposition_leaves_out_what_is_absent)
{
    struct vwi_text out = VWI_TEXT_INIT;
    struct fixture f;

    set_up(&f);
    f.in = (struct vwi_exposition){ .ledger = f.ledger, .queue = f.queue };
    ck_assert_int_eq(vwi_exposition_text(&f.in, &out), VW_OK);
    ck_assert_ptr_null(strstr(out.p, "\nvastworker_report_seconds"));
    ck_assert_ptr_null(strstr(out.p, "\nvastworker_loop_turn_cpu_seconds"));
    ck_assert_ptr_null(strstr(out.p, "\nvastworker_plugin_seconds"));
    ck_assert_ptr_null(strstr(out.p, "\nvastworker_nvml_up"));
    ck_assert_ptr_null(strstr(out.p, "\nvastworker_gpu_"));
    ck_assert(has_line(out.p, "vastworker_build_info{version=\"\"} 1"));
    vwi_text_fini(&out);
    tear_down(&f);
}
END_TEST

START_TEST(a_peak_is_remembered_for_one_minute_and_forgotten_after_two)
{
    const int64_t minute = VWI_PEAK_WINDOW_US, start = 5000 * minute;
    struct vwi_peak peak = { 0 };

    ck_assert_double_eq(vwi_peak_highest(&peak, start), 0);
    vwi_peak_observe(&peak, 3, start + 1);
    vwi_peak_observe(&peak, 2, start + 2);
    ck_assert_double_eq(vwi_peak_highest(&peak, start + minute - 1), 3);
    vwi_peak_observe(&peak, 1, start + minute);
    ck_assert_double_eq(vwi_peak_highest(&peak, start + 2 * minute - 1), 3);
    ck_assert_double_eq(vwi_peak_highest(&peak, start + 2 * minute), 1);
    ck_assert_double_eq(vwi_peak_highest(&peak, start + 9 * minute), 0);
}
END_TEST

START_TEST(histogram_bounds_are_inclusive)
{
    struct vwi_histogram h;

    vwi_histogram_init_request(&h);
    vwi_histogram_observe(&h, 0.001);
    vwi_histogram_observe(&h, 0.0010001);
    vwi_histogram_observe(&h, -5);
    vwi_histogram_observe(&h, strtod("nan", NULL));
    vwi_histogram_observe(&h, 601);
    ck_assert_uint_eq(h.counts[0], 3);
    ck_assert_uint_eq(h.counts[1], 1);
    ck_assert_uint_eq(h.counts[h.bound_count], 1);
    ck_assert_uint_eq(h.count, 5);
    ck_assert_double_eq_tol(h.sum, 601.0020001, 1e-9);
}
END_TEST

/* With VWT_WRITE_DOCS set the page is written instead. */
START_TEST(exposition_docs_are_current)
{
    static char page[65536];
    struct vwi_text want = VWI_TEXT_INIT;
    const char *write = getenv("VWT_WRITE_DOCS");
    FILE *file;
    size_t len;

    ck_assert_int_eq(vwi_exposition_docs(&want), VW_OK);
    file = fopen("docs/metrics.md", write ? "w+" : "r");
    ck_assert_msg(file != NULL, "docs/metrics.md cannot be opened from here");
    if (write) {
        ck_assert_uint_eq(fwrite(want.p, 1, want.len, file), want.len);
        rewind(file);
    }
    len = fread(page, 1, sizeof(page) - 1, file);
    fclose(file);
    page[len] = '\0';
    ck_assert_msg(strcmp(page, want.p) == 0, "docs/metrics.md is stale: run the unit tests once with VWT_WRITE_DOCS=1");
    vwi_text_fini(&want);
}
END_TEST

START_TEST(exposition_survives_each_failed_allocation)
{
    struct vwi_text out;
    struct fixture f;
    vw_err err = VW_E_NOMEM;
    unsigned nth, call;

    set_up(&f);
    for (call = 0; call < 3; call++, err = VW_E_NOMEM)
        for (nth = 0; err != VW_OK; nth++) {
            out = (struct vwi_text)VWI_TEXT_INIT;
            ck_assert_uint_lt(nth, 200);
            vwi_mem_fail_nth(nth);
            err = call == 0   ? vwi_exposition_text(&f.in, &out)
                  : call == 1 ? vwi_exposition_json(&f.in, &out)
                              : vwi_exposition_docs(&out);
            vwi_mem_fail_never();
            ck_assert(err == VW_OK || (err == VW_E_NOMEM && out.len == 0));
            vwi_text_fini(&out);
        }
    tear_down(&f);
}
END_TEST

Suite *exposition_suite(void);

Suite *exposition_suite(void)
{
    Suite *s = suite_create("exposition");
    TCase *tc = tcase_create("exposition");

    tcase_add_test(tc, exposition_text_says_what_happened);
    tcase_add_test(tc, exposition_text_is_well_formed);
    tcase_add_test(tc, exposition_json_says_the_same);
    tcase_add_test(tc, exposition_leaves_out_what_is_absent);
    tcase_add_test(tc, histogram_bounds_are_inclusive);
    tcase_add_test(tc, a_peak_is_remembered_for_one_minute_and_forgotten_after_two);
    tcase_add_test(tc, exposition_docs_are_current);
    tcase_add_test(tc, exposition_survives_each_failed_allocation);
    suite_add_tcase(s, tc);
    return s;
}
