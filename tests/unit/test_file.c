/* Small files whole: bounded reads, writes that leave the old or the new. */
#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "io/file.h"
#include "unit/scratch.h"

static char dir[64], path[128];

static void set_up(void)
{
    snprintf(dir, sizeof dir, "/tmp/vwi-file-XXXXXX");
    scratch_make(dir);
    snprintf(path, sizeof path, "%s/f", dir);
}

static void tear_down(void)
{
    scratch_remove(dir);
}

static unsigned count_entries(void)
{
    DIR *d = opendir(dir);
    unsigned count = 0;

    while (readdir(d))
        count++;
    closedir(d);
    return count - 2;
}

START_TEST(what_is_written_is_read_back)
{
    struct vwi_text text = VWI_TEXT_INIT;
    struct stat st;

    ck_assert_int_eq(vwi_file_write(path, "a\0b", 3, 0640, NULL), VW_OK);
    ck_assert_int_eq(vwi_file_write(path, "second", 6, 0600, NULL), VW_OK);
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_uint_eq(st.st_mode & 0777, 0600);
    ck_assert_int_eq(vwi_file_read(path, 6, &text, NULL), VW_OK);
    ck_assert_str_eq(text.p, "second");
    ck_assert_uint_eq(text.len, 6);
    ck_assert_uint_eq(count_entries(), 1);
    vwi_text_fini(&text);
}
END_TEST

START_TEST(an_empty_file_is_an_empty_text)
{
    struct vwi_text text = VWI_TEXT_INIT;

    ck_assert_int_eq(vwi_file_write(path, "", 0, 0600, NULL), VW_OK);
    ck_assert_int_eq(vwi_file_read(path, 10, &text, NULL), VW_OK);
    ck_assert_str_eq(text.p, "");
    vwi_text_fini(&text);
}
END_TEST

START_TEST(a_file_over_the_bound_is_refused_and_adds_nothing)
{
    struct vwi_text text = VWI_TEXT_INIT;
    vw_error_t why = { VW_OK, "" };

    vwi_text_adds(&text, "kept");
    ck_assert_int_eq(vwi_file_write(path, "1234567", 7, 0600, NULL), VW_OK);
    ck_assert_int_eq(vwi_file_read(path, 6, &text, &why), VW_E_IO);
    ck_assert_ptr_nonnull(strstr(why.text, path));
    ck_assert_str_eq(text.p, "kept");
    ck_assert_int_eq(vwi_file_read(path, 7, &text, NULL), VW_OK);
    ck_assert_str_eq(text.p, "kept1234567");
    vwi_text_fini(&text);
}
END_TEST

START_TEST(what_is_no_regular_file_is_refused)
{
    struct vwi_text text = VWI_TEXT_INIT;
    vw_error_t why = { VW_OK, "" };

    ck_assert_int_eq(vwi_file_read(dir, 100, &text, NULL), VW_E_IO);
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    ck_assert_int_eq(vwi_file_read(path, 100, &text, NULL), VW_E_IO);
    unlink(path);
    ck_assert_int_eq(vwi_file_read(path, 100, &text, &why), VW_E_IO);
    ck_assert_ptr_nonnull(strstr(why.text, strerror(ENOENT)));
    vwi_text_fini(&text);
}
END_TEST

START_TEST(a_failed_write_leaves_the_old_file_and_no_other)
{
    struct vwi_text text = VWI_TEXT_INIT;
    char sub[200];

    ck_assert_int_eq(vwi_file_write(path, "old", 3, 0600, NULL), VW_OK);
    snprintf(sub, sizeof sub, "%s/not-there/f", dir);
    ck_assert_int_eq(vwi_file_write(sub, "new", 3, 0600, NULL), VW_E_IO);
    vwi_mem_fail_nth(0);
    ck_assert_int_eq(vwi_file_write(path, "new", 3, 0600, NULL), VW_E_NOMEM);
    vwi_mem_fail_never();
    snprintf(sub, sizeof sub, "%s/d", dir);
    ck_assert_int_eq(mkdir(sub, 0700), 0);
    ck_assert_int_eq(vwi_file_write(sub, "new", 3, 0600, NULL), VW_E_IO); /* a directory has the name */
    ck_assert_uint_eq(count_entries(), 2);
    ck_assert_int_eq(vwi_file_read(path, 100, &text, NULL), VW_OK);
    ck_assert_str_eq(text.p, "old");
    vwi_text_fini(&text);
}
END_TEST

START_TEST(directories_are_made_with_their_parents)
{
    char sub[200], bad[200];
    vw_error_t why = { VW_OK, "" };
    struct stat st;

    snprintf(sub, sizeof sub, "%s/a//b/c/", dir);
    ck_assert_int_eq(vwi_dir_make(sub, 0755, NULL), VW_OK);
    ck_assert_int_eq(vwi_dir_make(sub, 0755, NULL), VW_OK);
    ck_assert(stat(sub, &st) == 0 && S_ISDIR(st.st_mode));
    ck_assert_int_eq(vwi_dir_make("/", 0755, NULL), VW_OK);
    ck_assert_int_eq(vwi_file_write(path, "", 0, 0600, NULL), VW_OK);
    snprintf(bad, sizeof bad, "%s/x", path);
    ck_assert_int_eq(vwi_dir_make(bad, 0755, &why), VW_E_IO);
    ck_assert_ptr_nonnull(strstr(why.text, strerror(ENOTDIR)));
}
END_TEST

START_TEST(a_stamp_changes_when_the_file_does)
{
    struct vwi_file_stamp none, first, same, second;

    vwi_file_take_stamp(path, &none);
    ck_assert(!none.there);
    ck_assert_int_eq(vwi_file_write(path, "one", 3, 0600, NULL), VW_OK);
    vwi_file_take_stamp(path, &first);
    vwi_file_take_stamp(path, &same);
    ck_assert(first.there && !vwi_file_same_stamp(&none, &first) && vwi_file_same_stamp(&first, &same));
    ck_assert_int_eq(vwi_file_write(path, "two", 3, 0600, NULL), VW_OK); /* another file under the same name */
    vwi_file_take_stamp(path, &second);
    ck_assert(!vwi_file_same_stamp(&first, &second));
}
END_TEST

Suite *file_suite(void);

Suite *file_suite(void)
{
    Suite *s = suite_create("file");
    TCase *tc = tcase_create("file");

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, what_is_written_is_read_back);
    tcase_add_test(tc, an_empty_file_is_an_empty_text);
    tcase_add_test(tc, a_file_over_the_bound_is_refused_and_adds_nothing);
    tcase_add_test(tc, what_is_no_regular_file_is_refused);
    tcase_add_test(tc, a_failed_write_leaves_the_old_file_and_no_other);
    tcase_add_test(tc, directories_are_made_with_their_parents);
    tcase_add_test(tc, a_stamp_changes_when_the_file_does);
    suite_add_tcase(s, tc);
    return s;
}
