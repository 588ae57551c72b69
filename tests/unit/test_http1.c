/* The request parser: what is accepted and refused, with which status, however the bytes arrive. Mirrors docs/http.md. */
#include <check.h>
#include <string.h>

#include "base/mem.h"
#include "base/vwi.h"
#include "io/http1.h"

#define HOST "Host: a\r\n"
#define POST "POST /p HTTP/1.1\r\n" HOST
#define CHUNKED POST "Transfer-Encoding: chunked\r\n\r\n"
#define A16 "aaaaaaaaaaaaaaaa"
#define COMMAS16 "a,b,,d,e,f,g,h,i,,k,l,m,n,o,p,"
#define A256 A16 A16 A16 A16 A16 A16 A16 A16 A16 A16 A16 A16 A16 A16 A16 A16
#define A4096 A256 A256 A256 A256 A256 A256 A256 A256 A256 A256 A256 A256 A256 A256 A256 A256
/* A string literal with NULs inside it. */
#define BYTES(s) { s, sizeof(s) - 1 }

struct parser {
    struct vwi_http1_budget budget;
    struct vwi_http1_conf conf;
    struct vwi_http1 h;
};

static void begin(struct parser *p, uint64_t max_buffered)
{
    p->budget = (struct vwi_http1_budget){ 0, max_buffered };
    p->conf = (struct vwi_http1_conf){ 16384, 100, &p->budget };
    vwi_http1_init(&p->h, &p->conf);
}

static void finish(struct parser *p)
{
    vwi_http1_fini(&p->h);
    ck_assert_uint_eq(p->budget.used_bytes, 0);
}

/* Feeds in pieces of `step` bytes, each in a block of its own so that reading past it is seen. */
static enum vwi_http1_state feed(struct parser *p, struct vwi_span in, size_t step)
{
    enum vwi_http1_state state = VWI_HTTP1_HEAD;
    size_t at, n;

    for (at = 0; at < in.len; at += n) {
        char *piece;

        n = in.len - at < step ? in.len - at : step;
        piece = malloc(n);
        ck_assert_ptr_nonnull(piece);
        memcpy(piece, in.p + at, n);
        state = vwi_http1_feed(&p->h, piece, n);
        free(piece);
    }
    return state;
}

static const struct accepted {
    struct vwi_span in;
    const char *method, *target, *body;
    bool keep_alive;
} accepted[] = {
    { BYTES("GET / HTTP/1.1\r\n" HOST "\r\n"), "GET", "/", "", true },
    { BYTES("\r\n\r\nGET / HTTP/1.1\r\n" HOST "\r\n"), "GET", "/", "", true },
    { BYTES("GET /a/b?q=1&r=%20 HTTP/1.1\r\n" HOST "\r\n"), "GET", "/a/b?q=1&r=%20", "", true },
    { BYTES("GET //x HTTP/1.1\r\n" HOST "\r\n"), "GET", "//x", "", true },
    { BYTES("GET http://h:1/p?q HTTP/1.1\r\n" HOST "\r\n"), "GET", "/p?q", "", true },
    { BYTES("GET HTTPS://h HTTP/1.1\r\n" HOST "\r\n"), "GET", "/", "", true },
    { BYTES("GET http://h?q HTTP/1.1\r\n" HOST "\r\n"), "GET", "/?q", "", true },
    { BYTES("GET / HTTP/1.1\r\nHost:\r\n\r\n"), "GET", "/", "", true },
    { BYTES("GET / HTTP/1.1\r\nHost:  My_host-1.example:65535 \r\n\r\n"), "GET", "/", "", true },
    { BYTES("GET / HTTP/1.1\r\nHost: [fe80::1%25eth0]:80\r\n\r\n"), "GET", "/", "", true },
    { BYTES("GET / HTTP/1.1\r\nHost: a:\r\n\r\n"), "GET", "/", "", true },
    { BYTES("OPTIONS * HTTP/1.1\r\n" HOST "\r\n"), "OPTIONS", "*", "", true },
    { BYTES("HEAD / HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n"), "HEAD", "/", "", false },
    { BYTES("GET / HTTP/1.1\r\n" HOST "Connection: keep-alive, Close\r\n\r\n"), "GET", "/", "", false },
    { BYTES("GET / HTTP/1.1\r\n" HOST "Connection: " COMMAS16 COMMAS16 COMMAS16 "\r\nConnection: x\r\n\r\n"), "GET", "/", "", true },
    { BYTES("GET / HTTP/1.0\r\n\r\n"), "GET", "/", "", false },
    { BYTES("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"), "GET", "/", "", true },
    { BYTES("GET / HTTP/1.0\r\nExpect: something\r\n\r\n"), "GET", "/", "", false },
    { BYTES("GET / HTTP/1.1\r\n" HOST "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"), "GET", "/", "", true },
    { BYTES("GET / HTTP/1.1\r\n" HOST "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n"), "GET", "/", "", true },
    { BYTES(POST "Connection: Upgrade\r\nUpgrade: x\r\nContent-Length: 2\r\n\r\nhi"), "POST", "/p", "hi", true },
    { BYTES(POST "Content-Length: 5\r\n\r\nhello"), "POST", "/p", "hello", true },
    { BYTES(POST "Content-Length:5  \r\n\r\nhello"), "POST", "/p", "hello", true },
    { BYTES(POST "Content-Length: 0005\r\n\r\nhello"), "POST", "/p", "hello", true },
    { BYTES(POST "Content-Length: 0\r\n\r\n"), "POST", "/p", "", true },
    { BYTES(POST "\r\n"), "POST", "/p", "", true },
    { BYTES("GET / HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\nhi"), "GET", "/", "hi", true },
    { BYTES(POST "Expect: 100-Continue\r\nContent-Length: 2\r\n\r\nhi"), "POST", "/p", "hi", true },
    { BYTES(CHUNKED "5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n"), "POST", "/p", "hello!", true },
    { BYTES(CHUNKED "0\r\n\r\n"), "POST", "/p", "", true },
    { BYTES(CHUNKED "00000000000000000000005\r\nhello\r\n000\r\n\r\n"), "POST", "/p", "hello", true },
    { BYTES(CHUNKED "5;name=value\r\nhello\r\n0;x\r\n\r\n"), "POST", "/p", "hello", true },
    { BYTES(CHUNKED "A\r\n\r\n\0\n \r\r\n--\r\n0\r\n\r\n"), "POST", "/p", "\r\n", true },
    { BYTES(CHUNKED "5\r\nhello\r\n0\r\nConnection: close\r\nContent-Length-Like: 1\r\n\r\n"), "POST", "/p", "hello", true },
    { BYTES(POST "Transfer-Encoding:   ChunKed \r\n\r\n0\r\n\r\n"), "POST", "/p", "", true },
    { BYTES("POST /p HTTP/1.1\r\nX: a\tb\xff\r\nX-Empty:\r\nX-Blank:   \r\n" HOST "\r\n"), "POST", "/p", "", true },
    { BYTES("M-SEARCH /x HTTP/1.1\r\n" HOST "\r\n"), "M-SEARCH", "/x", "", true },
    { BYTES("GET /" A4096 " HTTP/1.1\r\n" HOST "\r\n"), "GET", "/" A4096, "", true },
};

static const struct refused {
    struct vwi_span in;
    int status;
    const char *reason;
} refused[] = {
    /* request line */
    { BYTES("GET /\r\n"), 505, "version_not_supported" },
    { BYTES("GET / HTTP/0.9\r\n"), 505, "version_not_supported" },
    { BYTES("GET / HTTP/1.2\r\n"), 505, "version_not_supported" },
    { BYTES("GET / HTTP/2.0\r\n"), 505, "version_not_supported" },
    { BYTES("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 505, "version_not_supported" },
    { BYTES("GET / HTTP/11\r\n"), 400, "bad_request" },
    { BYTES("GET / http/1.1\r\n"), 400, "bad_request" },
    { BYTES("GET / HTTP/1.1 \r\n"), 400, "bad_request" },
    { BYTES("GET  / HTTP/1.1\r\n"), 400, "bad_request" },
    { BYTES("GET /  HTTP/1.1\r\n"), 400, "bad_request" },
    { BYTES("GET\t/ HTTP/1.1\r\n"), 400, "bad_request" },
    { BYTES(" GET / HTTP/1.1\r\n"), 400, "bad_request" },
    { BYTES("GET / ICE/1.0\r\n"), 400, "bad_request" },
    { BYTES("\nGET / HTTP/1.1\r\n"), 400, "bad_request" },
    { BYTES("GET / HTTP/1.1\n"), 400, "bad_request" },
    { BYTES("GET / HTTP/1.1\rHost: a\r\n\r\n"), 400, "bad_request" },
    { BYTES("\x16\x03\x01\x02\x00\x01\x00\x01"), 400, "bad_request" },
    { BYTES("{\"input\": 1}"), 400, "bad_request" },
    { BYTES("BREW / HTTP/1.1\r\n"), 501, "not_implemented" },
    { BYTES("get / HTTP/1.1\r\n"), 501, "not_implemented" },
    { BYTES("GETX / HTTP/1.1\r\n"), 501, "not_implemented" },
    { BYTES("SOURCE / HTTP/1.1\r\n"), 501, "not_implemented" },
    { BYTES("SOURCE / ICE/1.0\r\n"), 501, "not_implemented" },
    { BYTES("DESCRIBE / RTSP/1.0\r\n"), 501, "not_implemented" },
    { BYTES("DESCRIBE / HTTP/1.1\r\n"), 501, "not_implemented" },
    { BYTES("PRI / HTTP/1.1\r\n"), 501, "not_implemented" },
    { BYTES("CONNECT h:443 HTTP/1.1\r\n"), 501, "not_implemented" },
    /* target */
    { BYTES("GET h:80 HTTP/1.1\r\n"), 400, "bad_request" },
    { BYTES("GET foo HTTP/1.1\r\n"), 400, "bad_request" },
    { BYTES("GET * HTTP/1.1\r\n"), 400, "bad_request" },
    { BYTES("GET ftp://h/ HTTP/1.1\r\n"), 400, "bad_request" },
    { BYTES("GET http:///p HTTP/1.1\r\n"), 400, "bad_request" },
    { BYTES("GET http://u@h/p HTTP/1.1\r\n"), 400, "bad_request" },
    { BYTES("GET /a b HTTP/1.1\r\n"), 400, "bad_request" },
    { BYTES("GET /a\tb HTTP/1.1\r\n"), 400, "bad_request" },
    { BYTES("GET /a\0b HTTP/1.1\r\n"), 400, "bad_request" },
    { BYTES("GET /\x7f HTTP/1.1\r\n"), 400, "bad_request" },
    { BYTES("GET /\xc3\xa9 HTTP/1.1\r\n"), 400, "bad_request" },
    { BYTES("GET /a#b HTTP/1.1\r\n"), 400, "bad_request" },
    { BYTES("GET /" A4096 A4096 " HTTP/1.1\r\n"), 414, "uri_too_long" },
    /* headers */
    { BYTES("GET / HTTP/1.1\r\n\r\n"), 400, "bad_request" },
    { BYTES("GET / HTTP/1.1\r\n" HOST HOST "\r\n"), 400, "bad_request" },
    { BYTES("GET / HTTP/1.0\r\n" HOST HOST "\r\n"), 400, "bad_request" },
    { BYTES("GET / HTTP/1.1\r\nHost: a b\r\n\r\n"), 400, "bad_request" },
    { BYTES("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"), 400, "bad_request" },
    { BYTES("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n"), 400, "bad_request" },
    { BYTES("GET / HTTP/1.1\r\nHost: a:80x\r\n\r\n"), 400, "bad_request" },
    { BYTES("GET / HTTP/1.1\r\nHost: a:1:2\r\n\r\n"), 400, "bad_request" },
    { BYTES("GET / HTTP/1.1\r\nHost: ::1\r\n\r\n"), 400, "bad_request" },
    { BYTES("GET / HTTP/1.1\r\nHost: [::1\r\n\r\n"), 400, "bad_request" },
    { BYTES("GET / HTTP/1.1\r\nHost: [::1]a\r\n\r\n"), 400, "bad_request" },
    { BYTES("GET / HTTP/1.1\r\nHost: b\xc3\xbc" "cher\r\n\r\n"), 400, "bad_request" },
    { BYTES("GET / HTTP/1.0\r\nHost: <a>\r\n\r\n"), 400, "bad_request" },
    { BYTES(POST "X: a\r\n b\r\n\r\n"), 400, "bad_request" },
    { BYTES(POST "X:\r\n\tb\r\n\r\n"), 400, "bad_request" },
    { BYTES("GET / HTTP/1.1\r\n X: b\r\n" HOST "\r\n"), 400, "bad_request" },
    { BYTES(POST "X : a\r\n\r\n"), 400, "bad_request" },
    { BYTES(POST "X Y: a\r\n\r\n"), 400, "bad_request" },
    { BYTES(POST "X\r\n\r\n"), 400, "bad_request" },
    { BYTES(POST ": a\r\n\r\n"), 400, "bad_request" },
    { BYTES(POST "(X): a\r\n\r\n"), 400, "bad_request" },
    { BYTES(POST "X\xe9: a\r\n\r\n"), 400, "bad_request" },
    { BYTES(POST "X: a\nY: b\r\n\r\n"), 400, "bad_request" },
    { BYTES(POST "X: a\rY: b\r\n\r\n"), 400, "bad_request" },
    { BYTES(POST "X: a\r\r\n\r\n"), 400, "bad_request" },
    { BYTES(POST "X: a\0b\r\n\r\n"), 400, "bad_request" },
    { BYTES(POST "X: a\x01\r\n\r\n"), 400, "bad_request" },
    { BYTES(POST "X: a\x7f\r\n\r\n"), 400, "bad_request" },
    { BYTES(POST "X: a\r\n\n"), 400, "bad_request" },
    { BYTES(POST "X: " A4096 A4096 A4096 A4096 "\r\n\r\n"), 431, "header_too_large" },
    { BYTES(POST "Connection: " COMMAS16 COMMAS16 COMMAS16 COMMAS16 "\r\n\r\n"), 400, "bad_request" },
    { BYTES(POST "Connection: " COMMAS16 COMMAS16 "\r\nConnection: " COMMAS16 COMMAS16 "\r\n\r\n"), 400, "bad_request" },
    /* framing */
    { BYTES(POST "Content-Length: 5\r\nContent-Length: 5\r\n\r\n"), 400, "bad_request" },
    { BYTES(POST "Content-Length: 5\r\nContent-Length: 6\r\n\r\n"), 400, "bad_request" },
    { BYTES(POST "Content-Length: 5, 5\r\n\r\n"), 400, "bad_request" },
    { BYTES(POST "Content-Length: +5\r\n\r\n"), 400, "bad_request" },
    { BYTES(POST "Content-Length: -5\r\n\r\n"), 400, "bad_request" },
    { BYTES(POST "Content-Length: 0x5\r\n\r\n"), 400, "bad_request" },
    { BYTES(POST "Content-Length: 5 5\r\n\r\n"), 400, "bad_request" },
    { BYTES(POST "Content-Length: five\r\n\r\n"), 400, "bad_request" },
    { BYTES(POST "Content-Length:\r\n\r\n"), 400, "bad_request" },
    { BYTES(POST "Content-Length: 99999999999999999999\r\n\r\n"), 400, "bad_request" },
    { BYTES(POST "Content-Length: 101\r\n\r\n"), 413, "body_too_large" },
    { BYTES(POST "Content-Length: 18446744073709551615\r\n\r\n"), 413, "body_too_large" },
    { BYTES(POST "Content-Length: 101\r\nExpect: 100-continue\r\n\r\n"), 413, "body_too_large" },
    { BYTES(POST "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"), 400, "bad_request" },
    { BYTES(POST "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n"), 400, "bad_request" },
    { BYTES("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), 400, "bad_request" },
    { BYTES(POST "Transfer-Encoding:\r\n\r\n"), 400, "bad_request" },
    { BYTES(POST "Transfer-Encoding: chunked, gzip\r\n\r\n"), 400, "bad_request" },
    { BYTES(POST "Transfer-Encoding: chunked, chunked\r\n\r\n"), 400, "bad_request" },
    { BYTES(POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"), 400, "bad_request" },
    { BYTES(POST "Transfer-Encoding: gzip\r\n\r\n"), 501, "not_implemented" },
    { BYTES(POST "Transfer-Encoding: gzip, chunked\r\n\r\n"), 501, "not_implemented" },
    { BYTES(POST "Transfer-Encoding: xchunked\r\n\r\n"), 501, "not_implemented" },
    { BYTES(POST "Transfer-Encoding: identity\r\n\r\n"), 501, "not_implemented" },
    { BYTES(POST "Transfer-Encoding: chunked;q=1\r\n\r\n"), 501, "not_implemented" },
    { BYTES(POST "Expect: 200-ok\r\nContent-Length: 1\r\n\r\n"), 417, "expectation_failed" },
    { BYTES(POST "Expect:\r\nContent-Length: 1\r\n\r\n"), 417, "expectation_failed" },
    /* chunks */
    { BYTES(CHUNKED "5\nhello\r\n0\r\n\r\n"), 400, "bad_request" },
    { BYTES(CHUNKED "5\r\nhello\n0\r\n\r\n"), 400, "bad_request" },
    { BYTES(CHUNKED "5\r\nhelloXX0\r\n\r\n"), 400, "bad_request" },
    { BYTES(CHUNKED "5 \r\nhello\r\n0\r\n\r\n"), 400, "bad_request" },
    { BYTES(CHUNKED " 5\r\nhello\r\n0\r\n\r\n"), 400, "bad_request" },
    { BYTES(CHUNKED "0x5\r\nhello\r\n0\r\n\r\n"), 400, "bad_request" },
    { BYTES(CHUNKED "-5\r\nhello\r\n0\r\n\r\n"), 400, "bad_request" },
    { BYTES(CHUNKED "\r\n5\r\nhello\r\n0\r\n\r\n"), 400, "bad_request" },
    { BYTES(CHUNKED "5;a\nb\r\nhello\r\n0\r\n\r\n"), 400, "bad_request" },
    { BYTES(CHUNKED "5;a\rb\r\nhello\r\n0\r\n\r\n"), 400, "bad_request" },
    { BYTES(CHUNKED "5;\x01\r\nhello\r\n0\r\n\r\n"), 400, "bad_request" },
    { BYTES(CHUNKED "fffffffffffffffff\r\n"), 400, "bad_request" },
    { BYTES(CHUNKED "ffffffffffffffff\r\n"), 413, "body_too_large" },
    { BYTES(CHUNKED "65\r\n"), 413, "body_too_large" },
    { BYTES(CHUNKED "60\r\n" A16 A16 A16 A16 A16 A16 "\r\n5\r\nhello\r\n"), 413, "body_too_large" },
    { BYTES(CHUNKED "5;" A4096 A4096 A4096 A4096 "\r\nhello\r\n"), 400, "bad_request" },
    { BYTES(CHUNKED "0\r\nX: " A4096 A4096 A4096 A4096 "\r\n\r\n"), 431, "header_too_large" },
    { BYTES(CHUNKED "0\r\nX: a\r\n b\r\n\r\n"), 400, "bad_request" },
    { BYTES(CHUNKED "0\r\nX: a\nY: b\r\n\r\n"), 400, "bad_request" },
    { BYTES(CHUNKED "0\r\nX: a\rY: b\r\n\r\n"), 400, "bad_request" },
    { BYTES(CHUNKED "0\r\nContent-Length: 5\r\n\r\n"), 400, "bad_request" },
    { BYTES(CHUNKED "0\r\nTransfer-Encoding: chunked\r\n\r\n"), 400, "bad_request" },
};

static const size_t steps[] = { SIZE_MAX, 1, 2, 3, 7, 61 };

static void expect_accepted(const struct accepted *row, size_t step)
{
    struct parser p;
    struct vwi_span body;

    begin(&p, 0);
    ck_assert_msg(feed(&p, row->in, step) == VWI_HTTP1_DONE, "refused in steps of %zu: %.60s: %s", step, row->in.p,
                  p.h.refusal.message ? p.h.refusal.message : "incomplete");
    ck_assert(vwi_span_is(vwi_http1_method(&p.h), row->method));
    ck_assert(vwi_span_is(vwi_http1_target(&p.h), row->target));
    body = p.h.body_span;
    ck_assert_uint_ge(body.len, strlen(row->body));
    ck_assert(memcmp(body.p, row->body, strlen(row->body)) == 0);
    ck_assert_int_eq(p.h.keep_alive, row->keep_alive);
    ck_assert_uint_eq(vwi_http1_ahead(&p.h), 0);
    ck_assert_int_eq(vwi_http1_next(&p.h), VWI_HTTP1_HEAD);
    ck_assert(!vwi_http1_started(&p.h));
    ck_assert_uint_eq(p.budget.used_bytes, 0);
    finish(&p);
}

START_TEST(requests_within_the_rules_are_accepted_however_they_arrive)
{
    size_t i;

    for (i = 0; i < VWI_ARRAY_LEN(steps); i++)
        expect_accepted(&accepted[_i], steps[i]);
}
END_TEST

START_TEST(requests_outside_the_rules_are_refused_the_same_however_they_arrive)
{
    const struct refused *row = &refused[_i];
    struct parser p;
    size_t i;

    for (i = 0; i < VWI_ARRAY_LEN(steps); i++) {
        begin(&p, 0);
        ck_assert_msg(feed(&p, row->in, steps[i]) == VWI_HTTP1_REFUSED, "not refused in steps of %zu: %.90s", steps[i],
                      row->in.p);
        ck_assert_msg(p.h.refusal.status == row->status && strcmp(p.h.refusal.reason, row->reason) == 0,
                      "in steps of %zu: %.90s: got %d %s (%s)", steps[i], row->in.p, p.h.refusal.status, p.h.refusal.reason,
                      p.h.refusal.message);
        finish(&p);
    }
}
END_TEST

START_TEST(an_incomplete_request_asks_for_more)
{
    struct vwi_span in = BYTES(CHUNKED "5\r\nhello\r\n0\r\nX: a\r\n\r\n");
    size_t n;

    for (n = 0; n < in.len; n++) {
        struct parser p;
        enum vwi_http1_state state;

        begin(&p, 0);
        state = feed(&p, (struct vwi_span){ in.p, n }, SIZE_MAX);
        ck_assert_int_eq(state, n < sizeof(CHUNKED) - 1 ? VWI_HTTP1_HEAD : VWI_HTTP1_BODY);
        ck_assert_int_eq(vwi_http1_started(&p.h), n > 0);
        finish(&p);
    }
}
END_TEST

START_TEST(headers_are_found_without_case_and_trimmed)
{
    struct vwi_span in = BYTES("GET / HTTP/1.1\r\nhost:\ta.b \t\r\nX-One: 1\r\nx-one: 2\r\nEmpty:\r\n\r\n"), name, value;
    struct parser p;

    begin(&p, 0);
    ck_assert_int_eq(feed(&p, in, 5), VWI_HTTP1_DONE);
    ck_assert_uint_eq(p.h.row_count, 4);
    ck_assert(vwi_span_is(vwi_http1_header(&p.h, "Host"), "a.b"));
    ck_assert(vwi_span_is(vwi_http1_header(&p.h, "X-ONE"), "1"));
    ck_assert(vwi_http1_header(&p.h, "Empty").p != NULL);
    ck_assert_uint_eq(vwi_http1_header(&p.h, "Empty").len, 0);
    ck_assert_ptr_null(vwi_http1_header(&p.h, "X-Two").p);
    vwi_http1_header_at(&p.h, 2, &name, &value);
    ck_assert(vwi_span_is(name, "x-one"));
    ck_assert(vwi_span_is(value, "2"));
    finish(&p);
}
END_TEST

START_TEST(too_many_headers_are_refused)
{
    struct vwi_text t = VWI_TEXT_INIT;
    struct parser p;
    int i;

    vwi_text_adds(&t, "GET / HTTP/1.1\r\n" HOST);
    for (i = 0; i < 256; i++)
        vwi_text_adds(&t, "X: y\r\n");
    vwi_text_adds(&t, "\r\n");
    begin(&p, 0);
    ck_assert_int_eq(feed(&p, (struct vwi_span){ t.p, t.len }, SIZE_MAX), VWI_HTTP1_REFUSED);
    ck_assert_int_eq(p.h.refusal.status, 431);
    finish(&p);
    vwi_text_fini(&t);
}
END_TEST

#define PIPELINE                                                                     \
    "GET /1 HTTP/1.1\r\n" HOST "\r\n" POST "Content-Length: 2\r\n\r\nab" CHUNKED      \
    "3\r\nxyz\r\n0\r\n\r\nGET /4 HTTP/1.1\r\n" HOST "\r\nGE"

START_TEST(requests_in_a_row_are_taken_one_at_a_time)
{
    static const struct {
        const char *target, *body;
    } want[] = { { "/1", "" }, { "/p", "ab" }, { "/p", "xyz" }, { "/4", "" } };
    struct vwi_span in = BYTES(PIPELINE);
    size_t step, i;

    for (step = 1; step <= in.len; step++) {
        struct parser p;

        begin(&p, 0);
        ck_assert_int_eq(feed(&p, in, step), VWI_HTTP1_DONE);
        for (i = 0; i < VWI_ARRAY_LEN(want); i++) {
            ck_assert_int_eq(p.h.state, VWI_HTTP1_DONE);
            ck_assert(vwi_span_is(vwi_http1_target(&p.h), want[i].target));
            ck_assert(vwi_span_is(p.h.body_span, want[i].body));
            vwi_http1_next(&p.h);
        }
        ck_assert_int_eq(p.h.state, VWI_HTTP1_HEAD);
        ck_assert(vwi_http1_started(&p.h));
        ck_assert_int_eq(feed(&p, (struct vwi_span)BYTES("T /5 HTTP/1.1\r\n" HOST "\r\n"), step), VWI_HTTP1_DONE);
        ck_assert(vwi_span_is(vwi_http1_target(&p.h), "/5"));
        finish(&p);
    }
}
END_TEST

START_TEST(a_request_stays_in_place_while_the_next_ones_arrive)
{
    struct vwi_span in = BYTES(POST "Content-Length: 5\r\n\r\nhelloGET /2 HTTP/1.1\r\n");
    struct vwi_span body, target;
    struct parser p;
    int i;

    begin(&p, 0);
    feed(&p, in, SIZE_MAX);
    body = p.h.body_span;
    target = vwi_http1_target(&p.h);
    for (i = 0; i < 1000; i++)
        feed(&p, (struct vwi_span)BYTES("X: " A16 "\r\n"), SIZE_MAX);
    ck_assert_ptr_eq(p.h.body_span.p, body.p);
    ck_assert_ptr_eq(vwi_http1_target(&p.h).p, target.p);
    ck_assert_uint_eq(vwi_http1_ahead(&p.h), 17 + 1000 * 21);
    ck_assert_int_eq(vwi_http1_next(&p.h), VWI_HTTP1_REFUSED); /* the head of the second is too long by now */
    ck_assert_int_eq(p.h.refusal.status, 431);
    finish(&p);
}
END_TEST

/* A body of `len` bytes through vwi_http1_room(), `step` bytes at most at a time. */
static void read_body(struct parser *p, size_t len, size_t step)
{
    size_t left = len, room;
    char *to;

    while (left) {
        to = vwi_http1_room(&p->h, &room);
        ck_assert_ptr_nonnull(to);
        ck_assert_uint_gt(room, 0);
        room = room < step ? room : step;
        ck_assert_uint_le(room, left);
        memset(to, 'b', room);
        left -= room;
        ck_assert_int_eq(vwi_http1_filled(&p->h, room), left ? VWI_HTTP1_BODY : VWI_HTTP1_DONE);
        ck_assert_uint_le(p->h.body.cap, 65536 + 2 * (len - left));
    }
}

START_TEST(a_long_body_grows_with_what_arrives_and_ends_at_its_size)
{
    struct vwi_text head = VWI_TEXT_INIT;
    size_t len = 10 * 1000 * 1000;
    struct parser p;

    begin(&p, 0);
    p.conf.max_body_bytes = len;
    vwi_text_addf(&head, POST "Content-Length: %zu\r\n\r\n", len);
    ck_assert_int_eq(feed(&p, (struct vwi_span){ head.p, head.len }, SIZE_MAX), VWI_HTTP1_BODY);
    ck_assert_uint_le(p.budget.used_bytes, 65536 + 4096);
    read_body(&p, len, 100000);
    ck_assert_uint_eq(p.h.body_span.len, len);
    ck_assert_uint_le(p.budget.used_bytes, len + 4096);
    vwi_http1_drop_body(&p.h);
    ck_assert_uint_le(p.budget.used_bytes, 4096);
    ck_assert(vwi_span_is(vwi_http1_target(&p.h), "/p"));
    vwi_http1_next(&p.h);
    finish(&p);
    vwi_text_fini(&head);
}
END_TEST

START_TEST(a_body_over_the_shared_budget_is_refused_as_it_grows)
{
    struct vwi_text piece = VWI_TEXT_INIT;
    struct parser p;
    enum vwi_http1_state state;
    int i;

    begin(&p, 100000);
    p.conf.max_body_bytes = 0;
    vwi_text_adds(&piece, "1000\r\n" A4096 "\r\n");
    state = feed(&p, (struct vwi_span)BYTES(CHUNKED), SIZE_MAX);
    for (i = 0; i < 100 && state == VWI_HTTP1_BODY; i++)
        state = vwi_http1_feed(&p.h, piece.p, piece.len);
    ck_assert_int_eq(state, VWI_HTTP1_REFUSED);
    ck_assert_int_eq(p.h.refusal.status, 503);
    ck_assert_str_eq(p.h.refusal.reason, "too_many_connections");
    ck_assert_uint_le(p.budget.used_bytes, 100000);
    finish(&p);
    vwi_text_fini(&piece);
}
END_TEST

/* Pieces of a body that is streamed are what was sent, in order, and no more is held than one of them. */
START_TEST(a_streamed_body_is_handed_on_piece_by_piece)
{
    static const struct vwi_span bodies[] = {
        BYTES(POST "Content-Length: 12\r\n\r\nhello world!GET / HTTP/1.1\r\n" HOST "\r\n"),
        BYTES(CHUNKED "5\r\nhello\r\n1;x=y\r\n \r\n6\r\nworld!\r\n0\r\nT: x\r\n\r\nGET / HTTP/1.1\r\n" HOST "\r\n"),
    };
    struct vwi_span in = bodies[_i];
    struct parser p;
    size_t step, at;

    for (step = 1; step < in.len; step++) {
        struct vwi_text got = VWI_TEXT_INIT;
        bool streamed = false;

        begin(&p, 0);
        for (at = 0; at < in.len; at += step) {
            struct vwi_span piece;

            feed(&p, (struct vwi_span){ in.p + at, in.len - at < step ? in.len - at : step }, step);
            if (p.h.state == VWI_HTTP1_HEAD || (p.h.whole && streamed))
                continue;
            vwi_http1_stream(&p.h);
            piece = vwi_http1_body(&p.h);
            vwi_text_add(&got, piece.p, piece.len);
            vwi_http1_consume(&p.h);
            ck_assert_uint_eq(vwi_http1_body(&p.h).len, 0);
            streamed = p.h.whole;
        }
        ck_assert_int_eq(p.h.state, VWI_HTTP1_DONE);
        ck_assert_msg(got.len == 12 && memcmp(got.p, "hello world!", 12) == 0, "in pieces of %zu: %.*s", step, (int)got.len, got.p);
        ck_assert_int_eq(vwi_http1_next(&p.h), VWI_HTTP1_DONE); /* the next request was kept */
        ck_assert(vwi_span_is(vwi_http1_method(&p.h), "GET"));
        vwi_text_fini(&got);
        finish(&p);
    }
}
END_TEST

START_TEST(a_streamed_body_is_held_to_the_same_limit)
{
    struct parser p;

    begin(&p, 0);
    feed(&p, (struct vwi_span)BYTES(CHUNKED "40\r\n" A16 A16 A16 A16 "\r\n"), 1000);
    vwi_http1_stream(&p.h);
    vwi_http1_consume(&p.h);
    ck_assert_int_eq(feed(&p, (struct vwi_span)BYTES("25\r\n"), 10), VWI_HTTP1_REFUSED); /* 64 + 37 > 100 */
    ck_assert_int_eq(p.h.refusal.status, 413);
    finish(&p);
}
END_TEST

START_TEST(a_tunnel_hands_on_all_that_follows_the_head)
{
    static const char head[] = "GET / HTTP/1.1\r\n" HOST "\r\n", frames[] = "\x81\x05hello\0\r\n\r\nPRI * HTTP/2.0\r\n";
    struct vwi_span piece;
    struct parser p;

    begin(&p, 0);
    feed(&p, (struct vwi_span)BYTES("GET / HTTP/1.1\r\n" HOST "\r\nab"), sizeof head + 1);
    feed(&p, (struct vwi_span)BYTES("cd"), 2); /* kept ahead, apart from the head */
    vwi_http1_tunnel(&p.h);
    ck_assert_int_eq(p.h.state, VWI_HTTP1_BODY);
    piece = vwi_http1_body(&p.h);
    ck_assert(vwi_span_is(piece, "abcd"));
    vwi_http1_consume(&p.h);
    feed(&p, (struct vwi_span)BYTES(frames), 3);
    piece = vwi_http1_body(&p.h);
    ck_assert(piece.len == sizeof frames - 1 && memcmp(piece.p, frames, piece.len) == 0);
    finish(&p);
}
END_TEST

START_TEST(a_continue_is_expected_until_the_body_begins)
{
    struct parser p;

    begin(&p, 0);
    feed(&p, (struct vwi_span)BYTES(POST "Expect: 100-continue\r\nContent-Length: 3\r\n\r\n"), SIZE_MAX);
    ck_assert_int_eq(p.h.state, VWI_HTTP1_BODY);
    ck_assert(p.h.expects_continue && !vwi_http1_body_begun(&p.h));
    ck_assert_int_eq(feed(&p, (struct vwi_span)BYTES("a"), SIZE_MAX), VWI_HTTP1_BODY);
    ck_assert(vwi_http1_body_begun(&p.h));
    finish(&p);
}
END_TEST

START_TEST(every_failed_allocation_is_a_refusal)
{
    struct vwi_span in = BYTES(PIPELINE);
    size_t step;

    for (step = 1; step <= in.len; step += 13) {
        unsigned nth, served = 0;

        for (nth = 0; served < 4; nth++) {
            struct parser p;

            ck_assert_uint_lt(nth, 1000);
            begin(&p, 0);
            served = 0;
            vwi_mem_fail_nth(nth);
            feed(&p, in, step);
            while (p.h.state == VWI_HTTP1_DONE) {
                served++;
                vwi_http1_next(&p.h);
            }
            vwi_mem_fail_never();
            ck_assert(p.h.state == VWI_HTTP1_HEAD || p.h.refusal.status == 503);
            finish(&p);
        }
    }
}
END_TEST

Suite *http1_suite(void);

Suite *http1_suite(void)
{
    Suite *s = suite_create("http1");
    TCase *tc = tcase_create("http1");

    tcase_add_loop_test(tc, requests_within_the_rules_are_accepted_however_they_arrive, 0, (int)VWI_ARRAY_LEN(accepted));
    tcase_add_loop_test(tc, requests_outside_the_rules_are_refused_the_same_however_they_arrive, 0, (int)VWI_ARRAY_LEN(refused));
    tcase_add_test(tc, an_incomplete_request_asks_for_more);
    tcase_add_test(tc, headers_are_found_without_case_and_trimmed);
    tcase_add_test(tc, too_many_headers_are_refused);
    tcase_add_test(tc, requests_in_a_row_are_taken_one_at_a_time);
    tcase_add_test(tc, a_request_stays_in_place_while_the_next_ones_arrive);
    tcase_add_test(tc, a_long_body_grows_with_what_arrives_and_ends_at_its_size);
    tcase_add_test(tc, a_body_over_the_shared_budget_is_refused_as_it_grows);
    tcase_add_loop_test(tc, a_streamed_body_is_handed_on_piece_by_piece, 0, 2);
    tcase_add_test(tc, a_streamed_body_is_held_to_the_same_limit);
    tcase_add_test(tc, a_tunnel_hands_on_all_that_follows_the_head);
    tcase_add_test(tc, a_continue_is_expected_until_the_body_begins);
    tcase_add_test(tc, every_failed_allocation_is_a_refusal);
    suite_add_tcase(s, tc);
    return s;
}
