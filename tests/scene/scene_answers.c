/* Answers that are more than a head and a body: interim ones, trailers, and what is no answer. */
#include <stdlib.h>
#include <string.h>

#include "actors.h"

#define OPEN "{'handlers': [{'route': '/m/*', 'targetPath': '/*', 'methods': ['*'], 'auth': 'none', 'allowParallelRequests': true}]}"
#define OK "HTTP/1.1 200 OK\r\n"

static struct model *m;

static void setup(void) { m = model_start(); }
static void teardown(void) { model_stop(m); }

static void post(int fd, const char *version, const char *body)
{
    char *text = NULL;

    ck_assert_int_gt(asprintf(&text, "POST /m/raw HTTP/%s\r\nHost: w\r\nContent-Length: %zu\r\n\r\n%s", version, strlen(body), body), 0);
    client_send(fd, text);
    free(text);
}

static bool served_one(const vw_status_t *status, void *arg)
{
    (void)arg;
    return status->served == 1;
}

START_TEST(hints_and_trailers_of_the_model_reach_the_client)
{
    struct worker *w = worker_start_ready(m, NULL, OPEN);
    int fd = client_connect(worker_port(w));
    char seen[4096];

    post(fd, "1.1", "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n" OK "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Cost: 7\r\n\r\n");
    client_read_until(fd, "X-Cost: 7\r\n\r\n", seen, sizeof seen);
    ck_assert_ptr_eq(strstr(seen, "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"), seen);
    ck_assert_ptr_nonnull(strstr(seen, "2\r\nok\r\n0\r\nX-Cost: 7\r\n\r\n"));
    client_close(fd);
    worker_wait(w, served_one, NULL);
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

START_TEST(a_switch_of_protocols_that_nobody_asked_for_is_502)
{
    struct worker *w = worker_start_ready(m, NULL, OPEN);
    int fd = client_connect(worker_port(w));
    struct answer a;

    post(fd, "1.1", "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    a = client_read(fd);
    ck_assert_int_eq(a.status, 502);
    ck_assert_str_eq(answer_reason(&a), "model_reset");
    ck_assert_ptr_nonnull(strstr(a.body, "No whole answer from the model server (not a valid answer: 101 Switching Protocols, which was not asked "
                                         "for); try again, and check its log."));
    answer_fini(&a);
    post(fd, "1.1", OK "Content-Length: 2\r\n\r\nok"); /* the client's connection is still in step */
    a = client_read(fd);
    ck_assert_str_eq(a.body, "ok");
    answer_fini(&a);
    client_close(fd);
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

Suite *answers_suite(void);

Suite *answers_suite(void)
{
    Suite *s = suite_create("answers");
    TCase *tc = tcase_create("answers");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, hints_and_trailers_of_the_model_reach_the_client);
    tcase_add_test(tc, a_switch_of_protocols_that_nobody_asked_for_is_502);
    suite_add_tcase(s, tc);
    return s;
}
