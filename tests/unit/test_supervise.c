/* flow/supervise before anything runs: what it copies, looks up and says. Scenes have the processes. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "flow/supervise.h"

static char always[] = "always", log_file[] = "/var/log/model.log";
static const struct vwi_supervise_conf conf = { .restart = always, .max_restarts = 5, .window_s = 600, .backoff_s = 1, .max_backoff_s = 60,
                                                .grace_s = 10, .log_file = log_file, .log_file_bytes = 65536, .log_files = 1 };
static struct vwi_loop *loop;
static struct vwi_supervise *supervise;

static void set_up(void)
{
    supervise = NULL;
    ck_assert_int_eq(vwi_loop_create(&loop, NULL), VW_OK);
}

static void tear_down(void)
{
    vwi_supervise_destroy(supervise);
    vwi_loop_destroy(loop);
}

static vw_err create(const char *const *command, vw_error_t *why)
{
    static const struct vwi_supervise_events events = { NULL };
    struct vwi_supervise_setup setup = { .loop = loop, .conf = &conf, .command = command };

    return vwi_supervise_create(&setup, &events, NULL, &supervise, why);
}

START_TEST(each_allocation_may_fail)
{
    const char *const command[] = { "sh", "-c", "exit 0", NULL };
    vw_err err = VW_E_NOMEM;
    unsigned nth;

    for (nth = 0; err != VW_OK; nth++) {
        ck_assert_uint_lt(nth, 1000);
        ck_assert_ptr_null(supervise);
        vwi_mem_fail_nth(nth);
        err = create(command, NULL);
        vwi_mem_fail_never();
        ck_assert(err == VW_OK || err == VW_E_NOMEM);
    }
    ck_assert_uint_gt(nth, 5);
}
END_TEST

static const struct {
    const char *program, *said;
} refused[] = {
    { "", "model command: it is empty; give a program and its arguments" },
    { "no-such-server", "model command: there is no program no-such-server in PATH (/bin)" },
    { "/nonexistent/server", "model command: /nonexistent/server is not a file that can be executed" },
};

START_TEST(a_command_that_cannot_be_is_refused_with_a_sentence)
{
    const char *const command[] = { refused[_i].program, NULL };
    vw_error_t why = { VW_OK, "" };

    setenv("PATH", "/bin", 1);
    ck_assert_int_eq(create(command, &why), VW_E_CONFIG);
    ck_assert_str_eq(why.text, refused[_i].said);
    ck_assert_ptr_null(supervise);
}
END_TEST

START_TEST(arguments_are_counted_not_shown)
{
    const char *const command[] = { "sh", "--api-key", "sesame", NULL };
    struct vwi_text out = VWI_TEXT_INIT;

    setenv("PATH", "/nonexistent:/bin", 1);
    ck_assert_int_eq(create(command, NULL), VW_OK);
    vwi_supervise_describe(supervise, &out);
    ck_assert_str_eq(out.p, "starts the model server /bin/sh with 2 arguments; when it ends, it is started again: always, at most 5 times within 600 s\n"
                            "copies its output to /var/log/model.log\n");
    vwi_text_fini(&out);
}
END_TEST

START_TEST(without_a_command_there_is_nothing_to_wait_for)
{
    struct vwi_text out = VWI_TEXT_INIT;

    ck_assert(vwi_supervise_is_over(NULL));
    ck_assert_int_eq(create(NULL, NULL), VW_OK);
    ck_assert(vwi_supervise_is_over(supervise));
    vwi_supervise_describe(supervise, &out);
    ck_assert_ptr_null(out.p);
    vwi_supervise_stop(supervise);
    vwi_supervise_kill(supervise);
    ck_assert(vwi_supervise_is_over(supervise));
}
END_TEST

START_TEST(what_was_not_started_is_over_once_it_is_not_to_be)
{
    const char *const command[] = { "sh", NULL };

    ck_assert_int_eq(create(command, NULL), VW_OK);
    ck_assert(!vwi_supervise_is_over(supervise));
    vwi_supervise_leave(supervise);
    ck_assert(vwi_supervise_is_over(supervise));
}
END_TEST

Suite *supervise_suite(void);

Suite *supervise_suite(void)
{
    Suite *s = suite_create("supervise");
    TCase *tc = tcase_create("supervise");

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, each_allocation_may_fail);
    tcase_add_loop_test(tc, a_command_that_cannot_be_is_refused_with_a_sentence, 0, sizeof refused / sizeof refused[0]);
    tcase_add_test(tc, arguments_are_counted_not_shown);
    tcase_add_test(tc, without_a_command_there_is_nothing_to_wait_for);
    tcase_add_test(tc, what_was_not_started_is_over_once_it_is_not_to_be);
    suite_add_tcase(s, tc);
    return s;
}
