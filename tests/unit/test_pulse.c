/* When a silence of the model is unusual, and when it is over. */
#include <check.h>

#include "core/pulse.h"

static double now;
static uint64_t bytes;
static bool heard = true;

static enum vwi_pulse_news look(struct vwi_pulse *p, size_t waiting, double seconds)
{
    now += seconds;
    return vwi_pulse_look(p, waiting, bytes, heard, now);
}

/* Answers that take so long each. */
static void answer(struct vwi_pulse *p, unsigned times, double seconds)
{
    unsigned i;

    for (i = 0; i < times; i++) {
        look(p, 1, 0);
        bytes++;
        ck_assert_int_eq(look(p, 1, seconds), VWI_PULSE_NONE);
    }
}

static struct vwi_pulse begin(double factor)
{
    struct vwi_pulse p;

    vwi_pulse_init(&p, factor);
    return p;
}

START_TEST(a_silence_far_beyond_the_worst_so_far_is_told_once_and_then_as_a_hang)
{
    struct vwi_pulse p = begin(10);

    answer(&p, VWI_PULSE_LEARN, 6);
    ck_assert_double_eq(vwi_pulse_worst_s(&p), 6);
    ck_assert_int_eq(look(&p, 1, 59), VWI_PULSE_NONE);
    ck_assert_int_eq(look(&p, 1, 2), VWI_PULSE_SILENT);
    ck_assert_int_eq(look(&p, 1, 2), VWI_PULSE_NONE);
    ck_assert_double_eq(vwi_pulse_silence_s(&p, now), 63);
    ck_assert_int_eq(look(&p, 1, 58), VWI_PULSE_HUNG);
    ck_assert_int_eq(look(&p, 1, 1000), VWI_PULSE_NONE);
    bytes++;
    ck_assert_int_eq(look(&p, 1, 1), VWI_PULSE_AGAIN);
    ck_assert_int_eq(look(&p, 1, 1), VWI_PULSE_NONE);
}
END_TEST

START_TEST(it_is_over_as_well_when_nothing_waits_any_more)
{
    struct vwi_pulse p = begin(10);

    answer(&p, VWI_PULSE_LEARN, 6);
    look(&p, 1, 0);
    ck_assert_int_eq(look(&p, 1, 61), VWI_PULSE_SILENT);
    ck_assert_int_eq(look(&p, 0, 1), VWI_PULSE_AGAIN);
    ck_assert_double_eq(vwi_pulse_silence_s(&p, now), 0);
}
END_TEST

START_TEST(time_in_which_nothing_waits_is_no_silence)
{
    struct vwi_pulse p = begin(10);

    answer(&p, VWI_PULSE_LEARN, 6);
    look(&p, 0, 0);
    ck_assert_int_eq(look(&p, 0, 100000), VWI_PULSE_NONE);
    ck_assert_int_eq(look(&p, 1, 1), VWI_PULSE_NONE);
    ck_assert_int_eq(look(&p, 1, 50), VWI_PULSE_NONE);
    ck_assert_double_eq(vwi_pulse_silence_s(&p, now), 50);
}
END_TEST

START_TEST(a_quick_model_has_half_a_minute_all_the_same)
{
    struct vwi_pulse p = begin(10);

    answer(&p, 100, 0.01);
    ck_assert_int_eq(look(&p, 1, VWI_PULSE_FLOOR_S), VWI_PULSE_NONE);
    ck_assert_int_eq(look(&p, 1, 1), VWI_PULSE_SILENT);
}
END_TEST

START_TEST(nothing_is_judged_before_enough_was_seen_or_where_it_is_off)
{
    struct vwi_pulse p = begin(10), off = begin(0);

    answer(&p, VWI_PULSE_LEARN - 1, 1);
    ck_assert_int_eq(look(&p, 1, 1e6), VWI_PULSE_NONE);
    answer(&off, 100, 1);
    ck_assert_int_eq(look(&off, 1, 1e6), VWI_PULSE_NONE);
}
END_TEST

START_TEST(the_worst_of_long_ago_is_forgotten)
{
    struct vwi_pulse p = begin(10);

    answer(&p, 1, 500);
    answer(&p, VWI_PULSE_KEPT - 1, 4);
    ck_assert_double_eq(vwi_pulse_worst_s(&p), 500);
    answer(&p, VWI_PULSE_KEPT, 4);
    ck_assert_double_eq(vwi_pulse_worst_s(&p), 4);
}
END_TEST

START_TEST(what_nobody_would_hear_now_is_told_later)
{
    struct vwi_pulse p = begin(10);

    answer(&p, VWI_PULSE_LEARN, 6);
    heard = false;
    ck_assert_int_eq(look(&p, 1, 61), VWI_PULSE_NONE);
    ck_assert_int_eq(look(&p, 1, 61), VWI_PULSE_NONE);
    heard = true;
    ck_assert_int_eq(look(&p, 1, 1), VWI_PULSE_SILENT);
    ck_assert_int_eq(look(&p, 1, 1), VWI_PULSE_HUNG);
}
END_TEST

Suite *pulse_suite(void);

Suite *pulse_suite(void)
{
    Suite *s = suite_create("pulse");
    TCase *tc = tcase_create("pulse");

    tcase_add_test(tc, a_silence_far_beyond_the_worst_so_far_is_told_once_and_then_as_a_hang);
    tcase_add_test(tc, it_is_over_as_well_when_nothing_waits_any_more);
    tcase_add_test(tc, time_in_which_nothing_waits_is_no_silence);
    tcase_add_test(tc, a_quick_model_has_half_a_minute_all_the_same);
    tcase_add_test(tc, nothing_is_judged_before_enough_was_seen_or_where_it_is_off);
    tcase_add_test(tc, what_nobody_would_hear_now_is_told_later);
    tcase_add_test(tc, the_worst_of_long_ago_is_forgotten);
    suite_add_tcase(s, tc);
    return s;
}
