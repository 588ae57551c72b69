/* A client that leaves is noticed in every state, its model connection is closed at once, and the books say cancelled. */
#include <stdlib.h>
#include <string.h>

#include "actors.h"

#define SERIAL "{'maxPerf': 1000, 'handlers': [{'route': '/hold', 'workloadCalculator': 5}, {'route': '/stream/9'}]}"

static struct model *m;
static struct control *c;
static struct worker *w;

static void setup(void)
{
    m = model_start();
    c = control_start();
    w = worker_start_ready(m, c, SERIAL);
}

static void teardown(void)
{
    control_stop(c);
    model_stop(m);
}

static int begin(const char *path, long idx)
{
    int fd = client_connect(worker_port(w));
    char *body = envelope(c, idx, "{}");

    client_send_post(fd, path, body);
    free(body);
    return fd;
}

static void expect_cancelled(long idx, bool started)
{
    json_t *deletions, *entry;

    control_wait_deletions(c, 1);
    deletions = control_deletions(c);
    entry = json_array_get(deletions, 0);
    ck_assert_int_eq(json_integer_value(json_object_get(entry, "request_idx")), idx);
    ck_assert_str_eq(json_string_value(json_object_get(entry, "status")), "Cancelled");
    ck_assert(json_is_true(json_object_get(entry, "success")));
    ck_assert(started == (json_number_value(json_object_get(entry, "work_started_at")) > 0));
    ck_assert_double_eq(json_number_value(json_object_get(entry, "work_completed_at")), 0);
    json_decref(deletions);
}

typedef void (*leave_fn)(int fd);
static const leave_fn ways[] = { client_close, client_reset };

START_TEST(before_the_first_byte)
{
    int fd = begin("/hold", 4);

    model_wait_requests(m, 1);
    ways[_i](fd);
    model_wait_gone(m, 1);
    worker_wait_in_flight(w, 0);
    expect_cancelled(4, true);
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

START_TEST(while_queued)
{
    int first = begin("/hold", 1), second;
    struct answer a;

    model_wait_requests(m, 1);
    second = begin("/hold", 2);
    worker_wait_in_flight(w, 2);
    ways[_i](second);
    worker_wait_in_flight(w, 1);
    expect_cancelled(2, false);
    model_permit(m, 1);
    a = client_read(first); /* the one that runs is not disturbed */
    ck_assert_int_eq(a.status, 200);
    answer_fini(&a);
    client_close(first);
    ck_assert_int_eq(worker_finish(w), VW_OK);
    ck_assert_uint_eq(model_requests(m), 1); /* the queued one never reached the model */
}
END_TEST

START_TEST(while_streaming)
{
    int fd = begin("/stream/9", 6);
    char buffer[4096];

    model_permit(m, 2);
    client_read_until(fd, "data: 2\n\n", buffer, sizeof buffer);
    ways[_i](fd);
    model_wait_gone(m, 1);
    worker_wait_in_flight(w, 0);
    expect_cancelled(6, true);
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

START_TEST(its_slot_goes_to_the_next_in_the_queue)
{
    int first = begin("/hold", 1), second;
    struct answer a;

    model_wait_requests(m, 1);
    second = begin("/hold", 2);
    worker_wait_in_flight(w, 2);
    client_close(first);
    model_wait_requests(m, 2);
    model_wait_gone(m, 1);
    model_permit(m, 1);
    a = client_read(second);
    ck_assert_int_eq(a.status, 200);
    answer_fini(&a);
    client_close(second);
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

START_TEST(a_cancelled_workload_leaves_new_load)
{
    int fd = begin("/hold", 1);

    model_wait_requests(m, 1);
    client_close(fd);
    worker_wait_in_flight(w, 0);
    control_wait_deletions(c, 1);
    ck_assert_int_eq(worker_finish(w), VW_OK);
    ck_assert_double_le(control_sum(c, "new_load"), 5);
    ck_assert_double_eq(control_sum(c, "cur_perf"), 0);
    ck_assert_double_eq(control_sum(c, "rej_load"), 0);
}
END_TEST

Suite *leave_suite(void);

Suite *leave_suite(void)
{
    Suite *s = suite_create("leave");
    TCase *tc = tcase_create("leave");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, before_the_first_byte, 0, 2);
    tcase_add_loop_test(tc, while_queued, 0, 2);
    tcase_add_loop_test(tc, while_streaming, 0, 2);
    tcase_add_test(tc, its_slot_goes_to_the_next_in_the_queue);
    tcase_add_test(tc, a_cancelled_workload_leaves_new_load);
    suite_add_tcase(s, tc);
    return s;
}
