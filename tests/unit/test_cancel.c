/* Calls that stop what the model does: the slot they hold, how they end, and what bounds them. */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/vwi.h"
#include "flow/cancel.h"
#include "unit/model_stub.h"

#define LIMIT_MS 20000 /* only reached when a test fails */

static char lane_name[] = "serial", method[] = "POST", path[] = "/interrupt", host[] = "127.0.0.1";

static struct {
    struct vwi_loop *loop;
    struct vwi_timer limit;
    struct stub stub;
    struct vwi_model_conf model;
    struct vwi_handler_conf conf;
    struct vwi_handler handler;
    struct vwi_queue *queue;
    struct vwi_cancels *cancels;
    struct vwi_ticket job, next; /* the one that runs, the one that waits */
    struct vwi_log log;
    unsigned over, warned;
    const char *answer; /* NULL: none */
} t;

static void on_limit(void *arg)
{
    (void)arg;
    ck_abort_msg("no event within the limit");
}

static void count_warning(void *arg, vw_log_level_t level, const char *line)
{
    (void)arg, (void)line;
    t.warned += level == VW_LOG_WARN;
}

static void on_request(struct stub *stub, struct stub_conn *conn)
{
    (void)stub;
    if (t.answer)
        stub_say(conn, t.answer);
    else
        vwi_loop_stop(t.loop);
}

static void on_over(void *arg, struct vwi_ticket *slot)
{
    (void)arg;
    t.over++;
    vwi_queue_leave(t.queue, slot);
    if (!vwi_cancels_under_way(t.cancels))
        vwi_loop_stop(t.loop);
}

static void set_up(void)
{
    const struct vwi_lane_conf lane = { lane_name, 1, 1 };

    memset(&t, 0, sizeof t);
    t.log = (struct vwi_log){ .level = VW_LOG_WARN, .fn = count_warning };
    ck_assert_int_eq(vwi_loop_create(&t.loop, NULL), VW_OK);
    ck_assert_int_eq(vwi_timer_init(&t.limit, t.loop, on_limit, NULL), VW_OK);
    vwi_timer_start(&t.limit, LIMIT_MS);
    stub_init(&t.stub, t.loop, NULL, 0, 64);
    t.stub.on_request = on_request;
    t.model.host = t.model.authority = host;
    t.model.port = t.stub.port;
    t.model.idle_connections = 8;
    t.conf.route = path;
    t.conf.cancel = (struct vwi_cancel_conf){ method, path, 10 };
    t.handler.conf = &t.conf;
    ck_assert_int_eq(vwi_queue_create(&lane, 1, &t.queue, NULL), VW_OK);
    ck_assert_int_eq(vwi_cancels_create(t.loop, &t.model, t.queue, &t.log, on_over, NULL, &t.cancels, NULL), VW_OK);
    vwi_queue_enter(t.queue, &t.job, &(struct vwi_wish){ 0, 0, -1 }, 0);
    vwi_queue_enter(t.queue, &t.next, &(struct vwi_wish){ 0, 0, -1 }, 0);
}

static void tear_down(void)
{
    vwi_cancels_destroy(t.cancels);
    vwi_queue_destroy(t.queue);
    stub_fini(&t.stub);
    vwi_timer_fini(&t.limit);
    vwi_loop_destroy(t.loop);
}

static bool call(struct vwi_ticket *slot) { return vwi_cancels_call(t.cancels, &t.handler, (struct vwi_span){ "id-1", 4 }, slot); }

static void run(void) { ck_assert_int_eq(vwi_loop_run(t.loop), VW_OK); }

START_TEST(cancel_holds_the_slot_until_it_is_answered)
{
    struct vwi_cancels_stats stats;

    t.answer = "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"; /* any status will do */
    ck_assert(call(&t.job));
    ck_assert_int_eq(t.job.place, VWI_PLACE_OUT); /* it may go */
    ck_assert_uint_eq(vwi_queue_lane(t.queue, 0).running, 1);
    ck_assert_int_eq(t.next.place, VWI_PLACE_WAITING);
    run();
    stats = vwi_cancels_stats(t.cancels);
    ck_assert_int_eq(t.next.place, VWI_PLACE_RUNNING);
    ck_assert_uint_eq(stats.answered, 1);
    ck_assert_uint_eq(stats.failed + stats.timed_out + stats.dropped, 0);
    ck_assert_uint_eq(t.warned, 0);
    ck_assert_ptr_eq(strstr(t.stub.last.p, "POST /interrupt HTTP/1.1\r\n"), t.stub.last.p);
    ck_assert_ptr_nonnull(strstr(t.stub.last.p, "\r\nContent-Length: 0\r\n"));
    ck_assert_ptr_nonnull(strstr(t.stub.last.p, "\r\nX-Request-Id: id-1\r\n"));
}
END_TEST

START_TEST(cancel_keeps_no_connection)
{
    t.answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    ck_assert(call(&t.job));
    run();
    ck_assert(call(&t.next));
    run();
    ck_assert_int_eq(t.stub.accepted, 2);
}
END_TEST

START_TEST(cancel_that_is_given_up_frees_the_slot)
{
    t.conf.cancel.grace_s = 0.1;
    t.stub.on_request = NULL;
    stub_deafen(&t.stub);
    ck_assert(call(&t.job));
    run();
    ck_assert_int_eq(t.next.place, VWI_PLACE_RUNNING);
    ck_assert_uint_eq(vwi_cancels_stats(t.cancels).timed_out, 1);
    ck_assert_uint_eq(t.warned, 1);
    ck_assert(call(&t.next));
    run();
    ck_assert_uint_eq(vwi_cancels_stats(t.cancels).timed_out, 2);
    ck_assert_uint_eq(t.warned, 1); /* said once */
}
END_TEST

START_TEST(cancel_under_way_may_be_dropped_at_any_time)
{
    ck_assert(call(&t.job));
    run(); /* until the call is there; nobody answers it */
    ck_assert_uint_eq(vwi_cancels_under_way(t.cancels), 1);
    vwi_cancels_destroy(t.cancels);
    t.cancels = NULL;
    vwi_loop_run_burials(t.loop);
    ck_assert_uint_eq(t.over, 0);
    ck_assert_uint_eq(vwi_queue_lane(t.queue, 0).running, 1);
}
END_TEST

START_TEST(cancel_has_a_largest_number)
{
    static struct vwi_ticket slots[VWI_CANCELS_MAX + 1];
    const struct vwi_lane_conf open_lane = { lane_name, 0, 0 };
    size_t i;

    vwi_cancels_destroy(t.cancels);
    vwi_queue_destroy(t.queue);
    ck_assert_int_eq(vwi_queue_create(&open_lane, 1, &t.queue, NULL), VW_OK);
    ck_assert_int_eq(vwi_cancels_create(t.loop, &t.model, t.queue, &t.log, on_over, NULL, &t.cancels, NULL), VW_OK);
    for (i = 0; i <= VWI_CANCELS_MAX; i++) {
        vwi_queue_enter(t.queue, &slots[i], &(struct vwi_wish){ 0, 0, -1 }, 0);
        ck_assert(call(&slots[i]) == (i < VWI_CANCELS_MAX));
    }
    ck_assert_int_eq(slots[VWI_CANCELS_MAX].place, VWI_PLACE_RUNNING); /* it still has its slot to give */
    ck_assert_uint_eq(vwi_cancels_under_way(t.cancels), VWI_CANCELS_MAX);
    ck_assert_uint_eq(vwi_cancels_stats(t.cancels).dropped, 1);
    ck_assert_uint_eq(t.warned, 1);
}
END_TEST

START_TEST(cancel_without_memory_leaves_the_slot_where_it_is)
{
    bool called = false;
    unsigned nth;

    t.answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    for (nth = 0; !called; nth++) {
        ck_assert_uint_lt(nth, 100);
        vwi_mem_fail_nth(nth);
        called = call(&t.job);
        vwi_mem_fail_never();
        ck_assert_int_eq(t.job.place, called ? VWI_PLACE_OUT : VWI_PLACE_RUNNING);
        ck_assert_uint_eq(vwi_queue_lane(t.queue, 0).running, 1);
    }
    ck_assert_uint_ge(nth, 3);
    run(); /* answered, or failed for want of memory later */
    ck_assert_int_eq(t.next.place, VWI_PLACE_RUNNING);
}
END_TEST

START_TEST(cancel_is_created_whole_or_not_at_all)
{
    struct vwi_cancels *other = NULL;
    vw_err err = VW_E_NOMEM;
    unsigned nth;

    for (nth = 0; err != VW_OK; nth++) {
        ck_assert_uint_lt(nth, 100);
        vwi_mem_fail_nth(nth);
        err = vwi_cancels_create(t.loop, &t.model, t.queue, &t.log, on_over, NULL, &other, NULL);
        vwi_mem_fail_never();
        ck_assert(err == VW_OK || (err == VW_E_NOMEM && !other));
    }
    vwi_cancels_destroy(other);
    vwi_cancels_destroy(NULL);
}
END_TEST

Suite *cancel_suite(void);

Suite *cancel_suite(void)
{
    Suite *s = suite_create("cancel");
    TCase *tc = tcase_create("cancel");

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, cancel_holds_the_slot_until_it_is_answered);
    tcase_add_test(tc, cancel_keeps_no_connection);
    tcase_add_test(tc, cancel_that_is_given_up_frees_the_slot);
    tcase_add_test(tc, cancel_under_way_may_be_dropped_at_any_time);
    tcase_add_test(tc, cancel_has_a_largest_number);
    tcase_add_test(tc, cancel_without_memory_leaves_the_slot_where_it_is);
    tcase_add_test(tc, cancel_is_created_whole_or_not_at_all);
    suite_add_tcase(s, tc);
    return s;
}
