/*
 * What goes to the model is written anew from what was understood, never copied: odd but lawful requests arrive in one form, and
 * nothing in them is a second request.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "actors.h"
#include "neighbour.h"
#include "wire.h"

static struct wire *x;
static struct worker *w;

static void setup(void)
{
    char config[300];

    x = wire_start();
    snprintf(config, sizeof config, "{'modelServerUrl': 'http://127.0.0.1:%u', 'handlers': [" OPEN_HANDLER "]}", wire_port(x));
    w = worker_start_ready(NULL, NULL, config);
}

static void teardown(void)
{
    ck_assert_int_eq(worker_finish(w), VW_OK);
    wire_stop(x);
}

/* A small body is one piece however it was sent, so chunks are one chunk; which framing it has is checked apart. */
static const struct odd {
    const char *name, *in;
    const char *line;    /* of the request as the model sees it */
    const char *headers; /* besides Host, the framing and what the worker adds */
    const char *body;
} odd[] = {
    { "a plain one", "GET /m/p?q=1 HTTP/1.1\r\nHost: a\r\n\r\n", "GET /p?q=1", "", "" },
    { "an absolute target", "GET http://evil.example:1/m/p?q HTTP/1.1\r\nHost: other.example\r\n\r\n", "GET /p?q", "", "" },
    { "empty lines before it", "\r\n\r\nGET /m/p HTTP/1.1\r\nHost: a\r\n\r\n", "GET /p", "", "" },
    { "an old client", "GET /m/p HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "GET /p", "", "" },
    { "odd white space", "GET /m/p HTTP/1.1\r\nhOsT:a\r\nX:\t a b \t\r\nY:\r\n\r\n", "GET /p", "X: a b\r\nY: \r\n", "" },
    { "a header twice", "GET /m/p HTTP/1.1\r\nHost: a\r\nX: 1\r\nx: 2\r\nX: 1\r\n\r\n", "GET /p", "X: 1\r\nx: 2\r\nX: 1\r\n", "" },
    { "headers of this hop", "GET /m/p HTTP/1.1\r\nHost: a\r\nConnection: X, close, TE\r\nX: 1\r\nY: 2\r\nTE: trailers\r\nKeep-Alive: timeout=1\r\n"
      "Proxy-Connection: keep-alive\r\nTrailer: Y\r\nUpgrade: h2c\r\n\r\n", "GET /p", "Y: 2\r\n", "" },
    { "a length", "POST /m/p HTTP/1.1\r\nHost: a\r\nContent-Length: 0005\r\n\r\nhello", "POST /p", "", "hello" },
    { "chunks", "POST /m/p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\tChunKed\r\n\r\n005\r\nhello\r\n0\r\n\r\n", "POST /p", "", "hello" },
    { "extensions and trailers", "POST /m/p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n3;a=b\r\nhel\r\n2;c\r\nlo\r\n0;d\r\n"
      "X: 1\r\nHost: evil\r\n\r\n", "POST /p", "", "hello" },
    { "a length named by Connection", "POST /m/p HTTP/1.1\r\nHost: a\r\nConnection: Content-Length, Host\r\nContent-Length: 5\r\n\r\nhello", "POST /p", "", "hello" },
    { "chunks named by Connection", "POST /m/p HTTP/1.1\r\nHost: a\r\nConnection: transfer-encoding\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
      "POST /p", "", "hello" },
    { "a request as the body of a GET", "GET /m/p HTTP/1.1\r\nHost: a\r\nContent-Length: 36\r\n\r\nGET /evil HTTP/1.1\r\nHost: evil\r\n\r\n\r\n", "GET /p", "",
      "GET /evil HTTP/1.1\r\nHost: evil\r\n\r\n\r\n" },
    { "a request as a chunk", "POST /m/p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n22\r\nGET /evil HTTP/1.1\r\nHost: evil\r\n\r\n\r\n0\r\n\r\n",
      "POST /p", "", "GET /evil HTTP/1.1\r\nHost: evil\r\n\r\n" },
    { "the end of a body as a body", "POST /m/p HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", "POST /p", "", "0\r\n\r\n" },
    { "a line end that stays encoded", "GET /m/p?a=%0d%0aX:%201 HTTP/1.1\r\nHost: a\r\n\r\n", "GET /p?a=%0d%0aX:%201", "", "" },
    { "an expectation", "POST /m/p HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello", "POST /p", "", "hello" },
};

/* Takes one line that begins with this out of the head. False: there is none. */
static bool drop_line(char *head, const char *name)
{
    char key[64], *at, *end;

    snprintf(key, sizeof key, "\r\n%s:", name);
    at = strcasestr(head, key);
    if (!at)
        return false;
    end = strstr(at + 2, "\r\n");
    memmove(at, end, strlen(end) + 1);
    return true;
}

/* The framing is one length in plain digits, or chunks without anything else, or nothing where there is no body. */
static char *unframe(const struct odd *row, char *head, char *body)
{
    char expected[600];
    bool chunked = drop_line(head, "Transfer-Encoding");

    if (chunked)
        snprintf(expected, sizeof expected, "%zx\r\n%s\r\n0\r\n\r\n", strlen(row->body), row->body);
    else
        snprintf(expected, sizeof expected, "%s", row->body);
    ck_assert_msg(strcmp(body, expected) == 0, "%s: the body is \"%s\"", row->name, body);
    ck_assert_msg(chunked + drop_line(head, "Content-Length") == (row->body[0] != '\0'), "%s: the framing", row->name);
    return head;
}

static void expect_rebuilt(const struct odd *row, char *bytes)
{
    static const char *const added[] = { "X-Forwarded-For", "X-Forwarded-Proto", "X-Request-Id", "traceparent" };
    char expected[600], host[64], *body = strstr(bytes, "\r\n\r\n") + 4, *rest = strdup(body), *length;
    size_t i;

    *body = '\0';
    length = strcasestr(bytes, "\r\nContent-Length: ");
    ck_assert_msg(!length || strtoul(length + 18, NULL, 10) == strlen(row->body), "%s: %s", row->name, bytes);
    ck_assert_msg(!length || length[18] != '0' || !row->body[0], "%s: %s", row->name, bytes);
    unframe(row, bytes, rest);
    for (i = 0; i < sizeof added / sizeof added[0]; i++)
        drop_line(bytes, added[i]);
    snprintf(host, sizeof host, "127.0.0.1:%u", wire_port(x));
    snprintf(expected, sizeof expected, "%s HTTP/1.1\r\nHost: %s\r\n%s\r\n", row->line, host, row->headers);
    ck_assert_msg(strcmp(bytes, expected) == 0, "%s: the model got\n%s", row->name, bytes);
    free(rest);
}

/* Twice over one connection, so that whatever a first one left behind would become part of the second. */
START_TEST(odd_requests_reach_the_model_in_one_form)
{
    int fd = client_connect(worker_port(w));
    size_t i, n = sizeof odd / sizeof odd[0];

    for (i = 0; i < 2 * n; i++) {
        struct answer a;
        char *bytes;

        client_send(fd, odd[i % n].in);
        a = client_read(fd);
        ck_assert_msg(a.status == 200, "%s: got %d %s", odd[i % n].name, a.status, a.body);
        ck_assert_uint_eq(wire_requests(x), i + 1);
        bytes = wire_take(x);
        expect_rebuilt(&odd[i % n], bytes);
        free(bytes);
        if (strstr(odd[i % n].in, "close")) {
            ck_assert(client_is_closed(fd));
            client_close(fd);
            fd = client_connect(worker_port(w));
        }
        answer_fini(&a);
    }
    client_close(fd);
}
END_TEST

/* All in one go: each is one request at the model, in order, and nothing else is. */
START_TEST(odd_requests_sent_ahead_stay_apart)
{
    int fd = client_connect(worker_port(w));
    size_t i, n = sizeof odd / sizeof odd[0], sent = 0, len = 0;
    char all[8192], *bytes, *at;

    for (i = 0; i < n; i++)
        if (!strstr(odd[i].in, "close")) {
            len += (size_t)snprintf(all + len, sizeof all - len, "%s", odd[i].in);
            ck_assert_uint_lt(len, sizeof all);
            sent++;
        }
    client_send(fd, all);
    for (i = 0; i < sent; i++) {
        struct answer a = client_read(fd);

        ck_assert_msg(a.status == 200, "answer %zu is %d %s", i, a.status, a.body);
        answer_fini(&a);
    }
    ck_assert_uint_eq(wire_requests(x), sent);
    bytes = at = wire_take(x);
    for (i = 0; i < n; i++)
        if (!strstr(odd[i].in, "close")) {
            at = strstr(at, odd[i].line);
            ck_assert_msg(at != NULL, "%s is not where it belongs in\n%s", odd[i].name, bytes);
            at += strlen(odd[i].line);
        }
    free(bytes);
    client_close(fd);
}
END_TEST

Suite *rebuilt_suite(void);

Suite *rebuilt_suite(void)
{
    Suite *s = suite_create("rebuilt");
    TCase *tc = tcase_create("rebuilt");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, odd_requests_reach_the_model_in_one_form);
    tcase_add_test(tc, odd_requests_sent_ahead_stay_apart);
    suite_add_tcase(s, tc);
    return s;
}
