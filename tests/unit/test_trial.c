/* Patterns tried on a log: what is told, and that memory may run out at any point. */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "flow/trial.h"
#include "unit/scratch.h"

static char dir[64], path[128];
static struct vwi_text told;
static char ready[] = "/^ready in [0-9]+ s$/", boom[] = "boom", step[] = "step";
static char *loads[] = { ready }, *errors[] = { boom }, *infos[] = { step };
static const struct vwi_ready_conf conf = { .on_load = { loads, 1 }, .on_error = { errors, 1 }, .on_info = { infos, 1 } };

static void set_up(void)
{
    snprintf(dir, sizeof dir, "/tmp/vwi-trial-XXXXXX");
    scratch_make(dir);
    snprintf(path, sizeof path, "%s/model.log", dir);
    told = (struct vwi_text)VWI_TEXT_INIT;
}

static void tear_down(void)
{
    vwi_text_fini(&told);
    scratch_remove(dir);
}

static void put(const char *bytes, size_t len)
{
    FILE *f = fopen(path, "w");

    ck_assert_uint_eq(fwrite(bytes, 1, len, f), len);
    ck_assert_int_eq(fclose(f), 0);
}

static void on_told(void *arg, const char *line)
{
    ck_assert_ptr_eq(arg, &told);
    vwi_text_addf(&told, "%s\n", line);
}

START_TEST(each_match_is_told_and_then_the_sum)
{
    static const char log[] = "step 1\nready in 3 s!\nready in 4 s\r\nstep\0 2\x1b[31m boom\nready in 5 s";
    bool loaded = false;

    put(log, sizeof log - 1);
    ck_assert_int_eq(vwi_trial_run(&conf, path, on_told, &told, &loaded, NULL), VW_OK);
    ck_assert(loaded);
    ck_assert_str_eq(told.p, "line 1: info by \"step\": step 1\n"
                             "line 3: load by \"/^ready in [0-9]+ s$/\": ready in 4 s\n"
                             "line 4: error by \"boom\": step  2 [31m boom\n"
                             "line 5: load by \"/^ready in [0-9]+ s$/\": ready in 5 s\n"
                             "5 lines, 0 of them cut: 2 load, 1 error, 1 info; the model is loaded at line 3\n");
}
END_TEST

START_TEST(a_long_line_is_told_by_its_beginning)
{
    char log[300];
    bool loaded = true;

    memset(log, 'x', sizeof log);
    memcpy(log, "step", 4);
    put(log, sizeof log);
    ck_assert_int_eq(vwi_trial_run(&conf, path, on_told, &told, &loaded, NULL), VW_OK);
    ck_assert(!loaded);
    ck_assert_uint_eq((size_t)(strchr(told.p, '\n') - told.p), strlen("line 1: info by \"step\": ") + 200 + 3);
    ck_assert_ptr_nonnull(strstr(told.p, "xxx...\n1 lines, 0 of them cut: 0 load, 0 error, 1 info; no load pattern is in it"));
}
END_TEST

START_TEST(a_log_that_cannot_be_read_is_named)
{
    vw_error_t why = { VW_OK, "" };
    bool loaded = false;

    ck_assert_int_eq(vwi_trial_run(&conf, path, on_told, &told, &loaded, &why), VW_E_IO);
    ck_assert_ptr_nonnull(strstr(why.text, path));
    ck_assert_int_eq(vwi_trial_run(&conf, dir, on_told, &told, &loaded, NULL), VW_E_IO);
    ck_assert_ptr_null(told.p);
}
END_TEST

static void count_told(void *arg, const char *line)
{
    (void)line;
    ++*(unsigned *)arg;
}

START_TEST(a_trial_survives_each_failed_allocation)
{
    vw_err err = VW_E_NOMEM;
    unsigned nth, lines = 0;
    bool loaded = false;

    put("step\nready in 1 s\n", 18);
    for (nth = 0; err != VW_OK; nth++) {
        ck_assert_uint_lt(nth, 100);
        loaded = false;
        lines = 0;
        vwi_mem_fail_nth(nth);
        err = vwi_trial_run(&conf, path, count_told, &lines, &loaded, NULL);
        vwi_mem_fail_never();
        ck_assert(err == VW_OK || err == VW_E_NOMEM);
        ck_assert(loaded == (err == VW_OK));
    }
    ck_assert_uint_eq(lines, 3);
    ck_assert_uint_gt(nth, 8);
}
END_TEST

Suite *trial_suite(void);

Suite *trial_suite(void)
{
    Suite *s = suite_create("trial");
    TCase *tc = tcase_create("trial");

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, each_match_is_told_and_then_the_sum);
    tcase_add_test(tc, a_long_line_is_told_by_its_beginning);
    tcase_add_test(tc, a_log_that_cannot_be_read_is_named);
    tcase_add_test(tc, a_trial_survives_each_failed_allocation);
    suite_add_tcase(s, tc);
    return s;
}
