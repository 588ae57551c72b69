/* Turns: slots, who comes first, bounds, deadlines, priorities, slots that are handed over, and a hundred thousand waiting. */
#include <check.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/vwi.h"
#include "core/queue.h"
#include "random.h"

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

static enum vwi_turn enter_as(struct vwi_queue *q, struct vwi_ticket *t, size_t lane, int priority, int64_t now_ms, int64_t deadline_ms)
{
    return vwi_queue_enter(q, t, &(struct vwi_wish){ lane, priority, deadline_ms }, now_ms);
}

static enum vwi_turn enter(struct vwi_queue *q, struct vwi_ticket *t, size_t lane, int64_t now_ms, int64_t deadline_ms)
{
    return enter_as(q, t, lane, 0, now_ms, deadline_ms);
}

START_TEST(queue_runs_as_many_as_a_lane_has_slots)
{
    struct vwi_queue *q = make(lanes, VWI_ARRAY_LEN(lanes));
    struct vwi_ticket t[3] = { 0 };

    ck_assert(vwi_queue_would_run(q, WIDE));
    ck_assert_int_eq(enter(q, &t[0], WIDE, 0, -1), VWI_TURN_RUN);
    ck_assert_int_eq(enter(q, &t[1], WIDE, 0, -1), VWI_TURN_RUN);
    ck_assert(!vwi_queue_would_run(q, WIDE));
    ck_assert(vwi_queue_would_run(q, SERIAL));
    ck_assert_int_eq(enter(q, &t[2], WIDE, 0, -1), VWI_TURN_WAIT);
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
        enter(q, &t[i], SERIAL, 0, 1000 - (int64_t)i);
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
        enter(q, &t[i], SERIAL, 0, -1);
    ck_assert_int_eq(enter(q, &t[4], SERIAL, 0, -1), VWI_TURN_FULL);
    ck_assert_int_eq(t[4].place, VWI_PLACE_OUT);
    ck_assert_ptr_null(vwi_queue_leave(q, &t[2])); /* a place is free again */
    ck_assert_int_eq(enter(q, &t[4], SERIAL, 0, -1), VWI_TURN_WAIT);
    vwi_queue_destroy(q);
}
END_TEST

START_TEST(queue_refuses_what_may_not_wait_at_all)
{
    struct vwi_queue *q = make(lanes, VWI_ARRAY_LEN(lanes));
    struct vwi_ticket t[3] = { 0 };

    ck_assert_int_eq(enter(q, &t[0], SERIAL, 500, 500), VWI_TURN_RUN);
    ck_assert_int_eq(enter(q, &t[1], SERIAL, 500, 500), VWI_TURN_FULL);
    ck_assert_int_eq(enter(q, &t[1], SERIAL, 500, 501), VWI_TURN_WAIT);
    vwi_queue_destroy(q);
}
END_TEST

START_TEST(queue_never_lets_wait_in_a_lane_without_limit)
{
    struct vwi_queue *q = make(lanes, VWI_ARRAY_LEN(lanes));
    static struct vwi_ticket t[1000];
    size_t i;

    for (i = 0; i < 1000; i++)
        ck_assert_int_eq(enter(q, &t[i], OPEN, 0, 0), VWI_TURN_RUN);
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
    enter(q, &a, SERIAL, 0, -1);
    enter(q, &b, SERIAL, 0, 10);
    enter(q, &c, SERIAL, 0, 20);
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

    enter(q, &run[0], SERIAL, 0, 1);
    enter(q, &run[1], WIDE, 0, 1);
    enter(q, &run[2], WIDE, 0, 1);
    ck_assert_int_eq(vwi_queue_next_deadline(q), -1); /* the deadline is for waiting, not for running */
    enter(q, &t[0], SERIAL, 0, 30);
    enter(q, &t[1], WIDE, 0, 10);
    enter(q, &t[2], SERIAL, 0, 10);
    enter(q, &t[3], SERIAL, 0, -1);
    enter(q, &t[4], WIDE, 0, 31);
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

    enter(q, &t[N], 0, 0, -1);
    for (i = 0; i < N; i++)
        ck_assert_int_eq(enter(q, &t[i], 0, 0, 1 + (int64_t)(next_random(&seed) % 50000)), VWI_TURN_WAIT);
    ck_assert_uint_eq(vwi_queue_waiting(q), N);
    for (i = 0; i < N; i += 3, left--)
        ck_assert_ptr_null(vwi_queue_leave(q, &t[i]));
    next = vwi_queue_leave(q, &t[N]);
    ck_assert_ptr_eq(next, &t[1]);
    left--;
    while ((next = vwi_queue_expired(q, 50000)) != NULL) {
        ck_assert_int_ge(next->deadline.key, last);
        last = next->deadline.key;
        left--;
    }
    ck_assert_uint_eq(left, 0);
    ck_assert_uint_eq(vwi_queue_waiting(q), 0);
    ck_assert_uint_eq(vwi_queue_running(q), 1);
    vwi_queue_destroy(q);
}
END_TEST

START_TEST(queue_lets_a_higher_priority_go_first)
{
    struct vwi_queue *q = make(lanes, VWI_ARRAY_LEN(lanes));
    struct vwi_ticket run = { 0 }, low = { 0 }, plain = { 0 }, high = { 0 };

    enter(q, &run, SERIAL, 0, -1);
    enter_as(q, &low, SERIAL, -1, 1, -1);
    enter_as(q, &plain, SERIAL, 0, 2, -1);
    enter_as(q, &high, SERIAL, 1, 3, -1);
    ck_assert_ptr_eq(vwi_queue_leave(q, &run), &high);
    ck_assert_ptr_eq(vwi_queue_leave(q, &high), &plain);
    ck_assert_ptr_eq(vwi_queue_leave(q, &plain), &low);
    vwi_queue_destroy(q);
}
END_TEST

START_TEST(queue_lets_age_outweigh_priority)
{
    struct vwi_queue *q = make(lanes, VWI_ARRAY_LEN(lanes));
    struct vwi_ticket run = { 0 }, old = { 0 }, even = { 0 }, young = { 0 };
    int64_t head_start_ms = 5 * VWI_PRIORITY_POINT_MS;

    enter(q, &run, SERIAL, 0, -1);
    enter_as(q, &old, SERIAL, -2, 0, -1);
    enter_as(q, &even, SERIAL, 3, head_start_ms, -1); /* virtually as old: then the one that came first */
    enter_as(q, &young, SERIAL, 3, head_start_ms + 1, -1);
    ck_assert_ptr_eq(vwi_queue_leave(q, &run), &old);
    ck_assert_ptr_eq(vwi_queue_leave(q, &old), &even);
    ck_assert_ptr_eq(vwi_queue_leave(q, &even), &young);
    vwi_queue_destroy(q);
}
END_TEST

START_TEST(queue_keeps_a_slot_that_is_handed_over)
{
    struct vwi_queue *q = make(lanes, VWI_ARRAY_LEN(lanes));
    struct vwi_ticket a = { 0 }, b = { 0 }, heir = { 0 };

    enter(q, &a, SERIAL, 0, -1);
    enter(q, &b, SERIAL, 0, -1);
    vwi_queue_hand_over(q, &a, &heir);
    ck_assert_int_eq(a.place, VWI_PLACE_OUT);
    ck_assert_int_eq(heir.place, VWI_PLACE_RUNNING);
    ck_assert(!vwi_queue_would_run(q, SERIAL));
    ck_assert_ptr_null(vwi_queue_leave(q, &a)); /* it has nothing left to give */
    ck_assert_uint_eq(vwi_queue_lane(q, SERIAL).running, 1);
    ck_assert_ptr_eq(vwi_queue_leave(q, &heir), &b);
    ck_assert_ptr_null(vwi_queue_leave(q, &b));
    ck_assert_uint_eq(vwi_queue_running(q), 0);
    vwi_queue_destroy(q);
}
END_TEST

/* A plain list that does the same slowly. */
enum { PEOPLE = 64 };
struct person {
    const struct vwi_ticket *t;
    int64_t from, deadline; /* virtual arrival; -1: none */
};
struct reference {
    const struct vwi_lane_conf *lanes;
    size_t running[3];
    struct person line[3][PEOPLE];
    size_t waiting[3];
};

static void reference_remove(struct reference *ref, size_t lane, const struct vwi_ticket *t)
{
    size_t i, kept = 0;

    for (i = 0; i < ref->waiting[lane]; i++)
        if (ref->line[lane][i].t != t)
            ref->line[lane][kept++] = ref->line[lane][i];
    ck_assert_uint_eq(kept + 1, ref->waiting[lane]);
    ref->waiting[lane] = kept;
}

/* Behind all that are not younger. */
static void reference_add(struct reference *ref, size_t lane, struct person one)
{
    size_t i = ref->waiting[lane]++;

    for (; i > 0 && ref->line[lane][i - 1].from > one.from; i--)
        ref->line[lane][i] = ref->line[lane][i - 1];
    ref->line[lane][i] = one;
}

static int64_t reference_deadline(const struct reference *ref)
{
    int64_t min = -1;
    size_t lane, i;

    for (lane = 0; lane < 3; lane++)
        for (i = 0; i < ref->waiting[lane]; i++) {
            int64_t d = ref->line[lane][i].deadline;

            if (d >= 0 && (min < 0 || d < min))
                min = d;
        }
    return min;
}

static void enter_both(struct vwi_queue *q, struct reference *ref, struct vwi_ticket *t, const struct vwi_wish *wish, int64_t now)
{
    enum vwi_turn want = VWI_TURN_WAIT;
    size_t lane = wish->lane;
    const struct vwi_lane_conf *conf = &ref->lanes[lane];

    if (conf->max_concurrency == 0 || ref->running[lane] < conf->max_concurrency)
        want = VWI_TURN_RUN;
    else if (ref->waiting[lane] >= conf->max_queue_length || (wish->deadline_ms >= 0 && wish->deadline_ms <= now))
        want = VWI_TURN_FULL;
    ck_assert(vwi_queue_would_run(q, lane) == (want == VWI_TURN_RUN));
    ck_assert_int_eq(vwi_queue_enter(q, t, wish, now), want);
    if (want == VWI_TURN_RUN)
        ref->running[lane]++;
    else if (want == VWI_TURN_WAIT)
        reference_add(ref, lane, (struct person){ t, now - 1000 * wish->priority, wish->deadline_ms });
}

static void leave_both(struct vwi_queue *q, struct reference *ref, struct vwi_ticket *t)
{
    const struct vwi_ticket *want = NULL;
    size_t lane = t->lane;

    if (t->place == VWI_PLACE_WAITING) {
        reference_remove(ref, lane, t);
    } else if (t->place == VWI_PLACE_RUNNING) {
        want = ref->waiting[lane] ? ref->line[lane][0].t : NULL;
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
        ck_assert_int_eq(t->deadline.key, reference_deadline(ref));
        reference_remove(ref, t->lane, t);
    }
    ck_assert(reference_deadline(ref) < 0 || reference_deadline(ref) > now);
}

/* Narrow lanes with room for all, so that there is an order to get wrong. */
static const struct vwi_lane_conf long_lanes[] = { { serial_name, 1, PEOPLE }, { wide_name, 3, 20 }, { open_name, 0, 0 } };

static void step_both(struct vwi_queue *q, struct reference *ref, struct vwi_ticket *people, unsigned long long *seed, int64_t now)
{
    struct vwi_ticket *one = &people[next_random(seed) % PEOPLE], *other = &people[next_random(seed) % PEOPLE];
    int64_t wait = (int64_t)(next_random(seed) % 3000) - 300;
    struct vwi_wish wish = { next_random(seed) % 8 % 3, (int)(next_random(seed) % 7) - 3, wait < 0 ? -1 : now + wait };

    if (one->place == VWI_PLACE_OUT && next_random(seed) % 4)
        enter_both(q, ref, one, &wish, now);
    else if (one->place == VWI_PLACE_RUNNING && other->place == VWI_PLACE_OUT && next_random(seed) % 2)
        vwi_queue_hand_over(q, one, other); /* nothing that is counted changes */
    else if (one->place != VWI_PLACE_WAITING || next_random(seed) % 3 == 0)
        leave_both(q, ref, one);
    if (next_random(seed) % 3 == 0)
        expire_both(q, ref, now);
}

static void compare(const struct vwi_queue *q, const struct reference *ref)
{
    size_t lane, running = 0, waiting = 0;

    ck_assert_int_eq(vwi_queue_next_deadline(q), reference_deadline(ref));
    for (lane = 0; lane < 3; lane++) {
        ck_assert_uint_eq(vwi_queue_lane(q, lane).running, ref->running[lane]);
        ck_assert_uint_eq(vwi_queue_lane(q, lane).waiting, ref->waiting[lane]);
        running += ref->running[lane];
        waiting += ref->waiting[lane];
    }
    ck_assert_uint_eq(vwi_queue_running(q), running);
    ck_assert_uint_eq(vwi_queue_waiting(q), waiting);
}

/* Lanes, priorities, deadlines, leaving, handing over, in any order. */
START_TEST(queue_does_what_a_plain_list_does)
{
    const struct vwi_lane_conf *conf = _i ? long_lanes : lanes;
    struct vwi_queue *q = make(conf, 3);
    static struct vwi_ticket t[PEOPLE];
    static struct reference ref;
    unsigned long long seed = 20260101 + (unsigned)_i;
    int64_t now = 0;
    size_t i, most = 0;

    ref.lanes = conf;
    for (i = 0; i < 100000; i++) {
        now += (int64_t)(next_random(&seed) % 100);
        step_both(q, &ref, t, &seed, now);
        compare(q, &ref);
        most = ref.waiting[SERIAL] > most ? ref.waiting[SERIAL] : most;
    }
    ck_assert_uint_ge(most, _i ? 8 : 3); /* else it has tried little */
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
    enter(q, &a, SERIAL, 0, -1);
    for (nth = 0; nth < 2; nth++) { /* of turns, of deadlines */
        vwi_mem_fail_nth(nth);
        ck_assert_int_eq(enter(q, &b, SERIAL, 0, 5), VWI_TURN_NOMEM);
        vwi_mem_fail_never();
        ck_assert_int_eq(b.place, VWI_PLACE_OUT);
        ck_assert_uint_eq(vwi_queue_waiting(q), 0);
    }
    ck_assert_int_eq(enter(q, &b, SERIAL, 0, 5), VWI_TURN_WAIT);
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
    tcase_add_test(tc, queue_lets_a_higher_priority_go_first);
    tcase_add_test(tc, queue_lets_age_outweigh_priority);
    tcase_add_test(tc, queue_keeps_a_slot_that_is_handed_over);
    tcase_add_loop_test(tc, queue_does_what_a_plain_list_does, 0, 2);
    tcase_add_test(tc, queue_survives_each_failed_allocation);
    tcase_add_test(tc, queue_predicts_the_wait_only_with_a_capacity);
    suite_add_tcase(s, tc);
    return s;
}
