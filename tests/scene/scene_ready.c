/* From start to ready, to error and back: by log, by health path, by benchmark, by port and by key; each change is told. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "actors.h"

#define ECHO "'handlers': [{'route': '/echo', 'allowParallelRequests': true}]"
#define PATTERNS "'logActionConfig': {'onLoad': ['startup complete'], 'onError': ['CUDA out of memory'], 'onInfo': ['Download']}"

static struct model *m;
static struct control *c;
static char *log_path, *config;

static void setup(void)
{
    m = model_start();
    c = control_start();
    log_path = temp_file("model.log", NULL);
}

static void teardown(void)
{
    free(config);
    free(log_path);
    control_stop(c);
    model_stop(m);
}

/* A worker that watches the log; more: further keys, each followed by a comma. */
static struct worker *start_watching(const char *more)
{
    ck_assert_int_gt(asprintf(&config, "{%s'maxPerf': 5, 'modelLogFile': '%s', " PATTERNS ", " ECHO "}", more, log_path), 0);
    return worker_start(m, c, config);
}

static bool says_error(const json_t *report, void *arg)
{
    const char *text = json_string_value(json_object_get(report, "error_msg"));

    return text && strcmp(text, *(const char **)arg) == 0;
}

static void wait_error_told(const char *text) { json_decref(control_wait_report(c, says_error, &text)); }

static double max_perf_told(void)
{
    json_t *report = control_wait_state(c, true);
    double max_perf = json_number_value(json_object_get(report, "max_perf"));

    json_decref(report);
    return max_perf;
}

static int post(struct worker *w, long idx)
{
    struct answer a = client_envelope(worker_port(w), c, "/echo", idx, "{}");
    int status = a.status;

    answer_fini(&a);
    return status;
}

/* ---- the log ---- */

START_TEST(a_log_that_does_not_exist_yet_is_waited_for)
{
    struct worker *w = start_watching("");

    json_decref(control_wait_state(c, false));
    ck_assert_int_eq(worker_status(w).state, VW_STATE_LOADING);
    append_file(log_path, "INFO: Application startup complete.\n");
    worker_wait_state(w, VW_STATE_READY);
    ck_assert_double_eq(max_perf_told(), 5);
    ck_assert_int_eq(post(w, 1), 200);
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

START_TEST(a_log_that_is_there_already_is_read_from_its_beginning)
{
    struct worker *w;

    append_file(log_path, "one\nstartup complete\nthree\n");
    w = start_watching("");
    worker_wait_state(w, VW_STATE_READY);
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

START_TEST(an_error_line_is_told_by_its_pattern_and_never_by_its_text)
{
    struct worker *w = start_watching("");
    struct answer a;

    append_file(log_path, "startup complete\n");
    json_decref(control_wait_state(c, true));
    append_file(log_path, "prompt='hush-hush': CUDA out of memory while sampling\n");
    worker_wait_state(w, VW_STATE_ERROR);
    wait_error_told("CUDA out of memory");
    a = client_call(worker_port(w), "GET", "/health", "", NULL);
    ck_assert_int_eq(a.status, 503);
    ck_assert_ptr_nonnull(strstr(a.body, "CUDA out of memory"));
    ck_assert_ptr_null(strstr(a.body, "hush-hush"));
    answer_fini(&a);
    ck_assert_int_eq(post(w, 1), 503);
    append_file(log_path, "startup complete\n"); /* without a health path an error is final */
    append_file(log_path, "Downloading the next thing\n");
    worker_wait_logged(w, "model (info): Downloading the next thing");
    ck_assert_int_eq(worker_status(w).state, VW_STATE_ERROR);
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

START_TEST(a_line_in_two_pieces_is_one_line)
{
    struct worker *w = start_watching("");

    append_file(log_path, "Download 1\nApplication start");
    worker_wait_logged(w, "model (info): Download 1"); /* so the piece was read, too */
    append_file(log_path, "up comp");
    append_file(log_path, "lete.\n");
    worker_wait_state(w, VW_STATE_READY);
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

START_TEST(a_log_that_is_renamed_away_loses_and_doubles_no_line)
{
    struct worker *w = start_watching("");
    char *old = temp_file("model.log.1", NULL);

    append_file(log_path, "Download 1\n");
    worker_wait_logged(w, "model (info): Download 1");
    append_file(log_path, "Download 2\n");
    ck_assert_int_eq(rename(log_path, old), 0);
    append_file(old, "Download 3\n"); /* the writer has not noticed yet */
    append_file(log_path, "Download 4\nstartup complete\n");
    worker_wait_state(w, VW_STATE_READY);
    worker_wait_logged(w, "model (info): Download 4");
    ck_assert_uint_eq(worker_count_logged(w, "model (info): Download 1"), 1);
    ck_assert_uint_eq(worker_count_logged(w, "model (info): Download 2"), 1);
    ck_assert_uint_eq(worker_count_logged(w, "model (info): Download 3"), 1);
    ck_assert_uint_eq(worker_count_logged(w, "model (info): Download 4"), 1);
    ck_assert_int_eq(worker_finish(w), VW_OK);
    free(old);
}
END_TEST

START_TEST(a_log_that_is_truncated_and_written_anew_is_read_from_its_beginning_and_counted)
{
    struct worker *w = start_watching("");
    struct answer a;

    append_file(log_path, "Download 1\n");
    worker_wait_logged(w, "model (info): Download 1");
    ck_assert_int_eq(truncate(log_path, 0), 0);
    append_file(log_path, "Download 2 of the next run\nstartup complete\n"); /* longer than what was read */
    worker_wait_state(w, VW_STATE_READY);
    ck_assert_uint_eq(worker_count_logged(w, "model (info): Download 2"), 1);
    a = client_call(worker_port(w), "GET", "/metrics", "", NULL);
    ck_assert_ptr_nonnull(strstr(a.body, "\nvastworker_log_truncations_total 1\n"));
    answer_fini(&a);
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

START_TEST(several_logs_are_watched_with_a_preset_and_expressions)
{
    char *other = temp_file("other.log", NULL);
    struct worker *w;

    ck_assert_int_gt(asprintf(&config, "{'maxPerf': 5, 'modelLogFile': ['%s', '%s'], 'logActionConfig': {'preset': 'sglang', "
                                       "'onInfo': ['/^got [0-9]+ of [0-9]+$/']}, " ECHO "}", log_path, other), 0);
    w = worker_start(m, c, config);
    append_file(other, "got 3 of x\ngot 3 of 4\r\n");
    worker_wait_logged(w, "model (info): got 3 of 4");
    ck_assert_uint_eq(worker_count_logged(w, "model (info): got 3 of x"), 0);
    append_file(log_path, "[2026-10-01 00:02:00] The server is fired up and ready to roll!\n");
    worker_wait_state(w, VW_STATE_READY);
    append_file(other, "\xff\xfe Scheduler hit an exception: Traceback\n");
    worker_wait_state(w, VW_STATE_ERROR);
    wait_error_told("Scheduler hit an exception");
    ck_assert_int_eq(worker_finish(w), VW_OK);
    free(other);
}
END_TEST

/* ---- the health path ---- */

START_TEST(a_health_path_is_waited_for_until_it_says_200)
{
    struct worker *w;

    model_health(m, 503);
    w = worker_start(m, c, "{'maxPerf': 5, 'modelHealthcheckPath': '/health', " ECHO "}");
    model_wait_probes(m, 3);
    ck_assert_int_eq(worker_status(w).state, VW_STATE_LOADING);
    json_decref(control_wait_state(c, false));
    model_health(m, 200);
    worker_wait_state(w, VW_STATE_READY);
    ck_assert_double_eq(max_perf_told(), 5);
    ck_assert_int_eq(worker_finish(w), VW_OK);
    ck_assert_uint_eq(model_requests(m), 0);
}
END_TEST

START_TEST(a_load_line_and_a_health_path_are_both_waited_for)
{
    struct worker *w = start_watching("'modelHealthcheckPath': '/health', ");

    model_wait_probes(m, 1);
    ck_assert_int_eq(worker_status(w).state, VW_STATE_LOADING);
    append_file(log_path, "startup complete\n");
    worker_wait_state(w, VW_STATE_READY);
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

START_TEST(good_probes_clear_an_error)
{
    struct worker *w = start_watching("'modelHealthcheckPath': '/health', ");
    unsigned probes;

    append_file(log_path, "startup complete\n");
    json_decref(control_wait_state(c, true));
    model_health(m, 503);
    append_file(log_path, "CUDA out of memory\n");
    worker_wait_state(w, VW_STATE_ERROR);
    wait_error_told("CUDA out of memory");
    probes = model_probes(m);
    model_wait_probes(m, probes + 1);
    ck_assert_int_eq(worker_status(w).state, VW_STATE_ERROR);
    model_health(m, 200);
    worker_wait_state(w, VW_STATE_READY);
    ck_assert_int_eq(post(w, 1), 200);
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

START_TEST(an_error_is_final_where_the_policy_is_sticky)
{
    struct worker *w = start_watching("'modelHealthcheckPath': '/health', 'errorPolicy': 'sticky', ");

    append_file(log_path, "startup complete\n");
    worker_wait_state(w, VW_STATE_READY);
    append_file(log_path, "CUDA out of memory\n");
    worker_wait_state(w, VW_STATE_ERROR);
    append_file(log_path, "startup complete\nDownload 1\n");
    worker_wait_logged(w, "model (info): Download 1");
    ck_assert_int_eq(worker_status(w).state, VW_STATE_ERROR);
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

/* Takes as long as three probes of a serving model are apart, half a minute. */
START_TEST(three_bad_probes_are_an_error_that_good_ones_clear)
{
    struct worker *w = worker_start_ready(m, c, "{'modelHealthcheckPath': '/health', " ECHO "}");

    json_decref(control_wait_state(c, true));
    model_health(m, 500);
    worker_wait_state(w, VW_STATE_DEGRADED);
    ck_assert_int_eq(post(w, 1), 200); /* one bad probe is no reason to stop */
    worker_wait_state(w, VW_STATE_ERROR);
    wait_error_told("Healthcheck failed with status: 500");
    ck_assert_int_eq(post(w, 2), 503);
    model_health(m, 200);
    worker_wait_state(w, VW_STATE_READY);
    ck_assert_int_eq(post(w, 3), 200);
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

/* ---- capacity ---- */

#define BENCH(path, more) \
    "{'handlers': [{'route': '/v1/embeddings', 'targetPath': '" path "', 'workloadCalculator': 'embeddings', " \
    "'allowParallelRequests': true, 'benchmark': {'dataset': [{'input': ['a', 'b']}, {'input': 'c'}], " \
    "'runs': 2, 'concurrency': 3" more "}}]"

START_TEST(the_benchmark_measures_through_the_handler_and_stays_out_of_the_books)
{
    struct worker *w = worker_start_ready(m, c, BENCH("/bench", "") "}");
    json_t *last;

    ck_assert_double_gt(max_perf_told(), 0);
    ck_assert_uint_eq(model_requests(m), 1 + 2 * 3);
    ck_assert_uint_le(model_most_at_once(m), 3);
    ck_assert_int_eq(worker_finish(w), VW_OK);
    last = control_last_report(c);
    ck_assert_int_eq(json_integer_value(json_object_get(last, "num_requests_recieved")), 0);
    json_decref(last);
    ck_assert_double_eq(control_sum(c, "new_load"), 0);
    ck_assert_double_eq(control_sum(c, "cur_perf"), 0);
    last = control_deletions(c);
    ck_assert_uint_eq(json_array_size(last), 0);
    json_decref(last);
}
END_TEST

START_TEST(no_warm_up_where_none_is_wanted)
{
    struct worker *w = worker_start_ready(m, c, BENCH("/bench", ", 'warmup': false") "}");

    ck_assert_uint_eq(model_requests(m), 2 * 3);
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

START_TEST(work_is_refused_while_the_benchmark_runs)
{
    struct worker *w = worker_start(m, c, BENCH("/hold", "") "}");
    char *body = envelope(c, 1, "{'input': 'x'}");
    struct answer a;

    model_wait_requests(m, 1);
    worker_wait_logged(w, "public key fetched");
    worker_wait_state(w, VW_STATE_BENCHMARKING);
    a = client_post(worker_port(w), "/v1/embeddings", body);
    ck_assert_int_eq(a.status, 503);
    ck_assert_str_eq(answer_reason(&a), "not_ready");
    answer_fini(&a);
    free(body);
    model_permit(m, 7);
    worker_wait_state(w, VW_STATE_READY);
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

START_TEST(a_benchmark_without_one_good_answer_is_an_error)
{
    struct worker *w = worker_start(m, c, BENCH("/status/500", "") "}");

    worker_wait_state(w, VW_STATE_ERROR);
    wait_error_told("No successful responses from benchmark");
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

START_TEST(a_measured_score_is_remembered_over_a_restart)
{
    char *dir = temp_dir(), *other = NULL;
    struct worker *w;
    double score;

    ck_assert_int_gt(asprintf(&config, BENCH("/bench", "") ", 'stateDir': '%s'}", dir), 0);
    w = worker_start_ready(m, c, config);
    score = worker_status(w).max_perf;
    ck_assert_double_gt(score, 0);
    ck_assert_int_eq(worker_finish(w), VW_OK);
    ck_assert_uint_eq(model_requests(m), 7);
    w = worker_start_ready(m, c, config);
    ck_assert_double_eq(worker_status(w).max_perf, score);
    ck_assert_int_eq(worker_finish(w), VW_OK);
    ck_assert_uint_eq(model_requests(m), 7);
    ck_assert_int_gt(asprintf(&other, BENCH("/other", "") ", 'stateDir': '%s'}", dir), 0);
    w = worker_start_ready(m, c, other); /* another configuration is measured anew */
    ck_assert_int_eq(worker_finish(w), VW_OK);
    ck_assert_uint_eq(model_requests(m), 14);
    free(other);
    free(dir);
}
END_TEST

START_TEST(max_perf_fixes_capacity_and_nothing_is_measured)
{
    struct worker *w = worker_start_ready(m, c, BENCH("/bench", "") ", 'maxPerf': 123.5}");

    ck_assert_double_eq(max_perf_told(), 123.5);
    ck_assert_uint_eq(model_requests(m), 0);
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

/* ---- nothing configured ---- */

START_TEST(without_any_evidence_configured_an_open_port_is_ready)
{
    uint16_t port = model_port(m);
    char url[64];
    struct worker *w;

    model_stop(m);
    snprintf(url, sizeof url, "http://127.0.0.1:%u", port);
    worker_setenv("MODEL_SERVER_URL", url);
    w = worker_start(NULL, c, "{" ECHO "}");
    json_decref(control_wait_state(c, false));
    worker_wait_logged(w, "public key fetched");
    ck_assert_int_eq(worker_status(w).state, VW_STATE_LOADING);
    m = model_start_at(port);
    worker_wait_state(w, VW_STATE_READY);
    ck_assert_double_eq(max_perf_told(), 100); /* the platform is told of some capacity, and a line says so */
    ck_assert(worker_logged(w, "neither a benchmark nor maxPerf is configured"));
    ck_assert_int_eq(post(w, 1), 200);
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

/* ---- the key ---- */

START_TEST(a_rotated_key_is_fetched_again_after_one_refusal)
{
    struct worker *w = worker_start_ready(m, c, "{" ECHO "}");
    char *old = envelope(c, 9, "{}");
    struct answer a;

    ck_assert_int_eq(post(w, 1), 200);
    ck_assert_uint_eq(control_keys_sent(c), 1);
    control_rotate_key(c);
    ck_assert_int_eq(post(w, 2), 401);
    worker_wait_logged(w, "public key fetched again");
    ck_assert_int_eq(post(w, 3), 200);
    a = client_post(worker_port(w), "/echo", old); /* what was verified with the old key is forgotten */
    ck_assert_int_eq(a.status, 401);
    answer_fini(&a);
    ck_assert_int_eq(post(w, 4), 200);
    ck_assert_int_eq(worker_finish(w), VW_OK);
    ck_assert_uint_eq(control_keys_sent(c), 2); /* not for each forgery: at most once a minute */
    free(old);
}
END_TEST

START_TEST(the_key_is_asked_for_at_each_address_in_turn)
{
    char addresses[160];
    struct worker *w;

    snprintf(addresses, sizeof addresses, "http://127.0.0.1:%u, http://127.0.0.1:%u/", free_port(), control_port(c));
    worker_setenv("REPORT_ADDR", addresses);
    w = worker_start_ready(m, c, "{" ECHO "}");
    ck_assert_int_eq(post(w, 1), 200);
    ck_assert_uint_eq(control_keys_sent(c), 1);
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

Suite *ready_suite(void);

Suite *ready_suite(void)
{
    Suite *s = suite_create("ready");
    TCase *tc = tcase_create("ready");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, a_log_that_does_not_exist_yet_is_waited_for);
    tcase_add_test(tc, a_log_that_is_there_already_is_read_from_its_beginning);
    tcase_add_test(tc, an_error_line_is_told_by_its_pattern_and_never_by_its_text);
    tcase_add_test(tc, a_line_in_two_pieces_is_one_line);
    tcase_add_test(tc, a_log_that_is_renamed_away_loses_and_doubles_no_line);
    tcase_add_test(tc, a_log_that_is_truncated_and_written_anew_is_read_from_its_beginning_and_counted);
    tcase_add_test(tc, several_logs_are_watched_with_a_preset_and_expressions);
    tcase_add_test(tc, a_health_path_is_waited_for_until_it_says_200);
    tcase_add_test(tc, a_load_line_and_a_health_path_are_both_waited_for);
    tcase_add_test(tc, good_probes_clear_an_error);
    tcase_add_test(tc, an_error_is_final_where_the_policy_is_sticky);
    tcase_add_test(tc, three_bad_probes_are_an_error_that_good_ones_clear);
    tcase_add_test(tc, the_benchmark_measures_through_the_handler_and_stays_out_of_the_books);
    tcase_add_test(tc, no_warm_up_where_none_is_wanted);
    tcase_add_test(tc, work_is_refused_while_the_benchmark_runs);
    tcase_add_test(tc, a_benchmark_without_one_good_answer_is_an_error);
    tcase_add_test(tc, a_measured_score_is_remembered_over_a_restart);
    tcase_add_test(tc, max_perf_fixes_capacity_and_nothing_is_measured);
    tcase_add_test(tc, without_any_evidence_configured_an_open_port_is_ready);
    tcase_add_test(tc, a_rotated_key_is_fetched_again_after_one_refusal);
    tcase_add_test(tc, the_key_is_asked_for_at_each_address_in_turn);
    suite_add_tcase(s, tc);
    return s;
}
