/* What the holder of MASTER_TOKEN asks for, POST /drain and POST /pyworker/update, and that nobody else gets it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "actors.h"

#define CONFIG "{'maxPerf': 200, 'updateFile': '%s', 'drainTimeout': 30, 'handlers': [{'route': '/hold', 'auth': 'none', " \
               "'allowParallelRequests': true}]}"
#define MASTER "Authorization: Bearer mtoken-secret\r\n"

static struct model *m;
static struct control *c;
static struct worker *w;
static char *flag;

static void start(const char *update_file)
{
    char *config = NULL;

    ck_assert_int_gt(asprintf(&config, CONFIG, update_file), 0);
    w = worker_start_ready(m, c, config);
    free(config);
}

static void setup(void)
{
    m = model_start();
    c = control_start();
    flag = temp_file("force_update", NULL);
}

static void teardown(void)
{
    control_stop(c);
    model_stop(m);
    free(flag);
}

static struct answer ask(const char *path, const char *headers) { return client_call(worker_port(w), "POST", path, headers, ""); }

static const char *const wrong[] = { "", "Authorization: Bearer mtoken-secret0\r\n", "Authorization: Bearer mtoken-secre\r\n",
                                     "Authorization: Basic mtoken-secret\r\n", "Authorization: Bearer \r\n" };

START_TEST(without_the_token_nothing_happens)
{
    struct answer a;

    start(flag);
    a = ask("/pyworker/update", wrong[_i]);
    ck_assert_int_eq(a.status, 401);
    ck_assert_str_eq(a.body, "{\"error\":\"unauthorized\"}");
    ck_assert_str_eq(answer_reason(&a), _i ? "bad_key" : "no_credentials");
    ck_assert(strncmp(answer_header(&a, "www-authenticate"), "Bearer ", 7) == 0);
    answer_fini(&a);
    a = ask("/drain", wrong[_i]);
    ck_assert_int_eq(a.status, 401);
    ck_assert_str_eq(answer_reason(&a), _i ? "bad_key" : "no_credentials");
    answer_fini(&a);
    ck_assert_int_ne(access(flag, F_OK), 0);
    ck_assert_int_eq(worker_status(w).state, VW_STATE_READY);
    ck_assert_uint_eq(worker_count_logged(w, "is refused: not the MASTER_TOKEN"), 1); /* of two: a guesser must not fill the log */
    ck_assert(!worker_logged(w, "mtoken-secret"));
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

/* The platform's own worker takes them from anybody then. */
START_TEST(where_no_token_is_set_both_are_refused)
{
    static const char *const shown[] = { "", "Authorization: Bearer \r\n", "Authorization: Bearer x\r\n", "Authorization:\r\n" };
    struct answer a;
    size_t i;

    worker_setenv("MASTER_TOKEN", _i ? "" : NULL);
    start(flag);
    for (i = 0; i < sizeof shown / sizeof shown[0]; i++) {
        a = ask("/pyworker/update", shown[i]);
        ck_assert_int_eq(a.status, 401);
        answer_fini(&a);
        a = ask("/drain", shown[i]);
        ck_assert_int_eq(a.status, 401);
        answer_fini(&a);
    }
    ck_assert_int_ne(access(flag, F_OK), 0);
    ck_assert_int_eq(worker_status(w).state, VW_STATE_READY);
    worker_wait_logged(w, "MASTER_TOKEN is not set");
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

static const char *const right[] = { MASTER, "Authorization: mtoken-secret\r\n", "Authorization: bearer mtoken-secret\r\n" };

START_TEST(an_update_leaves_an_empty_file)
{
    struct stat st;
    struct answer a;
    int i;

    start(flag);
    for (i = 0; i < 2; i++) { /* a second one is as good */
        a = ask("/pyworker/update?x=1", right[_i]);
        ck_assert_int_eq(a.status, 200);
        ck_assert_str_eq(a.body, "{\"ok\":true}");
        answer_fini(&a);
        ck_assert_int_eq(stat(flag, &st), 0);
        ck_assert_int_eq(st.st_size, 0);
    }
    ck_assert_int_eq(worker_status(w).state, VW_STATE_READY);
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

START_TEST(a_file_that_cannot_be_written_is_said_and_nothing_else)
{
    struct answer a;

    start("/nonexistent/force_update");
    a = ask("/pyworker/update", MASTER);
    ck_assert_int_eq(a.status, 500);
    ck_assert_msg(strncmp(a.body, "{\"error\":\"failed to write file: ", 32) == 0 && strstr(a.body, "No such file"), "%s", a.body);
    ck_assert_str_eq(answer_reason(&a), "internal");
    answer_fini(&a);
    worker_wait_logged(w, "updateFile: /nonexistent/force_update");
    ck_assert(!worker_logged(w, "mtoken-secret"));
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

/* As often as it is asked for, it is the same drain, and no second signal. */
START_TEST(a_drain_that_is_asked_for_lets_what_was_accepted_finish)
{
    struct answer a;
    json_t *json;
    int fd, i;

    start(flag);
    fd = client_connect(worker_port(w));
    client_send_post(fd, "/hold", "{}");
    model_wait_requests(m, 1);
    for (i = 0; i < 3; i++) {
        a = ask("/drain", MASTER);
        ck_assert_int_eq(a.status, 202);
        ck_assert_str_eq(answer_header(&a, "connection"), "close");
        json = parse_json(a.body);
        ck_assert_str_eq(json_string_value(json_object_get(json, "status")), "draining");
        ck_assert_int_eq(json_integer_value(json_object_get(json, "in_flight")), 1);
        ck_assert_int_eq(json_integer_value(json_object_get(json, "queued")), 0);
        ck_assert_double_eq(json_number_value(json_object_get(json, "drain_timeout")), 30);
        json_decref(json);
        answer_fini(&a);
        a = client_call(worker_port(w), "GET", "/health", "", NULL); /* from the answer on */
        ck_assert_int_eq(a.status, 503);
        ck_assert_ptr_nonnull(strstr(a.body, "\"status\": \"draining\""));
        answer_fini(&a);
    }
    a = ask("/hold", "");
    ck_assert_int_eq(a.status, 503);
    ck_assert_str_eq(answer_reason(&a), "draining");
    answer_fini(&a);
    ck_assert(!worker_logged(w, "stopping at once"));
    model_permit(m, 1);
    a = client_read(fd);
    ck_assert_int_eq(a.status, 200);
    answer_fini(&a);
    client_close(fd);
    ck_assert_int_eq(worker_join(w), VW_OK);
}
END_TEST

START_TEST(an_idle_worker_answers_before_it_goes)
{
    struct answer a;

    start(flag);
    a = ask("/drain", MASTER);
    ck_assert_int_eq(a.status, 202);
    answer_fini(&a);
    ck_assert_int_eq(worker_join(w), VW_OK);
}
END_TEST

/* Nothing can be in flight yet, but the machine may be wanted elsewhere. */
START_TEST(both_serve_while_the_model_loads)
{
    char *config = NULL;
    struct answer a;

    ck_assert_int_gt(asprintf(&config, "{'updateFile': '%s', 'modelHealthcheckPath': '/health', 'maxPerf': 1}", flag), 0);
    model_health(m, 503);
    w = worker_start(m, c, config);
    free(config);
    worker_wait_state(w, VW_STATE_LOADING);
    a = ask("/pyworker/update", MASTER);
    ck_assert_int_eq(a.status, 200);
    answer_fini(&a);
    a = ask("/drain", MASTER);
    ck_assert_int_eq(a.status, 202);
    answer_fini(&a);
    ck_assert_int_eq(worker_join(w), VW_OK);
}
END_TEST

Suite *master_suite(void);

Suite *master_suite(void)
{
    Suite *s = suite_create("master");
    TCase *tc = tcase_create("master");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, without_the_token_nothing_happens, 0, sizeof wrong / sizeof wrong[0]);
    tcase_add_loop_test(tc, where_no_token_is_set_both_are_refused, 0, 2);
    tcase_add_loop_test(tc, an_update_leaves_an_empty_file, 0, sizeof right / sizeof right[0]);
    tcase_add_test(tc, a_file_that_cannot_be_written_is_said_and_nothing_else);
    tcase_add_test(tc, a_drain_that_is_asked_for_lets_what_was_accepted_finish);
    tcase_add_test(tc, an_idle_worker_answers_before_it_goes);
    tcase_add_test(tc, both_serve_while_the_model_loads);
    suite_add_tcase(s, tc);
    return s;
}
