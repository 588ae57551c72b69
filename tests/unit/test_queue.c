/* Turns: slots, strict first come first served, bounds, deadlines, and a hundred thousand waiting. */
#include <check.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/vwi.h"
#include "core/queue.h"

static char serial_name[] = "serial", wide_name[] = "wide", open_name[] = "open";

/* serial: 1 slot, 3 may wait; wide: 2 slots, 2 may wait; open: no limit */
static const struct vwi_lane_conf lanes[] = { { serial_name, 1, 3 }, { wide_name, 2, 2 }, { open_name, 0, 0 } };
enum { SERIAL, WIDE, OPEN };

static struct vwi_queue *make(const struct vwi_lane_conf *conf, size_t count)
{
    struct vwi_queue *q = NULL;

    ck_assert_int_eq(vwi_queue_create(conf, count, &q, NULL), VW_OK);
    return q;
}

static unsigned long long next_random(unsigned long long *seed)
{
    *seed = *seed * 6364136223846793005ull + 1442695040888963407ull;
    return *seed >> 33;
}

START_TEST(queue_runs_as_many_as_a_lane_has_slots)
{
    struct vwi_queue *q = make(lanes, VWI_ARRAY_LEN(lanes));
    struct vwi_ticket t[3] = { 0 };

    ck_assert(vwi_queue_would_run(q, WIDE));
    ck_assert_int_eq(vwi_queue_enter(q, &t[0], WIDE, 0, -1), VWI_TURN_RUN);
    ck_assert_int_eq(vwi_queue_enter(q, &t[1], WIDE, 0, -1), VWI_TURN_RUN);
    ck_assert(!vwi_queue_would_run(q, WIDE));
    ck_assert(vwi_queue_would_run(q, SERIAL));
    ck_assert_int_eq(vwi_queue_enter(q, &t[2], WIDE, 0, -1), VWI_TURN_WAIT);
    ck_assert_uint_eq(vwi_queue_lane(q, WIDE).running, 2);
    ck_assert_uint_eq(vwi_queue_lane(q, WIDE).waiting, 1);
    ck_assert_uint_eq(vwi_queue_running(q), 2);
    ck_assert_uint_eq(vwi_queue_waiting(q), 1);
    ck_assert_str_eq(vwi_queue_lane(q, WIDE).name, "wide");
    vwi_queue_destroy(q);
}
END_TEST

START_TEST(queue_serves_first_come_first)
{
    struct vwi_queue *q = make(lanes, VWI_ARRAY_LEN(lanes));
    struct vwi_ticket t[4] = { 0 };
    size_t i;

    for (i = 0; i < 4; i++) /* deadlines fall: they must not change the order */
        vwi_queue_enter(q, &t[i], SERIAL, 0, 1000 - (int64_t)i);
    for (i = 0; i < 3; i++) {
        ck_assert_ptr_eq(vwi_queue_leave(q, &t[i]), &t[i + 1]);
        ck_assert_int_eq(t[i + 1].place, VWI_PLACE_RUNNING);
    }
    ck_assert_ptr_null(vwi_queue_leave(q, &t[3]));
    ck_assert_uint_eq(vwi_queue_running(q), 0);
    ck_assert_int_eq(vwi_queue_next_deadline(q), -1);
    vwi_queue_destroy(q);
}
END_TEST

START_TEST(queue_refuses_when_full)
{
    struct vwi_queue *q = make(lanes, VWI_ARRAY_LEN(lanes));
    struct vwi_ticket t[5] = { 0 };
    size_t i;

    for (i = 0; i < 4; i++)
        vwi_queue_enter(q, &t[i], SERIAL, 0, -1);
    ck_assert_int_eq(vwi_queue_enter(q, &t[4], SERIAL, 0, -1), VWI_TURN_FULL);
    ck_assert_int_eq(t[4].place, VWI_PLACE_OUT);
    ck_assert_ptr_null(vwi_queue_leave(q, &t[2])); /* a place is free again */
    ck_assert_int_eq(vwi_queue_enter(q, &t[4], SERIAL, 0, -1), VWI_TURN_WAIT);
    vwi_queue_destroy(q);
}
END_TEST

START_TEST(queue_refuses_what_may_not_wait_at_all)
{
    struct vwi_queue *q = make(lanes, VWI_ARRAY_LEN(lanes));
    struct vwi_ticket t[3] = { 0 };

    ck_assert_int_eq(vwi_queue_enter(q, &t[0], SERIAL, 500, 500), VWI_TURN_RUN);
    ck_assert_int_eq(vwi_queue_enter(q, &t[1], SERIAL, 500, 500), VWI_TURN_FULL);
    ck_assert_int_eq(vwi_queue_enter(q, &t[1], SERIAL, 500, 501), VWI_TURN_WAIT);
    vwi_queue_destroy(q);
}
END_TEST

START_TEST(queue_never_lets_wait_in_a_lane_without_limit)
{
    struct vwi_queue *q = make(lanes, VWI_ARRAY_LEN(lanes));
    static struct vwi_ticket t[1000];
    size_t i;

    for (i = 0; i < 1000; i++)
        ck_assert_int_eq(vwi_queue_enter(q, &t[i], OPEN, 0, 0), VWI_TURN_RUN);
    for (i = 0; i < 1000; i++)
        ck_assert_ptr_null(vwi_queue_leave(q, &t[i]));
    ck_assert_uint_eq(vwi_queue_lane(q, OPEN).running, 0);
    vwi_queue_destroy(q);
}
END_TEST

START_TEST(queue_leave_is_safe_at_any_time)
{
    struct vwi_queue *q = make(lanes, VWI_ARRAY_LEN(lanes));
    struct vwi_ticket never = { 0 }, a = { 0 }, b = { 0 }, c = { 0 };

    ck_assert_ptr_null(vwi_queue_leave(q, &never));
    vwi_queue_enter(q, &a, SERIAL, 0, -1);
    vwi_queue_enter(q, &b, SERIAL, 0, 10);
    vwi_queue_enter(q, &c, SERIAL, 0, 20);
    ck_assert_ptr_null(vwi_queue_leave(q, &b)); /* gave up waiting: nobody's turn */
    ck_assert_ptr_null(vwi_queue_leave(q, &b));
    ck_assert_int_eq(vwi_queue_next_deadline(q), 20);
    ck_assert_ptr_eq(vwi_queue_leave(q, &a), &c);
    ck_assert_ptr_null(vwi_queue_leave(q, &a));
    ck_assert_uint_eq(vwi_queue_running(q), 1);
    vwi_queue_destroy(q);
}
END_TEST

START_TEST(queue_takes_out_the_expired_earliest_first)
{
    struct vwi_queue *q = make(lanes, VWI_ARRAY_LEN(lanes));
    struct vwi_ticket run[3] = { 0 }, t[5] = { 0 };

    vwi_queue_enter(q, &run[0], SERIAL, 0, 1);
    vwi_queue_enter(q, &run[1], WIDE, 0, 1);
    vwi_queue_enter(q, &run[2], WIDE, 0, 1);
    ck_assert_int_eq(vwi_queue_next_deadline(q), -1); /* the deadline is for waiting, not for running */
    vwi_queue_enter(q, &t[0], SERIAL, 0, 30);
    vwi_queue_enter(q, &t[1], WIDE, 0, 10);
    vwi_queue_enter(q, &t[2], SERIAL, 0, 10);
    vwi_queue_enter(q, &t[3], SERIAL, 0, -1);
    vwi_queue_enter(q, &t[4], WIDE, 0, 31);
    ck_assert_int_eq(vwi_queue_next_deadline(q), 10);
    ck_assert_ptr_null(vwi_queue_expired(q, 9));
    ck_assert_ptr_eq(vwi_queue_expired(q, 30), &t[1]); /* of equals the older one */
    ck_assert_ptr_eq(vwi_queue_expired(q, 30), &t[2]);
    ck_assert_ptr_eq(vwi_queue_expired(q, 30), &t[0]);
    ck_assert_ptr_null(vwi_queue_expired(q, 30));
    ck_assert_int_eq(vwi_queue_next_deadline(q), 31);
    ck_assert_ptr_null(vwi_queue_leave(q, &t[0])); /* it is out */
    ck_assert_ptr_eq(vwi_queue_leave(q, &run[0]), &t[3]);
    vwi_queue_destroy(q);
}
END_TEST

START_TEST(queue_holds_a_hundred_thousand)
{
    enum { N = 100000 };
    static struct vwi_ticket t[N + 1];
    const struct vwi_lane_conf big = { serial_name, 1, N };
    struct vwi_queue *q = make(&big, 1);
    struct vwi_ticket *next;
    unsigned long long seed = 7;
    int64_t last = -1;
    size_t i, left = N;

    vwi_queue_enter(q, &t[N], 0, 0, -1);
    for (i = 0; i < N; i++)
        ck_assert_int_eq(vwi_queue_enter(q, &t[i], 0, 0, 1 + (int64_t)(next_random(&seed) % 50000)), VWI_TURN_WAIT);
    ck_assert_uint_eq(vwi_queue_waiting(q), N);
    for (i = 0; i < N; i += 3, left--)
        ck_assert_ptr_null(vwi_queue_leave(q, &t[i]));
    next = vwi_queue_leave(q, &t[N]);
    ck_assert_ptr_eq(next, &t[1]);
    left--;
    while ((next = vwi_queue_expired(q, 50000)) != NULL) {
        ck_assert_int_ge(next->deadline_ms, last);
        last = next->deadline_ms;
        left--;
    }
    ck_assert_uint_eq(left, 0);
    ck_assert_uint_eq(vwi_queue_waiting(q), 0);
    ck_assert_uint_eq(vwi_queue_running(q), 1);
    vwi_queue_destroy(q);
}
END_TEST

/* A plain list that does the same slowly. */
enum { PEOPLE = 64 };
struct reference {
    size_t running[3];
    struct vwi_ticket *line[3][PEOPLE];
    size_t waiting[3];
};

static void reference_remove(struct reference *ref, size_t lane, const struct vwi_ticket *t)
{
    size_t i, kept = 0;

    for (i = 0; i < ref->waiting[lane]; i++)
        if (ref->line[lane][i] != t)
            ref->line[lane][kept++] = ref->line[lane][i];
    ck_assert_uint_eq(kept + 1, ref->waiting[lane]);
    ref->waiting[lane] = kept;
}

static int64_t reference_deadline(const struct reference *ref)
{
    int64_t min = -1;
    size_t lane, i;

    for (lane = 0; lane < 3; lane++)
        for (i = 0; i < ref->waiting[lane]; i++) {
            int64_t d = ref->line[lane][i]->deadline_ms;

            if (d >= 0 && (min < 0 || d < min))
                min = d;
        }
    return min;
}

static void enter_both(struct vwi_queue *q, struct reference *ref, struct vwi_ticket *t, size_t lane, int64_t now,
                       int64_t deadline)
{
    enum vwi_turn want = VWI_TURN_WAIT;

    if (lanes[lane].max_concurrency == 0 || ref->running[lane] < lanes[lane].max_concurrency)
        want = VWI_TURN_RUN;
    else if (ref->waiting[lane] >= lanes[lane].max_queue_length || (deadline >= 0 && deadline <= now))
        want = VWI_TURN_FULL;
    ck_assert(vwi_queue_would_run(q, lane) == (want == VWI_TURN_RUN));
    ck_assert_int_eq(vwi_queue_enter(q, t, lane, now, deadline), want);
    if (want == VWI_TURN_RUN)
        ref->running[lane]++;
    else if (want == VWI_TURN_WAIT)
        ref->line[lane][ref->waiting[lane]++] = t;
}

static void leave_both(struct vwi_queue *q, struct reference *ref, struct vwi_ticket *t)
{
    struct vwi_ticket *want = NULL;
    size_t lane = t->lane;

    if (t->place == VWI_PLACE_WAITING) {
        reference_remove(ref, lane, t);
    } else if (t->place == VWI_PLACE_RUNNING) {
        want = ref->waiting[lane] ? ref->line[lane][0] : NULL;
        if (want)
            reference_remove(ref, lane, want);
        else
            ref->running[lane]--;
    }
    ck_assert_ptr_eq(vwi_queue_leave(q, t), want);
}

static void expire_both(struct vwi_queue *q, struct reference *ref, int64_t now)
{
    struct vwi_ticket *t;

    while ((t = vwi_queue_expired(q, now)) != NULL) {
        ck_assert_int_eq(t->deadline_ms, reference_deadline(ref));
        reference_remove(ref, t->lane, t);
    }
    ck_assert(reference_deadline(ref) < 0 || reference_deadline(ref) > now);
}

START_TEST(queue_does_what_a_plain_list_does)
{
    struct vwi_queue *q = make(lanes, VWI_ARRAY_LEN(lanes));
    static struct vwi_ticket t[PEOPLE];
    static struct reference ref;
    unsigned long long seed = 20260101;
    int64_t now = 0;
    size_t i, lane;

    for (i = 0; i < 50000; i++) {
        struct vwi_ticket *one = &t[next_random(&seed) % PEOPLE];
        int64_t wait = (int64_t)(next_random(&seed) % 8) - 1;

        now += (int64_t)(next_random(&seed) % 2);
        if (one->place == VWI_PLACE_OUT && next_random(&seed) % 4)
            enter_both(q, &ref, one, next_random(&seed) % 3, now, wait < 0 ? -1 : now + wait);
        else
            leave_both(q, &ref, one);
        if (next_random(&seed) % 3 == 0)
            expire_both(q, &ref, now);
        ck_assert_int_eq(vwi_queue_next_deadline(q), reference_deadline(&ref));
        for (lane = 0; lane < 3; lane++) {
            ck_assert_uint_eq(vwi_queue_lane(q, lane).running, ref.running[lane]);
            ck_assert_uint_eq(vwi_queue_lane(q, lane).waiting, ref.waiting[lane]);
        }
    }
    for (i = 0; i < PEOPLE; i++)
        leave_both(q, &ref, &t[i]);
    ck_assert_uint_eq(vwi_queue_running(q) + vwi_queue_waiting(q), 0);
    vwi_queue_destroy(q);
}
END_TEST

START_TEST(queue_survives_each_failed_allocation)
{
    struct vwi_queue *q = NULL;
    struct vwi_ticket a = { 0 }, b = { 0 };
    vw_err err = VW_E_NOMEM;
    unsigned nth;

    for (nth = 0; err != VW_OK; nth++) {
        ck_assert_uint_lt(nth, 100);
        vwi_mem_fail_nth(nth);
        err = vwi_queue_create(lanes, VWI_ARRAY_LEN(lanes), &q, NULL);
        vwi_mem_fail_never();
        ck_assert(err == VW_OK || (err == VW_E_NOMEM && q == NULL));
    }
    vwi_queue_enter(q, &a, SERIAL, 0, -1);
    vwi_mem_fail_nth(0);
    ck_assert_int_eq(vwi_queue_enter(q, &b, SERIAL, 0, 5), VWI_TURN_NOMEM);
    vwi_mem_fail_never();
    ck_assert_int_eq(b.place, VWI_PLACE_OUT);
    ck_assert_uint_eq(vwi_queue_waiting(q), 0);
    ck_assert_int_eq(vwi_queue_enter(q, &b, SERIAL, 0, 5), VWI_TURN_WAIT);
    vwi_mem_fail_nth(0); /* leaving needs no memory */
    ck_assert_ptr_eq(vwi_queue_leave(q, &a), &b);
    vwi_mem_fail_never();
    vwi_queue_destroy(q);
    vwi_queue_destroy(NULL);
}
END_TEST

START_TEST(queue_predicts_the_wait_only_with_a_capacity)
{
    static const struct {
        double load, capacity, wait;
    } cases[] = { { 60, 200, 0.3 }, { 1945.16 * 31, 1945.16, 31 }, { 60, 0, 0 },   { 0, 200, 0 },
                  { 60, -1, 0 },    { -1e-12, 200, 0 },            { 1e300, 1e-300, 1e9 } };
    size_t i;

    for (i = 0; i < VWI_ARRAY_LEN(cases); i++)
        ck_assert_double_eq_tol(vwi_queue_predicted_wait(cases[i].load, cases[i].capacity), cases[i].wait, 1e-9);
    ck_assert(vwi_queue_predicted_wait(5, strtod("nan", NULL)) == 0);
}
END_TEST

Suite *queue_suite(void);

Suite *queue_suite(void)
{
    Suite *s = suite_create("queue");
    TCase *tc = tcase_create("queue");

    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, queue_runs_as_many_as_a_lane_has_slots);
    tcase_add_test(tc, queue_serves_first_come_first);
    tcase_add_test(tc, queue_refuses_when_full);
    tcase_add_test(tc, queue_refuses_what_may_not_wait_at_all);
    tcase_add_test(tc, queue_never_lets_wait_in_a_lane_without_limit);
    tcase_add_test(tc, queue_leave_is_safe_at_any_time);
    tcase_add_test(tc, queue_takes_out_the_expired_earliest_first);
    tcase_add_test(tc, queue_holds_a_hundred_thousand);
    tcase_add_test(tc, queue_does_what_a_plain_list_does);
    tcase_add_test(tc, queue_survives_each_failed_allocation);
    tcase_add_test(tc, queue_predicts_the_wait_only_with_a_capacity);
    suite_add_tcase(s, tc);
    return s;
}
