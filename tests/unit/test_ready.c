/* The readiness machine: what each piece of evidence does in each state, and that no other step exists. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/vwi.h"
#include "core/ready.h"

#define START 100.0

static struct vwi_ready begin(struct vwi_ready_needs needs)
{
    struct vwi_ready r;

    vwi_ready_init(&r, &needs, START);
    return r;
}

static unsigned feed(struct vwi_ready *r, enum vwi_ready_event event)
{
    return vwi_ready_feed(r, event, NULL, 0, START + 1);
}

static unsigned feed_text(struct vwi_ready *r, enum vwi_ready_event event, const char *text)
{
    return vwi_ready_feed(r, event, text, 0, START + 1);
}

static unsigned score(struct vwi_ready *r, double value)
{
    return vwi_ready_feed(r, VWI_READY_BENCH_DONE, NULL, value, START + 1);
}

static void expect(const struct vwi_ready *r, const char *state)
{
    ck_assert_str_eq(vwi_ready_view(r).name, state);
}

/* A worker with a health path that serves. */
static struct vwi_ready serving(struct vwi_ready_needs needs)
{
    struct vwi_ready r;

    needs.health = true;
    r = begin(needs);
    feed(&r, VWI_READY_LISTENING);
    feed(&r, VWI_READY_LOG_LOADED);
    feed(&r, VWI_READY_PROBE_GOOD);
    expect(&r, "ready");
    return r;
}

/* An error line, and probes that prove it right. */
static unsigned condemn(struct vwi_ready *r, const char *text)
{
    unsigned wishes = feed_text(r, VWI_READY_LOG_ERROR, text);
    int i;

    for (i = 0; i < VWI_READY_FALL; i++)
        wishes |= feed_text(r, VWI_READY_PROBE_BAD, "Connection refused");
    return wishes;
}

START_TEST(every_state_has_a_name_and_a_place_in_the_table)
{
    static const char *const names[] = { "starting", "loading", "benchmarking", "ready", "degraded", "draining", "error" };
    unsigned i, j;

    for (i = 0; i < VWI_STATES; i++) {
        ck_assert_str_eq(vwi_state_name((enum vwi_state)i), names[i]);
        ck_assert(vwi_state_serves((enum vwi_state)i) == (i == VWI_STATE_READY || i == VWI_STATE_DEGRADED));
        ck_assert(!vwi_state_may_follow((enum vwi_state)i, (enum vwi_state)i));
        ck_assert(!vwi_state_may_follow(VWI_STATE_DRAINING, (enum vwi_state)i));
        if (i != VWI_STATE_DRAINING)
            ck_assert(vwi_state_may_follow((enum vwi_state)i, VWI_STATE_DRAINING));
        for (j = 0; j < VWI_STATES; j++)
            if (vwi_state_serves((enum vwi_state)i))
                ck_assert(j != VWI_STATE_STARTING || !vwi_state_may_follow((enum vwi_state)i, (enum vwi_state)j));
    }
    ck_assert_str_eq(vwi_state_name(VWI_STATES), "unknown");
    ck_assert(!vwi_state_serves(VWI_STATES));
}
END_TEST

START_TEST(with_nothing_to_wait_for_listening_is_ready)
{
    struct vwi_ready r = begin((struct vwi_ready_needs){ 0 });

    expect(&r, "starting");
    ck_assert(feed(&r, VWI_READY_LISTENING) & VWI_READY_CHANGED);
    expect(&r, "ready");
    ck_assert_double_eq(vwi_ready_view(&r).loadtime_s, 1.0);
    ck_assert_double_eq(vwi_ready_view(&r).since_s, START + 1);
}
END_TEST

START_TEST(with_nothing_configured_an_accepted_connection_is_ready)
{
    struct vwi_ready r = begin((struct vwi_ready_needs){ .port = true, .sticky = true });

    feed(&r, VWI_READY_LISTENING);
    expect(&r, "loading");
    ck_assert_ptr_nonnull(strstr(vwi_ready_view(&r).reason, "port"));
    ck_assert_int_eq(vwi_ready_probe_gap_ms(&r), 100);
    feed_text(&r, VWI_READY_PROBE_BAD, "Connection refused");
    expect(&r, "loading");
    feed(&r, VWI_READY_PROBE_GOOD);
    expect(&r, "ready");
    ck_assert_int_eq(vwi_ready_probe_gap_ms(&r), 0);
}
END_TEST

START_TEST(ready_needs_all_that_is_configured)
{
    static const enum vwi_ready_event orders[][3] = {
        { VWI_READY_LOG_LOADED, VWI_READY_PROBE_GOOD, VWI_READY_KEY_PRESENT },
        { VWI_READY_KEY_PRESENT, VWI_READY_PROBE_GOOD, VWI_READY_LOG_LOADED },
        { VWI_READY_PROBE_GOOD, VWI_READY_KEY_PRESENT, VWI_READY_LOG_LOADED },
    };
    size_t i, j;

    for (i = 0; i < VWI_ARRAY_LEN(orders); i++) {
        struct vwi_ready r = begin((struct vwi_ready_needs){ .log = true, .health = true, .key = true });

        feed(&r, VWI_READY_LISTENING);
        for (j = 0; j < 3; j++) {
            expect(&r, "loading");
            ck_assert_double_eq(vwi_ready_view(&r).loadtime_s, 0);
            feed(&r, orders[i][j]);
        }
        expect(&r, "ready");
    }
}
END_TEST

START_TEST(the_reason_names_what_is_missing)
{
    struct vwi_ready r = begin((struct vwi_ready_needs){ .log = true, .health = true, .key = true });

    feed(&r, VWI_READY_LISTENING);
    ck_assert_ptr_nonnull(strstr(vwi_ready_view(&r).reason, "load line"));
    feed(&r, VWI_READY_LOG_LOADED);
    ck_assert_ptr_nonnull(strstr(vwi_ready_view(&r).reason, "health probe"));
    feed(&r, VWI_READY_PROBE_GOOD);
    ck_assert_ptr_nonnull(strstr(vwi_ready_view(&r).reason, "public key"));
}
END_TEST

START_TEST(a_load_line_asks_for_a_probe_at_once)
{
    struct vwi_ready r = begin((struct vwi_ready_needs){ .log = true, .health = true });

    feed(&r, VWI_READY_LISTENING);
    ck_assert(feed(&r, VWI_READY_LOG_LOADED) & VWI_READY_PROBE_NOW);
    ck_assert_int_eq(vwi_ready_probe_gap_ms(&r), 100);
}
END_TEST

START_TEST(the_benchmark_starts_once_the_model_is_up_and_only_once)
{
    struct vwi_ready r = begin((struct vwi_ready_needs){ .log = true, .benchmark = true });

    ck_assert(!(feed(&r, VWI_READY_LISTENING) & VWI_READY_MEASURE));
    ck_assert(feed(&r, VWI_READY_LOG_LOADED) & VWI_READY_MEASURE);
    expect(&r, "benchmarking");
    ck_assert(!vwi_ready_view(&r).capacity_known);
    ck_assert_uint_eq(feed(&r, VWI_READY_LOG_LOADED), 0);
    ck_assert(score(&r, 250.5) & VWI_READY_CHANGED);
    expect(&r, "ready");
    ck_assert_double_eq(vwi_ready_view(&r).max_perf, 250.5);
    ck_assert_uint_eq(feed(&r, VWI_READY_LOG_LOADED), 0);
    expect(&r, "ready");
}
END_TEST

START_TEST(the_benchmark_runs_beside_a_key_that_is_awaited)
{
    struct vwi_ready r = begin((struct vwi_ready_needs){ .log = true, .benchmark = true, .key = true });

    feed(&r, VWI_READY_LISTENING);
    ck_assert(feed(&r, VWI_READY_LOG_LOADED) & VWI_READY_MEASURE);
    score(&r, 5);
    expect(&r, "loading");
    ck_assert_double_eq(vwi_ready_view(&r).max_perf, 0);
    feed(&r, VWI_READY_KEY_PRESENT);
    expect(&r, "ready");
}
END_TEST

START_TEST(a_fixed_capacity_needs_no_benchmark)
{
    struct vwi_ready r = begin((struct vwi_ready_needs){ .log = true, .benchmark = true, .max_perf = 42 });

    feed(&r, VWI_READY_LISTENING);
    ck_assert(!(feed(&r, VWI_READY_LOG_LOADED) & VWI_READY_MEASURE));
    expect(&r, "ready");
    ck_assert_double_eq(vwi_ready_view(&r).max_perf, 42);
    ck_assert(vwi_ready_view(&r).capacity_known);
}
END_TEST

START_TEST(an_unknown_capacity_is_reported_as_100_to_the_platform_only)
{
    struct vwi_ready platform = begin((struct vwi_ready_needs){ .platform = true });
    struct vwi_ready local = begin((struct vwi_ready_needs){ 0 });

    ck_assert_double_eq(vwi_ready_view(&platform).max_perf, 0);
    feed(&platform, VWI_READY_LISTENING);
    feed(&local, VWI_READY_LISTENING);
    ck_assert_double_eq(vwi_ready_view(&platform).max_perf, 100);
    ck_assert(!vwi_ready_view(&platform).capacity_known);
    ck_assert_double_eq(vwi_ready_view(&local).max_perf, 0);
}
END_TEST

START_TEST(an_error_line_is_an_error_with_the_pattern_as_its_text)
{
    struct vwi_ready r = serving((struct vwi_ready_needs){ .sticky = true });

    ck_assert(feed_text(&r, VWI_READY_LOG_ERROR, "CUDA out of memory") & VWI_READY_CHANGED);
    expect(&r, "error");
    ck_assert_str_eq(vwi_ready_view(&r).error_msg, "CUDA out of memory");
    ck_assert_str_eq(vwi_ready_view(&r).reason, "CUDA out of memory");
    ck_assert_uint_eq(feed_text(&r, VWI_READY_LOG_ERROR, "RuntimeError"), 0);
    ck_assert_str_eq(vwi_ready_view(&r).error_msg, "CUDA out of memory");
    ck_assert_double_eq(vwi_ready_view(&r).loadtime_s, 1.0);
}
END_TEST

START_TEST(an_error_line_alone_is_only_looked_into_where_probes_can_tell)
{
    struct vwi_ready r = serving((struct vwi_ready_needs){ 0 });
    unsigned wishes = feed_text(&r, VWI_READY_LOG_ERROR, "Traceback");

    ck_assert((wishes & VWI_READY_PROBE_NOW) && (wishes & VWI_READY_CHANGED));
    expect(&r, "degraded");
    ck_assert_str_eq(vwi_ready_view(&r).error_msg, "");
    ck_assert_ptr_nonnull(strstr(vwi_ready_view(&r).reason, "log shows an error"));
    ck_assert_int_eq(vwi_ready_probe_gap_ms(&r), VWI_READY_CHARGED_MS);
    ck_assert_uint_eq(feed_text(&r, VWI_READY_LOG_ERROR, "Traceback"), 0);
    feed(&r, VWI_READY_PROBE_GOOD);
    expect(&r, "degraded");
    feed(&r, VWI_READY_PROBE_GOOD);
    expect(&r, "ready");
    ck_assert_int_eq(vwi_ready_probe_gap_ms(&r), 10000);
}
END_TEST

START_TEST(an_error_line_stands_when_three_probes_in_a_row_fail)
{
    struct vwi_ready r = serving((struct vwi_ready_needs){ 0 });

    feed_text(&r, VWI_READY_LOG_ERROR, "CUDA out of memory");
    feed_text(&r, VWI_READY_PROBE_BAD, "a");
    feed_text(&r, VWI_READY_PROBE_BAD, "b");
    feed(&r, VWI_READY_PROBE_GOOD);
    feed_text(&r, VWI_READY_PROBE_BAD, "c");
    feed_text(&r, VWI_READY_PROBE_BAD, "d");
    expect(&r, "degraded");
    ck_assert(feed_text(&r, VWI_READY_PROBE_BAD, "e") & VWI_READY_CHANGED);
    expect(&r, "error");
    ck_assert_str_eq(vwi_ready_view(&r).error_msg, "CUDA out of memory");
}
END_TEST

START_TEST(error_lines_in_a_row_are_looked_into_at_leisure)
{
    struct vwi_ready r = serving((struct vwi_ready_needs){ 0 });

    feed_text(&r, VWI_READY_LOG_ERROR, "Traceback");
    feed(&r, VWI_READY_PROBE_GOOD);
    feed(&r, VWI_READY_PROBE_GOOD);
    ck_assert(!(vwi_ready_feed(&r, VWI_READY_LOG_ERROR, "Traceback", 0, START + 1.5) & VWI_READY_PROBE_NOW));
    ck_assert_int_eq(vwi_ready_probe_gap_ms(&r), 1000);
    vwi_ready_feed(&r, VWI_READY_PROBE_GOOD, NULL, 0, START + 2.5);
    vwi_ready_feed(&r, VWI_READY_PROBE_GOOD, NULL, 0, START + 3.5);
    ck_assert(vwi_ready_feed(&r, VWI_READY_LOG_ERROR, "Traceback", 0, START + 9) & VWI_READY_PROBE_NOW);
}
END_TEST

START_TEST(without_a_probe_an_error_line_is_an_error)
{
    struct vwi_ready r = begin((struct vwi_ready_needs){ .log = true });

    feed(&r, VWI_READY_LISTENING);
    feed(&r, VWI_READY_LOG_LOADED);
    feed_text(&r, VWI_READY_LOG_ERROR, "x");
    expect(&r, "error");
}
END_TEST

START_TEST(a_port_that_nothing_waits_for_still_judges_an_error_line)
{
    struct vwi_ready r = begin((struct vwi_ready_needs){ .log = true, .model = true });

    feed(&r, VWI_READY_LISTENING);
    feed(&r, VWI_READY_LOG_LOADED);
    ck_assert(feed_text(&r, VWI_READY_LOG_ERROR, "x") & VWI_READY_PROBE_NOW);
    expect(&r, "degraded");
    ck_assert_int_gt(vwi_ready_probe_gap_ms(&r), 0);
    feed(&r, VWI_READY_PROBE_GOOD);
    feed(&r, VWI_READY_PROBE_GOOD);
    expect(&r, "ready");
}
END_TEST

START_TEST(silence_degrades_goes_on_to_an_error_and_clears_on_progress)
{
    struct vwi_ready r = serving((struct vwi_ready_needs){ 0 });

    ck_assert(feed_text(&r, VWI_READY_SILENCE, "no byte for 300 s") & VWI_READY_PROBE_NOW);
    expect(&r, "degraded");
    ck_assert_str_eq(vwi_ready_view(&r).reason, "no byte for 300 s");
    feed(&r, VWI_READY_PROBE_GOOD);
    feed(&r, VWI_READY_PROBE_GOOD);
    expect(&r, "degraded"); /* its health path may well answer */
    feed_text(&r, VWI_READY_HUNG, "no byte for 600 s");
    expect(&r, "error");
    ck_assert_str_eq(vwi_ready_view(&r).error_msg, "no byte for 600 s");
    feed(&r, VWI_READY_PROBE_GOOD);
    feed(&r, VWI_READY_PROBE_GOOD);
    feed(&r, VWI_READY_PROBE_GOOD);
    expect(&r, "error");
    ck_assert(feed(&r, VWI_READY_PROGRESS) & VWI_READY_CHANGED);
    expect(&r, "ready");
    feed_text(&r, VWI_READY_SILENCE, "again");
    feed(&r, VWI_READY_PROGRESS);
    expect(&r, "ready");
}
END_TEST

START_TEST(silence_with_failing_probes_is_an_error_at_once)
{
    struct vwi_ready r = serving((struct vwi_ready_needs){ .sticky = true });
    int i;

    feed_text(&r, VWI_READY_SILENCE, "no byte");
    for (i = 0; i < 3; i++)
        feed_text(&r, VWI_READY_PROBE_BAD, "timeout");
    expect(&r, "error");
    ck_assert_str_eq(vwi_ready_view(&r).error_msg, "no byte");
    feed(&r, VWI_READY_PROGRESS); /* our own inference, so it heals whatever the policy */
    feed(&r, VWI_READY_PROBE_GOOD);
    expect(&r, "ready");
}
END_TEST

START_TEST(traffic_corrects_the_measured_capacity_and_a_new_measure_counts_again)
{
    struct vwi_ready r = begin((struct vwi_ready_needs){ .benchmark = true });

    feed(&r, VWI_READY_LISTENING);
    score(&r, 100);
    expect(&r, "ready");
    ck_assert(vwi_ready_feed(&r, VWI_READY_LIVE, NULL, 90, START + 2) & VWI_READY_CHANGED);
    ck_assert_double_eq(vwi_ready_view(&r).max_perf, 90);
    ck_assert_double_eq(vwi_ready_view(&r).measured, 100);
    ck_assert_uint_eq(vwi_ready_feed(&r, VWI_READY_LIVE, NULL, 90.5, START + 3), 0);
    ck_assert_double_eq(vwi_ready_view(&r).max_perf, 90);
    score(&r, 120);
    ck_assert_double_eq(vwi_ready_view(&r).max_perf, 120);
}
END_TEST

START_TEST(a_sticky_error_stays)
{
    struct vwi_ready r = serving((struct vwi_ready_needs){ .sticky = true, .log = true });
    int i;

    feed_text(&r, VWI_READY_LOG_ERROR, "x");
    ck_assert_int_eq(vwi_ready_probe_gap_ms(&r), 0);
    for (i = 0; i < 10; i++)
        feed(&r, VWI_READY_PROBE_GOOD);
    feed(&r, VWI_READY_LOG_LOADED);
    expect(&r, "error");
}
END_TEST

START_TEST(an_error_clears_after_two_good_probes_in_a_row)
{
    struct vwi_ready r = serving((struct vwi_ready_needs){ 0 });

    ck_assert(condemn(&r, "x") & VWI_READY_PROBE_NOW);
    ck_assert_str_eq(vwi_ready_view(&r).error_msg, "x");
    feed(&r, VWI_READY_PROBE_GOOD);
    feed(&r, VWI_READY_PROBE_BAD);
    feed(&r, VWI_READY_PROBE_GOOD);
    expect(&r, "error");
    ck_assert(feed(&r, VWI_READY_PROBE_GOOD) & VWI_READY_CHANGED);
    expect(&r, "ready");
    ck_assert_str_eq(vwi_ready_view(&r).error_msg, "");
}
END_TEST

START_TEST(an_error_while_loading_clears_into_loading)
{
    struct vwi_ready r = begin((struct vwi_ready_needs){ .log = true, .health = true });

    feed(&r, VWI_READY_LISTENING);
    condemn(&r, "Traceback");
    expect(&r, "error");
    feed(&r, VWI_READY_PROBE_GOOD);
    feed(&r, VWI_READY_PROBE_GOOD);
    expect(&r, "loading");
    feed(&r, VWI_READY_LOG_LOADED);
    expect(&r, "ready");
}
END_TEST

START_TEST(a_load_line_after_an_error_is_a_new_start)
{
    struct vwi_ready r = serving((struct vwi_ready_needs){ .log = true });

    condemn(&r, "x");
    ck_assert(feed(&r, VWI_READY_LOG_LOADED) & VWI_READY_PROBE_NOW);
    expect(&r, "loading");
    feed(&r, VWI_READY_PROBE_GOOD);
    expect(&r, "ready");
}
END_TEST

START_TEST(failed_probes_degrade_and_the_third_in_a_row_is_an_error)
{
    struct vwi_ready r = serving((struct vwi_ready_needs){ 0 });

    ck_assert_int_eq(vwi_ready_probe_gap_ms(&r), 10000);
    feed_text(&r, VWI_READY_PROBE_BAD, "a");
    expect(&r, "degraded");
    ck_assert_str_eq(vwi_ready_view(&r).error_msg, "");
    feed(&r, VWI_READY_PROBE_GOOD);
    expect(&r, "degraded");
    feed(&r, VWI_READY_PROBE_GOOD);
    expect(&r, "ready");
    feed_text(&r, VWI_READY_PROBE_BAD, "b");
    feed_text(&r, VWI_READY_PROBE_BAD, "c");
    expect(&r, "degraded");
    feed_text(&r, VWI_READY_PROBE_BAD, "Healthcheck failed with status: 500");
    expect(&r, "error");
    ck_assert_str_eq(vwi_ready_view(&r).error_msg, "Healthcheck failed with status: 500");
    feed(&r, VWI_READY_PROBE_GOOD);
    feed(&r, VWI_READY_PROBE_GOOD);
    expect(&r, "ready");
}
END_TEST

START_TEST(failed_probes_before_ready_are_no_error)
{
    struct vwi_ready r = begin((struct vwi_ready_needs){ .health = true, .benchmark = true });
    int i;

    feed(&r, VWI_READY_LISTENING);
    for (i = 0; i < 50; i++)
        feed_text(&r, VWI_READY_PROBE_BAD, "Connection refused");
    expect(&r, "loading");
    feed(&r, VWI_READY_PROBE_GOOD);
    expect(&r, "benchmarking");
    for (i = 0; i < 50; i++)
        feed_text(&r, VWI_READY_PROBE_BAD, "no answer");
    expect(&r, "benchmarking");
}
END_TEST

START_TEST(a_failed_benchmark_is_measured_again_after_two_slow_good_probes)
{
    struct vwi_ready r = begin((struct vwi_ready_needs){ .health = true, .benchmark = true });

    feed(&r, VWI_READY_LISTENING);
    feed(&r, VWI_READY_PROBE_GOOD);
    ck_assert(feed_text(&r, VWI_READY_BENCH_FAILED, "No successful responses from benchmark") & VWI_READY_CHANGED);
    expect(&r, "error");
    ck_assert_int_eq(vwi_ready_probe_gap_ms(&r), 30000);
    feed(&r, VWI_READY_PROBE_GOOD);
    ck_assert(feed(&r, VWI_READY_PROBE_GOOD) & VWI_READY_MEASURE);
    expect(&r, "benchmarking");
    score(&r, 9);
    expect(&r, "ready");
}
END_TEST

START_TEST(a_benchmark_that_ends_during_an_error_counts)
{
    struct vwi_ready r = begin((struct vwi_ready_needs){ .health = true, .benchmark = true });

    feed(&r, VWI_READY_LISTENING);
    feed(&r, VWI_READY_PROBE_GOOD);
    condemn(&r, "x");
    ck_assert_uint_eq(score(&r, 9), 0);
    expect(&r, "error");
    feed(&r, VWI_READY_PROBE_GOOD);
    ck_assert(!(feed(&r, VWI_READY_PROBE_GOOD) & VWI_READY_MEASURE));
    expect(&r, "ready");
}
END_TEST

START_TEST(a_key_that_failed_to_come_clears_when_it_comes)
{
    struct vwi_ready r = begin((struct vwi_ready_needs){ .log = true, .key = true, .sticky = true });

    feed(&r, VWI_READY_LISTENING);
    feed_text(&r, VWI_READY_KEY_FAILED, "no key");
    expect(&r, "error");
    feed(&r, VWI_READY_LOG_LOADED);
    expect(&r, "error");
    feed(&r, VWI_READY_KEY_PRESENT);
    expect(&r, "ready");
    feed(&r, VWI_READY_KEY_LOST);
    expect(&r, "loading");
    ck_assert_double_eq(vwi_ready_view(&r).loadtime_s, 1.0);
    feed(&r, VWI_READY_KEY_PRESENT);
    expect(&r, "ready");
}
END_TEST

START_TEST(news_about_the_model_replaces_a_missing_key)
{
    struct vwi_ready r = begin((struct vwi_ready_needs){ .key = true, .sticky = true });

    feed(&r, VWI_READY_LISTENING);
    feed_text(&r, VWI_READY_KEY_FAILED, "no key");
    ck_assert(feed_text(&r, VWI_READY_LOG_ERROR, "CUDA out of memory") & VWI_READY_CHANGED);
    feed(&r, VWI_READY_KEY_PRESENT);
    expect(&r, "error");
    ck_assert_str_eq(vwi_ready_view(&r).error_msg, "CUDA out of memory");
}
END_TEST

START_TEST(loading_has_a_limit_and_says_what_was_missing)
{
    struct vwi_ready r = begin((struct vwi_ready_needs){ .log = true, .health = true, .load_s = 1800 });

    feed(&r, VWI_READY_LISTENING);
    feed(&r, VWI_READY_LOAD_TIMEOUT);
    expect(&r, "error");
    ck_assert_str_eq(vwi_ready_view(&r).error_msg, "Model not ready within 1800 s: waiting for the load line in the model's log");
    feed(&r, VWI_READY_PROBE_GOOD);
    feed(&r, VWI_READY_PROBE_GOOD);
    feed(&r, VWI_READY_PROBE_GOOD);
    expect(&r, "error");
    feed(&r, VWI_READY_LOG_LOADED);
    expect(&r, "ready");
    ck_assert_uint_eq(feed(&r, VWI_READY_LOAD_TIMEOUT), 0);
    expect(&r, "ready");
}
END_TEST

START_TEST(a_model_that_ended_has_to_load_again)
{
    struct vwi_ready r = serving((struct vwi_ready_needs){ .log = true });

    feed_text(&r, VWI_READY_FAILED, "the model process ended with exit code 1");
    expect(&r, "error");
    feed(&r, VWI_READY_PROBE_GOOD);
    feed(&r, VWI_READY_PROBE_GOOD);
    expect(&r, "loading");
    feed(&r, VWI_READY_LOG_LOADED);
    expect(&r, "ready");
}
END_TEST

#define ENDED "The model process ended with exit code 1, restarting in 1 s (1 of 5)"

/* A process of ours: whatever the policy, and whatever else was wrong, its end is news and the next one begins afresh. */
START_TEST(a_process_that_was_started_again_has_to_load_again_and_nothing_else)
{
    struct vwi_ready r = serving((struct vwi_ready_needs){ .log = true, .model = true, .sticky = _i & 1 });

    if (_i & 2)
        condemn(&r, "CUDA out of memory");
    ck_assert(feed_text(&r, VWI_READY_ENDED, ENDED) & VWI_READY_CHANGED);
    expect(&r, "error");
    ck_assert_str_eq(vwi_ready_view(&r).error_msg, ENDED);
    ck_assert_int_eq(vwi_ready_probe_gap_ms(&r), 0);
    feed(&r, VWI_READY_PROBE_GOOD);
    feed(&r, VWI_READY_PROBE_GOOD);
    feed(&r, VWI_READY_LOG_LOADED);
    feed_text(&r, VWI_READY_LOG_ERROR, "Traceback");
    feed_text(&r, VWI_READY_FAILED, "x");
    expect(&r, "error");
    ck_assert_str_eq(vwi_ready_view(&r).error_msg, ENDED);
    ck_assert(feed(&r, VWI_READY_STARTED) & VWI_READY_PROBE_NOW);
    expect(&r, "loading");
    ck_assert_int_eq(vwi_ready_probe_gap_ms(&r), 100);
    feed(&r, VWI_READY_PROBE_GOOD);
    expect(&r, "loading");
    feed(&r, VWI_READY_LOG_LOADED);
    expect(&r, "ready");
}
END_TEST

START_TEST(a_worker_that_loads_again_reports_no_capacity)
{
    struct vwi_ready r = serving((struct vwi_ready_needs){ .log = true, .model = true, .max_perf = 7 });

    ck_assert_double_eq(vwi_ready_view(&r).max_perf, 7);
    feed_text(&r, VWI_READY_ENDED, ENDED);
    feed(&r, VWI_READY_STARTED);
    expect(&r, "loading");
    ck_assert_double_eq(vwi_ready_view(&r).max_perf, 0); /* with no error and a load time it would be sent requests */
    feed(&r, VWI_READY_LOG_LOADED);
    feed(&r, VWI_READY_PROBE_GOOD);
    expect(&r, "ready");
    ck_assert_double_eq(vwi_ready_view(&r).max_perf, 7);
}
END_TEST

START_TEST(a_benchmark_that_an_end_broke_off_is_begun_anew)
{
    struct vwi_ready r = begin((struct vwi_ready_needs){ .log = true, .benchmark = true });

    feed(&r, VWI_READY_LISTENING);
    ck_assert(feed(&r, VWI_READY_LOG_LOADED) & VWI_READY_MEASURE);
    feed_text(&r, VWI_READY_ENDED, ENDED);
    feed(&r, VWI_READY_STARTED);
    expect(&r, "loading");
    ck_assert(feed(&r, VWI_READY_LOG_LOADED) & VWI_READY_MEASURE);
    score(&r, 7);
    expect(&r, "ready");
    feed_text(&r, VWI_READY_ENDED, ENDED);
    feed(&r, VWI_READY_STARTED);
    feed(&r, VWI_READY_LOG_LOADED);
    expect(&r, "ready"); /* the capacity is known */
    ck_assert_double_eq(vwi_ready_view(&r).max_perf, 7);
}
END_TEST

START_TEST(a_process_that_was_started_again_may_take_too_long_to_load)
{
    struct vwi_ready r = serving((struct vwi_ready_needs){ .log = true, .load_s = 9 });

    ck_assert_uint_eq(feed(&r, VWI_READY_LOAD_TIMEOUT), 0);
    feed_text(&r, VWI_READY_ENDED, ENDED);
    feed(&r, VWI_READY_STARTED);
    feed(&r, VWI_READY_LOAD_TIMEOUT);
    expect(&r, "error");
    ck_assert_str_eq(vwi_ready_view(&r).error_msg, "Model not ready within 9 s: waiting for the load line in the model's log");
    feed(&r, VWI_READY_LOG_LOADED);
    feed(&r, VWI_READY_PROBE_GOOD);
    feed(&r, VWI_READY_PROBE_GOOD);
    expect(&r, "ready");
    ck_assert_uint_eq(feed(&r, VWI_READY_LOAD_TIMEOUT), 0);
}
END_TEST

START_TEST(draining_is_final_and_reports_neither_capacity_nor_error)
{
    struct vwi_ready r = serving((struct vwi_ready_needs){ .max_perf = 7 });
    int event;

    condemn(&r, "x");
    ck_assert(feed(&r, VWI_READY_DRAIN) & VWI_READY_CHANGED);
    expect(&r, "draining");
    ck_assert_double_eq(vwi_ready_view(&r).max_perf, 0);
    ck_assert_str_eq(vwi_ready_view(&r).error_msg, "");
    ck_assert_double_eq(vwi_ready_view(&r).loadtime_s, 1.0);
    for (event = 0; event < VWI_READY_EVENTS; event++) {
        ck_assert_uint_eq(vwi_ready_feed(&r, (enum vwi_ready_event)event, "x", 3, START + 2), 0);
        expect(&r, "draining");
    }
    ck_assert_int_eq(vwi_ready_probe_gap_ms(&r), 0);
}
END_TEST

START_TEST(an_error_without_a_text_gets_one)
{
    struct vwi_ready r = serving((struct vwi_ready_needs){ 0 });

    feed_text(&r, VWI_READY_FAILED, "");
    ck_assert_str_eq(vwi_ready_view(&r).error_msg, "unspecified error");
}
END_TEST

START_TEST(a_long_text_is_cut_between_characters)
{
    struct vwi_ready r = serving((struct vwi_ready_needs){ 0 });
    char text[400];
    size_t i, len;

    for (i = 0; i + 2 < sizeof text; i += 2)
        memcpy(text + i, "\xc3\xa9", 2);
    text[i] = '\0';
    feed_text(&r, VWI_READY_FAILED, text);
    len = strlen(vwi_ready_view(&r).error_msg);
    ck_assert_uint_eq(len, VWI_READY_TEXT - 2);
    ck_assert_int_eq(vwi_ready_view(&r).error_msg[len - 1], '\xa9');
}
END_TEST

/* Every configuration, long walks of any events: each step is in the table, and what the view says holds together. */
START_TEST(no_walk_leaves_the_table)
{
    unsigned seed = 1, bits, step;

    for (bits = 0; bits < 512; bits++) {
        struct vwi_ready_needs needs = {
            .log = bits & 1, .health = bits & 2, .port = bits & 4, .benchmark = bits & 8, .key = bits & 16, .sticky = bits & 32,
            .platform = bits & 64, .max_perf = bits & 128 ? 10 : 0, .model = bits & 256,
        };
        struct vwi_ready r = begin(needs);
        double now = START;

        for (step = 0; step < 150; step++) {
            enum vwi_state from = r.state;
            unsigned choice = rand_r(&seed) % (step < 140 ? VWI_READY_DRAIN : VWI_READY_EVENTS);
            enum vwi_ready_event event = (enum vwi_ready_event)choice;
            unsigned wishes = vwi_ready_feed(&r, event, "text", event == VWI_READY_BENCH_DONE || event == VWI_READY_LIVE ? 5 : 0, now += 0.5);
            struct vwi_ready_view view = vwi_ready_view(&r);

            ck_assert(from == r.state || vwi_state_may_follow(from, r.state));
            ck_assert(from == r.state || (wishes & VWI_READY_CHANGED));
            ck_assert((view.error_msg[0] != '\0') == (view.state == VWI_STATE_ERROR));
            ck_assert(view.reason && view.reason[0]);
            ck_assert(!vwi_state_serves(view.state) || view.loadtime_s > 0);
            ck_assert(!(wishes & VWI_READY_MEASURE) || view.state == VWI_STATE_BENCHMARKING);
            ck_assert(view.loadtime_s > 0 || view.max_perf <= 0);
            ck_assert(vwi_ready_probe_gap_ms(&r) >= 0);
        }
    }
}
END_TEST

START_TEST(a_lost_gpu_is_an_error_that_only_its_return_ends)
{
    const char *text = "GPU 0 has fallen off the bus";
    struct vwi_ready r = serving((struct vwi_ready_needs){ .log = true, .model = true });

    ck_assert(feed_text(&r, VWI_READY_GPU_LOST, text) & VWI_READY_CHANGED);
    expect(&r, "error");
    ck_assert_str_eq(vwi_ready_view(&r).error_msg, text);
    ck_assert(!(feed_text(&r, VWI_READY_GPU_LOST, text) & VWI_READY_CHANGED));
    feed(&r, VWI_READY_PROBE_GOOD);
    feed(&r, VWI_READY_PROBE_GOOD);
    feed(&r, VWI_READY_PROBE_GOOD);
    feed_text(&r, VWI_READY_FAILED, "exited");
    feed_text(&r, VWI_READY_GPU_BROKEN, "Xid 95");
    ck_assert_str_eq(vwi_ready_view(&r).error_msg, text);
    ck_assert(feed_text(&r, VWI_READY_GPU_LOST, "GPU 1 has fallen off the bus") & VWI_READY_CHANGED); /* the other one is back */
    ck_assert_str_eq(vwi_ready_view(&r).error_msg, "GPU 1 has fallen off the bus");
    ck_assert(feed(&r, VWI_READY_GPU_BACK) & VWI_READY_CHANGED);
    expect(&r, "loading"); /* no process survives it */
    feed(&r, VWI_READY_LOG_LOADED);
    feed(&r, VWI_READY_PROBE_GOOD);
    expect(&r, "ready");
}
END_TEST

START_TEST(a_model_that_loads_while_a_gpu_is_lost_counts_once_it_is_back)
{
    struct vwi_ready r = serving((struct vwi_ready_needs){ .log = true, .model = true, .sticky = true });

    feed_text(&r, VWI_READY_GPU_LOST, "gone");
    feed(&r, VWI_READY_LOG_LOADED);
    expect(&r, "error");
    feed(&r, VWI_READY_GPU_BACK); /* whatever the policy */
    expect(&r, "loading");
    feed(&r, VWI_READY_PROBE_GOOD);
    expect(&r, "ready");
}
END_TEST

START_TEST(a_lost_gpu_explains_an_error_that_was_seen_before)
{
    struct vwi_ready r = serving((struct vwi_ready_needs){ .model = true });

    condemn(&r, "CUDA error");
    ck_assert_str_eq(vwi_ready_view(&r).error_msg, "CUDA error");
    ck_assert(feed_text(&r, VWI_READY_GPU_LOST, "gone") & VWI_READY_CHANGED);
    ck_assert_str_eq(vwi_ready_view(&r).error_msg, "gone");
    feed(&r, VWI_READY_PROBE_GOOD);
    feed(&r, VWI_READY_PROBE_GOOD);
    expect(&r, "error");
    feed(&r, VWI_READY_GPU_BACK);
    feed(&r, VWI_READY_PROBE_GOOD);
    expect(&r, "ready");
}
END_TEST

START_TEST(a_broken_gpu_is_an_error_until_the_model_was_down_and_is_healthy_again)
{
    struct vwi_ready r = serving((struct vwi_ready_needs){ .model = true });
    int i;

    ck_assert(feed_text(&r, VWI_READY_GPU_BROKEN, "Xid 95") & VWI_READY_CHANGED);
    expect(&r, "error");
    for (i = 0; i < 5; i++)
        feed(&r, VWI_READY_PROBE_GOOD); /* a health path may answer without a GPU */
    expect(&r, "error");
    feed(&r, VWI_READY_GPU_BACK);
    expect(&r, "error");
    for (i = 0; i < VWI_READY_FALL; i++)
        feed_text(&r, VWI_READY_PROBE_BAD, "refused");
    ck_assert_str_eq(vwi_ready_view(&r).error_msg, "Xid 95");
    feed(&r, VWI_READY_PROBE_GOOD);
    expect(&r, "error");
    feed_text(&r, VWI_READY_GPU_BROKEN, "Xid 48"); /* another one: what was seen before it counts no more */
    ck_assert_str_eq(vwi_ready_view(&r).error_msg, "Xid 95");
    for (i = 0; i < 5; i++)
        feed(&r, VWI_READY_PROBE_GOOD);
    expect(&r, "error");
    for (i = 0; i < VWI_READY_FALL; i++)
        feed_text(&r, VWI_READY_PROBE_BAD, "refused");
    feed(&r, VWI_READY_PROBE_GOOD);
    feed(&r, VWI_READY_PROBE_GOOD);
    expect(&r, "ready");
}
END_TEST

START_TEST(a_broken_gpu_is_forgiven_when_the_model_loads_again)
{
    struct vwi_ready r = serving((struct vwi_ready_needs){ .log = true, .model = true });

    feed_text(&r, VWI_READY_GPU_BROKEN, "Xid 95");
    feed(&r, VWI_READY_LOG_LOADED);
    expect(&r, "loading");
    feed(&r, VWI_READY_PROBE_GOOD);
    expect(&r, "ready");
    r = serving((struct vwi_ready_needs){ .log = true, .model = true, .sticky = true });
    feed_text(&r, VWI_READY_GPU_BROKEN, "Xid 95");
    feed(&r, VWI_READY_LOG_LOADED);
    expect(&r, "error");
}
END_TEST

START_TEST(a_lost_gpu_stays_the_cause_when_its_model_process_ends)
{
    struct vwi_ready r = serving((struct vwi_ready_needs){ 0 });

    feed_text(&r, VWI_READY_GPU_LOST, "GPU 0 is lost");
    feed_text(&r, VWI_READY_ENDED, "the model process ended with exit code 1");
    feed(&r, VWI_READY_STARTED);
    feed(&r, VWI_READY_PROBE_GOOD);
    expect(&r, "error");
    ck_assert_str_eq(vwi_ready_view(&r).error_msg, "GPU 0 is lost");
    feed(&r, VWI_READY_GPU_BACK);
    feed(&r, VWI_READY_PROBE_GOOD);
    expect(&r, "ready");
}
END_TEST

START_TEST(a_gpu_that_is_back_before_the_process_is_started_again_leaves_its_end_as_the_error)
{
    struct vwi_ready r = serving((struct vwi_ready_needs){ 0 });

    feed_text(&r, VWI_READY_GPU_LOST, "GPU 0 is lost");
    feed_text(&r, VWI_READY_ENDED, ENDED);
    feed(&r, VWI_READY_GPU_BACK);
    expect(&r, "error");
    feed(&r, VWI_READY_PROBE_GOOD); /* somebody else's */
    feed(&r, VWI_READY_PROBE_GOOD);
    expect(&r, "error");
    feed(&r, VWI_READY_STARTED);
    feed(&r, VWI_READY_PROBE_GOOD);
    expect(&r, "ready");
}
END_TEST

Suite *ready_suite(void);

Suite *ready_suite(void)
{
    Suite *s = suite_create("ready");
    TCase *tc = tcase_create("ready");

    tcase_add_test(tc, every_state_has_a_name_and_a_place_in_the_table);
    tcase_add_test(tc, with_nothing_to_wait_for_listening_is_ready);
    tcase_add_test(tc, with_nothing_configured_an_accepted_connection_is_ready);
    tcase_add_test(tc, ready_needs_all_that_is_configured);
    tcase_add_test(tc, the_reason_names_what_is_missing);
    tcase_add_test(tc, a_load_line_asks_for_a_probe_at_once);
    tcase_add_test(tc, the_benchmark_starts_once_the_model_is_up_and_only_once);
    tcase_add_test(tc, the_benchmark_runs_beside_a_key_that_is_awaited);
    tcase_add_test(tc, a_fixed_capacity_needs_no_benchmark);
    tcase_add_test(tc, an_unknown_capacity_is_reported_as_100_to_the_platform_only);
    tcase_add_test(tc, an_error_line_is_an_error_with_the_pattern_as_its_text);
    tcase_add_test(tc, an_error_line_alone_is_only_looked_into_where_probes_can_tell);
    tcase_add_test(tc, an_error_line_stands_when_three_probes_in_a_row_fail);
    tcase_add_test(tc, error_lines_in_a_row_are_looked_into_at_leisure);
    tcase_add_test(tc, without_a_probe_an_error_line_is_an_error);
    tcase_add_test(tc, a_port_that_nothing_waits_for_still_judges_an_error_line);
    tcase_add_test(tc, silence_degrades_goes_on_to_an_error_and_clears_on_progress);
    tcase_add_test(tc, silence_with_failing_probes_is_an_error_at_once);
    tcase_add_test(tc, traffic_corrects_the_measured_capacity_and_a_new_measure_counts_again);
    tcase_add_test(tc, a_sticky_error_stays);
    tcase_add_test(tc, an_error_clears_after_two_good_probes_in_a_row);
    tcase_add_test(tc, an_error_while_loading_clears_into_loading);
    tcase_add_test(tc, a_load_line_after_an_error_is_a_new_start);
    tcase_add_test(tc, failed_probes_degrade_and_the_third_in_a_row_is_an_error);
    tcase_add_test(tc, failed_probes_before_ready_are_no_error);
    tcase_add_test(tc, a_failed_benchmark_is_measured_again_after_two_slow_good_probes);
    tcase_add_test(tc, a_benchmark_that_ends_during_an_error_counts);
    tcase_add_test(tc, a_key_that_failed_to_come_clears_when_it_comes);
    tcase_add_test(tc, news_about_the_model_replaces_a_missing_key);
    tcase_add_test(tc, loading_has_a_limit_and_says_what_was_missing);
    tcase_add_test(tc, a_model_that_ended_has_to_load_again);
    tcase_add_loop_test(tc, a_process_that_was_started_again_has_to_load_again_and_nothing_else, 0, 4);
    tcase_add_test(tc, a_worker_that_loads_again_reports_no_capacity);
    tcase_add_test(tc, a_benchmark_that_an_end_broke_off_is_begun_anew);
    tcase_add_test(tc, a_process_that_was_started_again_may_take_too_long_to_load);
    tcase_add_test(tc, draining_is_final_and_reports_neither_capacity_nor_error);
    tcase_add_test(tc, an_error_without_a_text_gets_one);
    tcase_add_test(tc, a_long_text_is_cut_between_characters);
    tcase_add_test(tc, a_lost_gpu_is_an_error_that_only_its_return_ends);
    tcase_add_test(tc, a_model_that_loads_while_a_gpu_is_lost_counts_once_it_is_back);
    tcase_add_test(tc, a_lost_gpu_explains_an_error_that_was_seen_before);
    tcase_add_test(tc, a_broken_gpu_is_an_error_until_the_model_was_down_and_is_healthy_again);
    tcase_add_test(tc, a_broken_gpu_is_forgiven_when_the_model_loads_again);
    tcase_add_test(tc, a_lost_gpu_stays_the_cause_when_its_model_process_ends);
    tcase_add_test(tc, a_gpu_that_is_back_before_the_process_is_started_again_leaves_its_end_as_the_error);
    tcase_add_test(tc, no_walk_leaves_the_table);
    suite_add_tcase(s, tc);
    return s;
}
