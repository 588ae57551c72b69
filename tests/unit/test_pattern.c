/* Log patterns: substrings in the order load, error, info. */
#include <check.h>
#include <string.h>

#include "base/mem.h"
#include "base/vwi.h"
#include "core/pattern.h"

static char *loads[] = { (char *)"Application startup complete", (char *)"Model loaded" };
static char *errors[] = { (char *)"RuntimeError", (char *)"CUDA out of memory" };
static char *infos[] = { (char *)"Downloading", (char *)"RuntimeError: shard" };
static const struct vwi_strings on_load = { loads, 2 }, on_error = { errors, 2 }, on_info = { infos, 2 };

static bool ask(const char *line, size_t len, struct vwi_pattern_hits *hits)
{
    struct vwi_patterns *p = NULL;
    bool any;

    ck_assert_int_eq(vwi_patterns_create(&on_load, &on_error, &on_info, &p, NULL), VW_OK);
    any = vwi_patterns_match(p, (struct vwi_span){ line, len }, hits);
    if (any) {
        /* The texts belong to the table: compare before it goes. */
        int kind, i;

        for (kind = 0; kind < VWI_PATTERN_KINDS; kind++) {
            char **lists[] = { loads, errors, infos };

            for (i = 0; i < 2; i++)
                if (hits->text[kind] && strcmp(hits->text[kind], lists[kind][i]) == 0)
                    hits->text[kind] = lists[kind][i];
        }
    }
    vwi_patterns_destroy(p);
    return any;
}

static const struct {
    const char *line;
    const char *load, *error, *info;
} cases[] = {
    { "INFO:     Application startup complete.", "Application startup complete", NULL, NULL },
    { "application startup complete", NULL, NULL, NULL },
    { "Model loaded", "Model loaded", NULL, NULL },
    { "Model loade", NULL, NULL, NULL },
    { "", NULL, NULL, NULL },
    { "torch: CUDA out of memory. Tried", NULL, "CUDA out of memory", NULL },
    { "RuntimeError: CUDA out of memory", NULL, "RuntimeError", NULL },
    { "RuntimeError: shard", NULL, "RuntimeError", NULL },
    { "Model loaded after RuntimeError", "Model loaded", "RuntimeError", NULL },
    { "Downloading, then Model loaded", "Model loaded", NULL, "Downloading" },
};

START_TEST(a_line_means_what_the_table_says)
{
    struct vwi_pattern_hits hits;
    bool any = ask(cases[_i].line, strlen(cases[_i].line), &hits);

    ck_assert(any == (cases[_i].load || cases[_i].error || cases[_i].info));
    ck_assert_pstr_eq(hits.text[VWI_PATTERN_LOAD], cases[_i].load);
    ck_assert_pstr_eq(hits.text[VWI_PATTERN_ERROR], cases[_i].error);
    ck_assert_pstr_eq(hits.text[VWI_PATTERN_INFO], cases[_i].info);
}
END_TEST

START_TEST(a_nul_in_a_line_hides_nothing_behind_it)
{
    static const char line[] = "a\0b Model loaded\xff";
    struct vwi_pattern_hits hits;

    ck_assert(ask(line, sizeof line - 1, &hits));
    ck_assert_str_eq(hits.text[VWI_PATTERN_LOAD], "Model loaded");
}
END_TEST

START_TEST(empty_lists_match_nothing)
{
    struct vwi_patterns *p = NULL;
    struct vwi_pattern_hits hits;

    ck_assert_int_eq(vwi_patterns_create(NULL, NULL, NULL, &p, NULL), VW_OK);
    ck_assert(!vwi_patterns_match(p, (struct vwi_span){ "x", 1 }, &hits));
    vwi_patterns_destroy(p);
}
END_TEST

START_TEST(an_empty_pattern_is_refused_by_name)
{
    char *bad[] = { (char *)"ok", (char *)"" };
    struct vwi_strings list = { bad, 2 };
    struct vwi_patterns *p = NULL;
    vw_error_t why = { VW_OK, "" };

    ck_assert_int_eq(vwi_patterns_create(&on_load, &list, NULL, &p, &why), VW_E_CONFIG);
    ck_assert_ptr_nonnull(strstr(why.text, "onError[1]"));
    ck_assert_ptr_null(p);
}
END_TEST

START_TEST(creation_survives_each_failed_allocation)
{
    struct vwi_patterns *p = NULL;
    vw_err err = VW_E_NOMEM;
    unsigned nth;

    for (nth = 0; err != VW_OK; nth++) {
        ck_assert_uint_lt(nth, 100);
        vwi_mem_fail_nth(nth);
        err = vwi_patterns_create(&on_load, &on_error, &on_info, &p, NULL);
        vwi_mem_fail_never();
        ck_assert(err == VW_OK || err == VW_E_NOMEM);
    }
    vwi_patterns_destroy(p);
}
END_TEST

Suite *pattern_suite(void);

Suite *pattern_suite(void)
{
    Suite *s = suite_create("pattern");
    TCase *tc = tcase_create("pattern");

    tcase_add_loop_test(tc, a_line_means_what_the_table_says, 0, (int)VWI_ARRAY_LEN(cases));
    tcase_add_test(tc, a_nul_in_a_line_hides_nothing_behind_it);
    tcase_add_test(tc, empty_lists_match_nothing);
    tcase_add_test(tc, an_empty_pattern_is_refused_by_name);
    tcase_add_test(tc, creation_survives_each_failed_allocation);
    suite_add_tcase(s, tc);
    return s;
}
