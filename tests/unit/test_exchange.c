/* Replies: every form on the wire, back-pressure, and the one on_done of each exchange. */
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/text.h"
#include "site.h"

#define KEEP "GET /keep HTTP/1.1\r\nHost: a\r\n\r\n"
#define GET "GET /g HTTP/1.1\r\nHost: a\r\n\r\n"

static struct site site;
static char block[65536];

static void set_up(void)
{
    memset(block, 'b', sizeof block);
    site_prepare(&site);
    site_open(&site);
}

static void tear_down(void) { site_close(&site); }

/* A connection whose first request is with the test. */
static int open_kept(const char *request)
{
    int fd = site_connect(&site), count = site.kept_count + 1;

    site_say(&site, fd, request);
    site_turn_until_kept(&site, count);
    return fd;
}

static void expect_next_request_served(int fd)
{
    site_say(&site, fd, GET);
    site_expect(&site, fd, 200, NULL, "GET /g [] ");
    close(fd);
}

START_TEST(a_reply_streamed_in_one_go_has_its_framing)
{
    int fd = site_connect(&site);

    site_say(&site, fd, "GET /chunked HTTP/1.1\r\nHost: a\r\n\r\nGET /length HTTP/1.1\r\nHost: a\r\n\r\n");
    site_expect(&site, fd, 200, "\r\nX-Streamed: 1\r\nTransfer-Encoding: chunked\r\n", "hello world");
    site_expect(&site, fd, 200, "\r\nX-Streamed: 1\r\nContent-Length: 11\r\n", "hello world");
    expect_next_request_served(fd);
}
END_TEST

START_TEST(an_unknown_length_ends_with_the_connection_for_an_old_client)
{
    int fd = site_connect(&site);

    site_say(&site, fd, "GET /chunked HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    site_expect_head_only(&site, fd, 200, "\r\nConnection: close\r\n");
    site_expect_text(&site, fd, "hello world");
    site_expect_end(&site, fd);
    fd = site_connect(&site);
    site_say(&site, fd, "GET /length HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    site_expect(&site, fd, 200, "\r\nConnection: keep-alive\r\n", "hello world");
    close(fd);
}
END_TEST

START_TEST(replies_without_a_body_have_none)
{
    int fd = site_connect(&site);

    site_say(&site, fd, "GET /none HTTP/1.1\r\nHost: a\r\n\r\n");
    site_expect(&site, fd, 204, NULL, "");
    site_say(&site, fd, "HEAD /x HTTP/1.1\r\nHost: a\r\n\r\n");
    site_expect_head_only(&site, fd, 200, "\r\nContent-Length: 11\r\n"); /* "HEAD /x [] " */
    site_say(&site, fd, "HEAD /chunked HTTP/1.1\r\nHost: a\r\n\r\n");
    site_expect_head_only(&site, fd, 200, "\r\nX-Streamed: 1\r\n\r\n");
    site_say(&site, fd, "HEAD /length HTTP/1.1\r\nHost: a\r\n\r\n");
    site_expect_head_only(&site, fd, 200, "\r\nContent-Length: 11\r\n");
    expect_next_request_served(fd);
}
END_TEST

START_TEST(a_head_alone_goes_out_at_the_end_of_the_turn)
{
    int fd = open_kept(KEEP);
    struct vwi_exchange *ex = site.kept[0].ex;
    uint64_t before = vwi_front_stats(site.front).bytes_out;

    ck_assert(!vwi_exchange_head_sent(ex));
    vwi_exchange_head(ex, 200, NULL, -1);
    ck_assert(vwi_exchange_head_sent(ex));
    ck_assert_uint_eq(vwi_front_stats(site.front).bytes_out, before);
    site_expect_head_only(&site, fd, 200, "\r\nTransfer-Encoding: chunked\r\n");
    vwi_exchange_write(ex, "a", 1);
    site_expect_text(&site, fd, "1\r\na\r\n");
    vwi_exchange_write(ex, "", 0); /* must not end the body */
    vwi_exchange_write(ex, block, 300);
    vwi_exchange_end(ex);
    ck_assert_int_eq(site.kept[0].done, 0);
    site_turn_until_done(&site, 0);
    ck_assert(!site.kept[0].gone);
    site_expect_text(&site, fd, "12c\r\n");
    close(fd);
}
END_TEST

START_TEST(head_and_first_bytes_leave_together)
{
    int fd = open_kept(KEEP);
    char got[1000];
    ssize_t n;

    vwi_exchange_head(site.kept[0].ex, 200, NULL, 5);
    vwi_exchange_write(site.kept[0].ex, "hello", 5);
    n = recv(fd, got, sizeof got, MSG_DONTWAIT); /* no turn of the loop */
    ck_assert_int_gt(n, 5);
    ck_assert(memcmp(got + n - 5, "hello", 5) == 0);
    vwi_exchange_end(site.kept[0].ex);
    site_turn_until_done(&site, 0);
    expect_next_request_served(fd);
}
END_TEST

START_TEST(a_long_reply_is_queued_and_arrives_whole)
{
    size_t len = 20 * 1000 * 1000;
    char *body = malloc(len + 1);
    int fd = open_kept(KEEP);

    memset(body, 'x', len);
    body[len] = '\0';
    vwi_exchange_reply(site.kept[0].ex, 200, NULL, body, len);
    ck_assert_uint_gt(vwi_exchange_backlog(site.kept[0].ex), 0);
    site_expect(&site, fd, 200, NULL, body);
    free(body);
    site_turn_until_done(&site, 0);
    ck_assert(!site.kept[0].gone);
    ck_assert_int_eq(site.kept[0].drained, 0); /* it has ended: there is nothing to go on with */
    expect_next_request_served(fd);
}
END_TEST

START_TEST(a_reader_that_stops_is_seen_and_one_that_goes_on_too)
{
    int fd = open_kept(KEEP), i;
    struct vwi_exchange *ex = site.kept[0].ex;
    size_t total = 0, backlog;

    vwi_exchange_head(ex, 200, NULL, -1);
    while ((backlog = vwi_exchange_backlog(ex)) < VWI_EXCHANGE_HIGH_BYTES) {
        vwi_exchange_write(ex, block, sizeof block);
        total += sizeof block;
        ck_assert_uint_lt(total, 100u << 20);
    }
    for (i = 0; i < 5; i++) {
        vwi_exchange_write(ex, block, 1000); /* written on: only queued */
        ck_assert_uint_eq(vwi_exchange_backlog(ex), backlog + (size_t)(i + 1) * (1000 + 7));
    }
    ck_assert_int_eq(site.kept[0].drained, 0);
    while (!site.kept[0].drained) {
        char sink[4096];

        if (recv(fd, sink, sizeof sink, MSG_DONTWAIT) < 0)
            site_turn(&site);
    }
    ck_assert_uint_le(vwi_exchange_backlog(ex), VWI_EXCHANGE_LOW_BYTES);
    ck_assert_int_eq(site.kept[0].drained, 1);
    vwi_exchange_end(ex);
    while (!site.kept[0].done) {
        char sink[65536];

        if (recv(fd, sink, sizeof sink, MSG_DONTWAIT) < 0)
            site_turn(&site);
    }
    ck_assert(!site.kept[0].gone);
    ck_assert_int_eq(site.kept[0].drained, 1);
    close(fd);
}
END_TEST

START_TEST(a_client_that_leaves_while_streaming_is_noticed)
{
    int fd = open_kept(KEEP);
    struct vwi_exchange *ex = site.kept[0].ex;

    vwi_exchange_head(ex, 200, NULL, -1);
    vwi_exchange_write(ex, "data: 1\n\n", 9);
    while (_i >= 2 && vwi_exchange_backlog(ex) < VWI_EXCHANGE_HIGH_BYTES)
        vwi_exchange_write(ex, block, sizeof block);
    if (_i % 2)
        site_reset(fd);
    else
        shutdown(fd, SHUT_WR);
    site_turn_until_done(&site, 0);
    ck_assert(site.kept[0].gone);
    ck_assert_int_eq(site.kept[0].drained, 0);
    ck_assert_uint_eq(vwi_front_stats(site.front).connections, 0);
    if (_i % 2 == 0)
        close(fd);
}
END_TEST

START_TEST(a_write_into_a_reset_connection_ends_the_exchange_later)
{
    int fd = open_kept(KEEP), i;
    struct vwi_exchange *ex = site.kept[0].ex;

    site_reset(fd);
    vwi_exchange_head(ex, 200, NULL, -1);
    for (i = 0; i < 3; i++)
        vwi_exchange_write(ex, block, sizeof block);
    vwi_exchange_end(ex);
    ck_assert_int_eq(site.kept[0].done, 0);
    site_turn_until_done(&site, 0);
    ck_assert(site.kept[0].gone);
}
END_TEST

START_TEST(a_client_that_takes_nothing_is_left_after_a_while)
{
    int fd;

    site.conf.client_body_s = 0.04;
    site_close(&site);
    site_open(&site);
    fd = open_kept(KEEP);
    vwi_exchange_head(site.kept[0].ex, 200, NULL, -1);
    while (vwi_exchange_backlog(site.kept[0].ex) < VWI_EXCHANGE_HIGH_BYTES)
        vwi_exchange_write(site.kept[0].ex, block, sizeof block);
    site_turn_until_done(&site, 0);
    ck_assert(site.kept[0].gone);
    close(fd);
}
END_TEST

START_TEST(an_abort_is_seen_as_a_loss)
{
    static const char *const requests[] = { KEEP, "GET /keep HTTP/1.0\r\n\r\n" };
    int fd = open_kept(requests[_i % 2]);
    struct vwi_exchange *ex = site.kept[0].ex;
    char got[1000];
    ssize_t n = 0;

    if (_i < 2) {
        vwi_exchange_head(ex, 200, NULL, -1);
        vwi_exchange_write(ex, "half", 4);
    }
    vwi_exchange_abort(ex);
    vwi_exchange_write(ex, "more", 4);
    vwi_exchange_end(ex);
    vwi_exchange_abort(ex);
    ck_assert_int_eq(site.kept[0].done, 0);
    site_turn_until_done(&site, 0);
    ck_assert(!site.kept[0].gone);
    while ((n = recv(fd, got, sizeof got, 0)) > 0)
        ck_assert_ptr_null(memmem(got, (size_t)n, "\r\n0\r\n", 5));
    ck_assert_int_eq(n, _i == 1 ? -1 : 0); /* where the end is the end of the body, only a reset tells */
    close(fd);
}
END_TEST

/* What begins a reply waits for its body, but not beyond the turn. */
START_TEST(a_head_is_seen_even_where_the_cut_comes_in_its_turn)
{
    int fd = open_kept(KEEP);

    vwi_exchange_head(site.kept[0].ex, 200, NULL, _i ? -1 : 10);
    vwi_exchange_abort(site.kept[0].ex);
    site_turn_until_done(&site, 0);
    ck_assert(!site.kept[0].gone);
    site_expect_head_only(&site, fd, 200, _i ? "\r\nTransfer-Encoding: chunked\r\n" : "\r\nContent-Length: 10\r\n");
    site_expect_end(&site, fd);
}
END_TEST

START_TEST(less_than_announced_is_an_abort)
{
    int fd = open_kept(KEEP);

    vwi_exchange_head(site.kept[0].ex, 200, NULL, 10);
    vwi_exchange_write(site.kept[0].ex, "half", 4);
    vwi_exchange_end(site.kept[0].ex);
    site_turn_until_done(&site, 0);
    ck_assert(!site.kept[0].gone);
    site_expect_head_only(&site, fd, 200, "\r\nContent-Length: 10\r\n");
    site_expect_text(&site, fd, "half");
    site_expect_end(&site, fd);
}
END_TEST

START_TEST(an_end_seen_with_the_whole_reply_sent_is_not_a_loss)
{
    int fd = open_kept(KEEP);

    vwi_exchange_reply(site.kept[0].ex, 200, NULL, "ok", 2);
    close(fd);
    site_turn_until_done(&site, 0);
    ck_assert(!site.kept[0].gone);
}
END_TEST

START_TEST(headers_of_the_request_are_there_until_done)
{
    int fd = open_kept("POST /keep/x?y HTTP/1.1\r\nHost: a\r\nX-A: 1\r\nContent-Length: 4\r\n\r\nbody");
    struct vwi_exchange *ex = site.kept[0].ex;
    struct vwi_span name, value;

    ck_assert(vwi_span_is(vwi_exchange_method(ex), "POST"));
    ck_assert(vwi_span_is(vwi_exchange_target(ex), "/keep/x?y"));
    ck_assert_uint_eq(vwi_exchange_header_count(ex), 3);
    vwi_exchange_header_at(ex, 1, &name, &value);
    ck_assert(vwi_span_is(name, "X-A"));
    ck_assert(vwi_span_is(value, "1"));
    vwi_exchange_reply(ex, 200, NULL, "ok", 2);
    ck_assert(vwi_span_is(vwi_exchange_body(ex), "body"));
    site_expect(&site, fd, 200, NULL, "ok");
    close(fd);
}
END_TEST

START_TEST(many_streams_at_once_are_all_served)
{
    int fd[SITE_EXCHANGES], i, round;

    for (i = 0; i < SITE_EXCHANGES; i++) {
        fd[i] = open_kept(KEEP);
        vwi_exchange_head(site.kept[i].ex, 200, NULL, -1);
    }
    for (round = 0; round < 8; round++) {
        for (i = 0; i < SITE_EXCHANGES; i++)
            vwi_exchange_write(site.kept[i].ex, "token ", 6);
    }
    for (i = 0; i < SITE_EXCHANGES; i++)
        vwi_exchange_end(site.kept[i].ex);
    for (i = 0; i < SITE_EXCHANGES; i++) {
        site_expect(&site, fd[i], 200, NULL, "token token token token token token token token ");
        site_turn_until_done(&site, i);
        close(fd[i]);
    }
}
END_TEST

Suite *exchange_suite(void);

Suite *exchange_suite(void)
{
    Suite *s = suite_create("exchange");
    TCase *tc = tcase_create("exchange");

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_set_timeout(tc, 30);
    tcase_add_test(tc, a_reply_streamed_in_one_go_has_its_framing);
    tcase_add_test(tc, an_unknown_length_ends_with_the_connection_for_an_old_client);
    tcase_add_test(tc, replies_without_a_body_have_none);
    tcase_add_test(tc, a_head_alone_goes_out_at_the_end_of_the_turn);
    tcase_add_test(tc, head_and_first_bytes_leave_together);
    tcase_add_test(tc, a_long_reply_is_queued_and_arrives_whole);
    tcase_add_test(tc, a_reader_that_stops_is_seen_and_one_that_goes_on_too);
    tcase_add_loop_test(tc, a_client_that_leaves_while_streaming_is_noticed, 0, 4);
    tcase_add_test(tc, a_write_into_a_reset_connection_ends_the_exchange_later);
    tcase_add_test(tc, a_client_that_takes_nothing_is_left_after_a_while);
    tcase_add_loop_test(tc, an_abort_is_seen_as_a_loss, 0, 3);
    tcase_add_loop_test(tc, a_head_is_seen_even_where_the_cut_comes_in_its_turn, 0, 2);
    tcase_add_test(tc, less_than_announced_is_an_abort);
    tcase_add_test(tc, an_end_seen_with_the_whole_reply_sent_is_not_a_loss);
    tcase_add_test(tc, headers_of_the_request_are_there_until_done);
    tcase_add_test(tc, many_streams_at_once_are_all_served);
    suite_add_tcase(s, tc);
    return s;
}
