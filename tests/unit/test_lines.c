/* Bytes into lines: the same lines however the bytes come. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "base/vwi.h"
#include "io/lines.h"

static struct {
    struct vwi_lines lines;
    struct vwi_text said; /* each line with a '|' behind it */
    size_t longest;
    unsigned cut;
    bool stop;
} t;

static void on_line(void *arg, const char *line, size_t len)
{
    ck_assert_ptr_eq(arg, &t);
    if (len > t.longest)
        t.longest = len;
    vwi_text_add(&t.said, line, len < 64 ? len : 64);
    vwi_text_adds(&t.said, "|");
    if (t.stop)
        vwi_lines_stop(&t.lines);
}

static void on_long(void *arg)
{
    (void)arg;
    t.cut++;
}

static void set_up(void)
{
    static const struct vwi_lines_events events = { on_line, on_long };

    memset(&t, 0, sizeof t);
    vwi_text_add(&t.said, "", 0);
    ck_assert_int_eq(vwi_lines_init(&t.lines, &events, &t), VW_OK);
}

static void tear_down(void)
{
    vwi_lines_fini(&t.lines);
    vwi_text_fini(&t.said);
}

static const struct {
    const char *bytes;
    size_t len;
    const char *lines, *at_end; /* what the bytes say, and what the end of them adds */
} cases[] = {
#define CASE(bytes, lines, at_end) { bytes, sizeof(bytes) - 1, lines, at_end }
    CASE("", "", ""),
    CASE("one\ntwo\n", "one|two|", ""),
    CASE("one\ntw", "one|", "tw|"),
    CASE("\n\n", "||", ""),
    CASE("a\r\nb\r\r\n\r\n", "a|b\r||", ""),
    CASE("\r", "", "|"),
    CASE("\0\0x\0y\n", "x|", NULL), /* as far as a C text can tell */
    CASE("\0\0\0\n", "|", ""),
    CASE("\xff\xfe bad \xc3\n", "\xff\xfe bad \xc3|", ""),
#undef CASE
};

START_TEST(lines_are_the_same_in_whatever_pieces_bytes_come)
{
    static const size_t pieces[] = { 1, 2, 3, 1000 };
    size_t i, at, n;

    for (i = 0; i < VWI_ARRAY_LEN(pieces); i++) {
        for (at = 0; at < cases[_i].len; at += n) {
            n = cases[_i].len - at < pieces[i] ? cases[_i].len - at : pieces[i];
            vwi_lines_feed(&t.lines, cases[_i].bytes + at, n);
        }
        if (cases[_i].at_end) {
            ck_assert_str_eq(t.said.p, cases[_i].lines);
            vwi_lines_end(&t.lines);
            ck_assert_str_eq(t.said.p + strlen(cases[_i].lines), cases[_i].at_end);
        } else {
            ck_assert_uint_eq(t.said.len, 4); /* x NUL y and the bar */
            ck_assert_int_eq(memcmp(t.said.p, "x\0y|", 4), 0);
        }
        vwi_text_clear(&t.said);
    }
}
END_TEST

START_TEST(a_line_that_is_forgotten_is_not_glued_to_the_next)
{
    vwi_lines_feed(&t.lines, "half", 4);
    vwi_lines_forget(&t.lines);
    vwi_lines_feed(&t.lines, "one\n", 4);
    ck_assert_str_eq(t.said.p, "one|");
}
END_TEST

START_TEST(a_long_line_is_cut_counted_and_skipped_to_its_end)
{
    size_t len = (size_t)VWI_LINE_MAX * 3;
    char *line = malloc(len);

    memset(line, 'x', len);
    vwi_lines_feed(&t.lines, line, len);
    ck_assert_uint_eq(t.cut, 1);
    vwi_lines_feed(&t.lines, "\nnext\n", 6);
    ck_assert_uint_eq(t.longest, VWI_LINE_MAX);
    ck_assert_uint_eq(t.lines.long_count, 1);
    ck_assert_uint_eq(t.lines.count, 2);
    ck_assert_str_eq(strchr(t.said.p, '|'), "|next|");
    free(line);
}
END_TEST

START_TEST(a_reader_that_stops_inside_a_line_hears_no_more)
{
    t.stop = true;
    vwi_lines_feed(&t.lines, "one\ntwo\nthree", 13);
    vwi_lines_end(&t.lines);
    ck_assert_str_eq(t.said.p, "one|");
}
END_TEST

START_TEST(a_failed_allocation_leaves_nothing_behind)
{
    static const struct vwi_lines_events events = { on_line, NULL };
    struct vwi_lines lines;

    vwi_mem_fail_nth(0);
    ck_assert_int_eq(vwi_lines_init(&lines, &events, &t), VW_E_NOMEM);
    vwi_mem_fail_never();
    vwi_lines_fini(&lines);
}
END_TEST

Suite *lines_suite(void);

Suite *lines_suite(void)
{
    Suite *s = suite_create("lines");
    TCase *tc = tcase_create("lines");

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_loop_test(tc, lines_are_the_same_in_whatever_pieces_bytes_come, 0, (int)VWI_ARRAY_LEN(cases));
    tcase_add_test(tc, a_line_that_is_forgotten_is_not_glued_to_the_next);
    tcase_add_test(tc, a_long_line_is_cut_counted_and_skipped_to_its_end);
    tcase_add_test(tc, a_reader_that_stops_inside_a_line_hears_no_more);
    tcase_add_test(tc, a_failed_allocation_leaves_nothing_behind);
    suite_add_tcase(s, tc);
    return s;
}
