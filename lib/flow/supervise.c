/*
 * start -> lines -> on_end -> [restart: wait, start again | lost] and at the end of the worker: leave -> stop -> kill.
 * The odd thing: its lines wait in a buffer for the end of the turn and are dropped there if nobody reads standard output. The pipes
 * to the process are read on in any case, so it never waits for us.
 */
#include "flow/supervise.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log_buffer.h"
#include "base/mem.h"
#include "base/vwi.h"
#include "core/literal.h"
#include "core/restart.h"
#include "flow/settings.h"
#include "io/child.h"
#include "io/probe.h"
#include "io/rotated.h"

#define LAST_LINES 10 /* of its output, shown in our log when it ends unasked */
#define LAST_BYTES 300
#define ORPHANS_MS 1000
#define GONE_MS 5000      /* for what was killed to be gone */
#define PROBE_MS 200      /* to see whether somebody listens where it is going to */
#define TELL_MS 60000     /* between two lines about lines that were dropped */
#define LAST_FLUSH_MS 200 /* for a reader of standard output, at the end */

struct vwi_supervise {
    struct vwi_supervise_setup setup;
    struct vwi_supervise_events events;
    void *arg;
    char **command, **environment; /* ours */
    struct vwi_text path;
    struct vwi_restart restart;
    struct vwi_guard guard;
    struct vwi_child *child;       /* NULL: none runs */
    struct vwi_probe *probe;       /* before the first start */
    struct vwi_timer timer;        /* of the next start; once stopping, of SIGKILL; then of giving up */
    struct vwi_timer orphans;
    struct vwi_log_buffer echo, copy;
    struct vwi_rotated file;
    int said_problem;              /* of the file, as an errno */
    char last[LAST_LINES][LAST_BYTES + 1];
    unsigned last_count;           /* lines in all */
    uint64_t restarts, told;       /* told: dropped lines that were spoken of */
    int64_t tell_ms;               /* when to speak of more of them */
    bool leaving, stopping, killed;
    bool stuck;                    /* it does not even end by SIGKILL */
};

/* ---- what it says ---- */

static void keep_last(struct vwi_supervise *s, const char *line, size_t len)
{
    char *to = s->last[s->last_count++ % LAST_LINES];

    len = len < LAST_BYTES ? len : LAST_BYTES;
    memcpy(to, line, len);
    to[len] = '\0';
    vwi_text_blank_controls(to, len);
}

static void pass_on(struct vwi_log_buffer *buffer, const char *line, size_t len)
{
    vwi_log_buffer_begin(buffer);
    vwi_text_add(&buffer->lines, line, len);
    vwi_text_add(&buffer->lines, "\n", 1);
    vwi_log_buffer_end(buffer, false);
}

static void write_copy(struct vwi_supervise *s)
{
    if (!s->copy.lines.len)
        return;
    vwi_rotated_write(&s->file, s->copy.lines.p, s->copy.lines.len);
    vwi_text_clear(&s->copy.lines);
    if (s->file.problem && s->file.problem != s->said_problem)
        vwi_log_warn(s->setup.log, "supervise.logFile: %s cannot be written: %s; lines are missing there", s->file.path,
                     strerror(s->file.problem));
    s->said_problem = s->file.problem;
}

static void on_line(void *arg, const char *line, size_t len, bool cut)
{
    struct vwi_supervise *s = arg;

    if (cut)
        vwi_log_debug(s->setup.log, "model output: a line was cut because of its length");
    keep_last(s, line, len);
    if (s->setup.echo)
        pass_on(&s->echo, line, len);
    if (s->file.path)
        pass_on(&s->copy, line, len);
    if (s->copy.lines.len >= VWI_LOG_TOGETHER_BYTES)
        write_copy(s);
    vwi_startup_line(s->setup.startup, line, len);
}

void vwi_supervise_flush(struct vwi_supervise *s)
{
    uint64_t untold;

    if (!s)
        return;
    write_copy(s);
    vwi_log_buffer_flush(&s->echo, 0);
    untold = s->echo.dropped - s->told;
    if (!untold || s->echo.lines.len || vwi_mono_ms() < s->tell_ms)
        return; /* told once there is a reader again, or is known that there is none */
    s->told = s->echo.dropped;
    s->tell_ms = vwi_mono_ms() + TELL_MS;
    vwi_log_warn(s->setup.log, "%" PRIu64 " lines of the model's output were dropped, because nobody read standard output in time", untold);
}

static void show_last(const struct vwi_supervise *s)
{
    unsigned count = s->last_count < LAST_LINES ? s->last_count : LAST_LINES, i;

    for (i = 0; i < count; i++)
        vwi_log_warn(s->setup.log, "model, last lines: %s", s->last[(s->last_count - count + i) % LAST_LINES]);
}

/* ---- its end ---- */

static void describe_end(struct vwi_child_end end, char *out, size_t size)
{
    if (end.how == VWI_CHILD_EXITED)
        snprintf(out, size, "The model process ended with exit code %d", end.number);
    else if (end.how == VWI_CHILD_SIGNALLED)
        snprintf(out, size, "The model process was ended by signal %d (%s)", end.number, strsignal(end.number));
    else
        snprintf(out, size, "The model process has ended");
}

/* Unasked, or it could not be started. what: in the words of error_msg. */
static void lost(struct vwi_supervise *s, const char *what, bool clean)
{
    struct vwi_restart_verdict verdict = vwi_restart_ended(&s->restart, clean, (double)vwi_mono_us() / 1e6);
    const struct vwi_supervise_conf *conf = s->setup.conf;
    char text[VWI_READY_TEXT];

    if (verdict.again && conf->max_restarts)
        snprintf(text, sizeof text, "%s, restarting in %g s (%u of %u)", what, verdict.wait_s, verdict.nth, conf->max_restarts);
    else if (verdict.again)
        snprintf(text, sizeof text, "%s, restarting in %g s", what, verdict.wait_s);
    else if (verdict.limited)
        snprintf(text, sizeof text, "%s; it was restarted %u times within %g s and is not started again", what, verdict.nth, conf->window_s);
    else
        snprintf(text, sizeof text, "%s and is not started again (supervise.restart is \"%s\")", what, conf->restart);
    if (verdict.again)
        vwi_timer_start(&s->timer, (int64_t)(verdict.wait_s * 1000));
    else
        s->leaving = true;
    vwi_startup_ended(s->setup.startup, text);
    if (strcmp(vwi_startup_view(s->setup.startup).error_msg, text) != 0)
        vwi_log_error(s->setup.log, "%s", text); /* a GPU that is lost stays the cause, so the change of state does not say it */
    show_last(s);
    if (!verdict.again)
        s->events.on_lost(s->arg, text);
}

static void on_end(void *arg, struct vwi_child_end end)
{
    struct vwi_supervise *s = arg;
    char what[VWI_READY_TEXT / 2];

    vwi_child_destroy(s->child);
    s->child = NULL;
    describe_end(end, what, sizeof what);
    if (s->stopping) {
        vwi_timer_stop(&s->timer);
        vwi_log_info(s->setup.log, "%s after %s", what, s->killed ? "SIGKILL" : "SIGTERM");
    } else if (s->leaving) {
        vwi_log_warn(s->setup.log, "%s before the drain was over; it is not started again", what);
        show_last(s);
    } else {
        lost(s, what, end.how == VWI_CHILD_EXITED && end.number == 0);
    }
}

/* ---- start and stop ---- */

static void start_process(struct vwi_supervise *s)
{
    static const struct vwi_child_events events = { on_line, on_end };
    struct vwi_child_setup setup = { .loop = s->setup.loop, .path = s->path.p, .argv = s->command, .envp = s->environment, .guard = &s->guard };
    vw_error_t why = { VW_OK, "" };
    char what[VWI_READY_TEXT / 2];

    s->last_count = 0;
    if (vwi_child_start(&setup, &events, s, &s->child, &why) == VW_OK) {
        vwi_log_info(s->setup.log, "%s started as process %ld", s->path.p, (long)vwi_child_pid(s->child));
        return;
    }
    snprintf(what, sizeof what, "The model process could not be started (%.80s)", why.text);
    lost(s, what, false);
}

static void on_timer(void *arg)
{
    struct vwi_supervise *s = arg;

    if (s->killed) {
        vwi_log_error(s->setup.log, "the model process does not end, although it was killed: the kernel holds it");
        s->stuck = true;
        return;
    }
    if (s->stopping) {
        vwi_log_warn(s->setup.log, "the model process did not end within %g s after SIGTERM and is killed", s->setup.conf->grace_s);
        vwi_supervise_kill(s);
        return;
    }
    s->restarts++;
    vwi_startup_started(s->setup.startup);
    start_process(s);
}

/* text NULL: somebody does, and would be taken for the model by whoever asks the port alone. */
static void on_probed(void *arg, const char *text)
{
    struct vwi_supervise *s = arg;

    s->probe = NULL;
    if (!text)
        vwi_log_warn(s->setup.log, "something listens at %s before the model process was started: is it another model server?",
                     s->setup.model->authority);
    start_process(s);
}

void vwi_supervise_start(struct vwi_supervise *s)
{
    vw_error_t why = { VW_OK, "" };

    if (s && s->setup.orphans)
        vwi_timer_start(&s->orphans, ORPHANS_MS);
    if (!s || !s->command)
        return;
    if (vwi_guard_start(&s->guard, &why) != VW_OK)
        vwi_log_warn(s->setup.log, "%s; if this process is killed, what the model process has started in turn may stay", why.text);
    s->probe = vwi_probe_start(s->setup.loop, s->setup.model, PROBE_MS, on_probed, s);
    if (!s->probe)
        start_process(s);
}

void vwi_supervise_leave(struct vwi_supervise *s)
{
    if (!s)
        return;
    s->leaving = true;
    vwi_probe_cancel(s->probe);
    s->probe = NULL;
    if (!s->stopping)
        vwi_timer_stop(&s->timer);
}

void vwi_supervise_stop(struct vwi_supervise *s)
{
    if (!s || s->stopping)
        return;
    vwi_supervise_leave(s);
    s->stopping = true;
    if (!s->child)
        return;
    if (s->setup.conf->grace_s <= 0) {
        vwi_supervise_kill(s);
        return;
    }
    vwi_log_info(s->setup.log, "stopping the model process, at most %g s", s->setup.conf->grace_s);
    vwi_child_signal(s->child, SIGTERM);
    vwi_timer_start(&s->timer, (int64_t)(s->setup.conf->grace_s * 1000));
}

void vwi_supervise_kill(struct vwi_supervise *s)
{
    if (!s)
        return;
    vwi_supervise_leave(s);
    s->stopping = s->killed = true;
    if (!s->child)
        return;
    vwi_child_signal(s->child, SIGKILL);
    vwi_timer_start(&s->timer, GONE_MS);
}

bool vwi_supervise_is_over(const struct vwi_supervise *s) { return !s || !s->command || (s->leaving && (!s->child || s->stuck)); }

/* ---- as process 1 of a container ---- */

/* The model process is waited for where its end is heard of, in this very turn; it may hide others until then. */
static void on_orphans(void *arg)
{
    struct vwi_supervise *s = arg;
    pid_t own = s->child ? vwi_child_pid(s->child) : 0, pid;

    while ((pid = vwi_child_next_ended()) > 0 && pid != own) {
        vwi_child_reap(pid);
        if (pid == s->guard.pid)
            s->guard.pid = 0;
    }
    vwi_timer_start(&s->orphans, ORPHANS_MS);
}

/* ---- building ---- */

static void free_list(char **list)
{
    size_t i;

    for (i = 0; list && list[i]; i++)
        vwi_free(list[i]);
    vwi_free(list);
}

static char **copy_list(const char *const *list)
{
    size_t count = 0, i;
    char **copy;

    while (list && list[count])
        count++;
    copy = vwi_zalloc((count + 1) * sizeof *copy);
    for (i = 0; copy && i < count; i++) {
        copy[i] = vwi_strdup(list[i]);
        if (!copy[i]) {
            free_list(copy);
            return NULL;
        }
    }
    return copy;
}

static const char *find_path(char *const *environment)
{
    for (; *environment; environment++)
        if (strncmp(*environment, "PATH=", 5) == 0)
            return *environment + 5;
    return NULL;
}

static vw_err build(struct vwi_supervise *s, vw_error_t *why)
{
    const struct vwi_supervise_setup *setup = &s->setup;
    const char **environment;

    if (vwi_timer_init(&s->timer, setup->loop, on_timer, s) != VW_OK || vwi_timer_init(&s->orphans, setup->loop, on_orphans, s) != VW_OK)
        return vwi_fail(why, VW_E_NOMEM, "model process: out of memory");
    if (!setup->command)
        return VW_OK;
    s->command = copy_list(setup->command);
    environment = vwi_settings_environment();
    s->environment = environment ? copy_list(environment) : NULL;
    vwi_free(environment);
    if (!s->command || !s->environment)
        return vwi_fail(why, VW_E_NOMEM, "model process: out of memory");
    if (!s->command[0] || !*s->command[0])
        return vwi_fail(why, VW_E_CONFIG, "model command: it is empty; give a program and its arguments");
    return vwi_child_find(s->command[0], find_path(s->environment), &s->path, why);
}

vw_err vwi_supervise_create(const struct vwi_supervise_setup *setup, const struct vwi_supervise_events *events, void *arg,
                            struct vwi_supervise **ret, vw_error_t *why)
{
    struct vwi_supervise *s = vwi_zalloc(sizeof *s);
    vw_err err;

    if (!s)
        return vwi_fail(why, VW_E_NOMEM, "model process: out of memory");
    s->setup = *setup;
    s->events = *events;
    s->arg = arg;
    s->guard = (struct vwi_guard)VWI_GUARD_NONE;
    vwi_restart_init(&s->restart, setup->conf);
    vwi_log_buffer_init(&s->echo, STDOUT_FILENO);
    vwi_log_buffer_init(&s->copy, -1);
    s->echo.holding = true;
    vwi_rotated_init(&s->file, setup->conf->log_file, setup->conf->log_file_bytes, setup->conf->log_files);
    err = build(s, why);
    if (err != VW_OK) {
        vwi_supervise_destroy(s);
        return err;
    }
    *ret = s;
    return VW_OK;
}

void vwi_supervise_destroy(struct vwi_supervise *s)
{
    if (!s)
        return;
    vwi_probe_cancel(s->probe);
    vwi_child_destroy(s->child);
    vwi_guard_stop(&s->guard);
    vwi_supervise_flush(s);
    vwi_log_buffer_flush(&s->echo, LAST_FLUSH_MS);
    vwi_rotated_fini(&s->file);
    vwi_log_buffer_fini(&s->echo);
    vwi_log_buffer_fini(&s->copy);
    vwi_timer_fini(&s->timer);
    vwi_timer_fini(&s->orphans);
    vwi_text_fini(&s->path);
    free_list(s->command);
    free_list(s->environment);
    vwi_free(s);
}

/* ---- words and figures ---- */

/* Arguments may hold keys. */
void vwi_supervise_describe(const struct vwi_supervise *s, struct vwi_text *out)
{
    const struct vwi_supervise_conf *conf = s ? s->setup.conf : NULL;
    size_t count = 0;

    if (!s || !s->command)
        return;
    while (s->command[count])
        count++;
    vwi_text_addf(out, "starts the model server %s with %zu arguments; when it ends, it is started again: %s", s->path.p, count - 1, conf->restart);
    if (strcmp(conf->restart, "never") != 0 && conf->max_restarts) {
        vwi_text_addf(out, ", at most %u times within ", conf->max_restarts);
        vwi_literal_brief(out, conf->window_s);
        vwi_text_adds(out, " s");
    }
    vwi_text_adds(out, "\n");
    if (conf->log_file)
        vwi_text_addf(out, "copies its output to %s\n", conf->log_file);
}

uint64_t vwi_supervise_restarts(const struct vwi_supervise *s) { return s ? s->restarts : 0; }
uint64_t vwi_supervise_dropped(const struct vwi_supervise *s) { return s ? s->echo.dropped + s->copy.dropped : 0; }
