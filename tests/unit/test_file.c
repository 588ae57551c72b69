/* Small files whole: bounded reads, writes that leave the old or the new. */
#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
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

static void expect_text(const char *where, const char *expected)
{
    struct vwi_text text = VWI_TEXT_INIT;

    ck_assert_int_eq(vwi_file_read(where, 100000, &text, NULL), VW_OK);
    ck_assert_str_eq(text.p, expected);
    vwi_text_fini(&text);
}

static void put_text(const char *where, const char *text)
{
    FILE *f = fopen(where, "w");

    ck_assert_ptr_nonnull(f);
    ck_assert_uint_eq(fwrite(text, 1, strlen(text), f), strlen(text));
    ck_assert_int_eq(fclose(f), 0);
}

START_TEST(a_file_is_set_aside_behind_what_was_before_and_emptied_in_place)
{
    char old[140];
    struct stat before, after;
    FILE *writer;

    snprintf(old, sizeof old, "%s.old", path);
    ck_assert_int_eq(vwi_file_set_aside(path, NULL), VW_OK); /* nothing there */
    ck_assert_uint_eq(count_entries(), 0);
    put_text(path, "first run\n");
    ck_assert_int_eq(vwi_file_set_aside(path, NULL), VW_OK);
    put_text(path, "second run\n");
    ck_assert_int_eq(stat(path, &before), 0);
    writer = fopen(path, "a");
    ck_assert_int_eq(vwi_file_set_aside(path, NULL), VW_OK);
    ck_assert_int_eq(stat(path, &after), 0);
    ck_assert(before.st_ino == after.st_ino && after.st_size == 0);
    expect_text(old, "first run\nsecond run\n");
    fputs("third run\n", writer);
    fclose(writer);
    expect_text(path, "third run\n");
}
END_TEST

START_TEST(a_file_that_cannot_be_copied_whole_stays_as_it_is)
{
    char old[140], *much = malloc(90001);
    struct rlimit limit = { 40000, 40000 };
    vw_error_t why = { VW_OK, "" };
    struct stat st;

    snprintf(old, sizeof old, "%s.old", path);
    memset(much, 'x', 90000);
    much[90000] = '\0';
    put_text(path, much);
    put_text(old, "before\n");
    signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0); /* as a disk that is full: half of it can be written */
    ck_assert_int_eq(vwi_file_set_aside(path, &why), VW_E_IO);
    ck_assert_ptr_nonnull(strstr(why.text, ".old: "));
    expect_text(old, "before\n");
    ck_assert(stat(path, &st) == 0 && st.st_size == 90000);
    free(much);
}
END_TEST

START_TEST(what_is_no_regular_file_is_not_set_aside)
{
    char old[140];
    vw_error_t why = { VW_OK, "" };

    snprintf(old, sizeof old, "%s.old", path);
    put_text(path, "text\n");
    ck_assert_int_eq(mkdir(old, 0700), 0);
    ck_assert_int_eq(vwi_file_set_aside(path, &why), VW_E_IO);
    expect_text(path, "text\n");
    ck_assert_int_eq(rmdir(old), 0);
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    ck_assert_int_eq(vwi_file_set_aside(path, NULL), VW_E_IO);
    ck_assert_uint_eq(count_entries(), 1);
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
    tcase_add_test(tc, a_file_is_set_aside_behind_what_was_before_and_emptied_in_place);
    tcase_add_test(tc, a_file_that_cannot_be_copied_whole_stays_as_it_is);
    tcase_add_test(tc, what_is_no_regular_file_is_not_set_aside);
    suite_add_tcase(s, tc);
    return s;
}
