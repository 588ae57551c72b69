/* Which address is asked, with a made-up clock: the first that is in order, and what answers and silence do to that. */
#include <check.h>

#include "core/failover.h"

enum { STATUS, DELETIONS };
#define GOOD VWI_FAILOVER_GOOD
#define FAILED VWI_FAILOVER_FAILED
#define REFUSED VWI_FAILOVER_REFUSED
#define NOBODY 99

static struct vwi_failover of(size_t count) { return (struct vwi_failover){ .count = count, .seed = 7 }; }

static size_t asked(const struct vwi_failover *f, unsigned line, int64_t now_ms)
{
    size_t at = NOBODY;
    int64_t wait_ms = vwi_failover_pick(f, line, now_ms, &at);

    ck_assert((wait_ms == 0) == (at != NOBODY) && wait_ms >= 0);
    return at;
}

static int64_t wait_of(const struct vwi_failover *f, unsigned line, int64_t now_ms)
{
    size_t at;

    return vwi_failover_pick(f, line, now_ms, &at);
}

START_TEST(a_status_says_what_to_make_of_it)
{
    static const struct {
        long status;
        enum vwi_failover_verdict verdict;
    } rows[] = { { 200, GOOD }, { 204, GOOD }, { 302, GOOD }, { 0, FAILED }, { 100, FAILED }, { 500, FAILED }, { 503, FAILED }, { 599, FAILED },
                 { 400, REFUSED }, { 401, REFUSED }, { 403, REFUSED }, { 404, REFUSED }, { 422, REFUSED }, { 499, REFUSED },
                 { 408, FAILED }, { 425, FAILED }, { 429, FAILED } };
    size_t i;

    for (i = 0; i < sizeof rows / sizeof rows[0]; i++)
        ck_assert_msg(vwi_failover_judge(rows[i].status) == rows[i].verdict, "%ld", rows[i].status);
}
END_TEST

START_TEST(the_next_report_goes_past_an_address_that_failed)
{
    struct vwi_failover f = of(3);

    ck_assert_uint_eq(asked(&f, STATUS, 0), 0);
    vwi_failover_note(&f, STATUS, 0, FAILED, 0, 0);
    ck_assert_uint_eq(asked(&f, STATUS, 0), 1);
    ck_assert_uint_eq(asked(&f, DELETIONS, 0), 1); /* both lines know */
    vwi_failover_note(&f, DELETIONS, 1, FAILED, 0, 0);
    ck_assert_uint_eq(asked(&f, STATUS, 0), 2);
    ck_assert_uint_eq(asked(&f, STATUS, 3600000), 2); /* however long ago: there is one that works */
}
END_TEST

START_TEST(the_first_is_preferred_again_once_it_was_found_good)
{
    struct vwi_failover f = of(2);
    size_t at = NOBODY;

    vwi_failover_note(&f, STATUS, 0, FAILED, 0, 0);
    ck_assert(!vwi_failover_suspect(&f, STATUS, 499, &at)); /* still put aside */
    ck_assert(vwi_failover_suspect(&f, STATUS, 1000, &at));
    ck_assert_uint_eq(at, 0);
    ck_assert_uint_eq(asked(&f, STATUS, 1000), 1);
    vwi_failover_note(&f, STATUS, 0, GOOD, 0, 1000);
    ck_assert_uint_eq(asked(&f, STATUS, 1000), 0);
    ck_assert(!vwi_failover_suspect(&f, STATUS, 100000, &at));
}
END_TEST

START_TEST(with_none_in_order_the_one_whose_pause_ends_first_is_asked)
{
    struct vwi_failover f = of(2);
    int64_t wait_ms;
    size_t at;

    vwi_failover_note(&f, STATUS, 0, FAILED, 0, 0);
    vwi_failover_note(&f, STATUS, 1, FAILED, 0, 10000);
    ck_assert(!vwi_failover_suspect(&f, STATUS, 20000, &at)); /* no need to be careful: there is no other */
    ck_assert_uint_eq(asked(&f, STATUS, 10000), 0);
    vwi_failover_note(&f, STATUS, 0, FAILED, 0, 10000);
    wait_ms = wait_of(&f, STATUS, 10000);
    ck_assert(wait_ms >= 500 && wait_ms <= 1000);
    ck_assert_uint_eq(asked(&f, STATUS, 10000 + wait_ms), 1);
    ck_assert_uint_eq(asked(&f, STATUS, 10000 + wait_ms - 1), NOBODY);
}
END_TEST

START_TEST(pauses_grow_to_a_bound_and_are_forgiven)
{
    struct vwi_failover f = of(1);
    int64_t wait_ms = 0;
    int i;

    for (i = 0; i < 2000; i++) {
        vwi_failover_note(&f, STATUS, 0, FAILED, 0, 0);
        ck_assert_int_le(wait_of(&f, STATUS, 0), VWI_FAILOVER_MAX_MS);
        if (i > 5)
            ck_assert_int_ge(wait_of(&f, STATUS, 0), VWI_FAILOVER_MAX_MS / 2);
    }
    vwi_failover_note(&f, STATUS, 0, GOOD, 0, 0);
    ck_assert_uint_eq(asked(&f, STATUS, 0), 0);
    vwi_failover_note(&f, STATUS, 0, FAILED, 0, 0);
    wait_ms = wait_of(&f, STATUS, 0);
    ck_assert(wait_ms >= 500 && wait_ms <= 1000);
}
END_TEST

START_TEST(a_refusal_is_left_alone_for_minutes_by_its_line_only)
{
    struct vwi_failover f = of(2);
    int64_t wait_ms;

    vwi_failover_note(&f, DELETIONS, 0, REFUSED, 0, 0);
    ck_assert_uint_eq(asked(&f, DELETIONS, 0), 1);
    ck_assert_uint_eq(asked(&f, STATUS, 0), 0);
    vwi_failover_note(&f, DELETIONS, 1, REFUSED, 0, 0);
    wait_ms = wait_of(&f, DELETIONS, 0);
    ck_assert(wait_ms >= 30000 && wait_ms <= 60000);
    ck_assert_uint_eq(asked(&f, STATUS, 0), 0);
    ck_assert_uint_eq(asked(&f, DELETIONS, 60000), 0); /* it answers at once, so it is no suspect */
    vwi_failover_note(&f, DELETIONS, 0, REFUSED, 0, 60000);
    vwi_failover_note(&f, DELETIONS, 1, REFUSED, 0, 60000);
    wait_ms = wait_of(&f, DELETIONS, 60000);
    ck_assert(wait_ms >= 60000 && wait_ms <= 120000);
}
END_TEST

START_TEST(an_answer_of_any_kind_ends_the_silence)
{
    struct vwi_failover f = of(2);

    vwi_failover_note(&f, STATUS, 0, FAILED, 0, 0);
    vwi_failover_note(&f, STATUS, 0, REFUSED, 0, 5000);
    ck_assert_uint_eq(asked(&f, STATUS, 5000), 1);
    ck_assert_uint_eq(asked(&f, DELETIONS, 5000), 0);
}
END_TEST

START_TEST(a_wish_for_later_is_heard_within_bounds)
{
    struct vwi_failover f = of(1);

    vwi_failover_note(&f, STATUS, 0, FAILED, 20, 0);
    ck_assert_int_eq(wait_of(&f, STATUS, 0), 20000);
    vwi_failover_note(&f, STATUS, 0, FAILED, 2147483647, 0);
    ck_assert_int_eq(wait_of(&f, STATUS, 0), VWI_FAILOVER_ASKED_MAX_MS);
    vwi_failover_note(&f, STATUS, 0, FAILED, -5, 0);
    ck_assert(wait_of(&f, STATUS, 0) >= 2000);
}
END_TEST

START_TEST(news_wake_a_line_and_go_to_each_in_turn)
{
    struct vwi_failover f = of(2);

    vwi_failover_note(&f, STATUS, 0, FAILED, 0, 0);
    vwi_failover_note(&f, STATUS, 1, REFUSED, 0, 0);
    ck_assert_uint_eq(asked(&f, STATUS, 0), NOBODY);
    vwi_failover_wake(&f, STATUS, 0);
    ck_assert_uint_eq(asked(&f, STATUS, 0), 1); /* the one that was heard of last */
    vwi_failover_note(&f, STATUS, 1, REFUSED, 0, 0);
    ck_assert_uint_eq(asked(&f, STATUS, 0), 0);
    vwi_failover_note(&f, STATUS, 0, FAILED, 0, 0);
    ck_assert_uint_eq(asked(&f, STATUS, 0), NOBODY);
}
END_TEST

START_TEST(news_go_to_the_address_in_order_and_wake_no_other)
{
    struct vwi_failover f = of(2);

    vwi_failover_note(&f, STATUS, 0, REFUSED, 0, 0);
    vwi_failover_wake(&f, STATUS, 0);
    ck_assert_uint_eq(asked(&f, STATUS, 0), 1);
    vwi_failover_note(&f, STATUS, 1, FAILED, 0, 0);
    ck_assert_uint_eq(asked(&f, STATUS, 0), NOBODY);
}
END_TEST

START_TEST(in_a_hurry_no_pause_is_long_and_any_other_address_will_do)
{
    struct vwi_failover f = of(2);
    int i;

    for (i = 0; i < 10; i++) {
        vwi_failover_note(&f, STATUS, 0, FAILED, 0, 0);
        vwi_failover_note(&f, STATUS, 1, REFUSED, 0, 0);
    }
    ck_assert(!vwi_failover_has_other(&f, STATUS, 0, 0));
    vwi_failover_hurry(&f);
    ck_assert(vwi_failover_has_other(&f, STATUS, 0, 0));
    vwi_failover_note(&f, STATUS, 0, FAILED, 30, 0);
    vwi_failover_note(&f, STATUS, 1, REFUSED, 0, 0);
    ck_assert_int_le(wait_of(&f, STATUS, 0), 1000);
}
END_TEST

/* It says yes to every status and hangs in every list of deletions: each try costs, so they become rare. */
START_TEST(an_address_that_fails_one_line_alone_is_tried_ever_less_by_it)
{
    struct vwi_failover f = of(2);
    unsigned tries = 0;
    int64_t now_ms;

    for (now_ms = 0; now_ms < 100000; now_ms += 1000) {
        if (asked(&f, STATUS, now_ms) == 1 && now_ms % 2000)
            continue; /* until a probe */
        vwi_failover_note(&f, STATUS, 0, GOOD, 0, now_ms);
        ck_assert_uint_eq(asked(&f, STATUS, now_ms), 0);
        if (asked(&f, DELETIONS, now_ms) == 1)
            continue;
        vwi_failover_note(&f, DELETIONS, 0, FAILED, 0, now_ms);
        ck_assert_uint_eq(asked(&f, DELETIONS, now_ms), 1);
        tries++;
    }
    ck_assert_uint_ge(tries, 5);
    ck_assert_uint_le(tries, 15); /* and not every other second */
    vwi_failover_note(&f, DELETIONS, 0, GOOD, 0, now_ms);
    ck_assert_uint_eq(asked(&f, DELETIONS, now_ms), 0);
    vwi_failover_note(&f, DELETIONS, 0, FAILED, 0, now_ms);
    vwi_failover_note(&f, STATUS, 0, FAILED, 0, now_ms);
    vwi_failover_note(&f, STATUS, 0, GOOD, 0, now_ms);
    ck_assert_uint_eq(asked(&f, DELETIONS, now_ms), 0); /* it was all of the address */
}
END_TEST

START_TEST(an_address_may_be_closed_to_a_line)
{
    struct vwi_failover f = of(2);
    size_t at;

    f.addresses[0].never[DELETIONS] = true;
    ck_assert_uint_eq(asked(&f, STATUS, 0), 0);
    ck_assert_uint_eq(asked(&f, DELETIONS, 0), 1);
    vwi_failover_note(&f, DELETIONS, 1, FAILED, 0, 0);
    vwi_failover_wake(&f, DELETIONS, 0);
    ck_assert_uint_eq(asked(&f, DELETIONS, 0), 1);
    ck_assert(!vwi_failover_has_other(&f, DELETIONS, 0, 1));
    ck_assert(!vwi_failover_suspect(&f, DELETIONS, 0, &at));
    ck_assert(vwi_failover_suspect(&f, STATUS, 0, &at) && at == 1);
}
END_TEST

Suite *failover_suite(void);

Suite *failover_suite(void)
{
    Suite *s = suite_create("failover");
    TCase *tc = tcase_create("failover");

    tcase_add_test(tc, a_status_says_what_to_make_of_it);
    tcase_add_test(tc, the_next_report_goes_past_an_address_that_failed);
    tcase_add_test(tc, the_first_is_preferred_again_once_it_was_found_good);
    tcase_add_test(tc, with_none_in_order_the_one_whose_pause_ends_first_is_asked);
    tcase_add_test(tc, pauses_grow_to_a_bound_and_are_forgiven);
    tcase_add_test(tc, a_refusal_is_left_alone_for_minutes_by_its_line_only);
    tcase_add_test(tc, an_answer_of_any_kind_ends_the_silence);
    tcase_add_test(tc, a_wish_for_later_is_heard_within_bounds);
    tcase_add_test(tc, news_wake_a_line_and_go_to_each_in_turn);
    tcase_add_test(tc, news_go_to_the_address_in_order_and_wake_no_other);
    tcase_add_test(tc, in_a_hurry_no_pause_is_long_and_any_other_address_will_do);
    tcase_add_test(tc, an_address_that_fails_one_line_alone_is_tried_ever_less_by_it);
    tcase_add_test(tc, an_address_may_be_closed_to_a_line);
    suite_add_tcase(s, tc);
    return s;
}
