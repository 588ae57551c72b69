/* io/child: real processes on the loop; each test with a pidfd and without. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/text.h"
#include "base/vwi.h"
#include "io/child.h"
#include "io/lines.h"

#define LIMIT_MS 60000 /* only reached when a test fails */

static struct {
    struct vwi_loop *loop;
    struct vwi_timer limit;
    struct vwi_guard guard;
    struct vwi_child *child;
    struct vwi_text lines; /* each with a '|' behind it, at most 200 bytes of it */
    unsigned count, wanted, cuts;
    size_t bytes;
    bool ended, kill_in_line;
    struct vwi_child_end end;
} t;

static void on_limit(void *arg)
{
    (void)arg;
    ck_abort_msg("no event within the limit; have: %.500s", t.lines.p ? t.lines.p : "");
}

static void on_line(void *arg, const char *line, size_t len, bool cut)
{
    ck_assert_ptr_eq(arg, &t);
    t.count++;
    t.cuts += cut;
    t.bytes += len;
    if (t.lines.len < 8192) {
        vwi_text_add(&t.lines, line, len < 200 ? len : 200);
        vwi_text_adds(&t.lines, "|");
    }
    if (t.count == t.wanted)
        vwi_loop_stop(t.loop);
}

static void on_end(void *arg, struct vwi_child_end end)
{
    ck_assert_ptr_eq(arg, &t);
    ck_assert(!t.ended);
    t.ended = true;
    t.end = end;
    vwi_child_destroy(t.child);
    t.child = NULL;
    vwi_loop_stop(t.loop);
}

static void set_up(void)
{
    memset(&t, 0, sizeof t);
    t.guard = (struct vwi_guard)VWI_GUARD_NONE;
    ck_assert_int_eq(vwi_loop_create(&t.loop, NULL), VW_OK);
    ck_assert_int_eq(vwi_timer_init(&t.limit, t.loop, on_limit, NULL), VW_OK);
    vwi_timer_start(&t.limit, LIMIT_MS);
}

static void tear_down(void)
{
    vwi_child_destroy(t.child);
    vwi_guard_stop(&t.guard);
    vwi_timer_fini(&t.limit);
    vwi_loop_destroy(t.loop);
    vwi_text_fini(&t.lines);
}

static vw_err start_program(const char *path, char *const *argv, bool blind, vw_error_t *why)
{
    static const struct vwi_child_events events = { on_line, on_end };
    static char path_variable[] = "PATH=/usr/local/bin:/usr/bin:/bin", greeting[] = "GREETING=hello";
    char *const environment[] = { path_variable, greeting, NULL };
    struct vwi_child_setup setup = { .loop = t.loop, .path = path, .argv = argv, .envp = environment, .guard = t.guard.fd >= 0 ? &t.guard : NULL,
                                     .blind = blind };

    return vwi_child_start(&setup, &events, &t, &t.child, why);
}

static void start(const char *script, bool blind)
{
    char *text = strdup(script);
    char sh[] = "sh", c[] = "-c";
    char *const argv[] = { sh, c, text, NULL };
    vw_error_t why = { VW_OK, "" };

    ck_assert_msg(start_program("/bin/sh", argv, blind, &why) == VW_OK, "%s", why.text);
    free(text);
}

static void run(void) { ck_assert_int_eq(vwi_loop_run(t.loop), VW_OK); }

static void run_to_end(void)
{
    while (!t.ended)
        run();
}

static void wait_lines(unsigned count)
{
    t.wanted = count;
    while (t.count < count)
        run();
}

static void expect_end(enum vwi_child_how how, int number)
{
    run_to_end();
    ck_assert_int_eq(t.end.how, how);
    ck_assert_int_eq(t.end.number, number);
}

/* Gone, or dead and not waited for yet by whoever inherited it. */
static bool is_gone(pid_t pid)
{
    char name[64], line[512] = "", *at;
    FILE *f;

    snprintf(name, sizeof name, "/proc/%ld/stat", (long)pid);
    f = fopen(name, "r");
    if (!f)
        return true;
    at = fgets(line, sizeof line, f) ? strrchr(line, ')') : NULL;
    fclose(f);
    return !at || at[2] == 'Z' || at[2] == 'X';
}

static void wait_gone(pid_t pid)
{
    int tries;

    for (tries = 0; !is_gone(pid); tries++) {
        ck_assert_int_lt(tries, LIMIT_MS / 5);
        usleep(5000);
    }
}

static const struct {
    const char *script;
    enum vwi_child_how how;
    int number;
} ends[] = {
    { "exit 0", VWI_CHILD_EXITED, 0 },
    { "exit 7", VWI_CHILD_EXITED, 7 },
    { "kill -SEGV $$", VWI_CHILD_SIGNALLED, SIGSEGV },
    { "kill -KILL $$", VWI_CHILD_SIGNALLED, SIGKILL },
};

START_TEST(the_end_is_told_with_its_number)
{
    start(ends[_i / 2].script, _i % 2);
    expect_end(ends[_i / 2].how, ends[_i / 2].number);
}
END_TEST

START_TEST(both_outputs_come_as_lines_and_the_unfinished_one_at_the_end)
{
    start("echo out; echo err >&2; printf 'a\\r\\nhal'; printf f", _i);
    expect_end(VWI_CHILD_EXITED, 0);
    ck_assert_uint_eq(t.count, 4);
    ck_assert(strstr(t.lines.p, "out|") && strstr(t.lines.p, "err|") && strstr(t.lines.p, "a|") && strstr(t.lines.p, "half|"));
}
END_TEST

START_TEST(all_that_was_said_comes_before_the_end)
{
    start("i=0; while [ $i -lt 5000 ]; do echo line $i; i=$((i+1)); done; kill -KILL $$", _i);
    expect_end(VWI_CHILD_SIGNALLED, SIGKILL);
    ck_assert_uint_eq(t.count, 5000);
}
END_TEST

START_TEST(a_line_without_end_is_cut_and_takes_no_more_memory)
{
    start("head -c 3000000 /dev/zero | tr '\\0' x; echo; echo over", _i);
    expect_end(VWI_CHILD_EXITED, 0);
    ck_assert_uint_eq(t.cuts, 1);
    ck_assert_uint_eq(t.bytes, VWI_LINE_MAX + strlen("over"));
}
END_TEST

START_TEST(a_closed_output_is_no_end)
{
    start("exec >&- 2>&-; sleep 0.2; exit 3", _i);
    expect_end(VWI_CHILD_EXITED, 3);
}
END_TEST

START_TEST(it_gets_the_environment_that_was_given_and_nothing_to_read)
{
    setenv("SECRET", "sesame", 1);
    start("echo $GREETING ${SECRET-none}; cat; echo end", _i);
    expect_end(VWI_CHILD_EXITED, 0);
    ck_assert_str_eq(t.lines.p, "hello none|end|");
}
END_TEST

START_TEST(no_descriptor_of_ours_is_handed_on)
{
    int open_here = open("/dev/null", O_RDONLY); /* without O_CLOEXEC */

    ck_assert_int_ge(open_here, 3);
    start("for f in /proc/self/fd/*; do [ -e $f ] && echo ${f##*/}; done; exit 0", _i);
    expect_end(VWI_CHILD_EXITED, 0);
    ck_assert_str_eq(t.lines.p, "0|1|2|");
    close(open_here);
}
END_TEST

START_TEST(signals_are_as_a_program_expects_them)
{
    sigset_t some;

    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&some);
    sigaddset(&some, SIGTERM);
    sigprocmask(SIG_BLOCK, &some, NULL);
    start("grep -E '^Sig(Blk|Ign)' /proc/self/status", _i);
    expect_end(VWI_CHILD_EXITED, 0);
    ck_assert_str_eq(t.lines.p, "SigBlk:\t0000000000000000|SigIgn:\t0000000000000000|");
}
END_TEST

START_TEST(it_leads_a_group_of_its_own_which_signals_reach)
{
    start("trap 'echo got it; exit 0' TERM; sleep 1000 & echo $!; wait", _i);
    wait_lines(1);
    ck_assert_int_eq(getpgid(vwi_child_pid(t.child)), vwi_child_pid(t.child));
    ck_assert_int_ne(getpgrp(), vwi_child_pid(t.child));
    vwi_child_signal(t.child, SIGTERM);
    expect_end(VWI_CHILD_EXITED, 0);
    ck_assert_ptr_nonnull(strstr(t.lines.p, "got it|"));
    wait_gone((pid_t)strtol(t.lines.p, NULL, 10));
}
END_TEST

START_TEST(signals_reach_it_when_it_has_left_its_group)
{
    start("exec " VWT_BUILD "/tests/child/wanderer", _i);
    wait_lines(1);
    ck_assert_int_ne(getpgid(vwi_child_pid(t.child)), vwi_child_pid(t.child));
    vwi_child_signal(t.child, SIGTERM);
    expect_end(VWI_CHILD_SIGNALLED, SIGTERM);
    kill((pid_t)strtol(t.lines.p, NULL, 10), SIGKILL);
}
END_TEST

START_TEST(what_it_leaves_behind_in_its_group_is_killed)
{
    start("sleep 1000 & echo $!; exit 4", _i);
    expect_end(VWI_CHILD_EXITED, 4); /* though the other one holds the pipes */
    wait_gone((pid_t)strtol(t.lines.p, NULL, 10));
}
END_TEST

START_TEST(destroying_it_kills_what_ignores_signals)
{
    pid_t pid;

    start("trap '' TERM INT HUP; echo up; while :; do sleep 1000; done", _i);
    wait_lines(1);
    pid = vwi_child_pid(t.child);
    vwi_child_destroy(t.child);
    t.child = NULL;
    ck_assert_int_eq(kill(pid, 0), -1);
    ck_assert_int_eq(errno, ESRCH);
    ck_assert(!t.ended);
}
END_TEST

START_TEST(what_cannot_be_executed_is_said)
{
    char path[] = "/nonexistent/llama-server";
    char *const argv[] = { path, NULL };
    vw_error_t why = { VW_OK, "" };

    ck_assert_int_eq(start_program(path, argv, _i, &why), VW_E_IO);
    ck_assert_str_eq(why.text, strerror(ENOENT));
    ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1); /* no child is left */
}
END_TEST

START_TEST(each_allocation_may_fail)
{
    char name[] = "true";
    char *const argv[] = { name, NULL };
    vw_err err = VW_E_NOMEM;
    unsigned nth;

    for (nth = 0; err != VW_OK; nth++) {
        ck_assert_uint_lt(nth, 100);
        vwi_mem_fail_nth(nth);
        err = start_program("/bin/true", argv, _i, NULL);
        vwi_mem_fail_never();
    }
    ck_assert_uint_gt(nth, 1);
    expect_end(VWI_CHILD_EXITED, 0);
}
END_TEST

START_TEST(an_end_that_somebody_else_waited_for_is_an_end)
{
    start("echo up; read x < /dev/null; exec sleep 1000", _i);
    wait_lines(1);
    signal(SIGCHLD, SIG_IGN); /* the kernel throws the status away */
    vwi_child_signal(t.child, SIGKILL);
    expect_end(VWI_CHILD_UNKNOWN, 0);
    signal(SIGCHLD, SIG_DFL);
}
END_TEST

/* ---- our own end ---- */

/* A process that starts a child with something behind it, says both numbers and is killed. */
static void be_killed(int fd, bool guarded)
{
    int pids[2];

    if (guarded)
        ck_assert_int_eq(vwi_guard_start(&t.guard, NULL), VW_OK);
    start("sleep 1000 & echo $!; wait", false);
    wait_lines(1);
    pids[0] = vwi_child_pid(t.child);
    pids[1] = (int)strtol(t.lines.p, NULL, 10);
    ck_assert_int_eq(write(fd, pids, sizeof pids), (ssize_t)sizeof pids);
    kill(getpid(), SIGKILL);
}

START_TEST(a_child_dies_with_us_and_its_group_by_the_guard)
{
    int ends_of_pipe[2], pids[2];
    pid_t ours;

    ck_assert_int_eq(pipe(ends_of_pipe), 0);
    ours = fork();
    if (ours == 0) {
        tear_down(); /* the parent's loop */
        set_up();
        be_killed(ends_of_pipe[1], _i);
    }
    close(ends_of_pipe[1]);
    ck_assert_int_eq(read(ends_of_pipe[0], pids, sizeof pids), (ssize_t)sizeof pids);
    waitpid(ours, NULL, 0);
    wait_gone(pids[0]);
    if (_i)
        wait_gone(pids[1]);
    else
        kill(pids[1], SIGKILL);
    close(ends_of_pipe[0]);
}
END_TEST

START_TEST(a_guard_that_is_stopped_leaves_nobody)
{
    pid_t pid;

    ck_assert_int_eq(vwi_guard_start(&t.guard, NULL), VW_OK);
    pid = t.guard.pid;
    start("exit 0", false);
    expect_end(VWI_CHILD_EXITED, 0);
    vwi_guard_stop(&t.guard);
    ck_assert_int_eq(kill(pid, 0), -1);
    vwi_guard_stop(&t.guard);
}
END_TEST

START_TEST(what_stops_a_process_does_not_stop_the_guard)
{
    ck_assert_int_eq(vwi_guard_start(&t.guard, NULL), VW_OK);
    kill(t.guard.pid, SIGTERM);
    kill(t.guard.pid, SIGINT);
    start("sleep 1000", false);
    ck_assert_int_eq(kill(t.guard.pid, 0), 0);
    vwi_guard_stop(&t.guard); /* as if we had ended: the group goes */
    expect_end(VWI_CHILD_SIGNALLED, SIGKILL);
}
END_TEST

/* ---- looking a program up ---- */

START_TEST(programs_are_looked_up_as_a_shell_does)
{
    struct vwi_text found = VWI_TEXT_INIT;
    vw_error_t why = { VW_OK, "" };

    ck_assert_int_eq(vwi_child_find("sh", "/nonexistent:/bin", &found, &why), VW_OK);
    ck_assert_str_eq(found.p, "/bin/sh");
    ck_assert_int_eq(vwi_child_find("sh", NULL, &found, &why), VW_OK);
    ck_assert_int_eq(vwi_child_find("/bin/sh", "/nonexistent", &found, &why), VW_OK);
    ck_assert_str_eq(found.p, "/bin/sh");
    ck_assert_int_eq(vwi_child_find("nosuch", "/one:/two", &found, &why), VW_E_CONFIG);
    ck_assert_str_eq(why.text, "model command: there is no program nosuch in PATH (/one:/two)");
    why.code = VW_OK;
    ck_assert_int_eq(vwi_child_find("/tmp", NULL, &found, &why), VW_E_CONFIG);
    ck_assert_str_eq(why.text, "model command: /tmp is not a file that can be executed");
    vwi_text_fini(&found);
}
END_TEST

/* ---- those of others ---- */

START_TEST(processes_that_were_left_to_us_are_waited_for)
{
    pid_t orphan, ended = 0;
    int tries;

    ck_assert_int_eq(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    start("(exec setsid sh -c 'echo $$; exec sleep 0.2 >/dev/null' &) | { read p; echo $p; }; exit 0", false);
    expect_end(VWI_CHILD_EXITED, 0);
    ck_assert_uint_ge(t.count, 1);
    orphan = (pid_t)strtol(t.lines.p, NULL, 10);
    for (tries = 0; ended != orphan; tries++) {
        ck_assert_int_lt(tries, LIMIT_MS / 5);
        ended = vwi_child_next_ended();
        if (ended && ended != orphan)
            vwi_child_reap(ended);
        usleep(5000);
    }
    vwi_child_reap(orphan);
    ck_assert_int_eq(kill(orphan, 0), -1);
}
END_TEST

Suite *child_suite(void);

Suite *child_suite(void)
{
    Suite *s = suite_create("child");
    TCase *tc = tcase_create("child");

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_loop_test(tc, the_end_is_told_with_its_number, 0, 2 * (int)VWI_ARRAY_LEN(ends));
    tcase_add_loop_test(tc, both_outputs_come_as_lines_and_the_unfinished_one_at_the_end, 0, 2);
    tcase_add_loop_test(tc, all_that_was_said_comes_before_the_end, 0, 2);
    tcase_add_loop_test(tc, a_line_without_end_is_cut_and_takes_no_more_memory, 0, 2);
    tcase_add_loop_test(tc, a_closed_output_is_no_end, 0, 2);
    tcase_add_loop_test(tc, it_gets_the_environment_that_was_given_and_nothing_to_read, 0, 2);
    tcase_add_loop_test(tc, no_descriptor_of_ours_is_handed_on, 0, 2);
    tcase_add_loop_test(tc, signals_are_as_a_program_expects_them, 0, 2);
    tcase_add_loop_test(tc, it_leads_a_group_of_its_own_which_signals_reach, 0, 2);
    tcase_add_loop_test(tc, signals_reach_it_when_it_has_left_its_group, 0, 2);
    tcase_add_loop_test(tc, what_it_leaves_behind_in_its_group_is_killed, 0, 2);
    tcase_add_loop_test(tc, destroying_it_kills_what_ignores_signals, 0, 2);
    tcase_add_loop_test(tc, what_cannot_be_executed_is_said, 0, 2);
    tcase_add_loop_test(tc, each_allocation_may_fail, 0, 2);
    tcase_add_loop_test(tc, an_end_that_somebody_else_waited_for_is_an_end, 0, 2);
    tcase_add_loop_test(tc, a_child_dies_with_us_and_its_group_by_the_guard, 0, 2);
    tcase_add_test(tc, a_guard_that_is_stopped_leaves_nobody);
    tcase_add_test(tc, what_stops_a_process_does_not_stop_the_guard);
    tcase_add_test(tc, programs_are_looked_up_as_a_shell_does);
    tcase_add_test(tc, processes_that_were_left_to_us_are_waited_for);
    suite_add_tcase(s, tc);
    return s;
}
