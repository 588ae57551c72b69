/* Whose turn it is and how long one waits for it: a client's own limit, Retry-After, priorities, handlers that take no part. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "actors.h"

static struct model *m;
static struct worker *w;

static void setup(void) { m = model_start(); }
static void teardown(void) { model_stop(m); }

#define HOLD "'auth': 'none', 'targetPath': '/hold'"

static void start(const char *config) { w = worker_start_ready(m, NULL, config); }
static void finish(void) { ck_assert_int_eq(worker_finish(w), VW_OK); }

static int send_post(const char *path, const char *headers)
{
    int fd = client_connect(worker_port(w));
    char text[400];

    snprintf(text, sizeof text, "POST %s HTTP/1.1\r\nHost: w\r\n%sContent-Length: 2\r\n\r\n{}", path, headers);
    client_send(fd, text);
    return fd;
}

static int begin(const char *path, const char *headers, unsigned in_flight_then)
{
    int fd = send_post(path, headers);

    worker_wait_in_flight(w, in_flight_then);
    return fd;
}

/* ---- limits ---- */

static const struct {
    const char *max_queue_time, *header;
} limits[] = {
    { "30", "X-Request-Timeout: 0.3\r\n" },   /* the client's is the shorter one */
    { "0.3", "X-Request-Timeout: 30\r\n" },   /* the handler's is */
    { "null", "x-request-timeout: 3e-1\r\n" },
    { "null", "X-Request-Timeout: 0.0001\r\n" }, /* not much, but a wait */
};

START_TEST(the_shorter_limit_ends_the_wait)
{
    char config[300];
    int first;

    snprintf(config, sizeof config, "{'handlers': [{'route': '/h', " HOLD ", 'maxQueueTime': %s}]}", limits[_i].max_queue_time);
    start(config);
    first = begin("/h", "X-Request-Timeout: 0.3\r\n", 1); /* which says nothing about what runs */
    client_expect_limited(send_post("/h", limits[_i].header), "queue_timeout");
    worker_wait_in_flight(w, 1);
    model_permit(m, 1);
    client_expect_held(first, 1);
    ck_assert_uint_eq(model_requests(m), 1);
    finish();
}
END_TEST

START_TEST(a_client_whose_limit_cannot_be_met_is_refused_at_once)
{
    int first, second;

    start("{'maxPerf': 10, 'handlers': [{'route': '/h', " HOLD ", 'workloadCalculator': 50, 'maxQueueTime': null}]}");
    first = begin("/h", "", 1);
    client_expect_limited(send_post("/h", "X-Request-Timeout: 4.9\r\n"), "predicted_wait"); /* 5 s */
    second = begin("/h", "X-Request-Timeout: 1e300\r\n", 2);
    client_close(send_post("/h", "X-Request-Timeout: 10\r\n")); /* may wait: strictly longer is refused */
    model_permit(m, 2);
    client_expect_held(first, 1);
    client_expect_held(second, 2);
    ck_assert_uint_eq(worker_status(w).rejected, 1);
    finish();
}
END_TEST

START_TEST(a_client_that_will_not_wait_gets_a_turn_at_once_or_none)
{
    int first;

    start("{'handlers': [{'route': '/h', " HOLD "}]}");
    first = begin("/h", "X-Request-Timeout: 0\r\n", 1);
    client_expect_limited(send_post("/h", "X-Request-Timeout: 0.0\r\n"), "predicted_wait");
    model_permit(m, 1);
    client_expect_held(first, 1);
    finish();
}
END_TEST

static const char *const slips[] = {
    "X-Request-Timeout: -1\r\n", "X-Request-Timeout: -0\r\n",  "X-Request-Timeout: 5s\r\n",  "X-Request-Timeout: \r\n",
    "X-Request-Timeout: soon\r\n", "X-Request-Timeout: nan\r\n", "X-Request-Timeout: Infinity\r\n", "X-Request-Timeout: 1e999\r\n",
    "X-Request-Timeout: 0x10\r\n", "X-Request-Timeout: 1,5\r\n", "X-Request-Timeout: 1, 1\r\n",
    "X-Request-Timeout: 1\r\nX-Request-Timeout: 1\r\n",
};

START_TEST(a_limit_that_is_none_is_400_and_booked_nowhere)
{
    struct answer a;
    size_t i;
    int fd;

    start("{'handlers': [{'route': '/x', 'auth': 'none'}, {'route': '/c', 'auth': 'none', 'control': true}]}");
    for (i = 0; i < sizeof slips / sizeof slips[0]; i++) {
        fd = send_post("/x", slips[i]);
        a = client_read(fd);
        ck_assert_msg(a.status == 400, "%s: %d", slips[i], a.status);
        ck_assert_str_eq(answer_reason(&a), "bad_request");
        ck_assert_ptr_nonnull(strstr(a.body, "X-Request-Timeout: "));
        answer_fini(&a);
        client_close(fd);
    }
    a = client_call(worker_port(w), "POST", "/c", "X-Request-Timeout: soon\r\n", "{}"); /* never waits: not looked at */
    ck_assert_int_eq(a.status, 200);
    answer_fini(&a);
    ck_assert_uint_eq(model_requests(m), 1);
    ck_assert_uint_eq(worker_status(w).rejected, 0);
    ck_assert_double_eq(client_metric(worker_port(w), "vastworker_workload_total{kind=\"received\"}"), 0);
    finish();
}
END_TEST

START_TEST(the_model_sees_the_clients_limit_too)
{
    struct answer a;
    json_t *said;

    start("{'handlers': [{'route': '/echo', 'auth': 'none'}]}");
    a = client_call(worker_port(w), "POST", "/echo", "X-Request-Timeout: 2.50\r\n", "{}");
    ck_assert_int_eq(a.status, 200);
    said = parse_json(a.body);
    ck_assert_str_eq(json_string_value(json_object_get(json_object_get(said, "headers"), "x-request-timeout")), "2.50");
    json_decref(said);
    answer_fini(&a);
    finish();
}
END_TEST

/* ---- Retry-After ---- */

START_TEST(retry_after_is_the_work_in_flight_over_the_capacity)
{
    int fds[3], i;

    start("{'maxPerf': 10, 'handlers': [{'route': '/h', " HOLD ", 'workloadCalculator': 52, 'maxQueueLength': 2, 'maxQueueTime': null}, "
          "{'route': '/short', " HOLD ", 'workloadCalculator': 52, 'maxQueueTime': 3}]}");
    fds[0] = begin("/h", "", 1);
    ck_assert_int_eq(client_expect_limited(send_post("/short", ""), "predicted_wait"), 6);             /* 5.2 s */
    ck_assert_int_eq(client_expect_limited(send_post("/h", "X-Request-Timeout: 1\r\n"), "predicted_wait"), 6);
    for (i = 1; i < 3; i++)
        fds[i] = begin("/h", "", (unsigned)i + 1);
    ck_assert_int_eq(client_expect_limited(send_post("/h", ""), "queue_full"), 16); /* 15.6 s */
    ck_assert_int_eq(client_expect_limited(send_post("/short", ""), "predicted_wait"), 16);
    model_permit(m, 3);
    for (i = 0; i < 3; i++)
        client_expect_held(fds[i], i + 1);
    finish();
}
END_TEST

START_TEST(retry_after_has_an_end)
{
    int first;

    start("{'maxPerf': 1, 'handlers': [{'route': '/h', " HOLD ", 'workloadCalculator': 1000000}]}");
    first = begin("/h", "", 1);
    ck_assert_int_eq(client_expect_limited(send_post("/h", ""), "predicted_wait"), 3600);
    model_permit(m, 1);
    client_expect_held(first, 1);
    finish();
}
END_TEST

/* What it was itself no longer stands in its way. */
START_TEST(retry_after_of_one_that_waited_in_vain_is_what_is_ahead_of_it)
{
    int first;

    start("{'maxPerf': 10, 'handlers': [{'route': '/h', " HOLD ", 'workloadCalculator': 500, 'maxQueueTime': 2}, "
          "{'route': '/small', " HOLD ", 'workloadCalculator': 12}]}");
    first = begin("/small", "", 1);
    ck_assert_int_eq(client_expect_limited(send_post("/h", ""), "queue_timeout"), 2); /* 1.2 s */
    model_permit(m, 1);
    client_expect_held(first, 1);
    finish();
}
END_TEST

START_TEST(retry_after_goes_by_the_pace_where_no_capacity_is_known)
{
    int first, second;
    double until;

    start("{'handlers': [{'route': '/h', " HOLD ", 'maxQueueLength': 1}]}");
    first = begin("/h", "", 1);
    second = begin("/h", "", 2);
    ck_assert_int_eq(client_expect_limited(send_post("/h", ""), "queue_full"), 1); /* nothing was done yet */
    for (until = now_s() + 1.6; now_s() < until;)
        nap(); /* that is how slow this model is */
    model_permit(m, 1);
    client_expect_held(first, 1);
    worker_wait_in_flight(w, 1);
    first = begin("/h", "", 2);
    ck_assert_int_ge(client_expect_limited(send_post("/h", ""), "queue_full"), 4); /* two of them: 3.2 s, or what it took here */
    model_permit(m, 2);
    client_expect_held(second, 2);
    client_expect_held(first, 3);
    finish();
}
END_TEST

/* ---- priority ---- */

#define LINES "{'handlers': [{'route': '/low', " HOLD "}, {'route': '/high', " HOLD ", 'priority': %d}]}"

START_TEST(a_higher_priority_goes_first)
{
    int first, low, other, high;
    char config[300];

    snprintf(config, sizeof config, LINES, 30);
    start(config);
    first = begin("/low", "", 1);
    low = begin("/low", "", 2);
    other = begin("/low", "", 3);
    high = begin("/high", "", 4);
    model_permit(m, 4);
    client_expect_held(first, 1);
    client_expect_held(high, 2);
    client_expect_held(low, 3);
    client_expect_held(other, 4);
    finish();
}
END_TEST

START_TEST(who_has_waited_long_enough_goes_before_a_higher_priority)
{
    int first, low, high;
    char config[300];
    double until;

    snprintf(config, sizeof config, LINES, 1);
    start(config);
    first = begin("/low", "", 1);
    low = begin("/low", "", 2);
    for (until = now_s() + 1.1; now_s() < until;)
        nap(); /* a second is what one point is worth */
    high = begin("/high", "", 3);
    model_permit(m, 3);
    client_expect_held(first, 1);
    client_expect_held(low, 2);
    client_expect_held(high, 3);
    finish();
}
END_TEST

START_TEST(the_priority_of_a_key_wins_over_the_handlers)
{
    char *keys = temp_file("ranks", "plain\nboss   priority=50\nslow\tpriority=-30\n"), config[400];
    int first, slow, plain, boss;

    snprintf(config, sizeof config, "{'bearerKeysFile': '%s', 'handlers': [{'route': '/h', 'auth': 'bearer', 'targetPath': '/hold', 'priority': 20}, "
             "{'route': '/n', " HOLD ", 'priority': 1}]}", keys);
    start(config);
    first = begin("/h", "Authorization: Bearer plain\r\n", 1);
    slow = begin("/h", "Authorization: Bearer slow\r\n", 2);
    plain = begin("/h", "Authorization: Bearer plain\r\n", 3);
    boss = begin("/h", "Authorization: Bearer boss\r\n", 4);
    model_permit(m, 4);
    client_expect_held(first, 1);
    client_expect_held(boss, 2);
    client_expect_held(plain, 3);
    client_expect_held(slow, 4);
    finish();
    free(keys);
}
END_TEST

/* ---- control handlers ---- */

START_TEST(control_handlers_take_no_slot_no_place_and_no_part_in_the_load)
{
    int jobs[2], control, i;

    start("{'maxPerf': 100, 'handlers': [{'route': '/h', " HOLD ", 'maxQueueLength': 0}, {'route': '/c', " HOLD ", 'control': true}]}");
    control = send_post("/c", "");
    model_wait_requests(m, 1);
    ck_assert_double_eq(client_metric(worker_port(w), "vastworker_load"), 0);
    ck_assert_double_eq(client_metric(worker_port(w), "vastworker_in_flight{lane=\"serial\"}"), 0);
    jobs[0] = send_post("/h", "X-Request-Timeout: 0\r\n"); /* it is not in the way of a job */
    model_wait_requests(m, 2);
    jobs[1] = send_post("/c", ""); /* and a job is not in its way, whatever is full */
    model_wait_requests(m, 3);
    client_expect_limited(send_post("/h", ""), "queue_full");
    ck_assert_double_eq(client_metric(worker_port(w), "vastworker_queued{lane=\"serial\"}"), 0);
    vw_worker_drain(worker_handle(w)); /* what was begun is finished, of either kind */
    worker_wait_state(w, VW_STATE_DRAINING);
    model_permit(m, 3);
    client_close(control);
    for (i = 0; i < 2; i++) {
        struct answer a = client_read(jobs[i]);

        ck_assert_int_eq(a.status, 200);
        answer_fini(&a);
        client_close(jobs[i]);
    }
    ck_assert_int_eq(worker_join(w), VW_OK);
}
END_TEST

Suite *turns_suite(void);

Suite *turns_suite(void)
{
    Suite *s = suite_create("turns");
    TCase *tc = tcase_create("turns");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, the_shorter_limit_ends_the_wait, 0, sizeof limits / sizeof limits[0]);
    tcase_add_test(tc, a_client_whose_limit_cannot_be_met_is_refused_at_once);
    tcase_add_test(tc, a_client_that_will_not_wait_gets_a_turn_at_once_or_none);
    tcase_add_test(tc, a_limit_that_is_none_is_400_and_booked_nowhere);
    tcase_add_test(tc, the_model_sees_the_clients_limit_too);
    tcase_add_test(tc, retry_after_is_the_work_in_flight_over_the_capacity);
    tcase_add_test(tc, retry_after_has_an_end);
    tcase_add_test(tc, retry_after_of_one_that_waited_in_vain_is_what_is_ahead_of_it);
    tcase_add_test(tc, retry_after_goes_by_the_pace_where_no_capacity_is_known);
    tcase_add_test(tc, a_higher_priority_goes_first);
    tcase_add_test(tc, who_has_waited_long_enough_goes_before_a_higher_priority);
    tcase_add_test(tc, the_priority_of_a_key_wins_over_the_handlers);
    tcase_add_test(tc, control_handlers_take_no_slot_no_place_and_no_part_in_the_load);
    suite_add_tcase(s, tc);
    return s;
}
