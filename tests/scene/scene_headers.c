/* Headers on their way to the model, line by line, and the name a request goes by. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "actors.h"

#define BOTH "'methods': ['GET', 'POST'], 'allowParallelRequests': true"
#define OPEN "{'handlers': [{'route': '/m/*', 'targetPath': '/*', 'methods': ['*'], 'auth': 'none', 'allowParallelRequests': true%s}]}"
#define ENVELOPES "{'unsecured': true, 'handlers': [{'route': '/head', " BOTH "}, " \
                  "{'route': '/passing', 'targetPath': '/head', " BOTH ", 'forwardAuthorization': true}]}"

static struct model *m;

static void setup(void) { m = model_start(); }
static void teardown(void) { model_stop(m); }

static struct worker *start(const char *more)
{
    char *config = NULL;
    struct worker *w;

    ck_assert_int_gt(asprintf(&config, OPEN, more), 0);
    w = worker_start_ready(m, NULL, config);
    free(config);
    return w;
}

/* The request's head as the model got it must be this, with the model's own Host between the two. */
static void expect_raw(struct answer a, const char *line, const char *rest)
{
    char *expected = NULL;

    ck_assert_int_gt(asprintf(&expected, "%s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n%s", line, model_port(m), rest), 0);
    ck_assert_int_eq(a.status, 200);
    ck_assert_str_eq(a.body, expected);
    free(expected);
    answer_fini(&a);
}

/* ---- what the model gets ---- */

#define TRACE "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n"

START_TEST(a_plain_request_goes_on_without_what_is_meant_for_us)
{
    struct worker *w = start("");

    expect_raw(client_call(worker_port(w), "POST", "/m/head?api_key=k&n=1",
                           "user-agent: me/1\r\nX-Request-Id: r-1\r\nAuthorization: Bearer hush\r\nX-Vast-Auth: hush\r\n"
                           "Proxy-Authorization: Basic aHVzaA==\r\nConnection: X-Hop, te\r\nX-Hop: 1\r\nTE: trailers\r\nKeep-Alive: timeout=5\r\n"
                           "Upgrade: h2c\r\nTrailer: x\r\nContent_Length: 9\r\nX_FORWARDED_FOR: 1.2.3.4\r\nAuthorization_: kept\r\nExpect: 100-continue\r\nX-Forwarded-Proto: https\r\nAccept-Encoding: gzip\r\n" TRACE
                           "tracestate: a=b\r\nX-Two: 1\r\nX-Two: 2\r\nContent-Type: text/plain\r\n", "abc"),
               "POST /head?n=1", "user-agent: me/1\r\nAuthorization_: kept\r\nAccept-Encoding: gzip\r\n" TRACE "tracestate: a=b\r\nX-Two: 1\r\nX-Two: 2\r\n"
               "Content-Type: text/plain\r\nX-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\nX-Request-Id: r-1\r\nContent-Length: 3\r\n\r\n");
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

START_TEST(the_clients_address_is_put_behind_those_that_are_there)
{
    struct worker *w = start("");

    expect_raw(client_call(worker_port(w), "GET", "/m/head",
                           "x-forwarded-for: 203.0.113.7, 10.0.0.1\r\nX-Request-Id: r\r\nX-Forwarded-For:\r\nX-FORWARDED-FOR: 10.0.0.2\r\n"
                           "Connection: X-Forwarded-For, X-Request-Id\r\n", NULL),
               "GET /head", "X-Forwarded-For: 203.0.113.7, 10.0.0.1, 10.0.0.2, 127.0.0.1\r\nX-Forwarded-Proto: http\r\n"
               "X-Request-Id: r\r\n\r\n");
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

START_TEST(an_envelope_takes_nothing_along_but_its_trace)
{
    struct worker *w = worker_start_ready(m, NULL, ENVELOPES);
    static const char headers[] = "Content-Type: text/x\r\nUser-Agent: me\r\nAuthorization: Bearer hush\r\nCookie: c\r\n" TRACE
                                  "X-Request-Id: r-2\r\nX-Forwarded-For: 203.0.113.7\r\n";
#define OURS "Content-Type: application/json\r\nAccept: */*\r\nX-Forwarded-For: 203.0.113.7, 127.0.0.1\r\nX-Forwarded-Proto: http\r\n" \
             "X-Request-Id: r-2\r\nContent-Length: 2\r\n\r\n"

    expect_raw(client_call(worker_port(w), "POST", "/head?n=1&api_key=k", headers, "{\"payload\": {}}"),
               "POST /head", TRACE OURS);
    expect_raw(client_call(worker_port(w), "POST", "/passing", headers, "{\"payload\": {}}"),
               "POST /head", "Authorization: Bearer hush\r\n" TRACE OURS);
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

START_TEST(authorization_goes_on_where_the_handler_says_so)
{
    struct worker *w = start(", 'forwardAuthorization': true");

    expect_raw(client_call(worker_port(w), "GET", "/m/head", "Authorization: Bearer for-the-model\r\nX-Request-Id: r\r\nX-Vast-Auth: hush\r\n", NULL),
               "GET /head", "Authorization: Bearer for-the-model\r\nX-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\n"
               "X-Request-Id: r\r\n\r\n");
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

/* ---- X-Request-Id ---- */

static bool is_made(const char *id) { return strlen(id) == 32 && strspn(id, "0123456789abcdef") == 32; }

static bool model_got(const struct answer *a, const char *id)
{
    char line[256];

    snprintf(line, sizeof line, "\r\nX-Request-Id: %s\r\n", id);
    return strstr(a->body, line) != NULL;
}

static const char *const unfit[] = { "", "X-Request-Id:\r\n", "X-Request-Id: two words\r\n", "X-Request-Id: a/b\r\n", "X-Request-Id: h\xc3\xbc\r\n" };

START_TEST(a_request_without_a_fit_name_is_given_one)
{
    struct worker *w = start("");
    char first[40];
    struct answer a = client_call(worker_port(w), "GET", "/m/head", unfit[_i], NULL);

    ck_assert(is_made(answer_header(&a, "x-request-id")));
    ck_assert(model_got(&a, answer_header(&a, "x-request-id")));
    snprintf(first, sizeof first, "%s", answer_header(&a, "x-request-id"));
    answer_fini(&a);
    a = client_call(worker_port(w), "GET", "/m/head", unfit[_i], NULL);
    ck_assert_str_ne(answer_header(&a, "x-request-id"), first);
    answer_fini(&a);
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

START_TEST(the_longest_name_is_kept_and_a_longer_one_is_not)
{
    struct worker *w = start("");
    char name[131], headers[200];
    struct answer a;

    memset(name, 'n', sizeof name);
    name[129] = '\0';
    snprintf(headers, sizeof headers, "X-Request-Id: %s\r\n", name + 1);
    a = client_call(worker_port(w), "GET", "/m/head", headers, NULL);
    ck_assert_str_eq(answer_header(&a, "x-request-id"), name + 1);
    ck_assert(model_got(&a, name + 1));
    answer_fini(&a);
    snprintf(headers, sizeof headers, "X-Request-Id: %s\r\n", name);
    a = client_call(worker_port(w), "GET", "/m/head", headers, NULL);
    ck_assert(is_made(answer_header(&a, "x-request-id")));
    answer_fini(&a);
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

static unsigned count_in(const char *text, const char *part)
{
    unsigned n = 0;

    while ((text = strcasestr(text, part)))
        text += strlen(part), n++;
    return n;
}

START_TEST(every_answer_says_the_name_once)
{
    static const struct {
        const char *method, *path;
        int status;
    } cases[] = {
        { "GET", "/m/mirror", 200 }, { "HEAD", "/m/mirror", 200 },     { "GET", "/m/empty", 204 },   { "GET", "/m/status/500", 500 },
        { "GET", "/health", 200 },   { "GET", "/metrics", 200 },       { "GET", "/nowhere", 404 },   { "POST", "/session/get", 422 },
        { "GET", "/m/vanish", 502 }, { "GET", "/m/until-close", 200 }, { "GET", "/m/../head", 400 },
    };
    struct worker *w = start("");
    size_t i;

    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct answer a = client_call(worker_port(w), cases[i].method, cases[i].path, "X-Request-Id: r-3\r\n", NULL);

        ck_assert_msg(a.status == cases[i].status, "%s: %d", cases[i].path, a.status);
        ck_assert_msg(count_in(a.head, "\r\nX-Request-Id: ") == 1 && count_in(a.head, "\r\nX-Request-Id: r-3\r\n") == 1, "%s: %s", cases[i].path, a.head);
        answer_fini(&a);
    }
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

static const struct {
    const char *text;
    int status;
    bool named; /* the head was whole, so its name counts */
} broken[] = {
    { "GET / HTTP/1.1\r\nX-Request-Id: r-4\r\nHost: w\r\nbad line\r\n\r\n", 400, false },
    { "GET / HTTP/2.0\r\n\r\n", 505, false },
    { "POST /m/x HTTP/1.1\r\nHost: w\r\nX-Request-Id: r-4\r\nContent-Length: 99999999999\r\n\r\n", 413, true },
    { "POST /m/x HTTP/1.1\r\nHost: w\r\nX-Request-Id: r-4\r\nExpect: more\r\nContent-Length: 1\r\n\r\n", 417, true },
    { "POST /m/hold HTTP/1.1\r\nHost: w\r\nX-Request-Id: r-4\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\nzz\r\n", 400, true },
};

START_TEST(a_request_that_is_no_http_has_a_name_too)
{
    struct worker *w = start("");
    int fd = client_connect(worker_port(w));
    struct answer a;

    client_send(fd, broken[_i].text);
    a = client_read(fd);
    ck_assert_int_eq(a.status, broken[_i].status);
    if (broken[_i].named)
        ck_assert_str_eq(answer_header(&a, "x-request-id"), "r-4");
    else
        ck_assert(is_made(answer_header(&a, "x-request-id")));
    answer_fini(&a);
    client_close(fd);
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

START_TEST(requests_on_one_connection_have_names_of_their_own)
{
    struct worker *w = start("");
    int fd = client_connect(worker_port(w));
    char made[40];
    struct answer a;

    client_send(fd, "GET /m/head HTTP/1.1\r\nHost: w\r\nX-Request-Id: first\r\n\r\nGET /m/head HTTP/1.1\r\nHost: w\r\n\r\n"
                    "GET /m/head HTTP/1.1\r\nHost: w\r\n\r\n");
    a = client_read(fd);
    ck_assert_str_eq(answer_header(&a, "x-request-id"), "first");
    ck_assert(model_got(&a, "first"));
    answer_fini(&a);
    a = client_read(fd);
    snprintf(made, sizeof made, "%s", answer_header(&a, "x-request-id"));
    ck_assert(is_made(made) && model_got(&a, made));
    answer_fini(&a);
    a = client_read(fd);
    ck_assert(is_made(answer_header(&a, "x-request-id")));
    ck_assert_str_ne(answer_header(&a, "x-request-id"), made);
    answer_fini(&a);
    client_close(fd);
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

START_TEST(log_lines_of_a_request_say_its_name)
{
    struct worker *w = worker_start_ready(m, NULL, "{'unsecured': true, 'handlers': [{'route': '/*', 'methods': ['*'], 'allowParallelRequests': true}]}");
    struct answer a = client_call(worker_port(w), "GET", "/vanish", "X-Request-Id: r-lost\r\n", NULL);
    int fd;

    answer_fini(&a);
    a = client_call(worker_port(w), "GET", "/x", "X-Request-Id: r-served\r\n", NULL);
    answer_fini(&a);
    a = client_call(worker_port(w), "POST", "/x", "X-Request-Id: r-wrong\r\n", "{\"payload\": 5}");
    ck_assert_int_eq(a.status, 422);
    answer_fini(&a);
    fd = client_connect(worker_port(w));
    client_send(fd, "GET /hold HTTP/1.1\r\nHost: w\r\nX-Request-Id: r-left\r\n\r\n");
    model_wait_requests(m, 3);
    client_close(fd);
    worker_wait_logged(w, "request id=r-left method=GET route=/* status=499 outcome=cancelled reason=client_gone workload=100 ");
    ck_assert(worker_logged(w, "(request r-lost)") && worker_logged(w, "model_reset"));
    worker_wait_logged(w, "request id=r-served method=GET route=/* status=200 outcome=served workload=100 ");
    worker_wait_logged(w, "request id=r-wrong method=POST route=/* status=422 outcome=refused reason=invalid_envelope ");
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

Suite *headers_suite(void);

Suite *headers_suite(void)
{
    Suite *s = suite_create("headers");
    TCase *tc = tcase_create("headers");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, a_plain_request_goes_on_without_what_is_meant_for_us);
    tcase_add_test(tc, the_clients_address_is_put_behind_those_that_are_there);
    tcase_add_test(tc, an_envelope_takes_nothing_along_but_its_trace);
    tcase_add_test(tc, authorization_goes_on_where_the_handler_says_so);
    tcase_add_loop_test(tc, a_request_without_a_fit_name_is_given_one, 0, sizeof unfit / sizeof unfit[0]);
    tcase_add_test(tc, the_longest_name_is_kept_and_a_longer_one_is_not);
    tcase_add_test(tc, every_answer_says_the_name_once);
    tcase_add_loop_test(tc, a_request_that_is_no_http_has_a_name_too, 0, sizeof broken / sizeof broken[0]);
    tcase_add_test(tc, requests_on_one_connection_have_names_of_their_own);
    tcase_add_test(tc, log_lines_of_a_request_say_its_name);
    suite_add_tcase(s, tc);
    return s;
}
