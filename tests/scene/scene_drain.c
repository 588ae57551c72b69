/* Leaving: what the clients see, what the control plane is told in the little time there is, and that a second word ends it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "actors.h"

#define UNITS "'allowParallelRequests': true, 'workloadCalculator': {'field': '/units'}"
#define CONFIG "{'maxPerf': 200, 'drainTimeout': 8, 'handlers': [{'route': '/ok', " UNITS "}, {'route': '/hold', " UNITS "}, " \
               "{'route': '/job', 'methods': ['GET'], 'auth': 'none', 'targetPath': '/x', 'control': true}, " \
               "{'route': '/watch', 'methods': ['GET'], 'auth': 'none', 'targetPath': '/hold', 'control': true}, " \
               "{'route': '/ask', 'control': true}]}"

static struct model *m;
static struct control *c;
static struct worker *w;

static void setup(void)
{
    m = model_start();
    c = control_start();
    w = worker_start_ready(m, c, CONFIG);
    json_decref(control_wait_state(c, true));
}

static void teardown(void)
{
    control_stop(c);
    model_stop(m);
}

static void expect(struct answer a, int status, const char *reason)
{
    ck_assert_msg(a.status == status, "expected %d, got %d: %s%s", status, a.status, a.head, a.body);
    ck_assert_str_eq(answer_reason(&a), reason);
    answer_fini(&a);
}

static int begin(long idx)
{
    int fd = client_connect(worker_port(w));
    char *body = envelope(c, idx, "{'units': 10}");

    client_send_post(fd, "/hold", body);
    free(body);
    model_wait_requests(m, (unsigned)idx);
    return fd;
}

static void end(int fd, int status)
{
    expect(client_read(fd), status, status == 200 ? "" : "draining");
    client_close(fd);
}

static void drain(void)
{
    vw_worker_drain(worker_handle(w));
    worker_wait_state(w, VW_STATE_DRAINING);
}

static unsigned count_draining(void)
{
    json_t *reports = control_bodies(c, "/worker_status/"), *report;
    unsigned n = 0;
    size_t i;

    json_array_foreach(reports, i, report)
        n += json_number_value(json_object_get(report, "loadtime")) > 0 && json_number_value(json_object_get(report, "max_perf")) == 0;
    json_decref(reports);
    return n;
}

static bool has_one_working(const json_t *report, void *arg)
{
    (void)arg;
    return json_integer_value(json_object_get(report, "num_requests_working")) == 1;
}

/* An idle worker reports every ten seconds, which is later than drainTimeout. */
START_TEST(a_report_follows_the_first_one_even_if_nothing_happens)
{
    int fd = begin(1);
    double until = patience();

    json_decref(control_wait_report(c, has_one_working, NULL));
    drain();
    while (count_draining() < 2) {
        ck_assert(now_s() < until);
        nap();
    }
    model_permit(m, 1);
    end(fd, 200);
    ck_assert_int_eq(worker_join(w), VW_OK);
}
END_TEST

START_TEST(deletions_go_out_one_by_one_while_others_still_run)
{
    int one = begin(1), two = begin(2);

    drain();
    model_permit(m, 1);
    control_wait_deletions(c, 1);
    ck_assert_uint_eq(worker_status(w).state, VW_STATE_DRAINING);
    model_permit(m, 1);
    end(one, 200);
    end(two, 200);
    ck_assert_int_eq(worker_join(w), VW_OK);
    ck_assert_double_eq(control_sum(c, "cur_perf"), 20);
}
END_TEST

/* A refusal makes both lines wait for ten seconds, which is longer than a stop may take. */
START_TEST(a_line_that_rests_is_woken_for_the_last_words)
{
    json_t *deletions;

    control_fail(c, 403, 0);
    expect(client_envelope(worker_port(w), c, "/ok", 1, "{'units': 10}"), 200, "");
    control_wait_refused(c, 2);
    worker_wait_logged(w, "/delete_requests/ answered 403");
    worker_wait_logged(w, "/worker_status/ answered 403");
    control_fail(c, 0, 0);
    ck_assert_int_eq(worker_finish(w), VW_OK);
    ck_assert_double_eq(control_sum(c, "cur_perf"), 10);
    deletions = control_deletions(c);
    ck_assert_uint_eq(json_array_size(deletions), 1);
    json_decref(deletions);
    ck_assert_uint_ge(count_draining(), 1);
}
END_TEST

START_TEST(the_last_words_are_tried_again_while_there_is_time)
{
    control_fail(c, 403, 3);
    expect(client_envelope(worker_port(w), c, "/ok", 1, "{'units': 10}"), 200, "");
    ck_assert_int_eq(worker_finish(w), VW_OK);
    ck_assert_double_eq(control_sum(c, "cur_perf"), 10);
    ck_assert_double_eq(control_sum(c, "new_load"), 10);
}
END_TEST

START_TEST(control_handlers_serve_until_the_last_job_is_done)
{
    int fd = begin(1), kept = client_connect(worker_port(w));
    struct answer a;

    client_send(kept, "GET /job HTTP/1.1\r\nHost: w\r\n\r\n");
    expect(client_read(kept), 200, "");
    drain();
    ck_assert(client_is_closed(kept)); /* idle, so that its client goes elsewhere, or connects anew */
    client_close(kept);
    a = client_call(worker_port(w), "GET", "/job", "", NULL);
    ck_assert_str_eq(answer_header(&a, "connection"), "close");
    expect(a, 200, "");
    expect(client_call(worker_port(w), "GET", "/health", "", NULL), 503, "");
    expect(client_post(worker_port(w), "/ok", "{"), 422, "invalid_json"); /* what is wrong with it comes first */
    a = client_envelope(worker_port(w), c, "/ok", 3, "{'units': 1}");
    ck_assert_str_eq(answer_header(&a, "connection"), "close");
    expect(a, 503, "draining");
    model_permit(m, 1);
    end(fd, 200);
    ck_assert_int_eq(worker_join(w), VW_OK);
    ck_assert_double_eq(control_sum(c, "rej_load"), 1);
}
END_TEST

/* Else clients that ask again and again would keep a worker that has nothing left to do. */
START_TEST(control_handlers_take_no_more_once_the_last_job_is_done)
{
    int fd = begin(1), watcher = client_connect(worker_port(w));

    client_send(watcher, "GET /watch HTTP/1.1\r\nHost: w\r\n\r\n");
    model_wait_requests(m, 2);
    drain();
    expect(client_call(worker_port(w), "GET", "/job", "", NULL), 200, "");
    client_reset(fd);
    worker_wait_in_flight(w, 1);
    expect(client_call(worker_port(w), "GET", "/job", "", NULL), 503, "draining");
    model_permit(m, 2);
    end(watcher, 200); /* which was accepted */
    ck_assert_int_eq(worker_join(w), VW_OK);
}
END_TEST

/* Nobody has looked yet at who asks. */
START_TEST(a_question_that_is_never_finished_does_not_hold_a_drain_up)
{
    int fd = begin(1), slow = client_connect(worker_port(w));
    char seen[200];

    drain();
    client_send(slow, "POST /ask HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\nExpect: 100-continue\r\n\r\n");
    client_read_until(slow, "100 Continue\r\n\r\n", seen, sizeof seen);
    model_permit(m, 1);
    end(fd, 200);
    end(slow, 503);
    worker_wait_logged(w, "stopped");
    ck_assert(!worker_logged(w, "within drainTimeout"));
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

START_TEST(a_stop_does_not_wait_for_a_control_plane_that_is_silent)
{
    control_hold(c, true);
    expect(client_envelope(worker_port(w), c, "/ok", 1, "{'units': 10}"), 200, "");
    control_wait_held(c, 1);
    drain();
    vw_worker_stop(worker_handle(w));
    worker_wait_logged(w, "the last report is not waited for; 1 finished requests stay untold");
    ck_assert_int_eq(worker_join(w), VW_OK);
    control_hold(c, false);
}
END_TEST

START_TEST(a_client_that_sends_its_head_at_the_end_is_told)
{
    int slow = client_connect(worker_port(w)), fd = begin(1);

    client_send(slow, "GET /job HTTP/1.1\r\nHost: w\r\n");
    control_hold(c, true); /* keeps the flush going */
    drain();
    model_permit(m, 1);
    end(fd, 200);
    control_wait_held(c, 1);
    client_send(slow, "\r\n");
    expect(client_read(slow), 200, "");
    client_close(slow);
    control_hold(c, false);
    ck_assert_int_eq(worker_join(w), VW_OK);
}
END_TEST

/* It was not accepted yet, so nothing is lost, and its client knows at once to go elsewhere. */
START_TEST(a_request_whose_body_is_still_to_come_does_not_hold_a_drain_up)
{
    int fd = client_connect(worker_port(w));
    char seen[200];

    client_send(fd, "POST /ok HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\nExpect: 100-continue\r\n\r\n");
    client_read_until(fd, "100 Continue\r\n\r\n", seen, sizeof seen); /* its head was judged, and it is being read */
    client_send(fd, "{\"auth_data\": {");
    drain();
    end(fd, 503);
    worker_wait_logged(w, "stopped");
    ck_assert(!worker_logged(w, "within drainTimeout"));
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

/* ---- limits ---- */

#define OPEN "'methods': ['*'], 'auth': 'none', 'allowParallelRequests': true"

static void restart(const char *config)
{
    ck_assert_int_eq(worker_finish(w), VW_OK);
    w = worker_start_ready(m, c, config);
}

static int ask(const char *path, unsigned nth)
{
    int fd = client_connect(worker_port(w));

    client_send_post(fd, path, "{}");
    model_wait_requests(m, nth);
    return fd;
}

START_TEST(each_handlers_requests_have_a_limit_of_their_own)
{
    int brief, patient;

    restart("{'maxPerf': 200, 'drainTimeout': 0.1, 'handlers': [{'route': '/brief', 'targetPath': '/hold', " OPEN "}, "
            "{'route': '/patient', 'targetPath': '/hold', 'drainTimeout': 600, " OPEN "}]}");
    brief = ask("/brief", 1);
    patient = ask("/patient", 2);
    drain();
    end(brief, 503);
    worker_wait_logged(w, "/brief: cut by the drain, at the model (request ");
    worker_wait_logged(w, "drain: 1 requests did not finish within drainTimeout (0.1 s)");
    ck_assert_uint_eq(worker_status(w).state, VW_STATE_DRAINING);
    model_permit(m, 2); /* the model has not noticed yet that the first one was cut */
    end(patient, 200);
    ck_assert_int_eq(worker_join(w), VW_OK);
}
END_TEST

START_TEST(the_shortest_limit_does_not_end_it_for_the_others_whatever_their_order)
{
    int brief, patient;

    restart("{'maxPerf': 200, 'drainTimeout': 600, 'handlers': [{'route': '/brief', 'targetPath': '/hold', 'drainTimeout': 0, " OPEN "}, "
            "{'route': '/patient', 'targetPath': '/hold', " OPEN "}]}");
    patient = ask("/patient", 1);
    brief = ask("/brief", 2);
    drain();
    end(brief, 503);
    model_permit(m, 2);
    end(patient, 200);
    ck_assert_int_eq(worker_join(w), VW_OK);
}
END_TEST

/* In a lane of one, with the running one over its time: the queued one, which has more, gets the place. */
START_TEST(a_queued_request_gets_the_place_of_one_that_was_cut)
{
    int brief, patient;

    restart("{'maxPerf': 200, 'drainTimeout': 600, 'handlers': ["
            "{'route': '/brief', 'targetPath': '/hold', 'drainTimeout': 0.1, 'methods': ['*'], 'auth': 'none', 'maxQueueTime': null}, "
            "{'route': '/patient', 'targetPath': '/ok', 'methods': ['*'], 'auth': 'none', 'maxQueueTime': null}]}");
    brief = ask("/brief", 1);
    patient = ask("/patient", 1);
    worker_wait_in_flight(w, 2);
    drain();
    end(brief, 503);
    end(patient, 200);
    ck_assert_int_eq(worker_join(w), VW_OK);
}
END_TEST

/* A reader of events would take a bare cut for the end. */
START_TEST(a_stream_that_is_cut_ends_with_an_error_event)
{
    char seen[2000];
    int fd;

    restart("{'maxPerf': 200, 'drainTimeout': 0.1, 'handlers': [{'route': '/stream/9', " OPEN "}]}");
    fd = client_connect(worker_port(w));
    client_send_post(fd, "/stream/9", "{}");
    client_read_until(fd, "\r\n\r\n", seen, sizeof seen);
    model_permit(m, 1);
    client_read_until(fd, "data: 1", seen, sizeof seen);
    drain();
    client_read_until(fd, "\r\n0\r\n\r\n", seen, sizeof seen);
    ck_assert_msg(strstr(seen, "event: error\ndata: {\"error\":{\"code\":\"draining\"") != NULL, "%s", seen);
    ck_assert(client_is_closed(fd));
    client_close(fd);
    worker_wait_logged(w, "/stream/9: cut by the drain, being answered (request ");
    ck_assert_int_eq(worker_join(w), VW_OK);
}
END_TEST

START_TEST(what_a_second_word_cuts_is_named_up_to_a_number)
{
    enum { MANY = 23 };
    int fds[MANY], i;

    restart("{'maxPerf': 200, 'drainTimeout': 600, 'handlers': [{'route': '/hold', " OPEN "}]}");
    for (i = 0; i < MANY; i++)
        fds[i] = ask("/hold", (unsigned)i + 1);
    drain();
    vw_worker_stop(worker_handle(w));
    for (i = 0; i < MANY; i++)
        end(fds[i], 503);
    worker_wait_logged(w, "stopping at once: 23 requests are cut");
    worker_wait_logged(w, "... and 3 more");
    ck_assert_uint_eq(worker_count_logged(w, "/hold: cut by the drain, at the model (request "), 20);
    ck_assert_int_eq(worker_join(w), VW_OK);
}
END_TEST

/* The call of cancel keeps the worker, which has told everything, until the model answers it. */
START_TEST(who_is_refused_after_the_last_words_is_told_of_before_the_end)
{
    char *body, head[100];
    int slow, job;
    json_t *deletions;

    restart("{'maxPerf': 200, 'drainTimeout': 0.1, 'handlers': [{'route': '/ok', " UNITS "}, {'route': '/hold', " UNITS ", "
            "'cancel': {'path': '/hold', 'grace': 1000}}]}");
    job = begin(1);
    slow = client_connect(worker_port(w));
    body = envelope(c, 2, "{'units': 10}");
    snprintf(head, sizeof head, "POST /ok HTTP/1.1\r\nHost: w\r\nContent-Length: %zu\r\n", strlen(body));
    client_send(slow, head);
    drain();
    end(job, 503);
    model_wait_requests(m, 2);
    control_wait_deletions(c, 1);
    control_hold(c, true);
    client_send(slow, "\r\n");
    client_send(slow, body);
    end(slow, 503);
    control_wait_held(c, 1);
    model_permit(m, 2);
    control_hold(c, false);
    ck_assert_int_eq(worker_join(w), VW_OK);
    deletions = control_deletions(c);
    ck_assert_uint_eq(json_array_size(deletions), 2);
    ck_assert_double_eq(control_sum(c, "rej_load"), 10);
    json_decref(deletions);
    free(body);
}
END_TEST

/* Others may go on for long, and it must not hold the connection that long. */
START_TEST(a_client_that_does_not_read_its_answer_is_cut_at_its_limit)
{
    char begun[4096];
    int lazy, patient;

    restart("{'maxPerf': 200, 'drainTimeout': 600, 'handlers': [{'route': '/size/*', 'drainTimeout': 0.5, " OPEN "}, {'route': '/hold', " OPEN "}]}");
    patient = ask("/hold", 1);
    lazy = ask("/size/60000000", 2);
    client_read_until(lazy, "\r\n\r\n", begun, sizeof begun);
    drain();
    worker_wait_logged(w, "/size/*: cut by the drain, being answered");
    worker_wait_in_flight(w, 1);
    model_permit(m, 1);
    end(patient, 200);
    ck_assert_int_eq(worker_join(w), VW_OK);
    client_close(lazy);
}
END_TEST

/* It would not be accepted at its end either. */
START_TEST(a_body_that_a_drain_would_refuse_is_not_waited_for)
{
    int fd, patient;

    restart("{'maxPerf': 200, 'drainTimeout': 600, 'handlers': [{'route': '/hold', " OPEN "}, {'route': '/signed'}]}");
    patient = ask("/hold", 1);
    drain();
    fd = client_connect(worker_port(w));
    client_send(fd, "POST /signed HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n{\"auth_data\": ");
    end(fd, 503);
    model_permit(m, 1);
    end(patient, 200);
    ck_assert_int_eq(worker_join(w), VW_OK);
}
END_TEST

Suite *drain_suite(void);

Suite *drain_suite(void)
{
    Suite *s = suite_create("drain");
    TCase *tc = tcase_create("drain");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, a_request_whose_body_is_still_to_come_does_not_hold_a_drain_up);
    tcase_add_test(tc, a_report_follows_the_first_one_even_if_nothing_happens);
    tcase_add_test(tc, deletions_go_out_one_by_one_while_others_still_run);
    tcase_add_test(tc, a_line_that_rests_is_woken_for_the_last_words);
    tcase_add_test(tc, the_last_words_are_tried_again_while_there_is_time);
    tcase_add_test(tc, control_handlers_serve_until_the_last_job_is_done);
    tcase_add_test(tc, control_handlers_take_no_more_once_the_last_job_is_done);
    tcase_add_test(tc, a_question_that_is_never_finished_does_not_hold_a_drain_up);
    tcase_add_test(tc, a_stop_does_not_wait_for_a_control_plane_that_is_silent);
    tcase_add_test(tc, a_client_that_sends_its_head_at_the_end_is_told);
    tcase_add_test(tc, each_handlers_requests_have_a_limit_of_their_own);
    tcase_add_test(tc, the_shortest_limit_does_not_end_it_for_the_others_whatever_their_order);
    tcase_add_test(tc, a_queued_request_gets_the_place_of_one_that_was_cut);
    tcase_add_test(tc, a_stream_that_is_cut_ends_with_an_error_event);
    tcase_add_test(tc, what_a_second_word_cuts_is_named_up_to_a_number);
    tcase_add_test(tc, who_is_refused_after_the_last_words_is_told_of_before_the_end);
    tcase_add_test(tc, a_body_that_a_drain_would_refuse_is_not_waited_for);
    tcase_add_test(tc, a_client_that_does_not_read_its_answer_is_cut_at_its_limit);
    suite_add_tcase(s, tc);
    return s;
}
