/* The client side on real sockets: requests of every kind, and clients and fronts that leave. */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/text.h"
#include "site.h"

#define GET "GET /g HTTP/1.1\r\nHost: a\r\n\r\n"
#define POST "POST /p HTTP/1.1\r\nHost: a\r\n"
#define KEEP "GET /keep HTTP/1.1\r\nHost: a\r\n\r\n"

static struct site site;

static void set_up(void)
{
    site_prepare(&site);
    site_open(&site);
}

static void tear_down(void) { site_close(&site); }

START_TEST(a_connection_serves_many_requests)
{
    int fd = site_connect(&site), i;
    struct vwi_front_stats stats;

    for (i = 0; i < 100; i++) {
        site_say(&site, fd, POST "X-Echo: x\r\nContent-Length: 5\r\n\r\nhello");
        site_expect(&site, fd, 200, "\r\nContent-Type: text/plain\r\n", "POST /p [x] hello");
    }
    stats = vwi_front_stats(site.front);
    ck_assert_uint_eq(stats.accepted, 1);
    ck_assert_uint_eq(stats.connections, 1);
    ck_assert_uint_eq(stats.bytes_in, 100 * (strlen(POST) + 37));
    ck_assert_uint_gt(stats.bytes_out, 100 * 17);
    ck_assert_uint_eq(stats.buffered_bytes, 0);
    close(fd);
}
END_TEST

START_TEST(a_request_may_arrive_byte_by_byte)
{
    static const char in[] = POST "Content-Length: 5\r\n\r\nhello" POST "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    int fd = site_connect(&site);
    size_t i;

    for (i = 0; in[i]; i++) {
        site_send(&site, fd, in + i, 1);
        site_turn(&site);
    }
    site_expect(&site, fd, 200, NULL, "POST /p [] hello");
    site_expect(&site, fd, 200, NULL, "POST /p [] abc");
    close(fd);
}
END_TEST

START_TEST(requests_sent_ahead_are_answered_in_order)
{
    struct vwi_text t = VWI_TEXT_INIT;
    int fd = site_connect(&site), i;
    char want[40];

    for (i = 0; i < 200; i++)
        vwi_text_addf(&t, "GET /%d HTTP/1.1\r\nHost: a\r\n\r\n", i);
    site_send(&site, fd, t.p, t.len);
    for (i = 0; i < 200; i++) {
        snprintf(want, sizeof want, "GET /%d [] ", i);
        site_expect(&site, fd, 200, NULL, want);
    }
    vwi_text_fini(&t);
    close(fd);
}
END_TEST

START_TEST(the_next_request_waits_for_the_reply_to_this_one)
{
    int fd = site_connect(&site);

    site_say(&site, fd, KEEP GET KEEP);
    site_turn_until_kept(&site, 1);
    ck_assert_int_eq(site.requests, 1);
    vwi_exchange_reply(site.kept[0].ex, 200, NULL, "one", 3);
    ck_assert_int_eq(site.kept[0].done, 0); /* not from inside the call */
    site_expect(&site, fd, 200, NULL, "one");
    site_expect(&site, fd, 200, NULL, "GET /g [] ");
    ck_assert_int_eq(site.kept[0].done, 1);
    ck_assert(!site.kept[0].gone);
    site_turn_until_kept(&site, 2);
    ck_assert_int_eq(site.requests, 3);
    vwi_exchange_reply(site.kept[1].ex, 200, NULL, "three", 5);
    site_expect(&site, fd, 200, NULL, "three");
    close(fd);
}
END_TEST

START_TEST(a_client_far_ahead_is_left_unread_but_not_unwatched)
{
    static char junk[100000]; /* more than is read ahead, less than the kernel keeps: a FIN must get through */
    int fd = site_connect(&site);

    memset(junk, 'x', sizeof junk);
    site_say(&site, fd, KEEP);
    site_turn_until_kept(&site, 1);
    site_send(&site, fd, junk, sizeof junk);
    while (vwi_front_stats(site.front).bytes_in < 65536)
        site_turn(&site);
    ck_assert_uint_lt(vwi_front_stats(site.front).bytes_in, sizeof junk);
    ck_assert_uint_le(vwi_front_stats(site.front).buffered_bytes, 2 * 65536);
    if (_i)
        site_reset(fd);
    else
        shutdown(fd, SHUT_WR);
    site_turn_until_done(&site, 0);
    ck_assert(site.kept[0].gone);
    if (!_i)
        close(fd);
}
END_TEST

/* Sends and reads as much as goes; answers the first request once the sending got stuck behind it. */
static int run_far_ahead(int fd, const struct vwi_text *in, size_t reply_len, int count)
{
    static char buffer[65536];
    size_t sent = 0, read = 0;

    while (read < reply_len * (size_t)count) {
        ssize_t out = sent < in->len ? send(fd, in->p + sent, in->len - sent, MSG_DONTWAIT) : 0;
        ssize_t got = recv(fd, buffer, sizeof buffer, MSG_DONTWAIT);

        sent += out > 0 ? (size_t)out : 0;
        read += got > 0 ? (size_t)got : 0;
        if (out < 0 && site.kept_count && site.kept[0].ex)
            vwi_exchange_reply(site.kept[0].ex, 200, "Content-Type: text/plain\r\n", "GET /g [] ", 10);
        ck_assert_uint_le(vwi_front_stats(site.front).buffered_bytes, 4 * 65536);
        if (got < 0)
            site_turn(&site);
    }
    return (int)(read / reply_len);
}

START_TEST(reading_goes_on_when_the_requests_ahead_are_answered)
{
    struct vwi_text t = VWI_TEXT_INIT;
    int fd = site_connect(&site), i;
    uint64_t one;

    site_say(&site, fd, GET);
    site_expect(&site, fd, 200, NULL, "GET /g [] ");
    one = vwi_front_stats(site.front).bytes_out;
    vwi_text_adds(&t, KEEP);
    for (i = 0; i < 200000; i++)
        vwi_text_adds(&t, GET);
    ck_assert_int_eq(run_far_ahead(fd, &t, one, 200001), 200001);
    ck_assert_int_eq(site.requests, 200002);
    vwi_text_fini(&t);
    close(fd);
}
END_TEST

START_TEST(an_old_client_gets_its_reply_and_the_end)
{
    int fd = site_connect(&site);

    site_say(&site, fd, "GET /g HTTP/1.0\r\n\r\n");
    site_expect(&site, fd, 200, "\r\nConnection: close\r\n", "GET /g [] ");
    site_expect_end(&site, fd);
}
END_TEST

START_TEST(an_old_client_may_ask_to_stay)
{
    int fd = site_connect(&site);

    site_say(&site, fd, "GET /g HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    site_expect(&site, fd, 200, "\r\nConnection: keep-alive\r\n", "GET /g [] ");
    site_say(&site, fd, "GET /h HTTP/1.0\r\n\r\n");
    site_expect(&site, fd, 200, "\r\nConnection: close\r\n", "GET /h [] ");
    site_expect_end(&site, fd);
}
END_TEST

START_TEST(close_is_honoured_from_both_sides)
{
    int fd = site_connect(&site);

    site_say(&site, fd, "GET /g HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    site_expect(&site, fd, 200, "\r\nConnection: close\r\n", "GET /g [] ");
    site_expect_end(&site, fd);
    fd = site_connect(&site);
    site_say(&site, fd, "GET /close HTTP/1.1\r\nHost: a\r\n\r\n" GET);
    site_expect(&site, fd, 200, "\r\nConnection: close\r\n", "bye");
    site_expect_end(&site, fd);
    ck_assert_int_eq(site.requests, 2);
}
END_TEST

START_TEST(a_continue_is_sent_once_the_head_is_fine)
{
    int fd = site_connect(&site);

    site_say(&site, fd, POST "Expect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    site_expect_text(&site, fd, "HTTP/1.1 100 Continue\r\n\r\n");
    site_say(&site, fd, "hello");
    site_expect(&site, fd, 200, NULL, "POST /p [] hello");
    site_say(&site, fd, POST "Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n");
    site_expect_text(&site, fd, "HTTP/1.1 100 Continue\r\n\r\n");
    site_say(&site, fd, "1\r\nx\r\n0\r\n\r\n");
    site_expect(&site, fd, 200, NULL, "POST /p [] x");
    site_say(&site, fd, POST "Expect: 100-continue\r\nContent-Length: 2\r\n\r\nab");
    site_expect(&site, fd, 200, NULL, "POST /p [] ab");
    close(fd);
}
END_TEST

START_TEST(a_long_body_arrives_whole)
{
    size_t len = 5 * 1000 * 1000, i;
    char *body = malloc(len);
    int fd = site_connect(&site);
    struct vwi_span got;

    for (i = 0; i < len; i++)
        body[i] = (char)('a' + i % 23);
    site_say(&site, fd, "POST /keep HTTP/1.1\r\nHost: a\r\nContent-Length: 5000000\r\n\r\n");
    site_send(&site, fd, body, len);
    site_turn_until_kept(&site, 1);
    got = vwi_exchange_body(site.kept[0].ex);
    ck_assert_uint_eq(got.len, len);
    ck_assert(memcmp(got.p, body, len) == 0);
    ck_assert_uint_le(vwi_front_stats(site.front).buffered_bytes, len + len / 10);
    vwi_exchange_drop_body(site.kept[0].ex);
    ck_assert_uint_le(vwi_front_stats(site.front).buffered_bytes, 4096);
    vwi_exchange_reply(site.kept[0].ex, 200, NULL, "ok", 2);
    site_expect(&site, fd, 200, NULL, "ok");
    free(body);
    close(fd);
}
END_TEST

START_TEST(the_peer_is_named_without_a_mapping)
{
    int fd = site_connect(&site);

    site_say(&site, fd, KEEP);
    site_turn_until_kept(&site, 1);
    ck_assert(vwi_span_is(vwi_exchange_peer(site.kept[0].ex), "127.0.0.1"));
    vwi_exchange_reply(site.kept[0].ex, 200, NULL, "", 0);
    site_expect(&site, fd, 200, NULL, "");
    close(fd);
}
END_TEST

START_TEST(a_client_that_leaves_before_the_reply_is_noticed)
{
    int fd = site_connect(&site);

    site_say(&site, fd, KEEP);
    site_turn_until_kept(&site, 1);
    if (_i)
        site_reset(fd);
    else
        close(fd);
    site_turn_until_done(&site, 0);
    ck_assert(site.kept[0].gone);
    ck_assert_uint_eq(vwi_front_stats(site.front).connections, 0);
}
END_TEST

START_TEST(a_client_that_leaves_within_a_request_is_forgotten)
{
    static const char *const in[] = { "", "GET", POST "Content-Length: 9\r\n\r\nabc",
                                      POST "Transfer-Encoding: chunked\r\n\r\n3\r\na" };
    int fd = site_connect(&site);

    site_say(&site, fd, in[_i]);
    while (vwi_front_stats(site.front).bytes_in < strlen(in[_i]) || !vwi_front_stats(site.front).accepted)
        site_turn(&site);
    close(fd);
    while (vwi_front_stats(site.front).connections)
        site_turn(&site);
    ck_assert_uint_eq(vwi_front_stats(site.front).buffered_bytes, 0);
    ck_assert_int_eq(site.requests, 0);
}
END_TEST

START_TEST(stopping_lets_requests_finish_and_closes_the_rest)
{
    int idle = site_connect(&site), busy = site_connect(&site), late;
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(vwi_front_port(site.front)) };

    site_say(&site, idle, GET);
    site_expect(&site, idle, 200, NULL, "GET /g [] ");
    site_say(&site, busy, KEEP);
    site_turn_until_kept(&site, 1);
    vwi_front_stop_accepting(site.front);
    vwi_front_stop_accepting(site.front);
    site_expect_end(&site, idle);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    late = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(connect(late, (const struct sockaddr *)(const void *)&to, sizeof to), -1);
    ck_assert_int_eq(errno, ECONNREFUSED);
    close(late);
    vwi_exchange_reply(site.kept[0].ex, 200, NULL, "ok", 2);
    site_expect(&site, busy, 200, "\r\nConnection: close\r\n", "ok");
    site_expect_end(&site, busy);
    ck_assert_int_eq(site.kept[0].done, 1);
}
END_TEST

START_TEST(destroying_ends_every_exchange_once)
{
    int fd[3], i;

    for (i = 0; i < 3; i++) {
        fd[i] = site_connect(&site);
        site_say(&site, fd[i], KEEP);
    }
    site_turn_until_kept(&site, 3);
    vwi_exchange_head(site.kept[1].ex, 200, NULL, -1);
    vwi_exchange_write(site.kept[1].ex, "part", 4);
    vwi_exchange_reply(site.kept[2].ex, 200, NULL, "whole", 5); /* its on_done is still due */
    vwi_front_destroy(site.front);
    site.front = NULL;
    for (i = 0; i < 3; i++) {
        ck_assert_int_eq(site.kept[i].done, 1);
        ck_assert_int_eq(site.kept[i].gone, i != 2);
    }
    site_expect(&site, fd[2], 200, NULL, "whole");
    for (i = 0; i < 3; i++)
        site_drain(&site, fd[i]);
}
END_TEST

/* One allocation after the other fails while a client speaks; the connection may end, the front goes on. */
START_TEST(every_failed_allocation_costs_one_connection_at_most)
{
    unsigned nth;
    bool served = false;

    for (nth = 0; !served; nth++) {
        int fd = site_connect(&site), requests = site.requests;
        char byte;
        ssize_t n;

        ck_assert_uint_lt(nth, 200);
        site_say(&site, fd, POST "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
        site_say(&site, fd, "GET /chunked HTTP/1.1\r\nHost: a\r\n\r\n");
        shutdown(fd, SHUT_WR);
        vwi_mem_fail_nth(nth);
        while ((n = recv(fd, &byte, 1, MSG_DONTWAIT)) > 0 || (n < 0 && errno == EAGAIN)) {
            if (n < 0)
                site_turn(&site);
        }
        served = site.requests == requests + 2;
        vwi_mem_fail_never();
        close(fd);
    }
}
END_TEST

/* In the listener's queue, with its request, when the front goes. */
START_TEST(whoever_has_connected_is_answered_when_the_front_stops_accepting)
{
    struct site_exchange *kept;
    int busy = site_connect(&site), waiting;

    site_say(&site, busy, KEEP);
    site_turn_until_kept(&site, 1);
    kept = &site.kept[0];
    waiting = site_connect(&site);
    site_say(&site, waiting, GET);
    vwi_front_stop_accepting(site.front);
    site_expect(&site, waiting, 200, "\r\nConnection: close\r\n", "GET /g [] ");
    site_expect_end(&site, waiting);
    vwi_exchange_reply(kept->ex, 200, NULL, "late", 4);
    site_expect(&site, busy, 200, "\r\nConnection: close\r\n", "late");
    site_expect_end(&site, busy);
}
END_TEST

START_TEST(a_request_that_came_before_an_idle_connection_is_closed_is_answered)
{
    int idle = site_connect(&site), sent = site_connect(&site), half = site_connect(&site);

    site_say(&site, idle, GET);
    site_expect(&site, idle, 200, NULL, "GET /g [] ");
    site_say(&site, sent, GET);
    site_expect(&site, sent, 200, NULL, "GET /g [] ");
    site_say(&site, half, GET);
    site_expect(&site, half, 200, NULL, "GET /g [] ");
    site_say(&site, sent, POST "Content-Length: 5\r\n\r\nhello");
    site_say(&site, half, "GET /g HTT");
    vwi_front_drain(site.front);
    site_expect_end(&site, idle);
    site_expect(&site, sent, 200, "\r\nConnection: close\r\n", "POST /p [] hello");
    site_expect_end(&site, sent);
    site_say(&site, half, "P/1.1\r\nHost: a\r\n\r\n");
    site_expect(&site, half, 200, "\r\nConnection: close\r\n", "GET /g [] ");
    site_expect_end(&site, half);
}
END_TEST

/* Its head said nothing of a close, so what was sent behind it is answered. */
START_TEST(requests_sent_ahead_of_a_reply_that_was_begun_before_the_drain_are_answered)
{
    int fd = site_connect(&site);

    site_say(&site, fd, KEEP GET GET);
    site_turn_until_kept(&site, 1);
    vwi_exchange_head(site.kept[0].ex, 200, NULL, 5);
    vwi_exchange_write(site.kept[0].ex, "hel", 3);
    vwi_front_drain(site.front);
    vwi_exchange_write(site.kept[0].ex, "lo", 2);
    vwi_exchange_end(site.kept[0].ex);
    site_expect(&site, fd, 200, NULL, "hello");
    site_expect(&site, fd, 200, "\r\nConnection: close\r\n", "GET /g [] ");
    site_expect_end(&site, fd); /* the third one was told */
}
END_TEST

/* A reset would take the answer that is on its way, and tells the client less than an end. */
START_TEST(a_request_that_crosses_the_close_of_its_idle_connection_sees_an_end_and_no_reset)
{
    int fd = site_connect(&site), i;
    char byte;

    site_say(&site, fd, GET);
    site_expect(&site, fd, 200, NULL, "GET /g [] ");
    vwi_front_drain(site.front);
    site_say(&site, fd, GET);
    for (i = 0; i < 3; i++) {
        site_turn(&site);
        ck_assert_int_eq(recv(fd, &byte, 1, MSG_DONTWAIT), 0);
        site_say(&site, fd, GET);
    }
    ck_assert_int_eq(site.requests, 1);
    close(fd);
    while (vwi_front_stats(site.front).connections)
        site_turn(&site);
}
END_TEST

START_TEST(new_connections_are_taken_until_the_front_stops_accepting)
{
    int fd, unused;

    vwi_front_drain(site.front);
    unused = site_connect(&site);
    fd = site_connect(&site);
    site_say(&site, fd, GET);
    site_expect(&site, fd, 200, "\r\nConnection: close\r\n", "GET /g [] ");
    vwi_front_stop_accepting(site.front);
    site_expect_end(&site, unused);
    close(fd);
}
END_TEST

Suite *front_suite(void);

Suite *front_suite(void)
{
    Suite *s = suite_create("front");
    TCase *tc = tcase_create("front");

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_set_timeout(tc, 30);
    tcase_add_test(tc, a_connection_serves_many_requests);
    tcase_add_test(tc, a_request_may_arrive_byte_by_byte);
    tcase_add_test(tc, requests_sent_ahead_are_answered_in_order);
    tcase_add_test(tc, the_next_request_waits_for_the_reply_to_this_one);
    tcase_add_loop_test(tc, a_client_far_ahead_is_left_unread_but_not_unwatched, 0, 2);
    tcase_add_test(tc, reading_goes_on_when_the_requests_ahead_are_answered);
    tcase_add_test(tc, an_old_client_gets_its_reply_and_the_end);
    tcase_add_test(tc, an_old_client_may_ask_to_stay);
    tcase_add_test(tc, close_is_honoured_from_both_sides);
    tcase_add_test(tc, a_continue_is_sent_once_the_head_is_fine);
    tcase_add_test(tc, a_long_body_arrives_whole);
    tcase_add_test(tc, the_peer_is_named_without_a_mapping);
    tcase_add_loop_test(tc, a_client_that_leaves_before_the_reply_is_noticed, 0, 2);
    tcase_add_loop_test(tc, a_client_that_leaves_within_a_request_is_forgotten, 0, 4);
    tcase_add_test(tc, stopping_lets_requests_finish_and_closes_the_rest);
    tcase_add_test(tc, whoever_has_connected_is_answered_when_the_front_stops_accepting);
    tcase_add_test(tc, a_request_that_came_before_an_idle_connection_is_closed_is_answered);
    tcase_add_test(tc, requests_sent_ahead_of_a_reply_that_was_begun_before_the_drain_are_answered);
    tcase_add_test(tc, a_request_that_crosses_the_close_of_its_idle_connection_sees_an_end_and_no_reset);
    tcase_add_test(tc, new_connections_are_taken_until_the_front_stops_accepting);
    tcase_add_test(tc, destroying_ends_every_exchange_once);
    tcase_add_test(tc, every_failed_allocation_costs_one_connection_at_most);
    suite_add_tcase(s, tc);
    return s;
}
