/* Several addresses of the control plane: one that is slow, dead or of another mind delays nothing, and is found again when it is back. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "actors.h"

#define UNITS "'allowParallelRequests': true, 'workloadCalculator': {'field': '/units'}"
#define HANDLERS "'maxPerf': 200, 'handlers': [{'route': '/ok', " UNITS "}, {'route': '/status/500', " UNITS "}]"

static struct model *m;
static struct control *first, *second;

static void setup(void)
{
    char addresses[128];

    m = model_start();
    first = control_start();
    second = control_start();
    snprintf(addresses, sizeof addresses, "http://127.0.0.1:%u,http://127.0.0.1:%u", control_port(first), control_port(second));
    worker_setenv("REPORT_ADDR", addresses);
}

static void teardown(void)
{
    control_stop(first);
    control_stop(second);
    model_stop(m);
}

/* The worker has the key of the second one; both are the same. */
static struct worker *start(const char *config)
{
    char *text = NULL;
    struct worker *w;

    ck_assert_int_gt(asprintf(&text, "{%s}", config), 0);
    control_withhold_key(first, true);
    w = worker_start_ready(m, second, text);
    free(text);
    return w;
}

static void call(struct worker *w, const char *path, long idx, int status)
{
    struct answer a = client_envelope(worker_port(w), second, path, idx, "{'units': 10}");

    ck_assert_msg(a.status == status, "expected %d, got %d: %s", status, a.status, a.body);
    answer_fini(&a);
}

static double number_of(const json_t *object, const char *key) { return json_number_value(json_object_get(object, key)); }

static bool has_received(const json_t *report, void *arg) { return number_of(report, "num_requests_recieved") == *(long *)arg; }

static void wait_received(struct control *c, long n) { json_decref(control_wait_report(c, has_received, &n)); }

/* Nothing that was sent there is one of these with something to count. */
static void expect_nothing_counted(json_t *bodies)
{
    json_t *body;
    size_t i;

    json_array_foreach(bodies, i, body) {
        ck_assert_msg(json_object_get(body, "requests") == NULL, "deletions went there");
        ck_assert_double_eq(number_of(body, "new_load"), 0);
        ck_assert_double_eq(number_of(body, "cur_perf"), 0);
        ck_assert_double_eq(number_of(body, "rej_load"), 0);
    }
    json_decref(bodies);
}

enum { DEAD, FAILING, HANGING, TROUBLES };

static void trouble(int what)
{
    if (what == DEAD)
        control_down(first);
    else if (what == FAILING)
        control_fail(first, 503, 0);
    else
        control_hold(first, true);
}

static void mend(int what)
{
    if (what == DEAD)
        control_up(first);
    else if (what == FAILING)
        control_fail(first, 0, 0);
    else
        control_hold(first, false);
}

START_TEST(an_address_in_trouble_holds_up_one_report_and_none_after_it)
{
    struct worker *w;
    long idx;

    trouble(_i);
    w = start(HANDLERS);
    json_decref(control_wait_state(second, true));
    for (idx = 1; idx <= 4; idx++) {
        call(w, "/ok", idx, 200);
        wait_received(second, idx);
    }
    control_wait_deletions(second, 4);
    ck_assert_int_eq(worker_finish(w), VW_OK);
    ck_assert_double_eq(control_sum(second, "new_load"), 40);
    ck_assert_double_eq(control_sum(second, "cur_perf"), 40);
    control_hold(first, false); /* what hung there comes to light */
    expect_nothing_counted(_i == FAILING ? control_refused_bodies(first) : control_bodies(first, "/worker_status/"));
    expect_nothing_counted(control_bodies(first, "/delete_requests/"));
}
END_TEST

START_TEST(the_first_address_is_preferred_again_once_it_answers)
{
    struct worker *w;
    char again[100];

    snprintf(again, sizeof again, "http://127.0.0.1:%u/worker_status/ is accepted again", control_port(first));
    trouble(_i);
    w = start(HANDLERS);
    json_decref(control_wait_state(second, true));
    call(w, "/ok", 1, 200);
    wait_received(second, 1);
    control_wait_deletions(second, 1);
    mend(_i);
    worker_wait_logged(w, again);
    call(w, "/ok", 2, 200);
    wait_received(first, 2);
    control_wait_deletions(first, 1);
    ck_assert_int_eq(worker_finish(w), VW_OK);
    ck_assert_double_eq(control_sum(first, "new_load"), 10);
    ck_assert_double_eq(control_sum(second, "new_load"), 10);
    ck_assert_double_eq(control_sum(first, "cur_perf") + control_sum(second, "cur_perf"), 20);
}
END_TEST

START_TEST(an_address_in_trouble_is_logged_once)
{
    struct worker *w;
    char complaint[100];
    long idx;

    trouble(_i);
    w = start(HANDLERS);
    snprintf(complaint, sizeof complaint, "report: http://127.0.0.1:%u/", control_port(first));
    for (idx = 1; idx <= 3; idx++) {
        call(w, "/ok", idx, 200);
        wait_received(second, idx);
    }
    ck_assert_uint_eq(worker_count_logged(w, complaint), 1);
    ck_assert_uint_eq(worker_count_logged(w, "the next address is asked"), 1);
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

static unsigned count_refused(const char *key)
{
    json_t *bodies = control_refused_bodies(first), *body;
    unsigned n = 0;
    size_t i;

    json_array_foreach(bodies, i, body)
        n += json_object_get(body, key) != NULL;
    json_decref(bodies);
    return n;
}

/* Reports follow each other by a second at most, so these are several seconds, in which one that failed would have been asked again. */
START_TEST(a_refusal_is_said_once_counted_and_not_tried_again_soon)
{
    struct worker *w;
    struct answer a;
    long idx;

    control_fail(first, 403, 0);
    w = start(HANDLERS);
    json_decref(control_wait_state(second, true));
    for (idx = 1; idx <= 4; idx++) {
        call(w, "/ok", idx, 200);
        wait_received(second, idx);
        control_wait_deletions(second, (unsigned)idx);
    }
    ck_assert_uint_eq(count_refused("cur_load"), 1);
    ck_assert_uint_eq(count_refused("requests"), 1);
    ck_assert_uint_eq(worker_count_logged(w, "/worker_status/ answered 403, which another try does not mend (is MASTER_TOKEN right?)"), 1);
    ck_assert_uint_eq(worker_count_logged(w, "/delete_requests/ answered 403, which"), 1);
    a = client_call(worker_port(w), "GET", "/metrics", "", NULL);
    ck_assert_ptr_nonnull(strstr(a.body, "vastworker_reports_total{result=\"refused\"} 2\n"));
    ck_assert_ptr_nonnull(strstr(a.body, "vastworker_reports_total{result=\"failed\"} 0\n"));
    answer_fini(&a);
    ck_assert_int_eq(worker_finish(w), VW_OK);
    ck_assert_double_eq(control_sum(second, "new_load"), 40);
}
END_TEST

static bool has_error(const json_t *report, void *arg)
{
    (void)arg;
    return *json_string_value(json_object_get(report, "error_msg")) != '\0';
}

/* After two refusals the pause is a minute at least, which is longer than this test waits. */
START_TEST(news_goes_out_at_once_to_a_control_plane_that_refused)
{
    char address[64];
    struct worker *w;

    snprintf(address, sizeof address, "http://127.0.0.1:%u", control_port(second));
    worker_setenv("REPORT_ADDR", address);
    control_fail_on(second, "\"cur_load\"", 403);
    w = worker_start_ready(m, second, "{'modelHealthcheckPath': '/health', " HANDLERS "}");
    control_wait_refused(second, 2); /* the first report, and that it is ready */
    control_fail_on(second, NULL, 0);
    model_health(m, 500);
    json_decref(control_wait_report(second, has_error, NULL));
    ck_assert_uint_eq(worker_count_logged(w, "/worker_status/ answered 403"), 1);
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

static unsigned count_named(struct control *c, long idx)
{
    json_t *bodies = control_bodies(c, "/delete_requests/"), *body, *item;
    unsigned n = 0;
    size_t i, j;

    json_array_foreach(bodies, i, body)
        json_array_foreach(json_object_get(body, "request_idxs"), j, item)
            n += json_integer_value(item) == idx;
    json_decref(bodies);
    return n;
}

/* _i: with the second address, or without. */
START_TEST(half_of_a_pair_that_was_accepted_is_never_sent_again)
{
    struct control *rest = _i ? second : first;
    char address[64];
    struct worker *w;
    long idx;

    snprintf(address, sizeof address, "http://127.0.0.1:%u", control_port(first));
    if (!_i)
        worker_setenv("REPORT_ADDR", address);
    control_fail_on(first, "\"success\":false", 503);
    w = worker_start_ready(m, first, "{'unsecured': true, 'report': {'legacyDeletions': true}, " HANDLERS "}");
    for (idx = 1; idx <= 4; idx++)
        call(w, idx % 2 ? "/ok" : "/status/500", idx, idx % 2 ? 200 : 500);
    control_wait_refused(first, 1);
    control_fail_on(first, NULL, 0);
    ck_assert_int_eq(worker_finish(w), VW_OK);
    for (idx = 1; idx <= 4; idx++)
        ck_assert_uint_eq(count_named(first, idx) + count_named(second, idx), 1);
    ck_assert_uint_eq(count_named(first, 1), 1);
    ck_assert_uint_eq(count_named(rest, 2), 1);
}
END_TEST

/* ---- last words ---- */

#define NAMED "untold are the ends of the requests with request_idx 1, 2, 3"

START_TEST(what_stays_untold_is_named)
{
    struct worker *w = start("'drainTimeout': 1, " HANDLERS);
    int count = _i ? 53 : 3, idx;

    control_fail_on(first, "\"requests\"", 503);
    control_fail_on(second, "\"requests\"", 503);
    for (idx = 1; idx <= count; idx++)
        call(w, "/ok", idx, 200);
    vw_worker_drain(worker_handle(w));
    if (_i) {
        worker_wait_logged(w, "draining");
        vw_worker_stop(worker_handle(w)); /* the second word, which waits for nothing */
    }
    worker_wait_logged(w, NAMED);
    ck_assert(_i ? worker_logged(w, ", 50 and 3 more\n") : worker_logged(w, NAMED "\n"));
    ck_assert(worker_logged(w, _i ? "53 finished requests stay untold" : "3 finished requests stay untold"));
    ck_assert_int_eq(worker_join(w), VW_OK);
}
END_TEST

Suite *addresses_suite(void);

Suite *addresses_suite(void)
{
    Suite *s = suite_create("addresses");
    TCase *tc = tcase_create("addresses");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, an_address_in_trouble_holds_up_one_report_and_none_after_it, 0, TROUBLES);
    tcase_add_loop_test(tc, the_first_address_is_preferred_again_once_it_answers, 0, TROUBLES);
    tcase_add_loop_test(tc, an_address_in_trouble_is_logged_once, 0, TROUBLES);
    tcase_add_test(tc, a_refusal_is_said_once_counted_and_not_tried_again_soon);
    tcase_add_test(tc, news_goes_out_at_once_to_a_control_plane_that_refused);
    tcase_add_loop_test(tc, half_of_a_pair_that_was_accepted_is_never_sent_again, 0, 2);
    tcase_add_loop_test(tc, what_stays_untold_is_named, 0, 2);
    suite_add_tcase(s, tc);
    return s;
}
