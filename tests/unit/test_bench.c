/* The benchmark and the health probe against a model server on the same loop. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/vwi.h"
#include "flow/bench.h"
#include "flow/health.h"
#include "io/file.h"
#include "unit/model_stub.h"
#include "unit/scratch.h"

#define LIMIT_MS 20000 /* only reached when a test fails */
#define PENDING_MAX 16

static struct {
    char dir[64], host[16];
    struct vwi_loop *loop;
    struct vwi_timer limit, later;
    struct stub stub;
    struct vwi_model_conf model;
    struct vwi_benchmark_conf conf;
    struct vwi_handler_conf handler;
    struct vwi_bench_setup setup;
    const char *engine;
    struct vwi_bench *bench;
    struct vwi_health *health;
    struct vwi_log log;
    unsigned done, failed, good, bad;
    double score;
    char text[256];
    unsigned gather, pending_count, most_at_once; /* gather: hold answers back until so many requests are there */
    struct stub_conn *pending[PENDING_MAX];
    unsigned fail_every; /* answer each nth with 500; 1: all */
    bool silent, silent_after_first, stop_at_request;
    int rest_ms; /* > 0: start `later` when a request came */
    const char *answer;
} t;

static void on_limit(void *arg)
{
    (void)arg;
    ck_abort_msg("no event within the limit");
}

static void keep_quiet(void *arg, vw_log_level_t level, const char *line) { (void)arg, (void)level, (void)line; }

static void say_ok(struct stub_conn *conn)
{
    stub_say(conn, t.answer ? t.answer : "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
}

static void on_request(struct stub *stub, struct stub_conn *conn)
{
    unsigned i;

    if (t.stop_at_request)
        vwi_loop_stop(t.loop);
    if (t.rest_ms > 0)
        vwi_timer_start(&t.later, t.rest_ms);
    if (t.silent || (t.silent_after_first && stub->requests > 1))
        return;
    if (t.fail_every && (unsigned)stub->requests % t.fail_every == 0) {
        stub_say(conn, "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n");
        return;
    }
    t.pending[t.pending_count++] = conn;
    if (t.pending_count > t.most_at_once)
        t.most_at_once = t.pending_count;
    if (t.pending_count < t.gather)
        return;
    for (i = 0; i < t.pending_count; i++)
        say_ok(t.pending[i]);
    t.pending_count = 0;
}

static void on_done(void *arg, double score)
{
    (void)arg;
    t.done++;
    t.score = score;
    vwi_loop_stop(t.loop);
}

static void on_failed(void *arg, const char *text)
{
    (void)arg;
    t.failed++;
    snprintf(t.text, sizeof t.text, "%s", text);
    vwi_loop_stop(t.loop);
}

static void on_good(void *arg)
{
    (void)arg;
    t.good++;
    vwi_loop_stop(t.loop);
}

static void on_bad(void *arg, const char *text)
{
    (void)arg;
    t.bad++;
    snprintf(t.text, sizeof t.text, "%s", text);
    vwi_loop_stop(t.loop);
}

static void run(void)
{
    vwi_timer_start(&t.limit, LIMIT_MS);
    vwi_loop_run(t.loop);
    vwi_timer_stop(&t.limit);
}

static void set_up(void)
{
    static char route[] = "/v1/embeddings", first[] = "{\"input\": [1]}", second[] = "{\"input\": [1, 2]}";
    static char *dataset[] = { first, second };

    memset(&t, 0, sizeof t);
    t.engine = "";
    snprintf(t.dir, sizeof t.dir, "/tmp/vwi-bench-XXXXXX");
    scratch_make(t.dir);
    ck_assert_int_eq(vwi_loop_create(&t.loop, NULL), VW_OK);
    ck_assert_int_eq(vwi_timer_init(&t.limit, t.loop, on_limit, NULL), VW_OK);
    stub_init(&t.stub, t.loop, NULL, 0, 64);
    t.stub.on_request = on_request;
    snprintf(t.host, sizeof t.host, "127.0.0.1");
    t.model.host = t.model.authority = t.host;
    t.model.port = t.stub.port;
    t.log = (struct vwi_log){ .level = VW_LOG_DEBUG, .fn = keep_quiet };
    t.conf = (struct vwi_benchmark_conf){ .dataset = dataset, .dataset_count = 2, .runs = 3, .concurrency = 4, .warmup = true };
    t.handler.route = route;
    t.handler.parallel = true;
    t.handler.benchmark = &t.conf;
    t.setup = (struct vwi_bench_setup){ .loop = t.loop, .model = &t.model, .handler = &t.handler, .log = &t.log };
}

static void tear_down(void)
{
    vwi_bench_destroy(t.bench);
    vwi_health_destroy(t.health);
    stub_fini(&t.stub);
    vwi_timer_fini(&t.limit);
    vwi_timer_fini(&t.later);
    vwi_loop_destroy(t.loop);
    scratch_remove(t.dir);
}

static void make_bench(void)
{
    static const struct vwi_bench_events events = { on_done, on_failed };

    vwi_bench_destroy(t.bench);
    t.bench = NULL;
    ck_assert_int_eq(vwi_bench_create(&t.setup, &events, NULL, &t.bench, NULL), VW_OK);
}

static void measure(void)
{
    t.done = t.failed = 0;
    make_bench();
    vwi_bench_start(t.bench, t.engine);
    vwi_bench_start(t.bench, t.engine);
    ck_assert_uint_eq(t.done + t.failed, 0);
    run();
    ck_assert_uint_eq(t.done + t.failed, 1);
}

START_TEST(bench_warms_up_and_measures_every_round)
{
    measure();
    ck_assert_uint_eq(t.done, 1);
    ck_assert_double_gt(t.score, 0);
    ck_assert_int_eq(t.stub.requests, 1 + 3 * 4);
    ck_assert_ptr_nonnull(strstr(t.stub.last.p, "POST /v1/embeddings HTTP/1.1\r\n"));
    ck_assert_ptr_nonnull(strstr(t.stub.last.p, "Content-Type: application/json\r\n"));
    ck_assert_ptr_nonnull(strstr(t.stub.last.p, "\r\n\r\n{\"input\": [1"));
    ck_assert_int_le(t.stub.accepted, 4); /* connections are kept */
}
END_TEST

static const struct {
    bool parallel;
    unsigned concurrency, slots, at_once;
} widths[] = { { true, 4, 0, 4 }, { true, 4, 2, 2 }, { true, 2, 9, 2 }, { false, 4, 0, 1 }, { true, 0, 0, 1 } };

START_TEST(bench_asks_as_much_at_once_as_the_lane_allows)
{
    t.handler.parallel = widths[_i].parallel;
    t.conf.concurrency = widths[_i].concurrency;
    t.conf.warmup = false;
    t.setup.slots = widths[_i].slots;
    t.gather = widths[_i].at_once;
    measure();
    ck_assert_uint_eq(t.done, 1);
    ck_assert_uint_eq(t.most_at_once, widths[_i].at_once);
    ck_assert_int_eq(t.stub.requests, (int)(3 * widths[_i].at_once));
}
END_TEST

START_TEST(bench_tolerates_single_failures)
{
    t.fail_every = 3;
    measure();
    ck_assert_uint_eq(t.done, 1);
    ck_assert_double_gt(t.score, 0);
}
END_TEST

START_TEST(bench_without_any_success_is_an_error)
{
    t.fail_every = 1;
    measure();
    ck_assert_uint_eq(t.failed, 1);
    ck_assert_str_eq(t.text, "No successful responses from benchmark");
    ck_assert_int_eq(t.stub.requests, 1 + 3 * 4);
}
END_TEST

START_TEST(bench_of_an_absent_model_is_an_error)
{
    stub_deafen(&t.stub);
    stub_fini(&t.stub);
    measure();
    ck_assert_str_eq(t.text, "No successful responses from benchmark");
    stub_init(&t.stub, t.loop, NULL, 0, 1);
}
END_TEST

static void say_rest(void *arg)
{
    (void)arg;
    ck_assert_uint_eq(t.done + t.failed, 0);
    stub_say(t.pending[0], "2\r\n{}\r\n0\r\n\r\n");
}

START_TEST(bench_reads_bodies_to_their_end)
{
    t.conf.warmup = false;
    t.conf.runs = 1;
    t.conf.concurrency = 1;
    t.answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    ck_assert_int_eq(vwi_timer_init(&t.later, t.loop, say_rest, NULL), VW_OK);
    t.rest_ms = 30;
    measure();
    ck_assert_uint_eq(t.done, 1);
    ck_assert_double_lt(t.score, 100.0 / 0.02); /* the workload of 100 over all of that time */
}
END_TEST

START_TEST(bench_that_hangs_ends_with_its_timeout)
{
    t.silent = true;
    t.conf.timeout_s = 0.05;
    measure();
    ck_assert_str_eq(t.text, "No successful responses from benchmark");
}
END_TEST

START_TEST(bench_cut_by_its_timeout_counts_what_was_answered_and_forgets_it)
{
    char path[128];

    t.silent_after_first = true;
    t.conf.warmup = false;
    t.conf.timeout_s = 0.5;
    t.setup.state_dir = t.dir;
    t.setup.cache_key = "k";
    measure();
    ck_assert_uint_eq(t.done, 1);
    ck_assert_double_gt(t.score, 0);
    snprintf(path, sizeof path, "%s/benchmark-score", t.dir);
    ck_assert_int_ne(access(path, F_OK), 0);
}
END_TEST

START_TEST(bench_remembers_its_score_for_the_same_configuration)
{
    char path[128], deep[80];
    double first;
    int asked;

    snprintf(deep, sizeof deep, "%s/a/b", t.dir);
    snprintf(path, sizeof path, "%s/benchmark-score", deep);
    t.setup.state_dir = deep;
    t.setup.cache_key = "configuration";
    measure();
    first = t.score;
    asked = t.stub.requests;
    measure();
    ck_assert_uint_eq(t.done, 1);
    ck_assert_double_eq(t.score, first);
    ck_assert_int_eq(t.stub.requests, asked);
    t.setup.cache_key = "another";
    measure();
    ck_assert_int_eq(t.stub.requests, 2 * asked);
    ck_assert_int_eq(vwi_file_write(path, "625.0", 5, 0600, NULL), VW_OK);
    measure();
    ck_assert_int_eq(t.stub.requests, 3 * asked);
    measure();
    ck_assert_int_eq(t.stub.requests, 3 * asked);
    t.engine = "engine/2";
    measure();
    ck_assert_int_eq(t.stub.requests, 4 * asked);
}
END_TEST

START_TEST(bench_runs_on_where_nothing_can_be_remembered)
{
    char path[128];

    snprintf(path, sizeof path, "%s/file", t.dir);
    ck_assert_int_eq(vwi_file_write(path, "", 0, 0600, NULL), VW_OK);
    t.setup.state_dir = path;
    t.setup.cache_key = "k";
    measure();
    ck_assert_uint_eq(t.done, 1);
}
END_TEST

static bool wrap(void *arg, struct vwi_span payload, struct vwi_text *ret)
{
    (void)arg;
    return vwi_text_addf(ret, "<%.*s>", (int)payload.len, payload.p);
}

static double weigh(void *arg, struct vwi_span payload)
{
    ck_assert_int_eq(payload.p[0], '<');
    return *(double *)arg;
}

static bool sample(void *arg, unsigned nth, struct vwi_text *ret)
{
    (void)arg;
    return nth % 2 == 0 && vwi_text_addf(ret, "sample %u", nth);
}

START_TEST(bench_parses_and_weighs_as_the_handler_does)
{
    double workload = 0;

    t.setup.hooks = (struct vwi_bench_hooks){ .parse = wrap, .weigh = weigh, .arg = &workload };
    measure();
    ck_assert_ptr_nonnull(strstr(t.stub.last.p, "\r\n\r\n<{\"input\": [1"));
    ck_assert_str_eq(t.text, "Benchmark failed with error: the workload of its requests is 0");
    workload = 1e12;
    measure();
    ck_assert_uint_eq(t.done, 1);
    ck_assert_double_gt(t.score, 1e9);
}
END_TEST

START_TEST(bench_takes_samples_where_there_is_no_dataset)
{
    t.conf.dataset_count = 0;
    t.setup.hooks.sample = sample;
    measure();
    ck_assert_uint_eq(t.done, 1);
    ck_assert_ptr_nonnull(strstr(t.stub.last.p, "sample "));
    ck_assert_int_eq(t.stub.requests, 7); /* every second sample could not be made */
}
END_TEST

START_TEST(bench_without_payloads_is_refused)
{
    static const struct vwi_bench_events events = { on_done, on_failed };
    vw_error_t why = { VW_OK, "" };

    t.conf.dataset_count = 0;
    ck_assert_int_eq(vwi_bench_create(&t.setup, &events, NULL, &t.bench, &why), VW_E_CONFIG);
    ck_assert_ptr_nonnull(strstr(why.text, "/v1/embeddings"));
}
END_TEST

static void stop(void *arg)
{
    (void)arg;
    vwi_loop_stop(t.loop);
}

START_TEST(bench_that_was_cancelled_says_nothing)
{
    make_bench();
    ck_assert_int_eq(vwi_timer_init(&t.later, t.loop, stop, NULL), VW_OK);
    t.silent = true;
    vwi_bench_start(t.bench, t.engine);
    vwi_timer_start(&t.later, 20);
    run();
    vwi_bench_cancel(t.bench);
    vwi_timer_start(&t.later, 20);
    run();
    ck_assert_uint_eq(t.done + t.failed, 0);
    t.silent = false;
    vwi_bench_start(t.bench, t.engine);
    run();
    ck_assert_uint_eq(t.done, 1);
}
END_TEST

/* ---- health ---- */

static void make_health(const char *path)
{
    static const struct vwi_health_events events = { on_good, on_bad };

    ck_assert_int_eq(vwi_health_create(t.loop, &t.model, path, &t.log, &events, NULL, &t.health, NULL), VW_OK);
}

START_TEST(health_is_good_on_200_alone)
{
    make_health("/health?deep=1");
    vwi_health_now(t.health);
    run();
    ck_assert_uint_eq(t.good, 1);
    ck_assert_ptr_nonnull(strstr(t.stub.last.p, "GET /health?deep=1 HTTP/1.1\r\n"));
    t.answer = "HTTP/1.1 204 No\r\n\r\n";
    vwi_health_now(t.health);
    run();
    ck_assert_str_eq(t.text, "Healthcheck failed with status: 204");
    t.answer = "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n";
    vwi_health_now(t.health);
    run();
    ck_assert_str_eq(t.text, "Healthcheck failed with status: 503");
    ck_assert_uint_eq(t.bad, 2);
}
END_TEST

START_TEST(health_learns_what_the_model_server_calls_itself)
{
    make_health("/health");
    ck_assert_str_eq(vwi_health_engine(t.health), "");
    t.answer = "HTTP/1.1 200 OK\r\nSERVER: llama.cpp/b4500\r\nContent-Length: 0\r\n\r\n";
    vwi_health_now(t.health);
    run();
    ck_assert_str_eq(vwi_health_engine(t.health), "llama.cpp/b4500");
    t.answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    vwi_health_now(t.health);
    run();
    ck_assert_str_eq(vwi_health_engine(t.health), "");
}
END_TEST

START_TEST(health_of_an_absent_model_says_why)
{
    make_health("/health");
    stub_fini(&t.stub);
    vwi_health_now(t.health);
    run();
    ck_assert_ptr_eq(strstr(t.text, "Healthcheck failed: "), t.text);
    ck_assert_uint_gt(strlen(t.text), strlen("Healthcheck failed: "));
    stub_init(&t.stub, t.loop, NULL, 0, 1);
}
END_TEST

START_TEST(health_goes_on_at_its_pace_until_stopped)
{
    unsigned i;

    make_health("/health");
    vwi_health_pace(t.health, 1);
    for (i = 1; i <= 5; i++) {
        run();
        ck_assert_uint_eq(t.good, i);
    }
    ck_assert_int_eq(t.stub.accepted, 1);
    vwi_health_pace(t.health, 0);
    ck_assert_int_eq(vwi_timer_init(&t.later, t.loop, stop, NULL), VW_OK);
    vwi_timer_start(&t.later, 30);
    run();
    ck_assert_uint_eq(t.good, 5);
}
END_TEST

START_TEST(health_asked_now_drops_a_probe_under_way)
{
    make_health("/health");
    t.silent = t.stop_at_request = true;
    vwi_health_now(t.health);
    run();
    ck_assert_int_eq(t.stub.requests, 1);
    t.silent = t.stop_at_request = false;
    vwi_health_now(t.health);
    run();
    ck_assert_uint_eq(t.good, 1);
    ck_assert_int_eq(t.stub.requests, 2);
}
END_TEST

START_TEST(health_without_a_path_wants_an_accepted_connection)
{
    make_health(NULL);
    vwi_health_now(t.health);
    run();
    ck_assert_uint_eq(t.good, 1);
    ck_assert_int_eq(t.stub.requests, 0);
    stub_fini(&t.stub);
    vwi_health_now(t.health);
    run();
    ck_assert_uint_eq(t.bad, 1);
    ck_assert_ptr_nonnull(strstr(t.text, "refused"));
    stub_init(&t.stub, t.loop, NULL, 0, 1);
}
END_TEST

START_TEST(health_may_be_destroyed_with_a_probe_under_way)
{
    static char name[] = "name.invalid";

    make_health("/health");
    vwi_health_now(t.health);
    vwi_health_destroy(t.health);
    t.health = NULL;
    t.model.host = name;
    make_health(NULL);
    vwi_health_now(t.health);
    ck_assert_int_eq(vwi_timer_init(&t.later, t.loop, stop, NULL), VW_OK);
    vwi_timer_start(&t.later, 0);
    run();
}
END_TEST

Suite *bench_suite(void);

Suite *bench_suite(void)
{
    Suite *s = suite_create("bench");
    TCase *tc = tcase_create("bench");

    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, bench_warms_up_and_measures_every_round);
    tcase_add_loop_test(tc, bench_asks_as_much_at_once_as_the_lane_allows, 0, (int)VWI_ARRAY_LEN(widths));
    tcase_add_test(tc, bench_tolerates_single_failures);
    tcase_add_test(tc, bench_without_any_success_is_an_error);
    tcase_add_test(tc, bench_of_an_absent_model_is_an_error);
    tcase_add_test(tc, bench_reads_bodies_to_their_end);
    tcase_add_test(tc, bench_that_hangs_ends_with_its_timeout);
    tcase_add_test(tc, bench_cut_by_its_timeout_counts_what_was_answered_and_forgets_it);
    tcase_add_test(tc, bench_remembers_its_score_for_the_same_configuration);
    tcase_add_test(tc, bench_runs_on_where_nothing_can_be_remembered);
    tcase_add_test(tc, bench_parses_and_weighs_as_the_handler_does);
    tcase_add_test(tc, bench_takes_samples_where_there_is_no_dataset);
    tcase_add_test(tc, bench_without_payloads_is_refused);
    tcase_add_test(tc, bench_that_was_cancelled_says_nothing);
    tcase_add_test(tc, health_is_good_on_200_alone);
    tcase_add_test(tc, health_learns_what_the_model_server_calls_itself);
    tcase_add_test(tc, health_of_an_absent_model_says_why);
    tcase_add_test(tc, health_goes_on_at_its_pace_until_stopped);
    tcase_add_test(tc, health_asked_now_drops_a_probe_under_way);
    tcase_add_test(tc, health_without_a_path_wants_an_accepted_connection);
    tcase_add_test(tc, health_may_be_destroyed_with_a_probe_under_way);
    suite_add_tcase(s, tc);
    return s;
}
