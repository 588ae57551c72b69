/* Moments that fall into one turn of the loop: an answer, a deadline, a client that leaves, a stop. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "actors.h"

static struct model *m;
static char *gate; /* while this file is held, the loop stands still and all that happens piles up for one turn */

static void setup(void)
{
    m = model_start();
    gate = temp_file("gate", NULL);
}

static void teardown(void)
{
    free(gate);
    model_stop(m);
}

static struct worker *start_with_gate(const char *more)
{
    char *config = NULL;
    struct worker *w;

    ck_assert_int_gt(asprintf(&config, "{'pluginPath': ['" VWT_BUILD "/tests/plugins'], 'handlers': [{'route': '/gate', 'auth': 'none', "
                                       "'allowParallelRequests': true, 'workloadCalculator': {'plugin': 'waits', 'options': {'file': '%s'}}}, "
                                       "%s]}", gate, more), 0);
    w = worker_start_ready(m, NULL, config);
    free(config);
    return w;
}

static char *held_name(void)
{
    char *name = NULL;

    ck_assert_int_gt(asprintf(&name, "%s.held", gate), 0);
    return name;
}

/* The loop stands still when this returns. */
static int hold_loop(struct worker *w)
{
    char *held = held_name();
    double until = patience();
    int fd = client_connect(worker_port(w));

    append_file(gate, "");
    client_send_post(fd, "/gate", "{}");
    while (access(held, F_OK) != 0) {
        ck_assert_msg(now_s() < until, "the loop never came to the gate");
        nap();
    }
    free(held);
    return fd;
}

static void expect_one_of(int fd, int status, int other)
{
    struct answer a = client_read(fd);

    ck_assert_msg(a.status == status || a.status == other, "expected %d or %d, got %d: %s", status, other, a.status, a.body);
    answer_fini(&a);
    client_close(fd);
}

static void expect_status(int fd, int status) { expect_one_of(fd, status, status); }

static void let_go(void)
{
    char *held = held_name();

    ck_assert_int_eq(unlink(held), 0);
    free(held);
}

static void wait_until(double moment)
{
    while (now_s() < moment)
        nap();
}

static int begin(struct worker *w, const char *path)
{
    int fd = client_connect(worker_port(w));

    client_send_post(fd, path, "{}");
    return fd;
}

#define HOLD "'route': '/hold', 'auth': 'none'"
#define QUEUE_S 1.5 /* maxQueueTime: long enough for a slow machine to get as far as the gate */

START_TEST(a_client_leaves_in_the_turn_in_which_its_time_is_up)
{
    struct worker *w = start_with_gate("{" HOLD ", 'maxQueueTime': 1.5}");
    int first = begin(w, "/hold"), second, keeper;
    double due;

    model_wait_requests(m, 1);
    second = begin(w, "/hold");
    worker_wait_in_flight(w, 2);
    due = now_s() + QUEUE_S;
    keeper = hold_loop(w);
    (_i ? client_reset : client_close)(second);
    wait_until(due);
    let_go();
    expect_status(keeper, 200);
    worker_wait_in_flight(w, 1);
    ck_assert_uint_eq(worker_status(w).cancelled, 1);
    model_permit(m, 1);
    expect_status(first, 200);
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

START_TEST(a_stop_comes_in_the_turn_in_which_a_time_is_up)
{
    struct worker *w = start_with_gate("{" HOLD ", 'maxQueueTime': 1.5}");
    int first = begin(w, "/hold"), second, keeper;
    double due;

    model_wait_requests(m, 1);
    second = begin(w, "/hold");
    worker_wait_in_flight(w, 2);
    due = now_s() + QUEUE_S;
    keeper = hold_loop(w);
    vw_worker_stop(worker_handle(w));
    wait_until(due);
    let_go();
    expect_status(keeper, 503);
    expect_status(first, 503);
    expect_one_of(second, 503, 429);
    ck_assert_int_eq(worker_join(w), VW_OK);
}
END_TEST

START_TEST(a_turn_that_comes_free_passes_by_those_whose_time_is_up)
{
    struct worker *w = start_with_gate("{" HOLD ", 'maxQueueTime': 1.5}, {'route': '/patient', 'auth': 'none', 'targetPath': '/x'}");
    int first = begin(w, "/hold"), late, gone, patient, keeper;
    double due;

    model_wait_requests(m, 1);
    late = begin(w, "/hold");
    gone = begin(w, "/hold");
    patient = begin(w, "/patient");
    worker_wait_in_flight(w, 4);
    due = now_s() + QUEUE_S;
    keeper = hold_loop(w);
    model_permit(m, 1); /* the answer, the client that leaves and both deadlines come in one turn */
    client_close(gone);
    wait_until(due);
    let_go();
    expect_status(keeper, 200);
    expect_status(first, 200);
    expect_status(late, 429);
    expect_status(patient, 200);
    worker_wait_in_flight(w, 0);
    ck_assert_uint_eq(model_requests(m), 3); /* the one at the gate, too */
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

Suite *moments_suite(void);

Suite *moments_suite(void)
{
    Suite *s = suite_create("moments");
    TCase *tc = tcase_create("moments");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, a_client_leaves_in_the_turn_in_which_its_time_is_up, 0, 2);
    tcase_add_test(tc, a_stop_comes_in_the_turn_in_which_a_time_is_up);
    tcase_add_test(tc, a_turn_that_comes_free_passes_by_those_whose_time_is_up);
    suite_add_tcase(s, tc);
    return s;
}
