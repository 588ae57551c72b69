/* io/loop: what a turn is said to have cost. */
#include <check.h>

#include "base/clock.h"
#include "base/vwi.h"
#include "io/loop.h"

#define WORK_US 20000
#define WAIT_MS 1000

static struct vwi_loop *loop;
static double worst_wall_s;

static void on_turn(void *arg, double cpu_s, double wall_s)
{
    (void)arg, (void)cpu_s;
    if (wall_s > worst_wall_s)
        worst_wall_s = wall_s;
}

static void on_timer(void *arg)
{
    int64_t until = vwi_mono_us() + WORK_US;

    (void)arg;
    while (vwi_mono_us() < until)
        continue;
    vwi_loop_stop(loop);
}

START_TEST(a_turn_takes_as_long_as_its_callbacks_without_the_wait)
{
    struct vwi_timer timer = { 0 };
    vw_error_t why = { VW_OK, "" };

    worst_wall_s = 0;
    ck_assert_int_eq(vwi_loop_create(&loop, &why), VW_OK);
    vwi_loop_on_turn(loop, on_turn, NULL);
    ck_assert_int_eq(vwi_timer_init(&timer, loop, on_timer, NULL), VW_OK);
    vwi_timer_start(&timer, WAIT_MS);
    ck_assert_int_eq(vwi_loop_run(loop), VW_OK);
    ck_assert_double_ge(worst_wall_s, WORK_US / 1e6);
    ck_assert_double_lt(worst_wall_s, WAIT_MS / 1e3);
    vwi_timer_fini(&timer);
    vwi_loop_destroy(loop);
}
END_TEST

Suite *loop_suite(void);

Suite *loop_suite(void)
{
    Suite *s = suite_create("loop");
    TCase *tc = tcase_create("turns");

    tcase_add_test(tc, a_turn_takes_as_long_as_its_callbacks_without_the_wait);
    suite_add_tcase(s, tc);
    return s;
}
