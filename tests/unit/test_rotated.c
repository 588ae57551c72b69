/* io/rotated: whole lines in files of a bounded size. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "io/file.h"
#include "io/rotated.h"
#include "unit/scratch.h"

static char dir[64], path[128];
static struct vwi_rotated file;

static void set_up(void)
{
    snprintf(dir, sizeof dir, "/tmp/vwi-rotated-XXXXXX");
    scratch_make(dir);
    snprintf(path, sizeof path, "%s/model.log", dir);
}

static void tear_down(void)
{
    vwi_rotated_fini(&file);
    scratch_remove(dir);
}

static void put(const char *lines) { vwi_rotated_write(&file, lines, strlen(lines)); }

/* expected NULL: there is no such file. nth 0: the one that is written to. */
static void expect(unsigned nth, const char *expected)
{
    struct vwi_text text = VWI_TEXT_INIT;
    char name[160];

    snprintf(name, sizeof name, nth ? "%s.%u" : "%s", path, nth);
    ck_assert_int_eq(access(name, F_OK) == 0, expected != NULL);
    if (expected) {
        ck_assert_int_eq(vwi_file_read(name, 100000, &text, NULL), VW_OK);
        ck_assert_str_eq(text.p ? text.p : "", expected);
    }
    vwi_text_fini(&text);
}

START_TEST(a_full_file_is_turned_over_between_lines)
{
    vwi_rotated_init(&file, path, 10, 2);
    put("aaaa\nbbbb\ncccc\n");
    expect(0, "cccc\n");
    expect(1, "aaaa\nbbbb\n");
    put("dddd\neeee\nffff\ngggg\n");
    expect(0, "gggg\n");
    expect(1, "eeee\nffff\n");
    expect(2, "cccc\ndddd\n");
    put("hhhhhhh\n");
    expect(2, "eeee\nffff\n");
    expect(3, NULL);
    ck_assert_uint_eq(file.dropped, 0);
    ck_assert_int_eq(file.problem, 0);
}
END_TEST

START_TEST(what_is_there_already_is_kept_and_counts)
{
    vwi_rotated_init(&file, path, 10, 1);
    put("aaaa\n");
    vwi_rotated_fini(&file);
    vwi_rotated_init(&file, path, 10, 1);
    put("bbbb\n");
    expect(0, "aaaa\nbbbb\n");
    put("cccc\n");
    expect(0, "cccc\n");
    expect(1, "aaaa\nbbbb\n");
}
END_TEST

START_TEST(a_line_larger_than_a_file_has_one_of_its_own)
{
    vwi_rotated_init(&file, path, 10, 3);
    put("aaaa\nbbbbbbbbbbbbbbbbbbbbbbbb\ncccc\n");
    expect(0, "cccc\n");
    expect(1, "bbbbbbbbbbbbbbbbbbbbbbbb\n");
    expect(2, "aaaa\n");
}
END_TEST

START_TEST(where_none_are_kept_the_file_begins_anew)
{
    vwi_rotated_init(&file, path, 10, 0);
    put("aaaa\nbbbb\ncccc\n");
    expect(0, "cccc\n");
    expect(1, NULL);
}
END_TEST

START_TEST(what_cannot_be_written_is_counted_and_tried_again)
{
    char inner[160];

    snprintf(inner, sizeof inner, "%s/later/model.log", dir);
    vwi_rotated_init(&file, inner, 10, 1);
    put("aaaa\n");
    ck_assert_uint_eq(file.dropped, 5);
    ck_assert_int_ne(file.problem, 0);
    *strrchr(inner, '/') = '\0';
    ck_assert_int_eq(mkdir(inner, 0700), 0);
    inner[strlen(inner)] = '/';
    put("bbbb\n");
    ck_assert_int_eq(file.problem, 0);
    ck_assert_uint_eq(file.dropped, 5);
    ck_assert_int_eq(access(inner, F_OK), 0);
}
END_TEST

START_TEST(what_is_no_file_is_never_renamed)
{
    char of_the_reader[16] = "";
    struct stat st;
    int reader;

    ck_assert_int_eq(mkfifo(path, 0600), 0);
    vwi_rotated_init(&file, path, 10, 2);
    put("aaaa\n"); /* nobody reads: it must not wait */
    ck_assert_int_eq(file.problem, ENXIO);
    reader = open(path, O_RDONLY | O_NONBLOCK);
    ck_assert_int_ge(reader, 0);
    put("bbbb\n");
    put("cccc\ndddd\n");
    ck_assert_int_eq(file.problem, 0);
    ck_assert_int_eq(read(reader, of_the_reader, sizeof of_the_reader - 1), 15);
    ck_assert_str_eq(of_the_reader, "bbbb\ncccc\ndddd\n");
    ck_assert_int_eq(lstat(path, &st), 0);
    ck_assert(S_ISFIFO(st.st_mode));
    expect(1, NULL);
    close(reader);
}
END_TEST

Suite *rotated_suite(void);

Suite *rotated_suite(void)
{
    Suite *s = suite_create("rotated");
    TCase *tc = tcase_create("rotated");

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, a_full_file_is_turned_over_between_lines);
    tcase_add_test(tc, what_is_there_already_is_kept_and_counts);
    tcase_add_test(tc, what_is_no_file_is_never_renamed);
    tcase_add_test(tc, a_line_larger_than_a_file_has_one_of_its_own);
    tcase_add_test(tc, where_none_are_kept_the_file_begins_anew);
    tcase_add_test(tc, what_cannot_be_written_is_counted_and_tried_again);
    suite_add_tcase(s, tc);
    return s;
}
