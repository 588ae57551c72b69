/* Log patterns: substrings and expressions, in the order load, error, info. */
#include <check.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/vwi.h"
#include "core/pattern.h"
#include "core/regex.h"

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

static bool matches(const char *pattern, const char *line, size_t len)
{
    char *items[] = { (char *)(uintptr_t)pattern };
    const struct vwi_strings list = { items, 1 };
    struct vwi_patterns *p = NULL;
    struct vwi_pattern_hits hits;
    vw_error_t why = { VW_OK, "" };
    bool any;

    ck_assert_msg(vwi_patterns_create(&list, NULL, NULL, &p, &why) == VW_OK, "%s", why.text);
    any = vwi_patterns_match(p, (struct vwi_span){ line, len }, &hits);
    if (any)
        ck_assert_str_eq(hits.text[VWI_PATTERN_LOAD], pattern);
    vwi_patterns_destroy(p);
    return any;
}

static const struct {
    const char *pattern, *line;
    bool match;
} expressions[] = {
    { "/ready in [0-9]+ s$/", "model ready in 12 s", true },
    { "/ready in [0-9]+ s$/", "model ready in 12 s.", false },
    { "/^(up|on)$/", "up", true },
    { "/^(up|on)$/", "upon", false },
    { "/up|on/", "once", true },
    { "/a{2,3}b/", "xaab", true },
    { "/(a{20}){20}|[0-9]+:[0-9]+:[0-9]+ (up|on)+/", "10:11:12 upon", true },
    { "/ab?c/", "ac", true },
    { "/ab*c/", "xacx", true },
    { "/ab+c/", "ac", false },
    { "/\\[*x/", "x", true },
    { "/[]/]x/", "/x", true },
    { "/caf.$/", "caf\xe9", true }, /* a byte is a character */
    { "/var/log/", "in var/log now", true },
    { "/\\/var\\//", "in /var/ now", true },
    { "/\\/var\\//", "in var now", false },
    { "/var", "in /var now", true },     /* a substring */
    { "var/", "in var/ now", true },     /* a substring */
    { "/", "a/b", true },                /* a substring */
    { "a.c", "abc", false },             /* a substring */
    { "/\\.\\$/", "a.$b", true },
    { "/(a|b)(c)/", "zbc", true },
    { "/x\\w+y/", "xaby", true },
    { "/^a++$/", "aaa", true },
    { "/^a++$/", "", false },
    { "/^a+?b$/", "b", true },
    { "/^a??$/", "aa", false },
    { "/^\\++x$/", "++x", true },
    { "/^[+*]?x$/", "*x", true },
    { "/^[+*]?x$/", "+*x", false },
    { "/^a+{2}+b$/", "aab", true },
    { "/loaded in (.*?) s/", "loaded in 1.5 s", true },
    { "/^([0-9]{1,3}\\.){3}[0-9]{1,3}$/", "127.0.0.1", true },
    { "/^((up|on) ?){1,30}$/", "up on up", true },
    { "/^.{0,900}x$/", "yyx", true },
    { "/^([a-z]{0,400} ){2}x$/", "a b x", true },
    { "/^(([a-z]{1,9} ?){20}[.])*x$/", "x", true },
    { "/^((a|b?)?c{0,60}d)*x$/", "acdx", true },
    { "/(^|[ ,])(up|down|)($|,)/", "is up,", true },
    { "/(a*){1}(b?){0,1}(c$)?/", "", true },
    { "/(\\$|[$^)]|a{,2}b){3}/", "a$^)b", true },
};

START_TEST(what_stands_between_slashes_is_an_expression)
{
    ck_assert_int_eq(matches(expressions[_i].pattern, expressions[_i].line, strlen(expressions[_i].line)), expressions[_i].match);
}
END_TEST

START_TEST(an_expression_sees_past_a_nul)
{
    ck_assert(matches("/a b.ready$/", "a\0b\0ready", 9));
}
END_TEST

START_TEST(an_expression_sees_so_much_of_a_line_and_no_more)
{
    size_t len = VWI_REGEX_LINE_MAX + 10;
    char *line = malloc(len);

    memset(line, 'x', len);
    memcpy(line + VWI_REGEX_LINE_MAX - 2, "ab", 2);
    ck_assert(matches("/ab/", line, len));
    ck_assert(!matches("/ab$/", line, len)); /* where it is cut the line does not end */
    ck_assert(matches("/ab$/", line, VWI_REGEX_LINE_MAX));
    memcpy(line + VWI_REGEX_LINE_MAX - 1, "cd", 2);
    ck_assert(!matches("/cd/", line, len));
    ck_assert(matches("cd", line, len)); /* a substring sees all of it */
    free(line);
}
END_TEST

START_TEST(an_expression_goes_on_after_many_lines)
{
    struct vwi_regex *regex = NULL;
    char line[64];
    int i;

    ck_assert_int_eq(vwi_regex_create((struct vwi_span){ "[0-9]+ of [0-9]+$", 17 }, &regex, NULL), VW_OK);
    for (i = 0; i < 10000; i++) {
        int len = snprintf(line, sizeof line, "line %d of %d%s", i, i * 7, i % 2 ? "." : "");

        ck_assert_int_eq(vwi_regex_match(regex, (struct vwi_span){ line, (size_t)len }), i % 2 == 0);
    }
    vwi_regex_destroy(regex);
}
END_TEST

static const struct {
    const char *pattern, *problem;
} refused[] = {
    { "", "empty" },
    { "//", "every line" },
    { "/(a/", "not a POSIX extended regular expression" },
    { "/[a/", "not a POSIX extended regular expression" },
    { "/(a)\\1/", "back-reference" },
    { "/(a{40}){40}/", "1000 parts" },
    { "/a{1,999999999999}/", "1000 parts" },
    { "/(((((((((((a+)+)+)+)+)+)+)+)+)+)+)/", "1000 parts" },
    { "/a++++++++++++++/", "1000 parts" },
    { "/((a{30}|b){10}c){9}/", "1000 parts" },
    { "/a{0,2}{500}/", "match nothing" },
    { "/((b*){0,92})+/", "match nothing" },
    { "/b{0,}{,92}+/", "match nothing" },
    { "/(a(b|c?)*)/", "match nothing" },
    { "/((a*b?)(c|d?)){2,}/", "match nothing" },
    { "/(a?|b){1,}/", "match nothing" },
    { "/(a|bc?|()d?){,2}/", "match nothing" },
    { "/(\\(?)\\)+(\\[?)+/", "match nothing" },
    { "/$+/", "match nothing" },
    { "/(up\\b ?)+/", "anchor" },
    { "/(^a|b)*/", "anchor" },
    { "/((a|(|b))c){2}/", "empty alternative" },
    { "/((a|b|)c)+/", "empty alternative" },
};

START_TEST(an_expression_that_cannot_be_taken_is_refused_with_its_reason)
{
    vw_error_t why = { VW_OK, "" };

    ck_assert_int_eq(vwi_pattern_check(refused[_i].pattern, &why), VW_E_CONFIG);
    ck_assert_msg(strstr(why.text, refused[_i].problem), "%s", why.text);
}
END_TEST

START_TEST(a_long_expression_is_refused)
{
    char text[VWI_REGEX_TEXT_MAX + 4];

    memset(text, 'x', sizeof text);
    text[0] = text[VWI_REGEX_TEXT_MAX + 1] = '/';
    text[VWI_REGEX_TEXT_MAX + 2] = '\0';
    ck_assert_int_eq(vwi_pattern_check(text, NULL), VW_OK);
    text[VWI_REGEX_TEXT_MAX + 1] = 'x';
    text[VWI_REGEX_TEXT_MAX + 2] = '/';
    text[VWI_REGEX_TEXT_MAX + 3] = '\0';
    ck_assert_int_eq(vwi_pattern_check(text, NULL), VW_E_CONFIG);
}
END_TEST

START_TEST(creation_survives_each_failed_allocation)
{
    struct vwi_patterns *p = NULL;
    vw_err err = VW_E_NOMEM;
    unsigned nth;

    char *mixed[] = { (char *)"/a+/", (char *)"b" };
    const struct vwi_strings list = { mixed, 2 };

    for (nth = 0; err != VW_OK; nth++) {
        ck_assert_uint_lt(nth, 100);
        vwi_mem_fail_nth(nth);
        err = vwi_patterns_create(&list, &on_error, &on_info, &p, NULL);
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
    tcase_add_loop_test(tc, what_stands_between_slashes_is_an_expression, 0, (int)VWI_ARRAY_LEN(expressions));
    tcase_add_test(tc, an_expression_sees_past_a_nul);
    tcase_add_test(tc, an_expression_sees_so_much_of_a_line_and_no_more);
    tcase_add_test(tc, an_expression_goes_on_after_many_lines);
    tcase_add_loop_test(tc, an_expression_that_cannot_be_taken_is_refused_with_its_reason, 0, (int)VWI_ARRAY_LEN(refused));
    tcase_add_test(tc, a_long_expression_is_refused);
    tcase_add_test(tc, creation_survives_each_failed_allocation);
    suite_add_tcase(s, tc);
    return s;
}
