/* The median of rounds and the text of a remembered score. */
#include <check.h>
#include <string.h>

#include "base/vwi.h"
#include "core/score.h"

static const struct {
    double rounds[6];
    size_t count;
    double median;
} cases[] = {
    { { 0 }, 0, 0 },
    { { 5 }, 1, 5 },
    { { 9, 1, 5 }, 3, 5 },
    { { 9, 1, 5, 3 }, 4, 4 },
    { { 0, 7, 0, 5, 6, 0 }, 6, 6 },
    { { 0, 0 }, 2, 0 },
};

START_TEST(the_spread_is_told_as_a_part_of_the_median)
{
    double rounds[] = { 0, 90, 100, 120 }, none[] = { 0, 0 };

    ck_assert_double_eq_tol(vwi_score_spread(rounds, 4), 0.3, 1e-12);
    ck_assert_double_eq(vwi_score_spread(rounds + 1, 1), 0);
    ck_assert_double_eq(vwi_score_spread(none, 2), 0);
    ck_assert_double_eq(vwi_score_spread(none, 0), 0);
}
END_TEST

START_TEST(the_median_leaves_out_rounds_without_success)
{
    double rounds[6];

    memcpy(rounds, cases[_i].rounds, sizeof rounds);
    ck_assert_double_eq(vwi_score_median(rounds, cases[_i].count), cases[_i].median);
}
END_TEST

static vw_err parse(const char *text, size_t len, const char *key, double *ret)
{
    return vwi_score_parse((struct vwi_span){ text, len }, key, ret, NULL);
}

START_TEST(a_score_comes_back_for_the_same_key_only)
{
    struct vwi_text text = VWI_TEXT_INIT;
    double score = -1;

    ck_assert(vwi_score_render("{\"model\": \"a\"}", 1234.0625, &text));
    ck_assert_ptr_null(strstr(text.p, "model"));
    ck_assert_int_eq(parse(text.p, text.len, "{\"model\": \"b\"}", &score), VW_E_STATE);
    ck_assert_double_eq(score, -1);
    ck_assert_int_eq(parse(text.p, text.len, "{\"model\": \"a\"}", &score), VW_OK);
    ck_assert_double_eq(score, 1234.0625);
    vwi_text_fini(&text);
}
END_TEST

START_TEST(no_damaged_text_becomes_a_score)
{
    static const char *const numbers[] = { "", "0", "-1", "nan", "inf", "1e999", "12x", "12 ", "0x", "1\n2", "\n" };
    struct vwi_text good = VWI_TEXT_INIT, bad = VWI_TEXT_INIT;
    double score = -1;
    size_t i;

    ck_assert(vwi_score_render("k", 7, &good));
    for (i = 0; i < good.len; i++)
        ck_assert_int_ne(parse(good.p, i, "k", &score), VW_OK);
    for (i = 0; i < VWI_ARRAY_LEN(numbers); i++) {
        vwi_text_clear(&bad);
        vwi_text_add(&bad, good.p, good.len - 2);
        vwi_text_addf(&bad, "%s\n", numbers[i]);
        ck_assert_msg(parse(bad.p, bad.len, "k", &score) == VW_E_PARSE, "%s", numbers[i]);
    }
    vwi_text_clear(&bad);
    vwi_text_add(&bad, good.p, good.len - 1);
    vwi_text_add(&bad, "\0\n", 2);
    ck_assert_int_eq(parse(bad.p, bad.len, "k", &score), VW_E_PARSE);
    ck_assert_int_eq(parse("12.5", 4, "k", &score), VW_E_PARSE);
    ck_assert_double_eq(score, -1);
    vwi_text_fini(&good);
    vwi_text_fini(&bad);
}
END_TEST

Suite *score_suite(void);

Suite *score_suite(void)
{
    Suite *s = suite_create("score");
    TCase *tc = tcase_create("score");

    tcase_add_test(tc, the_spread_is_told_as_a_part_of_the_median);
    tcase_add_loop_test(tc, the_median_leaves_out_rounds_without_success, 0, (int)VWI_ARRAY_LEN(cases));
    tcase_add_test(tc, a_score_comes_back_for_the_same_key_only);
    tcase_add_test(tc, no_damaged_text_becomes_a_score);
    suite_add_tcase(s, tc);
    return s;
}
