/* The client side on real sockets: refusals, limits, deadlines and the listener. */
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/mem.h"
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

/* For tests that change the limits. */
static void reopen(void)
{
    struct vwi_front_conf conf = site.conf;

    site_close(&site);
    site_prepare(&site);
    site.conf = conf;
    site_open(&site);
}

static const struct {
    const char *in;
    int status;
    const char *reason;
} refusals[] = {
    { "GET / HTTP/1.1\r\n\r\n", 400, "bad_request" },
    { POST "Content-Length: 70000000\r\n\r\n", 413, "body_too_large" },
    { POST "Expect: 100-continue\r\nContent-Length: 70000000\r\n\r\n", 413, "body_too_large" },
    { POST "Transfer-Encoding: chunked\r\n\r\n5000000\r\n", 413, "body_too_large" },
    { POST "Expect: a-pony\r\n\r\n", 417, "expectation_failed" },
    { "BREW / HTTP/1.1\r\n\r\n", 501, "not_implemented" },
    { "GET / HTTP/2.0\r\n\r\n", 505, "version_not_supported" },
    { GET "BREW / HTTP/1.1\r\n\r\n", 501, "not_implemented" },
};

START_TEST(a_refusal_is_a_readable_reply_and_then_the_end)
{
    char header[60];
    int fd = site_connect(&site);

    snprintf(header, sizeof header, "\r\nX-Reason: %s\r\n", refusals[_i].reason);
    site_say(&site, fd, refusals[_i].in);
    if (strncmp(refusals[_i].in, GET, strlen(GET)) == 0)
        site_expect(&site, fd, 200, NULL, "GET /g [] ");
    site_expect(&site, fd, refusals[_i].status, header, refusals[_i].reason);
    site_expect_end(&site, fd);
}
END_TEST

static void expect_refusal_of_much(const char *begin, char filler, size_t count, int status, const char *reason)
{
    char *much = malloc(count);
    int fd = site_connect(&site);

    memset(much, filler, count);
    site_say(&site, fd, begin);
    site_send(&site, fd, much, count); /* part of it after the refusal: the reply must survive that */
    site_expect(&site, fd, status, "\r\nConnection: close\r\n", reason);
    site_expect_end(&site, fd);
    free(much);
}

START_TEST(a_long_target_a_long_head_and_a_long_body_are_refused_readably)
{
    expect_refusal_of_much("GET /", 'a', 2000000, 414, "uri_too_long");
    expect_refusal_of_much("GET / HTTP/1.1\r\nX: ", 'a', 2000000, 431, "header_too_large");
    expect_refusal_of_much(POST "Content-Length: 80000000\r\n\r\n", 'b', 2000000, 413, "body_too_large");
    ck_assert_uint_eq(vwi_front_stats(site.front).buffered_bytes, 0);
}
END_TEST

START_TEST(a_refused_head_request_gets_no_body)
{
    int fd = site_connect(&site);

    site_say(&site, fd, "HEAD / HTTP/1.1\r\n\r\n");
    site_expect_head_only(&site, fd, 400, "\r\nContent-Length: 11\r\n");
    site_expect_end(&site, fd);
}
END_TEST

START_TEST(more_than_the_memory_for_requests_is_refused)
{
    static char body[200000];
    int fd, other;

    site.conf.max_buffered_bytes = 300000;
    reopen();
    fd = site_connect(&site);
    other = site_connect(&site);
    site_say(&site, fd, "POST /keep HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n");
    site_send(&site, fd, body, sizeof body);
    site_turn_until_kept(&site, 1);
    site_say(&site, other, POST "Content-Length: 200000\r\n\r\n");
    site_send(&site, other, body, sizeof body);
    site_expect(&site, other, 503, NULL, "too_many_connections");
    site_expect_end(&site, other);
    ck_assert_uint_le(vwi_front_stats(site.front).buffered_bytes, 300000);
    vwi_exchange_reply(site.kept[0].ex, 200, NULL, "ok", 2);
    site_expect(&site, fd, 200, NULL, "ok");
    close(fd);
}
END_TEST

START_TEST(a_connection_past_the_limit_is_told_so)
{
    int a, b, c;

    site.conf.max_connections = 2;
    reopen();
    a = site_connect(&site);
    b = site_connect(&site);
    site_say(&site, b, GET);
    site_expect(&site, b, 200, NULL, "GET /g [] ");
    c = site_connect(&site);
    site_say(&site, c, GET);
    site_expect(&site, c, 503, "\r\nConnection: close\r\n", "too_many_connections");
    site_expect_end(&site, c);
    close(b);
    while (vwi_front_stats(site.front).connections > 1)
        site_turn(&site);
    c = site_connect(&site);
    site_say(&site, c, GET);
    site_expect(&site, c, 200, NULL, "GET /g [] ");
    close(a);
    close(c);
}
END_TEST

START_TEST(a_slow_head_and_a_slow_body_are_told_so)
{
    int fd;

    site.conf.client_header_s = 0.04;
    site.conf.client_body_s = 0.04;
    reopen();
    fd = site_connect(&site);
    site_say(&site, fd, "GET / HT");
    site_expect(&site, fd, 408, NULL, "request_timeout");
    site_expect_end(&site, fd);
    fd = site_connect(&site);
    site_say(&site, fd, POST "Content-Length: 5\r\n\r\nhel");
    site_expect(&site, fd, 408, NULL, "request_timeout");
    site_expect_end(&site, fd);
}
END_TEST

START_TEST(a_silent_and_an_idle_connection_are_closed_silently)
{
    int fd;

    site.conf.client_header_s = 0.04;
    site.conf.client_idle_s = 0.04;
    reopen();
    fd = site_connect(&site);
    site_expect_end(&site, fd);
    fd = site_connect(&site);
    site_say(&site, fd, GET);
    site_expect(&site, fd, 200, NULL, "GET /g [] ");
    site_expect_end(&site, fd);
}
END_TEST

START_TEST(a_waiting_request_has_no_deadline_of_its_own)
{
    int fd, other;

    site.conf.client_header_s = site.conf.client_body_s = site.conf.client_idle_s = 0.02;
    reopen();
    fd = site_connect(&site);
    site_say(&site, fd, KEEP);
    site_turn_until_kept(&site, 1);
    other = site_connect(&site); /* closed by its deadline, so that much time has passed */
    site_expect_end(&site, other);
    vwi_exchange_reply(site.kept[0].ex, 200, NULL, "late", 4);
    site_expect(&site, fd, 200, NULL, "late");
    close(fd);
}
END_TEST

/* Without descriptors left the listener must neither spin nor stay deaf. */
START_TEST(accepting_goes_on_when_descriptors_are_there_again)
{
    int fd = site_connect(&site), probe = dup(fd);
    struct rlimit old, tight;

    getrlimit(RLIMIT_NOFILE, &old);
    tight = old;
    tight.rlim_cur = (rlim_t)probe;
    close(probe);
    site_say(&site, fd, GET);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &tight), 0);
    site_turn(&site); /* EMFILE */
    ck_assert_uint_eq(vwi_front_stats(site.front).accepted, 0);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &old), 0);
    site_expect(&site, fd, 200, NULL, "GET /g [] ");
    close(fd);
}
END_TEST

START_TEST(a_port_in_use_is_one_clear_sentence)
{
    static const struct vwi_front_events none = { .on_request = NULL, .on_refuse = NULL };
    struct vwi_front_conf conf = site.conf;
    struct vwi_front *front = NULL;
    vw_error_t why = { 0 };
    char port[16];

    conf.port = vwi_front_port(site.front);
    snprintf(port, sizeof port, "port %u: ", (unsigned)conf.port);
    ck_assert_int_eq(vwi_front_create(site.loop, &conf, &none, NULL, NULL, &front, &why), VW_E_IO);
    ck_assert_ptr_null(front);
    ck_assert_ptr_nonnull(strstr(why.text, port));
    ck_assert_ptr_nonnull(strstr(why.text, "already in use. Remedy: "));
    why = (vw_error_t){ 0 };
    conf.bind_address = (char[]){ "203.0.113.77" };
    conf.port = 0;
    ck_assert_int_eq(vwi_front_create(site.loop, &conf, &none, NULL, NULL, &front, &why), VW_E_IO);
    ck_assert_ptr_nonnull(strstr(why.text, "203.0.113.77"));
}
END_TEST

START_TEST(a_bind_address_narrows_the_listener)
{
    int fd;

    site.conf.bind_address = (char[]){ "127.0.0.1" };
    reopen();
    fd = site_connect(&site);
    site_say(&site, fd, GET);
    site_expect(&site, fd, 200, NULL, "GET /g [] ");
    close(fd);
}
END_TEST

START_TEST(creation_survives_each_failed_allocation)
{
    static const struct vwi_front_events none = { .on_request = NULL, .on_refuse = NULL };
    struct vwi_front *front = NULL;
    vw_err err = VW_E_NOMEM;
    unsigned nth;

    for (nth = 0; err != VW_OK; nth++) {
        vw_error_t why = { 0 };

        ck_assert_uint_lt(nth, 20);
        vwi_mem_fail_nth(nth);
        err = vwi_front_create(site.loop, &site.conf, &none, NULL, NULL, &front, &why);
        vwi_mem_fail_never();
        ck_assert_int_eq(err, why.code);
        ck_assert(err == VW_OK || err == VW_E_NOMEM);
    }
    vwi_front_destroy(front);
}
END_TEST

Suite *front_limits_suite(void);

Suite *front_limits_suite(void)
{
    Suite *s = suite_create("front_limits");
    TCase *tc = tcase_create("front_limits");

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_set_timeout(tc, 30);
    tcase_add_loop_test(tc, a_refusal_is_a_readable_reply_and_then_the_end, 0, (int)VWI_ARRAY_LEN(refusals));
    tcase_add_test(tc, a_long_target_a_long_head_and_a_long_body_are_refused_readably);
    tcase_add_test(tc, a_refused_head_request_gets_no_body);
    tcase_add_test(tc, more_than_the_memory_for_requests_is_refused);
    tcase_add_test(tc, a_connection_past_the_limit_is_told_so);
    tcase_add_test(tc, a_slow_head_and_a_slow_body_are_told_so);
    tcase_add_test(tc, a_silent_and_an_idle_connection_are_closed_silently);
    tcase_add_test(tc, a_waiting_request_has_no_deadline_of_its_own);
    tcase_add_test(tc, accepting_goes_on_when_descriptors_are_there_again);
    tcase_add_test(tc, a_port_in_use_is_one_clear_sentence);
    tcase_add_test(tc, a_bind_address_narrows_the_listener);
    tcase_add_test(tc, creation_survives_each_failed_allocation);
    suite_add_tcase(s, tc);
    return s;
}
