/* What a host program says of its model, and how the worker sees a model that hangs. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "actors.h"

#define OPEN "{'handlers': [{'route': '/*', 'methods': ['*'], 'auth': 'none', 'allowParallelRequests': true}]}"
#define MATCHING "{'logActionConfig': {'onLoad': ['it is up'], 'onError': ['it broke']}, " \
                 "'handlers': [{'route': '/*', 'methods': ['*'], 'auth': 'none', 'allowParallelRequests': true}]}"

static bool is_error(const json_t *report, void *arg)
{
    return strcmp(json_string_value(json_object_get(report, "error_msg")), arg) == 0;
}

START_TEST(a_driven_worker_is_ready_when_its_host_says_so)
{
    struct model *m = model_start();
    struct control *c = control_start();
    struct worker *w;

    worker_driven();
    w = worker_start(m, c, OPEN);
    worker_wait_state(w, VW_STATE_LOADING);
    ck_assert_int_eq(vw_worker_set_capacity(worker_handle(w), 250), VW_OK);
    ck_assert_int_eq(vw_worker_set_state(worker_handle(w), VW_STATE_READY, NULL), VW_OK);
    worker_wait_state(w, VW_STATE_READY);
    ck_assert_double_eq(worker_status(w).max_perf, 250);
    ck_assert_int_eq(vw_worker_set_state(worker_handle(w), VW_STATE_LOADING, NULL), VW_OK);
    worker_wait_state(w, VW_STATE_LOADING);
    ck_assert_int_eq(vw_worker_set_state(worker_handle(w), VW_STATE_READY, NULL), VW_OK);
    worker_wait_state(w, VW_STATE_READY);
    ck_assert_int_eq(worker_finish(w), VW_OK);
    control_stop(c);
    model_stop(m);
}
END_TEST

START_TEST(an_error_that_the_host_tells_is_reported_and_cleared_by_its_word)
{
    static char text[] = "the engine's third stage failed";
    struct model *m = model_start();
    struct control *c = control_start();
    struct worker *w;
    json_t *report;

    worker_driven();
    w = worker_start(m, c, OPEN);
    vw_worker_set_state(worker_handle(w), VW_STATE_READY, NULL);
    worker_wait_state(w, VW_STATE_READY);
    ck_assert_int_eq(vw_worker_set_state(worker_handle(w), VW_STATE_ERROR, text), VW_OK);
    worker_wait_state(w, VW_STATE_ERROR);
    report = control_wait_report(c, is_error, text);
    json_decref(report);
    vw_worker_set_state(worker_handle(w), VW_STATE_READY, NULL);
    worker_wait_state(w, VW_STATE_READY);
    ck_assert_int_eq(worker_finish(w), VW_OK);
    control_stop(c);
    model_stop(m);
}
END_TEST

START_TEST(lines_that_the_host_feeds_are_a_log)
{
    static const char loaded[] = "and now it is up, says the host";
    struct model *m = model_start();
    struct worker *w;

    worker_driven();
    w = worker_start(m, NULL, MATCHING);
    worker_wait_state(w, VW_STATE_LOADING);
    ck_assert_int_eq(vw_worker_feed_log(worker_handle(w), "nothing", 7), VW_OK);
    ck_assert_int_eq(vw_worker_feed_log(worker_handle(w), loaded, sizeof loaded - 1), VW_OK);
    worker_wait_state(w, VW_STATE_READY);
    ck_assert_int_eq(worker_finish(w), VW_OK);
    model_stop(m);
}
END_TEST

START_TEST(what_a_host_cannot_mean_is_refused)
{
    struct model *m = model_start();
    struct worker *w = worker_start_ready(m, NULL, OPEN);
    vw_worker_t *handle = worker_handle(w);

    ck_assert_int_eq(vw_worker_set_state(handle, VW_STATE_DRAINING, NULL), VW_E_ARG);
    ck_assert_int_eq(vw_worker_set_state(NULL, VW_STATE_READY, NULL), VW_E_ARG);
    ck_assert_int_eq(vw_worker_set_capacity(handle, 0), VW_E_ARG);
    ck_assert_int_eq(vw_worker_set_capacity(handle, strtod("nan", NULL)), VW_E_ARG);
    ck_assert_int_eq(vw_worker_set_capacity(handle, strtod("inf", NULL)), VW_E_ARG);
    ck_assert_int_eq(vw_worker_feed_log(handle, NULL, 3), VW_E_ARG);
    ck_assert_int_eq(worker_finish(w), VW_OK);
    model_stop(m);
}
END_TEST

START_TEST(a_host_that_says_too_much_before_anybody_listens_is_told)
{
    vw_worker_options_t options = VW_WORKER_OPTIONS_INIT;
    vw_worker_t *worker = NULL;
    vw_error_t why = { VW_OK, "" };
    char line[1000];
    unsigned taken = 0;

    setenv("UNSECURED", "true", 1);
    setenv("WORKER_PORT", "0", 1);
    memset(line, 'x', sizeof line);
    ck_assert_int_eq(vw_worker_create(&options, &worker, &why), VW_OK);
    while (taken < 10000 && vw_worker_feed_log(worker, line, sizeof line) == VW_OK)
        taken++;
    ck_assert(taken > 900 && taken < 1100); /* a mebibyte */
    ck_assert_int_eq(vw_worker_feed_log(worker, line, sizeof line), VW_E_BUSY);
    vw_worker_destroy(worker);
}
END_TEST

START_TEST(one_bad_requests_traceback_does_not_condemn_a_model_that_answers)
{
    char *path = temp_file("model.log", ""), *config = NULL;
    struct model *m = model_start();
    struct control *c = control_start();
    struct worker *w;
    json_t *report;

    ck_assert_int_gt(asprintf(&config, "{'modelLogFile': '%s', 'modelHealthcheckPath': '/health', 'logActionConfig': {'onLoad': ['up'], "
                                       "'onError': ['Traceback']}, 'handlers': [{'route': '/ok', 'auth': 'none'}]}", path), 0);
    w = worker_start(m, c, config);
    append_file(path, "it is up\n");
    worker_wait_state(w, VW_STATE_READY);
    append_file(path, "Traceback (most recent call last):\n");
    worker_wait_logged(w, "ready -> degraded");
    worker_wait_logged(w, "degraded -> ready");
    model_health(m, 500);
    append_file(path, "Traceback (most recent call last):\n");
    report = control_wait_report(c, is_error, "Traceback");
    json_decref(report);
    model_health(m, 200);
    worker_wait_state(w, VW_STATE_READY);
    ck_assert_int_eq(worker_finish(w), VW_OK);
    control_stop(c);
    model_stop(m);
    free(config);
    free(path);
}
END_TEST

/* The worker looks once a second, and ten answers teach it what is usual. */
static void teach(struct model *m)
{
    double until = now_s() + 13;

    while (now_s() < until) {
        model_permit(m, 1);
        nap();
    }
}

/* Bytes that came just before are still to be looked at, and end the first silence: the next one is much longer. */
static void fall_silent(struct worker *w)
{
    double skip, until;

    for (skip = 100; skip < 1e6; skip *= 30) {
        skip_time(skip);
        for (until = now_s() + 5; now_s() < until && worker_status(w).state == VW_STATE_READY;)
            nap();
    }
}

START_TEST(a_model_that_hangs_is_degraded_then_an_error_and_well_when_it_goes_on)
{
    struct model *m = model_start();
    struct control *c = control_start();
    struct worker *w = worker_start_ready(m, c, OPEN);
    int fd = client_connect(worker_port(w));

    client_send(fd, "GET /stream/1000000 HTTP/1.1\r\nHost: w\r\n\r\n");
    model_wait_requests(m, 1);
    teach(m);
    fall_silent(w);
    worker_wait_logged(w, "ready -> degraded: The model server has sent no byte for");
    skip_time(1e7);
    worker_wait_state(w, VW_STATE_ERROR);
    model_permit(m, 1);
    worker_wait_state(w, VW_STATE_READY);
    client_close(fd);
    ck_assert_int_eq(worker_finish(w), VW_OK);
    control_stop(c);
    model_stop(m);
}
END_TEST

START_TEST(health_shows_what_was_measured_beside_what_is_reported)
{
    struct model *m = model_start();
    struct worker *w = worker_start_ready(m, NULL, "{'handlers': [{'route': '/ok', 'auth': 'none', 'allowParallelRequests': true, "
                                                   "'benchmark': {'dataset': [{'a': 1}], 'runs': 2, 'concurrency': 2}}]}");
    json_t *now = client_health(worker_port(w));

    ck_assert_double_gt(json_number_value(json_object_get(now, "measured")), 0);
    ck_assert_double_eq(json_number_value(json_object_get(now, "measured")), json_number_value(json_object_get(now, "max_perf")));
    json_decref(now);
    ck_assert_int_eq(worker_finish(w), VW_OK);
    model_stop(m);
}
END_TEST

START_TEST(a_host_that_does_not_ask_gets_no_process)
{
    struct model *m = model_start();
    struct worker *w = worker_start_ready(m, NULL, OPEN);

    ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
    ck_assert_int_eq(errno, ECHILD);
    ck_assert_int_eq(worker_finish(w), VW_OK);
    model_stop(m);
}
END_TEST

START_TEST(a_host_may_have_its_model_started_watched_and_stopped)
{
    static const char *const command[] = { "sh", "-c", "echo it is up; trap 'exit 0' TERM; while :; do sleep 0.05; done", NULL };
    struct model *m = model_start();
    struct worker *w;
    pid_t pid;

    worker_command(command);
    w = worker_start_ready(m, NULL, MATCHING);
    pid = (pid_t)worker_logged_number(w, "started as process ");
    ck_assert_int_gt(pid, 1);
    ck_assert_int_eq(kill(pid, SIGKILL), 0);
    worker_wait_logged(w, "was ended by signal 9 (Killed), restarting in 1 s (1 of 5)");
    worker_wait_state(w, VW_STATE_READY);
    ck_assert_int_eq(worker_finish(w), VW_OK);
    ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1); /* neither it nor its guard is left */
    ck_assert_int_eq(errno, ECHILD);
    model_stop(m);
}
END_TEST

START_TEST(a_worker_that_is_stopped_or_whose_model_is_lost_leaves_no_process)
{
    static const char *const stubborn[] = { "sh", "-c", "trap '' TERM; echo it is up; while :; do sleep 1000; done", NULL };
    static const char *const failing[] = { "sh", "-c", "exit 5", NULL };
    struct model *m = model_start();
    struct worker *w;

    worker_command(_i ? failing : stubborn);
    w = worker_start(m, NULL, _i ? "{'supervise': {'restart': 'never'}, 'unsecured': true}" : MATCHING);
    if (!_i) {
        worker_wait_state(w, VW_STATE_READY);
        vw_worker_stop(worker_handle(w));
    }
    ck_assert_int_eq(worker_join(w), _i ? VW_E_IO : VW_OK);
    ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
    ck_assert_int_eq(errno, ECHILD);
    model_stop(m);
}
END_TEST

Suite *embed_suite(void);

Suite *embed_suite(void)
{
    Suite *s = suite_create("embed");
    TCase *tc = tcase_create("embed");

    tcase_add_test(tc, a_driven_worker_is_ready_when_its_host_says_so);
    tcase_add_test(tc, an_error_that_the_host_tells_is_reported_and_cleared_by_its_word);
    tcase_add_test(tc, lines_that_the_host_feeds_are_a_log);
    tcase_add_test(tc, what_a_host_cannot_mean_is_refused);
    tcase_add_test(tc, a_host_that_says_too_much_before_anybody_listens_is_told);
    tcase_add_test(tc, one_bad_requests_traceback_does_not_condemn_a_model_that_answers);
    tcase_add_test(tc, a_model_that_hangs_is_degraded_then_an_error_and_well_when_it_goes_on);
    tcase_add_test(tc, health_shows_what_was_measured_beside_what_is_reported);
    tcase_add_test(tc, a_host_that_does_not_ask_gets_no_process);
    tcase_add_test(tc, a_host_may_have_its_model_started_watched_and_stopped);
    tcase_add_loop_test(tc, a_worker_that_is_stopped_or_whose_model_is_lost_leaves_no_process, 0, 2);
    suite_add_tcase(s, tc);
    return s;
}
