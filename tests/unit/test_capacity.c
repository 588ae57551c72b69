/* How traffic corrects what a benchmark measured: slowly, within bounds, and only while there is more to do than can be done. */
#include <check.h>

#include "core/capacity.h"

static struct vwi_capacity c;
static double now, work;
static uint64_t requests;

/* So many seconds of traffic at a rate, in looks a second apart. True: the figure moved. */
static bool serve(bool saturated, double rate, unsigned seconds)
{
    bool moved = false;

    for (; seconds; seconds--) {
        now += 1;
        work += rate;
        requests++;
        moved |= vwi_capacity_look(&c, saturated, work, requests, now);
    }
    return moved;
}

static void setup(void)
{
    now = work = 0;
    requests = 0;
    vwi_capacity_init(&c, 100);
}

START_TEST(a_saturated_stretch_moves_it_a_tenth_of_the_way)
{
    serve(true, 90, 1); /* begins it */
    ck_assert(!serve(true, 80, 29));
    ck_assert(serve(true, 80, 1));
    ck_assert_double_eq_tol(c.live, 98, 1e-9);
    ck_assert(serve(true, 80, 30));
    ck_assert_double_eq_tol(c.live, 96.2, 1e-9);
}
END_TEST

START_TEST(what_is_served_with_room_to_spare_says_nothing)
{
    ck_assert(!serve(false, 10, 1000));
    ck_assert_double_eq(c.live, 0);
}
END_TEST

START_TEST(a_stretch_that_was_broken_does_not_count)
{
    unsigned i;

    for (i = 0; i < 50; i++) {
        ck_assert(!serve(true, 10, 25));
        ck_assert(!serve(false, 10, 1));
    }
    ck_assert_double_eq(c.live, 0);
}
END_TEST

START_TEST(it_stays_between_half_and_twice_the_benchmark)
{
    serve(true, 0.1, 5000);
    ck_assert_double_eq(c.live, 50);
    serve(true, 1e6, 5000);
    ck_assert_double_eq(c.live, 200);
}
END_TEST

START_TEST(long_jobs_are_waited_for)
{
    unsigned i;

    for (i = 0; i < 20 * 60; i++) { /* one job of 6000 units a minute: 100 a second */
        now += 1;
        if (i % 60 == 59) {
            work += 6000;
            requests++;
        }
        vwi_capacity_look(&c, true, work, requests, now);
    }
    ck_assert_double_eq_tol(c.live, 100, 1);
}
END_TEST

START_TEST(a_new_benchmark_forgets_it)
{
    serve(true, 80, 31);
    vwi_capacity_init(&c, 300);
    ck_assert_double_eq(c.live, 0);
    vwi_capacity_init(&c, 0);
    ck_assert(!serve(true, 80, 100));
}
END_TEST

Suite *capacity_suite(void);

Suite *capacity_suite(void)
{
    Suite *s = suite_create("capacity");
    TCase *tc = tcase_create("capacity");

    tcase_add_checked_fixture(tc, setup, NULL);
    tcase_add_test(tc, a_saturated_stretch_moves_it_a_tenth_of_the_way);
    tcase_add_test(tc, what_is_served_with_room_to_spare_says_nothing);
    tcase_add_test(tc, a_stretch_that_was_broken_does_not_count);
    tcase_add_test(tc, it_stays_between_half_and_twice_the_benchmark);
    tcase_add_test(tc, long_jobs_are_waited_for);
    tcase_add_test(tc, a_new_benchmark_forgets_it);
    suite_add_tcase(s, tc);
    return s;
}
