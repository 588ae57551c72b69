/* A file as memory: made whole, for one owner, and still there when the owner is not. */
#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "io/file.h"
#include "io/mapped.h"
#include "unit/scratch.h"

#define BYTES 10000

static char dir[64], path[128];

static void set_up(void)
{
    snprintf(dir, sizeof dir, "/tmp/vwi-mapped-XXXXXX");
    scratch_make(dir);
    snprintf(path, sizeof path, "%s/f", dir);
}

static void tear_down(void) { scratch_remove(dir); }

static unsigned count_entries(void)
{
    DIR *d = opendir(dir);
    unsigned count = 0;

    while (readdir(d))
        count++;
    closedir(d);
    return count - 2;
}

static struct vwi_mapped *open_it(void)
{
    struct vwi_mapped *m = NULL;
    vw_error_t why = { VW_OK, "" };

    ck_assert_msg(vwi_mapped_open(path, BYTES, &m, &why) == VW_OK, "%s", why.text);
    return m;
}

START_TEST(a_new_file_is_zeros_for_its_owner_alone)
{
    struct vwi_mapped *m = open_it();
    static const char zeros[BYTES];
    struct stat st;

    ck_assert_int_eq(memcmp(vwi_mapped_memory(m), zeros, BYTES), 0);
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_uint_eq(st.st_mode & 07777, 0600);
    ck_assert_int_eq(st.st_size, BYTES);
    ck_assert_int_ge(st.st_blocks * 512, BYTES); /* reserved: a store cannot fail for want of room */
    ck_assert_uint_eq(count_entries(), 1);
    vwi_mapped_close(m);
}
END_TEST

START_TEST(what_a_killed_process_stored_is_there)
{
    struct vwi_mapped *m;
    int ready[2], status;
    char c;
    pid_t pid;

    ck_assert_int_eq(pipe(ready), 0);
    pid = fork();
    if (pid == 0) {
        m = open_it();
        memcpy((char *)vwi_mapped_memory(m) + 5000, "kept", 4);
        if (write(ready[1], "x", 1) == 1)
            pause();
        _exit(1);
    }
    ck_assert_int_eq(read(ready[0], &c, 1), 1);
    kill(pid, SIGKILL);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    m = open_it(); /* its lock went with it */
    ck_assert_int_eq(memcmp((char *)vwi_mapped_memory(m) + 5000, "kept", 4), 0);
    vwi_mapped_close(m);
    close(ready[0]);
    close(ready[1]);
}
END_TEST

START_TEST(a_file_has_one_owner_at_a_time)
{
    struct vwi_mapped *m = open_it(), *other = NULL;
    vw_error_t why = { VW_OK, "" };

    ck_assert_int_eq(vwi_mapped_open(path, BYTES, &other, &why), VW_E_STATE);
    ck_assert_ptr_null(other);
    ck_assert_ptr_nonnull(strstr(why.text, path));
    ck_assert_ptr_nonnull(strstr(why.text, "another process has it"));
    vwi_mapped_close(m);
    vwi_mapped_close(open_it());
}
END_TEST

START_TEST(a_file_of_another_size_is_cut_or_filled_up)
{
    struct vwi_mapped *m;
    char *memory;
    struct stat st;
    char big[3 * BYTES];

    memset(big, 'b', sizeof big);
    ck_assert_int_eq(vwi_file_write(path, big, (size_t)_i, 0644, NULL), VW_OK);
    m = open_it();
    memory = vwi_mapped_memory(m);
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_int_eq(st.st_size, BYTES);
    ck_assert_uint_eq(st.st_mode & 07777, 0600);
    ck_assert_int_eq(memory[0], _i ? 'b' : 0);
    ck_assert_int_eq(memory[BYTES - 1], _i >= BYTES ? 'b' : 0);
    vwi_mapped_close(m);
}
END_TEST

START_TEST(what_cannot_be_a_file_of_ours_is_refused)
{
    struct vwi_mapped *m = NULL;
    vw_error_t why = { VW_OK, "" };
    char other[200];

    ck_assert_int_eq(mkdir(path, 0700), 0);
    ck_assert_int_eq(vwi_mapped_open(path, BYTES, &m, &why), VW_E_IO);
    ck_assert_ptr_nonnull(strstr(why.text, path));
    rmdir(path);
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    ck_assert_int_eq(vwi_mapped_open(path, BYTES, &m, NULL), VW_E_IO);
    unlink(path);
    snprintf(other, sizeof other, "%s/other", dir);
    ck_assert_int_eq(vwi_file_write(other, "precious", 8, 0600, NULL), VW_OK);
    ck_assert_int_eq(symlink(other, path), 0); /* somebody would like us to write there */
    ck_assert_int_eq(vwi_mapped_open(path, BYTES, &m, NULL), VW_E_IO);
    unlink(path);
    snprintf(other, sizeof other, "%s/not-there/f", dir);
    why.code = VW_OK;
    ck_assert_int_eq(vwi_mapped_open(other, BYTES, &m, &why), VW_E_IO);
    ck_assert_ptr_nonnull(strstr(why.text, strerror(ENOENT)));
    ck_assert_ptr_null(m);
}
END_TEST

START_TEST(each_failed_allocation_leaves_nothing_behind)
{
    struct vwi_mapped *m = NULL;
    vw_err err = VW_E_NOMEM;
    unsigned nth;

    for (nth = 0; err != VW_OK; nth++) {
        ck_assert_uint_lt(nth, 20);
        vwi_mem_fail_nth(nth);
        err = vwi_mapped_open(path, BYTES, &m, NULL);
        vwi_mem_fail_never();
        ck_assert(err == VW_OK || (err == VW_E_NOMEM && !m && count_entries() == 0));
    }
    ck_assert_uint_ge(nth, 3);
    vwi_mapped_close(m);
    vwi_mapped_close(NULL);
}
END_TEST

Suite *mapped_suite(void);

Suite *mapped_suite(void)
{
    Suite *s = suite_create("mapped");
    TCase *tc = tcase_create("mapped"), *sizes = tcase_create("sizes");

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, a_new_file_is_zeros_for_its_owner_alone);
    tcase_add_test(tc, what_a_killed_process_stored_is_there);
    tcase_add_test(tc, a_file_has_one_owner_at_a_time);
    tcase_add_test(tc, what_cannot_be_a_file_of_ours_is_refused);
    tcase_add_test(tc, each_failed_allocation_leaves_nothing_behind);
    suite_add_tcase(s, tc);
    tcase_add_checked_fixture(sizes, set_up, tear_down);
    tcase_add_loop_test(sizes, a_file_of_another_size_is_cut_or_filled_up, 0, 2);
    tcase_add_loop_test(sizes, a_file_of_another_size_is_cut_or_filled_up, BYTES - 1, BYTES + 2);
    suite_add_tcase(s, sizes);
    return s;
}
