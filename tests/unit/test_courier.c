/* Errands against our own front on the same loop: answers, failures with a clause, bounds, cancelling, names that hang. */
#include <check.h>
#include <curl/curlver.h>
#include <dlfcn.h>
#include <errno.h>
#include <netdb.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/conf.h"
#include "base/log.h"
#include "base/text.h"
#include "io/courier.h"
#include "io/front.h"

static struct vwi_loop *loop;
static struct vwi_front *front;
static struct vwi_courier *courier;
static struct vwi_timer patience;
static long got_status, got_retry_after_s;
static char got_body[256], got_text[256];
static unsigned ends, seen;
static struct vwi_exchange *held;

static sem_t answer_name; /* name servers that do not answer, until the test says so */

/* Stands in front of the C library's, for libcurl too. */
__attribute__((visibility("default"))) int getaddrinfo(const char *restrict name, const char *restrict service, const struct addrinfo *restrict hints,
                struct addrinfo **restrict ret)
{
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    void *found = dlsym(RTLD_NEXT, "getaddrinfo");
    struct timespec until;

    memcpy(&real, &found, sizeof real);
    if (!name || strcmp(name, "stuck.invalid") != 0)
        return real(name, service, hints, ret);
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 300; /* longer than any test may take */
    while (sem_timedwait(&answer_name, &until) != 0 && errno == EINTR)
        ;
    return EAI_AGAIN;
}

static void on_exchange_done(void *user, bool gone)
{
    (void)user;
    ck_assert(gone);
    held = NULL;
    vwi_loop_stop(loop);
}

static void on_request(void *arg, struct vwi_exchange *ex)
{
    static const struct vwi_exchange_events events = { .on_drained = NULL, .on_done = on_exchange_done };
    struct vwi_span target = vwi_exchange_target(ex);
    struct vwi_text body = VWI_TEXT_INIT;

    (void)arg;
    seen++;
    if (vwi_span_is(target, "/hold")) {
        vwi_exchange_bind(ex, &events, NULL);
        held = ex;
        vwi_loop_stop(loop);
        return;
    }
    if (vwi_span_is(target, "/moved")) {
        vwi_exchange_reply(ex, 307, "Location: /echo\r\n", "", 0);
        return;
    }
    if (vwi_span_is(target, "/later")) {
        vwi_exchange_reply(ex, 503, "Retry-After: 17\r\n", "", 0);
        return;
    }
    vwi_text_add(&body, vwi_exchange_method(ex).p, vwi_exchange_method(ex).len);
    vwi_text_adds(&body, " ");
    vwi_text_add(&body, vwi_exchange_header(ex, "content-type").p, vwi_exchange_header(ex, "content-type").len);
    vwi_text_adds(&body, " ");
    vwi_text_add(&body, vwi_exchange_body(ex).p, vwi_exchange_body(ex).len);
    vwi_exchange_reply(ex, vwi_span_is(target, "/fail") ? 503 : 200, NULL, body.p, body.len);
    vwi_text_fini(&body);
}

static void on_refuse(void *arg, int status, const char *reason, const char *message, struct vwi_text *headers, struct vwi_text *body)
{
    (void)arg, (void)status, (void)reason, (void)message, (void)headers;
    vwi_text_adds(body, "{}");
}

static void on_reply(void *arg, const struct vwi_errand_reply *reply)
{
    (void)arg;
    ends++;
    got_status = reply->status;
    got_retry_after_s = reply->retry_after_s;
    snprintf(got_body, sizeof got_body, "%s", reply->body);
    snprintf(got_text, sizeof got_text, "%s", reply->text);
    vwi_loop_stop(loop);
}

static void on_impatient(void *arg)
{
    (void)arg;
    ck_abort_msg("nothing happened");
}

static void setup(void)
{
    static const struct vwi_front_events events = { .on_request = on_request, .on_refuse = on_refuse };
    static const struct vwi_log log = { .level = VW_LOG_ERROR };
    static char address[] = "127.0.0.1";
    struct vwi_front_conf conf = { .bind_address = address, .max_body_bytes = 1000000, .max_buffered_bytes = 1000000,
                                   .max_header_bytes = 65536, .max_connections = 100 };

    ends = seen = 0;
    held = NULL;
    ck_assert_int_eq(vwi_loop_create(&loop, NULL), VW_OK);
    ck_assert_int_eq(vwi_front_create(loop, &conf, &events, NULL, &log, &front, NULL), VW_OK);
    ck_assert_int_eq(vwi_courier_create(loop, "vastworker/test", &courier, NULL), VW_OK);
    ck_assert_int_eq(vwi_timer_init(&patience, loop, on_impatient, NULL), VW_OK);
    vwi_timer_start(&patience, 30000);
}

static void teardown(void)
{
    vwi_timer_fini(&patience);
    vwi_courier_destroy(courier);
    vwi_front_destroy(front);
    vwi_loop_destroy(loop);
}

static struct vwi_errand *fetch(const char *path, const char *body, double timeout_s, size_t max_reply)
{
    char url[128];
    struct vwi_errand_request request = { url, body, body ? strlen(body) : 0, "application/json", timeout_s, max_reply };
    struct vwi_errand *errand;

    snprintf(url, sizeof url, "http://127.0.0.1:%u%s", vwi_front_port(front), path);
    errand = vwi_courier_send(courier, &request, on_reply, NULL);
    ck_assert_ptr_nonnull(errand);
    ck_assert_uint_eq(ends, 0);
    return errand;
}

START_TEST(a_body_is_posted_with_its_type)
{
    fetch("/echo", "{\"a\": 1}", 10, 1000);
    vwi_loop_run(loop);
    ck_assert_int_eq(got_status, 200);
    ck_assert_str_eq(got_body, "POST application/json {\"a\": 1}");
}
END_TEST

START_TEST(without_a_body_it_is_a_get)
{
    fetch("/echo", NULL, 10, 1000);
    vwi_loop_run(loop);
    ck_assert_str_eq(got_body, "GET  ");
}
END_TEST

START_TEST(a_redirect_keeps_method_and_body)
{
    fetch("/moved", "x", 10, 1000);
    vwi_loop_run(loop);
    ck_assert_int_eq(got_status, 200);
    ck_assert_str_eq(got_body, "POST application/json x");
}
END_TEST

START_TEST(an_error_status_is_an_answer)
{
    fetch("/fail", "x", 10, 1000);
    vwi_loop_run(loop);
    ck_assert_int_eq(got_status, 503);
    ck_assert_int_eq(got_retry_after_s, 0);
}
END_TEST

START_TEST(an_answer_may_ask_for_time)
{
    fetch("/later", "x", 10, 0);
    vwi_loop_run(loop);
    ck_assert_int_eq(got_status, 503);
#if LIBCURL_VERSION_NUM >= 0x074200
    ck_assert_int_eq(got_retry_after_s, 17);
#endif
}
END_TEST

START_TEST(a_refused_connection_is_said_in_a_clause)
{
    vwi_front_stop_accepting(front);
    fetch("/echo", NULL, 10, 1000);
    vwi_loop_run(loop);
    ck_assert_int_eq(got_status, 0);
    ck_assert_str_ne(got_text, "");
}
END_TEST

START_TEST(an_answer_beyond_the_bound_is_a_failure)
{
    fetch("/echo", "0123456789", 10, 5);
    vwi_loop_run(loop);
    ck_assert_int_eq(got_status, 0);
    ck_assert_str_eq(got_text, "the answer is longer than expected");
}
END_TEST

START_TEST(a_cancelled_errand_is_never_heard_of_and_hangs_up)
{
    struct vwi_errand *errand = fetch("/hold", NULL, 20, 1000);

    vwi_loop_run(loop); /* it has arrived */
    ck_assert_ptr_nonnull(held);
    vwi_errand_cancel(errand);
    vwi_loop_run(loop); /* and it left */
    ck_assert_ptr_null(held);
    ck_assert_uint_eq(ends, 0);
}
END_TEST

START_TEST(a_timeout_ends_an_errand)
{
    fetch("/hold", NULL, 0.1, 1000);
    while (!ends)
        vwi_loop_run(loop);
    ck_assert_int_eq(got_status, 0);
    ck_assert_str_ne(got_text, "");
}
END_TEST

START_TEST(an_answer_that_nobody_wants_may_be_of_any_length)
{
    fetch("/echo", "0123456789", 10, 0);
    vwi_loop_run(loop);
    ck_assert_int_eq(got_status, 200);
    ck_assert_str_eq(got_body, "");
}
END_TEST

START_TEST(a_name_server_that_does_not_answer_holds_nobody_up)
{
    struct vwi_errand_request request = { "http://stuck.invalid/", NULL, 0, NULL, 0.2, 1000 };

    ck_assert_int_eq(sem_init(&answer_name, 0, 0), 0);
    ck_assert_ptr_nonnull(vwi_courier_send(courier, &request, on_reply, NULL));
    vwi_loop_run(loop);
    ck_assert_int_eq(got_status, 0);
    ck_assert_ptr_nonnull(vwi_courier_send(courier, &request, on_reply, NULL));
    vwi_courier_destroy(courier); /* nor does one that is under way */
    courier = NULL;
    sem_post(&answer_name);
    sem_post(&answer_name);
}
END_TEST

START_TEST(destroying_the_courier_drops_what_is_under_way)
{
    fetch("/hold", NULL, 20, 1000);
    vwi_loop_run(loop);
    vwi_courier_destroy(courier);
    courier = NULL;
    ck_assert_uint_eq(ends, 0);
}
END_TEST

Suite *courier_suite(void);

Suite *courier_suite(void)
{
    Suite *s = suite_create("courier");
    TCase *tc = tcase_create("courier");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, a_body_is_posted_with_its_type);
    tcase_add_test(tc, without_a_body_it_is_a_get);
    tcase_add_test(tc, a_redirect_keeps_method_and_body);
    tcase_add_test(tc, an_error_status_is_an_answer);
    tcase_add_test(tc, an_answer_may_ask_for_time);
    tcase_add_test(tc, a_refused_connection_is_said_in_a_clause);
    tcase_add_test(tc, an_answer_beyond_the_bound_is_a_failure);
    tcase_add_test(tc, a_cancelled_errand_is_never_heard_of_and_hangs_up);
    tcase_add_test(tc, a_timeout_ends_an_errand);
    tcase_add_test(tc, an_answer_that_nobody_wants_may_be_of_any_length);
    if (LIBCURL_VERSION_NUM >= 0x075700) /* older ones always wait for the name */
        tcase_add_test(tc, a_name_server_that_does_not_answer_holds_nobody_up);
    tcase_add_test(tc, destroying_the_courier_drops_what_is_under_way);
    suite_add_tcase(s, tc);
    return s;
}
