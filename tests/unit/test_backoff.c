/* Pauses between tries: they double, they end at a bound, and they are drawn by lot. */
#include <check.h>

#include "core/backoff.h"

START_TEST(a_pause_is_between_half_and_all_of_its_ceiling)
{
    static const int64_t ceilings[] = { 1000, 2000, 4000, 8000, 15000, 15000, 15000 };
    unsigned i;
    uint64_t seed;

    for (i = 0; i < sizeof ceilings / sizeof ceilings[0]; i++)
        for (seed = 0; seed < 2000; seed++) {
            int64_t ms = vwi_backoff_ms(i + 1, 1000, 15000, seed);

            ck_assert(ms >= ceilings[i] / 2 && ms <= ceilings[i]);
        }
}
END_TEST

START_TEST(any_number_of_failures_ends_at_the_bound)
{
    static const unsigned many[] = { 31, 32, 63, 64, 65, 1000, 0xffffffffu };
    unsigned i;

    for (i = 0; i < sizeof many / sizeof many[0]; i++) {
        int64_t ms = vwi_backoff_ms(many[i], 1000, 15000, i);

        ck_assert(ms >= 7500 && ms <= 15000);
        ck_assert(vwi_backoff_ms(many[i], 1, INT64_MAX, i) > 0);
    }
    ck_assert_int_eq(vwi_backoff_ms(1, 1, 1, 7), 1);
    ck_assert_int_eq(vwi_backoff_ms(9, 1, 1, 7), 1);
}
END_TEST

/* Every tenth of the range is hit about as often as the others, also by seeds that follow each other. */
START_TEST(workers_do_not_come_back_in_step)
{
    unsigned hits[10] = { 0 }, i;
    uint64_t seed;

    for (seed = 1; seed <= 10000; seed++)
        hits[(vwi_backoff_ms(5, 1000, 16000, seed) - 8000) * 10 / 8001]++;
    for (i = 0; i < 10; i++)
        ck_assert(hits[i] > 800 && hits[i] < 1200);
    ck_assert_int_eq(vwi_backoff_ms(5, 1000, 16000, 42), vwi_backoff_ms(5, 1000, 16000, 42));
}
END_TEST

Suite *backoff_suite(void);

Suite *backoff_suite(void)
{
    Suite *s = suite_create("backoff");
    TCase *tc = tcase_create("backoff");

    tcase_add_test(tc, a_pause_is_between_half_and_all_of_its_ceiling);
    tcase_add_test(tc, any_number_of_failures_ends_at_the_bound);
    tcase_add_test(tc, workers_do_not_come_back_in_step);
    suite_add_tcase(s, tc);
    return s;
}
