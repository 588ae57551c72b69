/* From listening to ready with real log files, a model server on the same loop, and the report that must go out. */
#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/vwi.h"
#include "flow/startup.h"
#include "io/file.h"
#include "unit/model_stub.h"
#include "unit/scratch.h"

#define LIMIT_MS 20000 /* only reached when a test fails */

static char startup_line[] = "Application startup complete", out_of_memory[] = "CUDA out of memory";
static char downloading[] = "Downloading";
static char *loads[] = { startup_line }, *errors[] = { out_of_memory }, *infos[] = { downloading };

static struct {
    char dir[64], path[100], host[16];
    char *files[1];
    struct vwi_loop *loop;
    struct vwi_timer limit;
    struct stub stub;
    int status;          /* of the model's answers */
    struct vwi_model_conf model;
    struct vwi_ready_conf conf;
    struct vwi_benchmark_conf benchmark;
    struct vwi_handler_conf handler;
    struct vwi_startup_setup setup;
    struct vwi_startup *startup;
    struct vwi_log log;
    struct vwi_text logged;
    unsigned changes;
    enum vwi_state wanted;
    const char *wanted_text; /* stop when a line with this is logged */
} t;

static void on_limit(void *arg)
{
    (void)arg;
    ck_abort_msg("not %s within the limit: %s", vwi_state_name(t.wanted), vwi_startup_view(t.startup).reason);
}

static void take_log(void *arg, vw_log_level_t level, const char *line)
{
    (void)arg, (void)level;
    vwi_text_addf(&t.logged, "%s\n", line);
    if (t.wanted_text && strstr(line, t.wanted_text))
        vwi_loop_stop(t.loop);
}

static void on_change(void *arg)
{
    ck_assert_ptr_eq(arg, &t);
    t.changes++;
    if (vwi_startup_view(t.startup).state == t.wanted)
        vwi_loop_stop(t.loop);
}

static void on_request(struct stub *stub, struct stub_conn *conn)
{
    char head[100];

    (void)stub;
    snprintf(head, sizeof head, "HTTP/1.1 %d X\r\nContent-Length: 2\r\n\r\n{}", t.status);
    stub_say(conn, head);
}

static void say_nothing(struct stub *stub, struct stub_conn *conn) { (void)stub, (void)conn; }

static void set_up(void)
{
    static char payload[] = "{}", route[] = "/v1/embeddings";
    static char *dataset[] = { payload };

    memset(&t, 0, sizeof t);
    t.wanted = VWI_STATES;
    snprintf(t.dir, sizeof t.dir, "/tmp/vwi-startup-XXXXXX");
    scratch_make(t.dir);
    snprintf(t.path, sizeof t.path, "%s/model.log", t.dir);
    t.files[0] = t.path;
    ck_assert_int_eq(vwi_loop_create(&t.loop, NULL), VW_OK);
    ck_assert_int_eq(vwi_timer_init(&t.limit, t.loop, on_limit, NULL), VW_OK);
    stub_init(&t.stub, t.loop, NULL, 0, 64);
    t.stub.on_request = on_request;
    t.status = 200;
    snprintf(t.host, sizeof t.host, "127.0.0.1");
    t.model.host = t.model.authority = t.host;
    t.model.port = t.stub.port;
    t.log = (struct vwi_log){ .level = VW_LOG_INFO, .fn = take_log };
    t.conf.sticky = true;
    t.conf.on_load = (struct vwi_strings){ loads, 1 };
    t.conf.on_error = (struct vwi_strings){ errors, 1 };
    t.conf.on_info = (struct vwi_strings){ infos, 1 };
    t.conf.log_files = (struct vwi_strings){ t.files, 1 };
    t.benchmark = (struct vwi_benchmark_conf){ .dataset = dataset, .dataset_count = 1, .runs = 2, .concurrency = 2 };
    t.handler.route = route;
    t.handler.parallel = true;
    t.handler.benchmark = &t.benchmark;
    t.setup = (struct vwi_startup_setup){ .loop = t.loop, .ready = &t.conf, .model = &t.model, .log = &t.log };
}

static void tear_down(void)
{
    vwi_startup_destroy(t.startup);
    stub_fini(&t.stub);
    vwi_timer_fini(&t.limit);
    vwi_loop_destroy(t.loop);
    vwi_text_fini(&t.logged);
    scratch_remove(t.dir);
}

static void run(void)
{
    vwi_timer_start(&t.limit, LIMIT_MS);
    vwi_loop_run(t.loop);
    vwi_timer_stop(&t.limit);
}

static void start(void)
{
    static const struct vwi_startup_events events = { on_change };

    ck_assert_int_eq(vwi_startup_create(&t.setup, &events, &t, &t.startup, NULL), VW_OK);
    ck_assert_uint_eq(t.changes, 0);
    ck_assert_str_eq(vwi_startup_view(t.startup).name, "starting");
    vwi_startup_start(t.startup);
}

static struct vwi_ready_view view(void) { return vwi_startup_view(t.startup); }

static void wait_state(enum vwi_state state)
{
    t.wanted = state;
    if (view().state != state)
        run();
    ck_assert_str_eq(view().name, vwi_state_name(state));
}

static void wait_log(const char *text)
{
    t.wanted_text = text;
    if (!t.logged.p || !strstr(t.logged.p, text))
        run();
    t.wanted_text = NULL;
}

static void model_says(const char *line)
{
    int fd = open(t.path, O_WRONLY | O_CREAT | O_APPEND, 0600);

    ck_assert_int_eq(write(fd, line, strlen(line)), (ssize_t)strlen(line));
    close(fd);
}

START_TEST(startup_is_ready_with_the_load_line)
{
    double before = vwi_wall_s();

    start();
    ck_assert_str_eq(view().name, "loading");
    model_says("INFO: Downloading shards\nINFO: Application startup complete.\n");
    wait_state(VWI_STATE_READY);
    ck_assert_double_gt(view().loadtime_s, 0);
    ck_assert_double_ge(view().since_s, before - 1);
    ck_assert_double_le(view().since_s, vwi_wall_s() + 1);
    ck_assert_uint_eq(vwi_startup_matches(t.startup, VWI_PATTERN_LOAD), 1);
    ck_assert_uint_eq(vwi_startup_matches(t.startup, VWI_PATTERN_INFO), 1);
    ck_assert_uint_eq(vwi_startup_matches(t.startup, VWI_PATTERN_ERROR), 0);
    ck_assert_int_eq(t.stub.accepted, 0); /* errors are final here: no probe would change anything */
}
END_TEST

START_TEST(startup_sets_a_log_of_the_previous_run_aside_where_it_is_told_to)
{
    char old[120];
    struct vwi_text text = VWI_TEXT_INIT;

    snprintf(old, sizeof old, "%s.old", t.path);
    t.conf.rotate_log = true;
    model_says("Application startup complete\n");
    start();
    wait_log("reading");
    ck_assert_str_eq(view().name, "loading");
    ck_assert_int_eq(vwi_file_read(old, 1000, &text, NULL), VW_OK);
    ck_assert_str_eq(text.p, "Application startup complete\n");
    model_says("Downloading\nApplication startup complete\n");
    wait_state(VWI_STATE_READY);
    ck_assert_uint_eq(vwi_startup_matches(t.startup, VWI_PATTERN_LOAD), 1);
    ck_assert_uint_eq(vwi_startup_truncations(t.startup), 0);
    vwi_text_fini(&text);
}
END_TEST

START_TEST(startup_reads_a_log_that_cannot_be_set_aside_from_its_beginning)
{
    char old[120];

    snprintf(old, sizeof old, "%s.old", t.path);
    ck_assert_int_eq(mkdir(old, 0700), 0);
    t.conf.rotate_log = true;
    model_says("Application startup complete\n");
    start();
    wait_state(VWI_STATE_READY);
    wait_log("ROTATE_MODEL_LOG: ");
}
END_TEST

START_TEST(startup_reports_the_pattern_and_never_the_line)
{
    start();
    model_says("Application startup complete\n");
    wait_state(VWI_STATE_READY);
    model_says("torch: CUDA out of memory while answering \"my\tsecret\x1b[31m prompt\"\n");
    wait_state(VWI_STATE_ERROR);
    ck_assert_str_eq(view().error_msg, "CUDA out of memory");
    ck_assert_str_eq(view().reason, "CUDA out of memory");
    wait_log("model (error)");
    ck_assert_ptr_nonnull(strstr(t.logged.p, "\"my secret [31m prompt\"")); /* our own log has it, without its controls */
}
END_TEST

START_TEST(startup_copies_a_bounded_number_of_lines)
{
    unsigned i, shown = 0;
    const char *p;

    start();
    for (i = 0; i < 500; i++)
        model_says("Downloading\n");
    model_says("Application startup complete\n");
    wait_state(VWI_STATE_READY);
    ck_assert_uint_eq(vwi_startup_matches(t.startup, VWI_PATTERN_INFO), 500);
    for (p = t.logged.p; (p = strstr(p, "model (info)")); p++)
        shown++;
    ck_assert_uint_le(shown, 400); /* 20 a second */
    ck_assert_uint_ge(shown, 20);
}
END_TEST

START_TEST(startup_waits_for_a_good_probe_after_the_load_line)
{
    static char health[] = "/health";

    t.conf.health_path = health;
    t.conf.sticky = false;
    t.status = 503;
    start();
    model_says("Application startup complete\n");
    wait_log("model (load)");
    ck_assert_str_eq(view().name, "loading");
    t.status = 200;
    wait_state(VWI_STATE_READY);
    ck_assert_ptr_nonnull(strstr(t.stub.last.p, "GET /health HTTP/1.1"));
}
END_TEST

START_TEST(startup_recovers_from_an_error_by_probes)
{
    static char health[] = "/health";

    t.conf.health_path = health;
    t.conf.sticky = false;
    start();
    model_says("Application startup complete\n");
    wait_state(VWI_STATE_READY);
    t.status = 500;
    model_says("CUDA out of memory\n");
    wait_state(VWI_STATE_ERROR);
    ck_assert_str_eq(view().error_msg, "CUDA out of memory");
    t.status = 200;
    wait_state(VWI_STATE_READY);
    ck_assert_str_eq(view().error_msg, "");
}
END_TEST

START_TEST(startup_forgives_an_error_line_while_probes_stay_good)
{
    static char health[] = "/health";

    t.conf.health_path = health;
    t.conf.sticky = false;
    start();
    model_says("Application startup complete\n");
    wait_state(VWI_STATE_READY);
    model_says("CUDA out of memory\n");
    wait_state(VWI_STATE_DEGRADED);
    ck_assert_str_eq(view().error_msg, "");
    wait_state(VWI_STATE_READY);
}
END_TEST

START_TEST(startup_with_nothing_configured_waits_for_the_port)
{
    memset(&t.conf, 0, sizeof t.conf);
    t.conf.sticky = true;
    start();
    ck_assert_str_eq(view().name, "loading");
    wait_state(VWI_STATE_READY);
    ck_assert_int_eq(t.stub.requests, 0);
}
END_TEST

START_TEST(startup_warns_of_patterns_without_a_source_and_waits_for_the_port)
{
    t.conf.log_files.count = 0;
    start();
    wait_state(VWI_STATE_READY);
    ck_assert_ptr_nonnull(strstr(t.logged.p, "no modelLogFile"));
}
END_TEST

START_TEST(startup_measures_while_it_goes_on_reading)
{
    t.setup.bench_handler = &t.handler;
    start();
    t.stub.on_request = say_nothing; /* holds the benchmark */
    model_says("Application startup complete\n");
    wait_state(VWI_STATE_BENCHMARKING);
    ck_assert_double_eq(view().max_perf, 0);
    model_says("CUDA out of memory\n");
    wait_state(VWI_STATE_ERROR);
    ck_assert_str_eq(view().error_msg, "CUDA out of memory");
}
END_TEST

START_TEST(startup_is_ready_with_the_measured_capacity)
{
    t.setup.bench_handler = &t.handler;
    t.setup.platform = true;
    start();
    model_says("Application startup complete\n");
    wait_state(VWI_STATE_READY);
    ck_assert(view().capacity_known);
    ck_assert_double_gt(view().max_perf, 0);
    ck_assert_int_eq(t.stub.requests, 4);
    vwi_text_clear(&t.logged);
    model_says("Application startup complete\n");
    wait_log("model (load)");
    ck_assert_int_eq(t.stub.requests, 4);
}
END_TEST

START_TEST(startup_tells_why_the_benchmark_failed)
{
    t.setup.bench_handler = &t.handler;
    t.status = 500;
    start();
    model_says("Application startup complete\n");
    wait_state(VWI_STATE_ERROR);
    ck_assert_str_eq(view().error_msg, "No successful responses from benchmark");
}
END_TEST

START_TEST(startup_on_the_platform_reports_100_when_nothing_measures)
{
    t.setup.platform = true;
    start();
    model_says("Application startup complete\n");
    wait_state(VWI_STATE_READY);
    ck_assert_double_eq(view().max_perf, 100);
    ck_assert(!view().capacity_known);
    ck_assert_ptr_nonnull(strstr(t.logged.p, "neither a benchmark nor maxPerf"));
}
END_TEST

START_TEST(startup_waits_for_the_key)
{
    t.setup.needs_key = true;
    start();
    model_says("Application startup complete\n");
    wait_log("model (load)");
    ck_assert_str_eq(view().name, "loading");
    vwi_startup_key(t.startup, true);
    ck_assert_str_eq(view().name, "ready");
}
END_TEST

START_TEST(startup_gives_up_loading_in_time)
{
    t.conf.load_s = 0.02;
    start();
    wait_state(VWI_STATE_ERROR);
    ck_assert_ptr_nonnull(strstr(view().error_msg, "Model not ready within 0.02 s"));
}
END_TEST

START_TEST(startup_drains_at_once_and_stays_so)
{
    t.setup.bench_handler = &t.handler;
    start();
    t.stub.on_request = say_nothing;
    model_says("Application startup complete\n");
    wait_state(VWI_STATE_BENCHMARKING);
    vwi_startup_drain(t.startup);
    ck_assert_str_eq(view().name, "draining");
    model_says("CUDA out of memory\n");
    wait_log("model (error)");
    ck_assert_str_eq(view().name, "draining");
    ck_assert_str_eq(view().error_msg, "");
}
END_TEST

START_TEST(startup_without_a_model_server_is_the_embedders_word)
{
    t.setup.model = NULL;
    t.setup.driven = t.setup.fed = true;
    t.conf.log_files.count = 0;
    start();
    ck_assert_str_eq(view().name, "loading");
    vwi_startup_capacity(t.startup, 12);
    vwi_startup_line(t.startup, startup_line, strlen(startup_line));
    ck_assert_str_eq(view().name, "ready");
    ck_assert_double_eq(view().max_perf, 12);
    vwi_startup_error(t.startup, "GPU fell off the bus");
    ck_assert_str_eq(view().error_msg, "GPU fell off the bus");
    vwi_startup_loaded(t.startup);
    ck_assert_str_eq(view().name, "ready");
}
END_TEST

START_TEST(startup_counts_truncations)
{
    start();
    model_says("Downloading one\nDownloading two\n");
    wait_log("Downloading two");
    ck_assert_int_eq(truncate(t.path, 0), 0);
    wait_log("truncated");
    ck_assert_uint_eq(vwi_startup_truncations(t.startup), 1);
}
END_TEST

START_TEST(startup_creation_survives_each_failed_allocation)
{
    static const struct vwi_startup_events events = { on_change };
    static char health[] = "/health";
    vw_err err = VW_E_NOMEM;
    unsigned nth;

    t.conf.health_path = health;
    t.setup.bench_handler = &t.handler;
    for (nth = 0; err != VW_OK; nth++) {
        vw_error_t why = { VW_OK, "" };

        ck_assert_uint_lt(nth, 1000);
        vwi_mem_fail_nth(nth);
        err = vwi_startup_create(&t.setup, &events, &t, &t.startup, &why);
        vwi_mem_fail_never();
        ck_assert(err == VW_OK || (err == VW_E_NOMEM && why.text[0]));
    }
}
END_TEST

Suite *startup_suite(void);

Suite *startup_suite(void)
{
    Suite *s = suite_create("startup");
    TCase *tc = tcase_create("startup");

    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, startup_is_ready_with_the_load_line);
    tcase_add_test(tc, startup_sets_a_log_of_the_previous_run_aside_where_it_is_told_to);
    tcase_add_test(tc, startup_reads_a_log_that_cannot_be_set_aside_from_its_beginning);
    tcase_add_test(tc, startup_reports_the_pattern_and_never_the_line);
    tcase_add_test(tc, startup_copies_a_bounded_number_of_lines);
    tcase_add_test(tc, startup_waits_for_a_good_probe_after_the_load_line);
    tcase_add_test(tc, startup_recovers_from_an_error_by_probes);
    tcase_add_test(tc, startup_forgives_an_error_line_while_probes_stay_good);
    tcase_add_test(tc, startup_with_nothing_configured_waits_for_the_port);
    tcase_add_test(tc, startup_warns_of_patterns_without_a_source_and_waits_for_the_port);
    tcase_add_test(tc, startup_measures_while_it_goes_on_reading);
    tcase_add_test(tc, startup_is_ready_with_the_measured_capacity);
    tcase_add_test(tc, startup_tells_why_the_benchmark_failed);
    tcase_add_test(tc, startup_on_the_platform_reports_100_when_nothing_measures);
    tcase_add_test(tc, startup_waits_for_the_key);
    tcase_add_test(tc, startup_gives_up_loading_in_time);
    tcase_add_test(tc, startup_drains_at_once_and_stays_so);
    tcase_add_test(tc, startup_without_a_model_server_is_the_embedders_word);
    tcase_add_test(tc, startup_counts_truncations);
    tcase_add_test(tc, startup_creation_survives_each_failed_allocation);
    suite_add_tcase(s, tc);
    return s;
}
