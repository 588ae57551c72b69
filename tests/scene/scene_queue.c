/* Turns: first come first served, bounded, and refused at once when the wait would be too long. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "actors.h"

static struct model *m;

static void setup(void) { m = model_start(); }
static void teardown(void) { model_stop(m); }

#define CALL "'auth': 'none', 'targetPath': '/hold'"

static int begin(struct worker *w, const char *path, unsigned in_flight_then)
{
    int fd = client_connect(worker_port(w));

    client_send_post(fd, path, "{}");
    if (in_flight_then)
        worker_wait_in_flight(w, in_flight_then);
    return fd;
}

static bool has_rejected_one(const vw_status_t *status, void *arg)
{
    (void)arg;
    return status->rejected == 1;
}

static bool has_two_queued(const vw_status_t *status, void *arg)
{
    (void)arg;
    return status->queued == 2;
}

static bool has_timed_out_one(const vw_status_t *status, void *arg)
{
    (void)arg;
    return status->timed_out == 1;
}

START_TEST(a_serial_lane_runs_one_at_a_time_in_order_of_arrival)
{
    struct worker *w = worker_start_ready(m, NULL, "{'handlers': [{'route': '/h/*', " CALL ", 'maxQueueTime': null}, {'route': '/g', " CALL "}]}");
    int fds[12], i;

    for (i = 0; i < 12; i++)
        fds[i] = begin(w, i % 3 == 2 ? "/g" : "/h/x", (unsigned)i + 1); /* two handlers share the lane */
    for (i = 0; i < 12; i++) {
        model_permit(m, 1);
        client_expect_held(fds[i], i + 1);
    }
    ck_assert_uint_eq(model_most_at_once(m), 1);
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

START_TEST(parallel_handlers_with_a_limit_have_a_lane_of_their_own)
{
    struct worker *w = worker_start_ready(m, NULL, "{'handlers': [{'route': '/p', " CALL ", 'allowParallelRequests': true, 'maxConcurrency': 3}, "
                                                   "{'route': '/s', " CALL "}]}");
    int fds[5], serial, i;

    for (i = 0; i < 5; i++)
        fds[i] = begin(w, "/p", (unsigned)i + 1);
    serial = begin(w, "/s", 6); /* does not wait behind them */
    model_wait_requests(m, 4);
    worker_wait(w, has_two_queued, NULL);
    model_permit(m, 6);
    for (i = 0; i < 5; i++) {
        struct answer a = client_read(fds[i]);

        ck_assert_int_eq(a.status, 200);
        answer_fini(&a);
        client_close(fds[i]);
    }
    client_close(serial);
    ck_assert_uint_le(model_most_at_once(m), 4);
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

START_TEST(a_full_queue_refuses_with_queue_full)
{
    struct worker *w = worker_start_ready(m, NULL, "{'handlers': [{'route': '/h', " CALL ", 'maxQueueLength': 1}]}");
    int first = begin(w, "/h", 1), second = begin(w, "/h", 2);

    client_expect_limited(begin(w, "/h", 0), "queue_full");
    model_permit(m, 2);
    client_expect_held(first, 1);
    client_expect_held(second, 2);
    worker_wait(w, has_rejected_one, NULL);
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

START_TEST(a_wait_that_would_be_too_long_is_refused_at_once)
{
    /* the platform's rule: refused iff load in flight / capacity > maxQueueTime, strictly */
    struct worker *w = worker_start_ready(m, NULL, "{'maxPerf': 10, 'handlers': [{'route': '/h', " CALL ", 'workloadCalculator': 50, 'maxQueueTime': 10}]}");
    int first = begin(w, "/h", 1), second = begin(w, "/h", 2), third = begin(w, "/h", 3); /* waits of 0, 5 and 10 s */

    client_expect_limited(begin(w, "/h", 0), "predicted_wait"); /* 15 s */
    model_permit(m, 3);
    client_expect_held(first, 1);
    client_expect_held(second, 2);
    client_expect_held(third, 3);
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

START_TEST(a_request_whose_time_is_up_leaves_the_queue_with_429)
{
    struct worker *w = worker_start_ready(m, NULL, "{'handlers': [{'route': '/h', " CALL ", 'maxQueueTime': 0.3}]}");
    int first = begin(w, "/h", 1);

    client_expect_limited(begin(w, "/h", 0), "queue_timeout");
    model_permit(m, 1);
    client_expect_held(first, 1);
    ck_assert_uint_eq(model_requests(m), 1);
    worker_wait(w, has_timed_out_one, NULL);
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

START_TEST(a_queue_time_of_zero_refuses_what_cannot_start_now)
{
    struct worker *w = worker_start_ready(m, NULL, "{'handlers': [{'route': '/h', " CALL ", 'maxQueueTime': 0}]}");
    int first = begin(w, "/h", 1);

    client_expect_limited(begin(w, "/h", 0), "predicted_wait");
    model_permit(m, 1);
    client_expect_held(first, 1);
    worker_wait_in_flight(w, 0);
    first = begin(w, "/h", 0);
    model_permit(m, 1);
    client_expect_held(first, 2);
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

START_TEST(a_control_handler_never_queues_and_never_counts)
{
    struct worker *w = worker_start_ready(m, NULL, "{'handlers': [{'route': '/h', " CALL "}, {'route': '/status', 'methods': ['GET'], 'auth': 'none', "
                                                   "'targetPath': '/x', 'control': true}]}");
    int first = begin(w, "/h", 1);
    struct answer a = client_call(worker_port(w), "GET", "/status", "", NULL);

    ck_assert_int_eq(a.status, 200);
    answer_fini(&a);
    model_permit(m, 1);
    client_expect_held(first, 1);
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

Suite *queue_suite(void);

Suite *queue_suite(void)
{
    Suite *s = suite_create("queue");
    TCase *tc = tcase_create("queue");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, a_serial_lane_runs_one_at_a_time_in_order_of_arrival);
    tcase_add_test(tc, parallel_handlers_with_a_limit_have_a_lane_of_their_own);
    tcase_add_test(tc, a_full_queue_refuses_with_queue_full);
    tcase_add_test(tc, a_wait_that_would_be_too_long_is_refused_at_once);
    tcase_add_test(tc, a_request_whose_time_is_up_leaves_the_queue_with_429);
    tcase_add_test(tc, a_queue_time_of_zero_refuses_what_cannot_start_now);
    tcase_add_test(tc, a_control_handler_never_queues_and_never_counts);
    suite_add_tcase(s, tc);
    return s;
}
