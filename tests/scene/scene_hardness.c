/*
 * What the internet sends: each wrong request gets its exact answer and the end of its connection, never reaches the model, and
 * costs the client next door nothing. The rows are those of docs/http.md; how the bytes arrive is the matter of test_http1.c.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "actors.h"
#include "neighbour.h"

#define OPEN(more) "{'limits': {'maxBodyBytes': 1000}, " more "'handlers': [" OPEN_HANDLER "]}"
#define HOST "Host: a\r\n"
#define GET "GET /m/x HTTP/1.1\r\n" HOST
#define POST "POST /m/x HTTP/1.1\r\n" HOST
#define CHUNKED POST "Transfer-Encoding: chunked\r\n\r\n"
#define LONG "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define COMMAS16 ",,,,,,,,,,,,,,,,"
#define BYTES(s) s, sizeof(s) - 1

static struct model *m;
static struct worker *w;
static struct neighbour next_door;

static void begin(const char *config)
{
    m = model_start();
    w = worker_start_ready(m, NULL, config);
    next_door = neighbour_begin(worker_port(w));
}

static void setup(void) { begin(OPEN("")); }
static void setup_hasty(void) { begin(OPEN("'timeouts': {'clientHeader': 0.5, 'clientBody': 0.5}, ")); }

/* All that was wrong has left nothing behind, and the model has heard of the neighbour alone. */
static void teardown(void)
{
    neighbour_serve(&next_door, "afterwards");
    neighbour_wait_alone(&next_door);
    neighbour_end(&next_door);
    ck_assert_int_eq(worker_finish(w), VW_OK);
    model_stop(m);
}

static void expect_refusal(int fd, const char *name, int status, const char *code)
{
    struct answer a = client_read(fd);
    json_t *json;

    ck_assert_msg(a.status == status && !a.cut, "%s: got %d%s\n%s", name, a.status, a.cut ? ", cut" : "", a.body);
    ck_assert_msg(strcmp(answer_reason(&a), code) == 0, "%s: got %s", name, answer_reason(&a));
    ck_assert_msg(strcmp(answer_header(&a, "connection"), "close") == 0, "%s: the connection was to stay", name);
    ck_assert_msg((status == 503) == (answer_header(&a, "retry-after")[0] != '\0'), "%s: Retry-After", name);
    json = parse_json(a.body);
    ck_assert_str_eq(json_string_value(json_object_get(json_object_get(json, "error"), "code")), code);
    json_decref(json);
    answer_fini(&a);
    ck_assert_msg(client_is_closed(fd), "%s: something followed the answer", name);
}

static const struct wrong {
    const char *name, *bytes;
    size_t len;
    int status;
    const char *code;
} wrong[] = {
    { "a Connection that names too much", BYTES(POST "Connection: close" COMMAS16 COMMAS16 "\r\nConnection: x" COMMAS16 COMMAS16 "\r\n\r\n"),
      400, "bad_request" },
    { "a length and chunks", BYTES(POST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 400, "bad_request" },
    { "chunks and a length", BYTES(POST "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\nhello"), 400, "bad_request" },
    { "a length twice", BYTES(POST "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello"), 400, "bad_request" },
    { "two lengths", BYTES(POST "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!"), 400, "bad_request" },
    { "a list of lengths", BYTES(POST "Content-Length: 5, 5\r\n\r\nhello"), 400, "bad_request" },
    { "a length with a sign", BYTES(POST "Content-Length: +5\r\n\r\nhello"), 400, "bad_request" },
    { "a length beyond 64 bits", BYTES(POST "Content-Length: 18446744073709551621\r\n\r\nhello"), 400, "bad_request" },
    { "a length in hex", BYTES(POST "Content-Length: 0x5\r\n\r\nhello"), 400, "bad_request" },
    { "a length that is empty", BYTES(POST "Content-Length:\r\n\r\n"), 400, "bad_request" },
    { "a coding that is empty", BYTES(POST "Transfer-Encoding:\r\n\r\n"), 400, "bad_request" },
    { "a length over the limit", BYTES(POST "Content-Length: 1001\r\n\r\n"), 413, "body_too_large" },
    { "a chunk size that is a word", BYTES(CHUNKED "five\r\nhello\r\n0\r\n\r\n"), 400, "bad_request" },
    { "a chunk size with a sign", BYTES(CHUNKED "-5\r\nhello\r\n0\r\n\r\n"), 400, "bad_request" },
    { "a chunk size with 0x", BYTES(CHUNKED "0x5\r\nhello\r\n0\r\n\r\n"), 400, "bad_request" },
    { "a chunk size beyond 64 bits", BYTES(CHUNKED "10000000000000005\r\nhello\r\n0\r\n\r\n"), 400, "bad_request" },
    { "a chunk size that is empty", BYTES(CHUNKED "\r\nhello\r\n0\r\n\r\n"), 400, "bad_request" },
    { "a chunk longer than it says", BYTES(CHUNKED "4\r\nhello\r\n0\r\n\r\n"), 400, "bad_request" },
    { "a chunk over the limit", BYTES(CHUNKED "3e9\r\n"), 413, "body_too_large" },
    { "a chunk line that ends in LF", BYTES(CHUNKED "5\nhello\r\n0\r\n\r\n"), 400, "bad_request" },
    { "a chunk line that ends in CR", BYTES(CHUNKED "5\rhello\r\n0\r\n\r\n"), 400, "bad_request" },
    { "a chunk that ends in LF", BYTES(CHUNKED "5\r\nhello\n0\r\n\r\n"), 400, "bad_request" },
    { "a folded trailer", BYTES(CHUNKED "0\r\nX: 1\r\n 2\r\n\r\n"), 400, "bad_request" },
    { "a trailer with a length", BYTES(CHUNKED "0\r\nContent-Length: 5\r\n\r\n"), 400, "bad_request" },
    { "a request line that ends in LF", BYTES("GET /m/x HTTP/1.1\n" HOST "\r\n"), 400, "bad_request" },
    { "a header that ends in LF", BYTES(GET "X: 1\nY: 2\r\n\r\n"), 400, "bad_request" },
    { "a head that ends in LF", BYTES(GET "\n"), 400, "bad_request" },
    { "CR within a header", BYTES(GET "X: 1\rY: 2\r\n\r\n"), 400, "bad_request" },
    { "a folded header", BYTES(GET "X: 1\r\n 2\r\n\r\n"), 400, "bad_request" },
    { "white space before the first header", BYTES("GET /m/x HTTP/1.1\r\n X: 1\r\n" HOST "\r\n"), 400, "bad_request" },
    { "NUL in the target", BYTES("GET /m/\0x HTTP/1.1\r\n" HOST "\r\n"), 400, "bad_request" },
    { "NUL in a name", BYTES(GET "X\0: 1\r\n\r\n"), 400, "bad_request" },
    { "NUL in a value", BYTES(GET "X: 1\0002\r\n\r\n"), 400, "bad_request" },
    { "a control byte in a value", BYTES(GET "X: 1\0012\r\n\r\n"), 400, "bad_request" },
    { "DEL in a value", BYTES(GET "X: 1\1772\r\n\r\n"), 400, "bad_request" },
    { "a name that is no token", BYTES(GET "X(1): 1\r\n\r\n"), 400, "bad_request" },
    { "a header without a colon", BYTES(GET "no colon\r\n\r\n"), 400, "bad_request" },
    { "a header without a name", BYTES(GET ": 1\r\n\r\n"), 400, "bad_request" },
    { "white space before the colon", BYTES(GET "Content-Length : 5\r\n\r\nhello"), 400, "bad_request" },
    { "no Host", BYTES("GET /m/x HTTP/1.1\r\n\r\n"), 400, "bad_request" },
    { "two Hosts", BYTES(GET HOST "\r\n"), 400, "bad_request" },
    { "a Host that is none", BYTES("GET /m/x HTTP/1.1\r\nHost: a/m/x\r\n\r\n"), 400, "bad_request" },
    { "another scheme", BYTES("GET ftp://a/m/x HTTP/1.1\r\n" HOST "\r\n"), 400, "bad_request" },
    { "a user in the target", BYTES("GET http://me@a/m/x HTTP/1.1\r\n" HOST "\r\n"), 400, "bad_request" },
    { "an authority as the target", BYTES("GET a:80 HTTP/1.1\r\n" HOST "\r\n"), 400, "bad_request" },
    { "* without OPTIONS", BYTES("GET * HTTP/1.1\r\n" HOST "\r\n"), 400, "bad_request" },
    { "a fragment", BYTES("GET /m/x#part HTTP/1.1\r\n" HOST "\r\n"), 400, "bad_request" },
    { "a space in the target", BYTES("GET /m/x y HTTP/1.1\r\n" HOST "\r\n"), 400, "bad_request" },
    { "a byte over 0x7f in the target", BYTES("GET /m/\xc3\xa9 HTTP/1.1\r\n" HOST "\r\n"), 400, "bad_request" },
    { "a target without a slash", BYTES("GET m/x HTTP/1.1\r\n" HOST "\r\n"), 400, "bad_request" },
    { "two spaces", BYTES("GET  /m/x HTTP/1.1\r\n" HOST "\r\n"), 400, "bad_request" },
    { "CONNECT", BYTES("CONNECT a:443 HTTP/1.1\r\n" HOST "\r\n"), 501, "not_implemented" },
    { "a method nobody knows", BYTES("BREW /m/x HTTP/1.1\r\n" HOST "\r\n"), 501, "not_implemented" },
    { "a method in small letters", BYTES("get /m/x HTTP/1.1\r\n" HOST "\r\n"), 501, "not_implemented" },
    { "SOURCE", BYTES("SOURCE /m/x HTTP/1.1\r\n" HOST "\r\n"), 501, "not_implemented" },
    { "a method of RTSP", BYTES("DESCRIBE /m/x HTTP/1.1\r\n" HOST "\r\n"), 501, "not_implemented" },
    { "PRI outside a preface", BYTES("PRI /m/x HTTP/1.1\r\n" HOST "\r\n"), 501, "not_implemented" },
    { "gzip", BYTES(POST "Transfer-Encoding: gzip\r\n\r\n"), 501, "not_implemented" },
    { "gzip, chunked", BYTES(POST "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"), 501, "not_implemented" },
    { "identity", BYTES(POST "Transfer-Encoding: identity\r\nContent-Length: 5\r\n\r\nhello"), 400, "bad_request" },
    { "identity alone", BYTES(POST "Transfer-Encoding: identity\r\n\r\n"), 501, "not_implemented" },
    { "chunked, gzip", BYTES(POST "Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n"), 400, "bad_request" },
    { "chunked twice", BYTES(POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 400, "bad_request" },
    { "chunks in HTTP/1.0", BYTES("POST /m/x HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 400, "bad_request" },
    { "HTTP/0.9", BYTES("GET /m/x\r\n"), 505, "version_not_supported" },
    { "HTTP/1.2", BYTES("GET /m/x HTTP/1.2\r\n" HOST "\r\n"), 505, "version_not_supported" },
    { "HTTP/2.0", BYTES("GET /m/x HTTP/2.0\r\n" HOST "\r\n"), 505, "version_not_supported" },
    { "HTTP/3.0", BYTES("GET /m/x HTTP/3.0\r\n" HOST "\r\n"), 505, "version_not_supported" },
    { "a version that is none", BYTES("GET /m/x HTTP/11\r\n" HOST "\r\n"), 400, "bad_request" },
    { "a preface of HTTP/2", BYTES("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"), 505, "version_not_supported" },
    { "a TLS hello", BYTES("\x16\x03\x01\x00\x05\x01\x00\x00\x01\x03"), 400, "bad_request" },
    { "JSON without HTTP", BYTES("{\"input\": 1}\r\n"), 400, "bad_request" },
    { "another expectation", BYTES(POST "Expect: 200-ok\r\nContent-Length: 5\r\n\r\n"), 417, "expectation_failed" },
    { "an expectation and a body over the limit", BYTES(POST "Expect: 100-continue\r\nContent-Length: 1001\r\n\r\n"), 413, "body_too_large" },
};

START_TEST(what_is_wrong_gets_its_answer_and_the_end)
{
    size_t i;

    for (i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        int fd = client_connect(worker_port(w));

        client_send_bytes(fd, wrong[i].bytes, wrong[i].len);
        neighbour_serve(&next_door, wrong[i].name);
        expect_refusal(fd, wrong[i].name, wrong[i].status, wrong[i].code);
        client_close(fd);
    }
    ck_assert_uint_eq(model_requests(m), next_door.served);
}
END_TEST

/* Pipelined behind a good one: that one is answered first, and what follows the wrong one is never looked at. */
START_TEST(what_is_wrong_behind_a_good_request_ends_the_connection_too)
{
    size_t i;

    for (i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        int fd = client_connect(worker_port(w));
        struct answer a;
        size_t len = sizeof GET "\r\n" - 1;
        char *bytes = malloc(2 * len + wrong[i].len);

        memcpy(bytes, GET "\r\n", len);
        memcpy(bytes + len, wrong[i].bytes, wrong[i].len);
        memcpy(bytes + len + wrong[i].len, GET "\r\n", len);
        client_send_bytes(fd, bytes, 2 * len + wrong[i].len);
        a = client_read(fd);
        ck_assert_msg(a.status == 200, "before %s: got %d", wrong[i].name, a.status);
        answer_fini(&a);
        neighbour_serve(&next_door, wrong[i].name);
        expect_refusal(fd, wrong[i].name, wrong[i].status, wrong[i].code);
        client_close(fd);
        free(bytes);
    }
    ck_assert_uint_eq(model_requests(m), next_door.served + i);
}
END_TEST

static bool has_come(int fd, int wait_ms)
{
    struct pollfd p = { fd, POLLIN, 0 };

    return poll(&p, 1, wait_ms) > 0;
}

static const struct endless {
    const char *name, *begin, *piece;
    int status;
    const char *code;
} endless[] = {
    { "a method", "", "GET", 501, "not_implemented" },
    { "a target", "GET /m/", "aaaaaaaaaaaaaaaa", 414, "uri_too_long" },
    { "empty lines", "", "\r\n", 431, "header_too_large" },
    { "a name", GET, "aaaaaaaaaaaaaaaa", 431, "header_too_large" },
    { "a value", GET "X: ", "aaaaaaaaaaaaaaaa", 431, "header_too_large" },
    { "headers", GET, "X-More: 1\r\n", 431, "header_too_large" },
    { "an extension of a chunk", CHUNKED "5;", "aaaaaaaaaaaaaaaa", 400, "bad_request" },
    { "extensions of small chunks", CHUNKED, "1;" LONG LONG LONG "\r\na\r\n", 400, "bad_request" },
    { "a chunk size", CHUNKED, "0000000000000000", 400, "bad_request" },
    { "chunks", CHUNKED, "4\r\naaaa\r\n", 413, "body_too_large" },
    { "trailers", CHUNKED "0\r\n", "X-More: 1\r\n", 431, "header_too_large" },
};

START_TEST(what_never_ends_is_ended)
{
    const struct endless *row = &endless[_i];
    int fd = client_connect(worker_port(w));
    size_t len = strlen(row->piece), at = 0, i;
    static char many[64 * 1024];

    for (i = 0; i < sizeof many; i++)
        many[i] = row->piece[i % len];
    client_send(fd, row->begin);
    neighbour_serve(&next_door, row->name);
    while (!has_come(fd, 0)) {
        ssize_t n = send(fd, many + at, sizeof many - len - at, MSG_NOSIGNAL | MSG_DONTWAIT);

        ck_assert_msg(n > 0 || has_come(fd, 10000), "%s: neither read nor refused", row->name);
        at = n > 0 ? (at + (size_t)n) % len : at; /* the piece goes on where it stopped */
    }
    neighbour_serve(&next_door, row->name);
    expect_refusal(fd, row->name, row->status, row->code);
    client_close(fd);
}
END_TEST

static const struct slow {
    const char *name, *begin;
    char more; /* goes on with this byte, again and again; 0: says nothing more */
} slow[] = {
    { "a target", "GET /m/", 'a' },
    { "a header", GET "X: ", 'a' },
    { "a head that stops", GET, 0 },
    { "a body that stops", POST "Content-Length: 5\r\n\r\nhell", 0 },
    { "a chunk that stops", CHUNKED "5\r\nhell", 0 },
    { "a body that never begins", POST "Content-Length: 5\r\n\r\n", 0 },
};

/* The deadline of a head is for all of it, that of a body for each byte. */
START_TEST(what_comes_too_slowly_is_408)
{
    const struct slow *row = &slow[_i];
    int fd = client_connect(worker_port(w));

    client_send(fd, row->begin);
    neighbour_serve(&next_door, row->name);
    while (!has_come(fd, 20))
        if (row->more && send(fd, &row->more, 1, MSG_NOSIGNAL) != 1)
            break;
    expect_refusal(fd, row->name, 408, "request_timeout");
    client_close(fd);
}
END_TEST

static bool is_served_without_more(int fd, const char *request)
{
    struct answer a;
    bool good;

    client_send(fd, request);
    a = client_read(fd);
    good = a.status == 200 && strcmp(answer_header(&a, "connection"), "") == 0;
    answer_fini(&a);
    return good;
}

/* Nothing says that a body follows: there is none, and no 100 is due (RFC 9112 6.3, RFC 9110 10.1.1). */
START_TEST(no_length_and_no_chunks_is_an_empty_body)
{
    static const char *const requests[] = { POST "\r\n", POST "Expect: 100-continue\r\n\r\n", POST "Content-Type: application/json\r\n\r\n",
                                            "PUT /m/x HTTP/1.1\r\n" HOST "\r\n", "\r\n\r\n" POST "\r\n" };
    int fd = client_connect(worker_port(w));
    size_t i;
    char seen[200];

    for (i = 0; i < sizeof requests / sizeof requests[0]; i++)
        ck_assert_msg(is_served_without_more(fd, requests[i]), "%s", requests[i]);
    client_send(fd, POST "Expect: 100-continue\r\n\r\n");
    client_read_until(fd, "\r\n", seen, sizeof seen);
    ck_assert_str_eq(seen, "HTTP/1.1 200 OK\r\n");
    client_close(fd);
}
END_TEST

/* The body that was expected never comes: 100, then 408. */
START_TEST(a_body_that_was_asked_for_and_never_comes_is_408)
{
    int fd = client_connect(worker_port(w));
    char seen[200];

    client_send(fd, POST "Expect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    client_read_until(fd, "\r\n\r\n", seen, sizeof seen);
    ck_assert_str_eq(seen, "HTTP/1.1 100 Continue\r\n\r\n");
    neighbour_serve(&next_door, "while a body is awaited");
    expect_refusal(fd, "no body", 408, "request_timeout");
    client_close(fd);
}
END_TEST

#define FLOOD 2000

/* Far more than is read ahead and than the kernel keeps, so both sides stop and go. */
START_TEST(a_flood_of_requests_sent_ahead_is_answered_in_order)
{
    int fd = client_connect(worker_port(w));
    static char flood[FLOOD * 120];
    size_t len = 0, at = 0;
    unsigned i, next = 0;

    for (i = 0; i < FLOOD; i++)
        len += (size_t)snprintf(flood + len, sizeof flood - len, "GET /m/status/%u HTTP/1.1\r\n" HOST "X-Pad: %030d\r\n\r\n", 200 + i % 3, 0);
    while (at < len) {
        ssize_t n = send(fd, flood + at, len - at, MSG_NOSIGNAL | MSG_DONTWAIT);

        at += n > 0 ? (size_t)n : 0;
        if (n <= 0 && !has_come(fd, 10000))
            ck_abort_msg("neither read nor answered after %zu bytes", at);
        while (n <= 0 && next < FLOOD && has_come(fd, 0)) {
            struct answer a = client_read(fd);

            ck_assert_int_eq(a.status, (int)(200 + next++ % 3));
            answer_fini(&a);
        }
    }
    neighbour_serve(&next_door, "in the flood");
    while (next < FLOOD) {
        struct answer a = client_read(fd);

        ck_assert_int_eq(a.status, (int)(200 + next++ % 3));
        answer_fini(&a);
    }
    client_close(fd);
}
END_TEST

Suite *hardness_suite(void);

Suite *hardness_suite(void)
{
    Suite *s = suite_create("hardness");
    TCase *tc = tcase_create("hardness"), *hasty = tcase_create("hasty");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, what_is_wrong_gets_its_answer_and_the_end);
    tcase_add_test(tc, what_is_wrong_behind_a_good_request_ends_the_connection_too);
    tcase_add_loop_test(tc, what_never_ends_is_ended, 0, sizeof endless / sizeof endless[0]);
    tcase_add_test(tc, no_length_and_no_chunks_is_an_empty_body);
    tcase_add_test(tc, a_flood_of_requests_sent_ahead_is_answered_in_order);
    suite_add_tcase(s, tc);
    tcase_add_checked_fixture(hasty, setup_hasty, teardown);
    tcase_add_loop_test(hasty, what_comes_too_slowly_is_408, 0, sizeof slow / sizeof slow[0]);
    tcase_add_test(hasty, a_body_that_was_asked_for_and_never_comes_is_408);
    suite_add_tcase(s, hasty);
    return s;
}
