/* A slot is free only when the model has stopped: what it is told when a request ends here first, and who waits for that. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "actors.h"
#include "wire.h"

static struct model *m;
static struct worker *w;

static void setup(void) { m = model_start(); }
static void teardown(void) { model_stop(m); }

#define NEXT "{'route': '/next', 'auth': 'none', 'targetPath': '/x'}"
#define STOP "/hold?stop" /* a call that waits for a permit, as the job does */

/* One job, "/job", which holds the only slot, and "/next", which waits for it. */
static void start(const char *top, const char *job)
{
    char *config = NULL;

    ck_assert_int_gt(asprintf(&config, "{%s'handlers': [{'route': '/job', 'auth': 'none', 'targetPath': '/hold', %s}, " NEXT "]}", top, job), 0);
    w = worker_start_ready(m, NULL, config);
    free(config);
}

static void finish(void) { ck_assert_int_eq(worker_finish(w), VW_OK); }

static int begin(const char *path, unsigned in_flight_then)
{
    int fd = client_connect(worker_port(w));

    client_send_post(fd, path, "{}");
    worker_wait_in_flight(w, in_flight_then);
    return fd;
}

static void expect(int fd, int status, const char *reason)
{
    struct answer a = client_read(fd);

    ck_assert_msg(a.status == status, "expected %d, got %d: %s", status, a.status, a.body);
    ck_assert_str_eq(answer_reason(&a), reason);
    answer_fini(&a);
    client_close(fd);
}

/* The nth request at the model was for this. */
static void expect_seen(unsigned nth, const char *target)
{
    char *seen;

    model_wait_requests(m, nth);
    seen = model_seen(m, nth - 1);
    ck_assert_str_eq(seen, target);
    free(seen);
}

/* A client leaves while its job runs. */
static void leave_job(void)
{
    int fd = begin("/job", 1);

    model_wait_requests(m, 1);
    client_close(fd);
    model_wait_gone(m, 1);
    expect_seen(2, STOP);
}

START_TEST(the_slot_is_held_until_the_call_is_answered)
{
    int next;

    start("", "'cancel': {'path': '" STOP "', 'grace': 100}");
    leave_job();
    worker_wait_in_flight(w, 0); /* the books are closed at once */
    ck_assert_uint_eq(worker_status(w).cancelled, 1);
    ck_assert_double_eq(client_metric(worker_port(w), "vastworker_in_flight{lane=\"serial\"}"), 1);
    next = begin("/next", 1);
    ck_assert_double_eq(client_metric(worker_port(w), "vastworker_queued{lane=\"serial\"}"), 1);
    ck_assert_uint_eq(model_requests(m), 2);
    model_permit(m, 1);
    expect(next, 200, "");
    expect_seen(3, "/x");
    ck_assert_double_eq(client_metric(worker_port(w), "vastworker_in_flight{lane=\"serial\"}"), 0);
    ck_assert_double_eq(client_metric(worker_port(w), "vastworker_cancels_total{result=\"answered\"}"), 1);
    finish();
}
END_TEST

START_TEST(a_call_that_hangs_holds_the_slot_for_its_grace_and_is_complained_of_once)
{
    int i;

    start("", "'cancel': {'path': '/hold', 'grace': 0.3}");
    for (i = 0; i < 2; i++) {
        int job = begin("/job", 1);

        model_wait_requests(m, 3 * (unsigned)i + 1);
        client_close(job);
        model_wait_requests(m, 3 * (unsigned)i + 2);
        expect(begin("/next", 0), 200, "");
        worker_wait_in_flight(w, 0);
    }
    ck_assert_double_eq(client_metric(worker_port(w), "vastworker_cancels_total{result=\"timed_out\"}"), 2);
    ck_assert_uint_eq(worker_count_logged(w, "/job: cancel /hold: not finished within 0.3 s"), 1);
    finish();
}
END_TEST

START_TEST(a_call_that_fails_does_not_hold_the_slot)
{
    int job;

    start("", "'cancel': {'path': '/vanish', 'grace': 100}");
    job = begin("/job", 1);
    model_wait_requests(m, 1);
    client_close(job);
    worker_wait_logged(w, "/job: cancel /vanish: ");
    worker_wait_in_flight(w, 0);
    expect(begin("/next", 0), 200, "");
    ck_assert_double_eq(client_metric(worker_port(w), "vastworker_cancels_total{result=\"failed\"}"), 1);
    finish();
}
END_TEST

/* Whose time is up while the slot waits leaves it, and the slot goes to one whose is not. */
START_TEST(waiting_for_the_model_to_stop_counts_as_waiting)
{
    struct answer a;
    int next;

    start("", "'cancel': {'path': '" STOP "', 'grace': 100}");
    leave_job();
    worker_wait_in_flight(w, 0);
    a = client_call(worker_port(w), "POST", "/next", "X-Request-Timeout: 0\r\n", "{}");
    ck_assert_str_eq(answer_reason(&a), "predicted_wait");
    answer_fini(&a);
    a = client_call(worker_port(w), "POST", "/next", "X-Request-Timeout: 0.2\r\n", "{}");
    ck_assert_str_eq(answer_reason(&a), "queue_timeout");
    answer_fini(&a);
    worker_wait_in_flight(w, 0);
    next = begin("/next", 1);
    model_permit(m, 1);
    expect(next, 200, "");
    finish();
}
END_TEST

/* ---- when the call is made ---- */

#define CALLS "'cancel': {'path': '/stop'}"

static const struct {
    const char *job, *body, *reason;
    int status;
    bool told; /* the model is */
} ends[] = {
    { "'targetPath': '/x'", "{}", "", 200, false },
    { "'targetPath': '/status/500'", "{}", "", 500, false },
    { "'targetPath': '/empty'", "{}", "", 204, false },
    { "'targetPath': '/until-close'", "{}", "", 200, false },
    { "'targetPath': '/vanish'", "{}", "model_reset", 502, false },
    { "'targetPath': '/hold', 'timeouts': {'firstByte': 0.2}", "{}", "model_timeout", 504, true },
    { "'targetPath': '/hold', 'timeouts': {'total': 0.2}", "{}", "model_timeout", 504, true },
    { "'targetPath': '/raw'", "this is no HTTP at all\r\n\r\n", "model_reset", 502, true },
    { "'targetPath': '/flood', 'requireJson': true, 'auth': 'vast'", "{\"payload\": {}}", "not_json", 502, true },
};

START_TEST(the_model_is_told_unless_it_ended_itself)
{
    char config[400];
    struct answer a;
    char *seen;

    snprintf(config, sizeof config, "{'unsecured': true, 'handlers': [{'route': '/job', %s%s, " CALLS "}, " NEXT "]}",
             strstr(ends[_i].job, "'auth'") ? "" : "'auth': 'none', ", ends[_i].job);
    w = worker_start_ready(m, NULL, config);
    a = client_post(worker_port(w), "/job", ends[_i].body);
    ck_assert_int_eq(a.status, ends[_i].status);
    ck_assert_str_eq(answer_reason(&a), ends[_i].reason);
    answer_fini(&a);
    expect(begin("/next", 0), 200, "");
    finish(); /* waits for calls */
    model_wait_requests(m, ends[_i].told ? 3 : 2);
    ck_assert_uint_eq(model_requests(m), ends[_i].told ? 3 : 2);
    seen = model_seen(m, 1);
    ck_assert_str_eq(seen, ends[_i].told ? "/stop" : "/x");
    free(seen);
}
END_TEST

START_TEST(a_client_that_leaves_a_stream_has_it_stopped)
{
    char buffer[2000];
    int fd;

    w = worker_start_ready(m, NULL, "{'handlers': [{'route': '/job', 'auth': 'none', 'targetPath': '/stream/5', " CALLS "}]}");
    fd = begin("/job", 1);
    model_permit(m, 1);
    client_read_until(fd, "data: 1", buffer, sizeof buffer);
    client_close(fd);
    expect_seen(2, "/stop");
    finish();
}
END_TEST

/* One that waits has nothing at the model. */
START_TEST(a_client_that_leaves_the_queue_stops_nothing)
{
    int job, other;

    start("", CALLS);
    job = begin("/job", 1);
    model_wait_requests(m, 1);
    other = begin("/job", 2);
    client_close(other);
    worker_wait_in_flight(w, 1);
    model_permit(m, 1);
    expect(job, 200, "");
    finish();
    ck_assert_uint_eq(model_requests(m), 1);
}
END_TEST

static const char *part(char **rest)
{
    char *at = *rest, *end = strstr(at, "\r\n\r\n");

    ck_assert_ptr_nonnull(end);
    *end = '\0';
    *rest = end + 4;
    return at;
}

START_TEST(the_call_goes_over_a_connection_of_its_own_also_through_a_socket)
{
    char *dir = temp_dir(), path[300], config[800], *bytes, *rest;
    const char *job, *call;
    struct wire *x;
    int fd;

    snprintf(path, sizeof path, "%s/model.sock", dir);
    x = wire_start_unix(path);
    snprintf(config, sizeof config, "{'modelServerUrl': 'unix:%s', 'handlers': [{'route': '/job', 'auth': 'none', 'targetPath': '/silent', "
             "'cancel': {'method': 'DELETE', 'path': '/jobs?all=1'}}, " NEXT "]}", path);
    w = worker_start_ready(NULL, NULL, config);
    fd = client_connect(worker_port(w));
    client_send(fd, "POST /job HTTP/1.1\r\nHost: w\r\nX-Request-Id: job-77\r\nContent-Length: 0\r\n\r\n");
    wire_wait_requests(x, 1);
    client_close(fd);
    wire_wait_requests(x, 2);
    expect(begin("/next", 0), 200, "");
    bytes = rest = wire_take(x);
    job = part(&rest);
    call = part(&rest);
    ck_assert_ptr_nonnull(strstr(job, "POST /silent HTTP/1.1"));
    ck_assert_ptr_eq(strstr(call, "DELETE /jobs?all=1 HTTP/1.1\r\n"), call);
    ck_assert_ptr_nonnull(strstr(call, "\r\nX-Request-Id: job-77"));
    free(bytes);
    finish();
    wire_stop(x);
    free(dir);
}
END_TEST

/* ---- leaving ---- */

START_TEST(a_drain_waits_for_the_call)
{
    struct answer a;

    start("", "'cancel': {'path': '" STOP "', 'grace': 100}");
    leave_job();
    vw_worker_drain(worker_handle(w));
    worker_wait_state(w, VW_STATE_DRAINING);
    a = client_call(worker_port(w), "GET", "/health", "", NULL); /* it listens, so it has not finished */
    ck_assert_int_eq(a.status, 503);
    answer_fini(&a);
    model_permit(m, 1);
    ck_assert_int_eq(worker_join(w), VW_OK);
    ck_assert_uint_eq(model_requests(m), 2);
}
END_TEST

START_TEST(a_drain_waits_no_longer_than_the_grace)
{
    start("", "'cancel': {'path': '" STOP "', 'grace': 0.5}");
    leave_job();
    vw_worker_drain(worker_handle(w));
    worker_wait_logged(w, "cancel " STOP ": not finished within 0.5 s");
    ck_assert_int_eq(worker_join(w), VW_OK);
}
END_TEST

START_TEST(what_a_drain_cuts_is_stopped_at_the_model_too)
{
    int job;

    start("'drainTimeout': 0.2, ", "'cancel': {'path': '" STOP "', 'grace': 100}");
    job = begin("/job", 1);
    model_wait_requests(m, 1);
    vw_worker_drain(worker_handle(w));
    expect(job, 503, "draining");
    expect_seen(2, STOP);
    ck_assert(!worker_logged(w, "stopped"));
    model_permit(m, 1);
    ck_assert_int_eq(worker_join(w), VW_OK);
}
END_TEST

/* A second word: the calls are made, and get no more time than the last report. */
START_TEST(a_stop_does_not_wait_for_the_grace)
{
    int job;

    start("", "'cancel': {'path': '" STOP "', 'grace': 1000}");
    job = begin("/job", 1);
    model_wait_requests(m, 1);
    vw_worker_stop(worker_handle(w));
    expect(job, 503, "draining");
    expect_seen(2, STOP);
    ck_assert_int_eq(worker_join(w), VW_OK);
}
END_TEST

START_TEST(a_stop_ends_a_drain_that_waits_for_a_call)
{
    start("", "'cancel': {'path': '" STOP "', 'grace': 1000}");
    leave_job();
    vw_worker_drain(worker_handle(w));
    worker_wait_state(w, VW_STATE_DRAINING);
    vw_worker_stop(worker_handle(w));
    ck_assert_int_eq(worker_join(w), VW_OK);
}
END_TEST

Suite *cancel_suite(void);

Suite *cancel_suite(void)
{
    Suite *s = suite_create("cancel");
    TCase *tc = tcase_create("cancel");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, the_slot_is_held_until_the_call_is_answered);
    tcase_add_test(tc, a_call_that_hangs_holds_the_slot_for_its_grace_and_is_complained_of_once);
    tcase_add_test(tc, a_call_that_fails_does_not_hold_the_slot);
    tcase_add_test(tc, waiting_for_the_model_to_stop_counts_as_waiting);
    tcase_add_loop_test(tc, the_model_is_told_unless_it_ended_itself, 0, sizeof ends / sizeof ends[0]);
    tcase_add_test(tc, a_client_that_leaves_a_stream_has_it_stopped);
    tcase_add_test(tc, a_client_that_leaves_the_queue_stops_nothing);
    tcase_add_test(tc, the_call_goes_over_a_connection_of_its_own_also_through_a_socket);
    tcase_add_test(tc, a_drain_waits_for_the_call);
    tcase_add_test(tc, a_drain_waits_no_longer_than_the_grace);
    tcase_add_test(tc, what_a_drain_cuts_is_stopped_at_the_model_too);
    tcase_add_test(tc, a_stop_does_not_wait_for_the_grace);
    tcase_add_test(tc, a_stop_ends_a_drain_that_waits_for_a_call);
    suite_add_tcase(s, tc);
    return s;
}
