/* Work done a second: measured from the first moment, following what changes, not watered down by idle time. */
#include <check.h>

#include "core/rate.h"

#define S 1000000 /* microseconds */

/* so many pieces of so much work each, `every` apart */
static int64_t work_on(struct vwi_rate *rate, int64_t now, int pieces, double work, int64_t every)
{
    int i;

    vwi_rate_begin(rate, now);
    for (i = 0; i < pieces; i++) {
        now += every;
        vwi_rate_add(rate, work, now);
    }
    return now;
}

START_TEST(rate_is_unknown_before_anything_was_done)
{
    struct vwi_rate rate = { 0 };

    ck_assert(vwi_rate_per_s(&rate) == 0);
    vwi_rate_begin(&rate, 5 * S);
    ck_assert(vwi_rate_per_s(&rate) == 0);
    vwi_rate_add(&rate, 0, 6 * S); /* time went by, and nothing was achieved */
    ck_assert(vwi_rate_per_s(&rate) == 0);
}
END_TEST

START_TEST(rate_is_right_from_the_first_piece_on)
{
    struct vwi_rate rate = { 0 };

    work_on(&rate, 7 * S, 1, 30, 3 * S);
    ck_assert_double_eq_tol(vwi_rate_per_s(&rate), 10, 0.3);
}
END_TEST

START_TEST(rate_of_an_even_pace_is_that_pace)
{
    struct vwi_rate rate = { 0 };

    work_on(&rate, 0, 10000, 5, S / 10);
    ck_assert_double_eq_tol(vwi_rate_per_s(&rate), 50, 0.1);
}
END_TEST

START_TEST(rate_forgets_how_it_was_before)
{
    struct vwi_rate rate = { 0 };
    int64_t now = work_on(&rate, 0, 1000, 100, S);

    now = work_on(&rate, now, 60, 10, S);
    ck_assert_double_gt(vwi_rate_per_s(&rate), 12);
    ck_assert_double_lt(vwi_rate_per_s(&rate), 60);
    work_on(&rate, now, 600, 10, S);
    ck_assert_double_eq_tol(vwi_rate_per_s(&rate), 10, 0.2);
}
END_TEST

START_TEST(rate_does_not_count_idle_time)
{
    struct vwi_rate rate = { 0 };
    int64_t now = work_on(&rate, 0, 20, 8, S);
    double before;

    vwi_rate_pause(&rate, now);
    before = vwi_rate_per_s(&rate);
    now = work_on(&rate, now + 100000ll * S, 20, 8, S);
    ck_assert_double_eq_tol(before, 8, 0.2);
    ck_assert_double_eq_tol(vwi_rate_per_s(&rate), 8, 0.2);
    vwi_rate_pause(&rate, now);
    vwi_rate_pause(&rate, now + S);
    ck_assert_double_eq_tol(vwi_rate_per_s(&rate), 8, 0.2);
}
END_TEST

START_TEST(rate_counts_the_time_without_result_while_there_is_work)
{
    struct vwi_rate rate = { 0 };
    int64_t now = work_on(&rate, 0, 10, 10, S);

    vwi_rate_add(&rate, 0, now + 10 * S); /* errors */
    ck_assert_double_eq_tol(vwi_rate_per_s(&rate), 5, 0.5);
}
END_TEST

START_TEST(rate_survives_a_clock_that_stands_still_or_steps_back)
{
    struct vwi_rate rate = { 0 };

    vwi_rate_begin(&rate, 10 * S);
    vwi_rate_add(&rate, 1, 10 * S);
    ck_assert(vwi_rate_per_s(&rate) == 0); /* no time has gone by: says nothing */
    vwi_rate_add(&rate, 1, 9 * S);
    vwi_rate_add(&rate, 0, 12 * S);
    ck_assert_double_eq_tol(vwi_rate_per_s(&rate), 1, 0.1);
}
END_TEST

Suite *rate_suite(void);

Suite *rate_suite(void)
{
    Suite *s = suite_create("rate");
    TCase *tc = tcase_create("rate");

    tcase_add_test(tc, rate_is_unknown_before_anything_was_done);
    tcase_add_test(tc, rate_is_right_from_the_first_piece_on);
    tcase_add_test(tc, rate_of_an_even_pace_is_that_pace);
    tcase_add_test(tc, rate_forgets_how_it_was_before);
    tcase_add_test(tc, rate_does_not_count_idle_time);
    tcase_add_test(tc, rate_counts_the_time_without_result_while_there_is_work);
    tcase_add_test(tc, rate_survives_a_clock_that_stands_still_or_steps_back);
    suite_add_tcase(s, tc);
    return s;
}
