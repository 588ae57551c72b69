/* core/restart: again or not, and after how long. */
#include <check.h>

#include "core/restart.h"

static char always[] = "always", on_failure[] = "on-failure", never[] = "never";

static struct vwi_supervise_conf conf(char *policy)
{
    return (struct vwi_supervise_conf){ .restart = policy, .max_restarts = 5, .window_s = 600, .backoff_s = 1, .max_backoff_s = 60 };
}

static struct vwi_restart begin(const struct vwi_supervise_conf *c)
{
    struct vwi_restart r;

    vwi_restart_init(&r, c);
    return r;
}

static const struct {
    char *policy;
    bool clean, again;
} policies[] = {
    { always, false, true }, { always, true, true }, { on_failure, false, true }, { on_failure, true, false }, { never, false, false },
    { never, true, false },
};

START_TEST(the_policy_says_which_ends_are_followed_by_a_start)
{
    struct vwi_supervise_conf c = conf(policies[_i].policy);
    struct vwi_restart r = begin(&c);
    struct vwi_restart_verdict v = vwi_restart_ended(&r, policies[_i].clean, 100);

    ck_assert(v.again == policies[_i].again);
    ck_assert(!v.limited);
}
END_TEST

START_TEST(each_wait_is_twice_the_one_before_and_the_sixth_end_is_the_last)
{
    struct vwi_supervise_conf c = conf(always);
    struct vwi_restart r = begin(&c);
    double now = 100, wait = 1;
    unsigned n;
    struct vwi_restart_verdict v;

    for (n = 1; n <= 5; n++, wait *= 2) {
        v = vwi_restart_ended(&r, false, now);
        ck_assert(v.again);
        ck_assert_uint_eq(v.nth, n);
        ck_assert_double_eq(v.wait_s, wait);
        now += v.wait_s + 0.1;
    }
    v = vwi_restart_ended(&r, false, now);
    ck_assert(!v.again && v.limited);
    ck_assert_uint_eq(v.nth, 5);
}
END_TEST

START_TEST(what_lies_outside_the_window_is_forgotten)
{
    struct vwi_supervise_conf c = conf(always);
    struct vwi_restart r = begin(&c);
    struct vwi_restart_verdict v;
    double now;
    int i;

    for (i = 0, now = 0; i < 50; i++, now += 150) {
        v = vwi_restart_ended(&r, false, now);
        ck_assert(v.again);
        ck_assert_uint_le(v.nth, 5);
    }
    v = vwi_restart_ended(&r, false, now + 10000);
    ck_assert_uint_eq(v.nth, 1);
    ck_assert_double_eq(v.wait_s, 1);
}
END_TEST

START_TEST(a_wait_has_its_most)
{
    struct vwi_supervise_conf c = conf(always);
    struct vwi_restart r;
    struct vwi_restart_verdict v = { .again = false };
    int i;

    c.max_restarts = 0;
    r = begin(&c);
    for (i = 0; i < 500; i++)
        v = vwi_restart_ended(&r, false, 1);
    ck_assert(v.again);
    ck_assert_double_eq(v.wait_s, 60);
    c.backoff_s = 0;
    ck_assert_double_eq(vwi_restart_ended(&r, false, 1).wait_s, 0);
}
END_TEST

START_TEST(the_limit_may_be_as_high_as_is_remembered)
{
    struct vwi_supervise_conf c = conf(always);
    struct vwi_restart r;
    unsigned i;

    c.max_restarts = VWI_RESTART_MOST;
    c.backoff_s = 0;
    r = begin(&c);
    for (i = 0; i < VWI_RESTART_MOST; i++)
        ck_assert(vwi_restart_ended(&r, false, 1).again);
    ck_assert(vwi_restart_ended(&r, false, 1).limited);
}
END_TEST

Suite *restart_suite(void);

Suite *restart_suite(void)
{
    Suite *s = suite_create("restart");
    TCase *tc = tcase_create("restart");

    tcase_add_loop_test(tc, the_policy_says_which_ends_are_followed_by_a_start, 0, sizeof policies / sizeof policies[0]);
    tcase_add_test(tc, each_wait_is_twice_the_one_before_and_the_sixth_end_is_the_last);
    tcase_add_test(tc, what_lies_outside_the_window_is_forgotten);
    tcase_add_test(tc, a_wait_has_its_most);
    tcase_add_test(tc, the_limit_may_be_as_high_as_is_remembered);
    suite_add_tcase(s, tc);
    return s;
}
