/* What crosses threads: two workers in one process, status from anywhere, drain and stop from other threads. Runs under TSan too. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "actors.h"

#define OPEN "{'handlers': [{'route': '/m/*', 'targetPath': '/*', 'methods': ['*'], 'auth': 'none', 'allowParallelRequests': true}]}"

START_TEST(two_workers_in_one_process_serve_their_own_models)
{
    struct model *one = model_start(), *two = model_start();
    struct worker *a = worker_start_ready(one, NULL, OPEN), *b = worker_start_ready(two, NULL, OPEN);
    struct answer last;
    int i;

    for (i = 0; i < 10; i++) {
        struct answer answer = client_call(worker_port(a), "GET", "/m/x", "", NULL);

        ck_assert_int_eq(answer.status, 200);
        answer_fini(&answer);
        if (i % 2)
            continue;
        answer = client_call(worker_port(b), "GET", "/m/x", "", NULL);
        ck_assert_int_eq(answer.status, 200);
        answer_fini(&answer);
    }
    ck_assert_uint_eq(model_requests(one), 10);
    ck_assert_uint_eq(model_requests(two), 5);
    ck_assert_int_eq(worker_finish(a), VW_OK);
    last = client_call(worker_port(b), "GET", "/m/x", "", NULL); /* the other one lives on */
    ck_assert_int_eq(last.status, 200);
    answer_fini(&last);
    ck_assert_int_eq(worker_finish(b), VW_OK);
    model_stop(one);
    model_stop(two);
}
END_TEST

static void *watch(void *arg)
{
    vw_status_t status;
    unsigned long polls = 0;

    do {
        status = (vw_status_t)VW_STATUS_INIT;
        ck_assert_int_eq(vw_worker_status(worker_handle(arg), &status), VW_OK);
        polls++;
    } while (status.state != VW_STATE_DRAINING && polls < 100000000);
    return NULL;
}

START_TEST(status_may_be_asked_from_other_threads)
{
    struct model *m = model_start();
    struct worker *w = worker_start_ready(m, NULL, OPEN);
    pthread_t watcher;
    int i;

    ck_assert_int_eq(pthread_create(&watcher, NULL, watch, w), 0);
    for (i = 0; i < 20; i++) {
        struct answer answer = client_call(worker_port(w), "GET", "/m/x", "", NULL);

        answer_fini(&answer);
    }
    vw_worker_drain(worker_handle(w));
    pthread_join(watcher, NULL);
    ck_assert_int_eq(worker_join(w), VW_OK);
    model_stop(m);
}
END_TEST

START_TEST(a_drain_lets_accepted_requests_finish_and_refuses_new_ones)
{
    struct model *m = model_start();
    struct worker *w = worker_start_ready(m, NULL, OPEN);
    int held = client_connect(worker_port(w));
    struct answer answer;

    client_send(held, "POST /m/hold HTTP/1.1\r\nHost: w\r\nContent-Length: 0\r\n\r\n");
    model_wait_requests(m, 1);
    vw_worker_drain(worker_handle(w));
    worker_wait_state(w, VW_STATE_DRAINING);
    answer = client_call(worker_port(w), "GET", "/m/x", "", NULL);
    ck_assert_int_eq(answer.status, 503);
    ck_assert_str_eq(answer_reason(&answer), "draining");
    ck_assert_str_eq(answer_header(&answer, "connection"), "close");
    answer_fini(&answer);
    model_permit(m, 1);
    answer = client_read(held);
    ck_assert_int_eq(answer.status, 200);
    answer_fini(&answer);
    ck_assert_int_eq(worker_join(w), VW_OK);
    client_close(held);
    model_stop(m);
}
END_TEST

START_TEST(a_stop_cuts_what_is_in_flight)
{
    struct model *m = model_start();
    struct worker *w = worker_start_ready(m, NULL, OPEN);
    int held = client_connect(worker_port(w));
    struct answer answer;

    client_send(held, "POST /m/hold HTTP/1.1\r\nHost: w\r\nContent-Length: 0\r\n\r\n");
    model_wait_requests(m, 1);
    vw_worker_stop(worker_handle(w));
    model_wait_gone(m, 1);
    answer = client_read(held);
    ck_assert_int_eq(answer.status, 503);
    answer_fini(&answer);
    ck_assert_int_eq(worker_join(w), VW_OK);
    client_close(held);
    model_stop(m);
}
END_TEST

START_TEST(a_worker_that_never_ran_can_be_destroyed)
{
    vw_worker_options_t options = VW_WORKER_OPTIONS_INIT;
    vw_worker_t *worker = NULL;
    vw_error_t why = { VW_OK, "" };

    setenv("UNSECURED", "true", 1);
    setenv("WORKER_PORT", "0", 1);
    ck_assert_int_eq(vw_worker_create(&options, &worker, &why), VW_OK);
    vw_worker_destroy(worker);
    vw_worker_destroy(NULL);
}
END_TEST

START_TEST(options_of_another_size_are_refused)
{
    vw_worker_options_t options = VW_WORKER_OPTIONS_INIT;
    vw_worker_t *worker = NULL;
    vw_error_t why = { VW_OK, "" };

    options.struct_size = 8;
    ck_assert_int_eq(vw_worker_create(&options, &worker, &why), VW_E_ARG);
    ck_assert_ptr_null(worker);
    ck_assert_str_ne(why.text, "");
}
END_TEST

/* As a program that was built with the first header, or with one that is yet to come, would call. */
START_TEST(options_of_another_version_are_taken_as_far_as_they_are_understood)
{
    struct {
        vw_worker_options_t known;
        void *later;
    } options = { VW_WORKER_OPTIONS_INIT, NULL };
    const char *const garbage[] = { "/nonexistent/program", NULL };
    vw_worker_t *worker = NULL;
    vw_error_t why = { VW_OK, "" };

    setenv("UNSECURED", "true", 1);
    setenv("WORKER_PORT", "0", 1);
    options.known.model_command = garbage; /* behind its end */
    options.known.struct_size = offsetof(vw_worker_options_t, model_command);
    ck_assert_msg(vw_worker_create(&options.known, &worker, &why) == VW_OK, "%s", why.text);
    vw_worker_destroy(worker);
    worker = NULL;
    options.known.model_command = NULL;
    options.known.struct_size = sizeof options;
    ck_assert_int_eq(vw_worker_create(&options.known, &worker, &why), VW_OK);
    vw_worker_destroy(worker);
    worker = NULL;
    options.later = &options;
    ck_assert_int_eq(vw_worker_create(&options.known, &worker, &why), VW_E_ARG);
    ck_assert_ptr_null(worker);
}
END_TEST

Suite *threads_suite(void);

Suite *threads_suite(void)
{
    Suite *s = suite_create("threads");
    TCase *tc = tcase_create("threads");

    tcase_add_test(tc, two_workers_in_one_process_serve_their_own_models);
    tcase_add_test(tc, status_may_be_asked_from_other_threads);
    tcase_add_test(tc, a_drain_lets_accepted_requests_finish_and_refuses_new_ones);
    tcase_add_test(tc, a_stop_cuts_what_is_in_flight);
    tcase_add_test(tc, a_worker_that_never_ran_can_be_destroyed);
    tcase_add_test(tc, options_of_another_size_are_refused);
    tcase_add_test(tc, options_of_another_version_are_taken_as_far_as_they_are_understood);
    suite_add_tcase(s, tc);
    return s;
}
