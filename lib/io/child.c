/*
 * The odd thing: an end is first only looked at (WNOWAIT), so that the number still names the group whose rest is killed; then it is
 * waited for. From then on nothing is ever sent to that number.
 */
#include "io/child.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/vwi.h"
#include "io/child_launch.h"
#include "io/fds.h"
#include "io/lines.h"

#define TURN_BYTES (256u * 1024)  /* of one output, read in one turn of the loop */
#define REST_BYTES (1024u * 1024) /* of one output, read after the end: as much as a pipe can hold */
#define LOOK_MS 50                /* without a pidfd */
#define KILLED_TRIES 400          /* of 5 ms, for a process that was killed to be gone */

struct output {
    struct vwi_child *child;
    struct vwi_lines lines;
    struct event *ev;
    int fd;   /* -1: closed */
    bool cut; /* the line that comes next was too long */
};

struct vwi_child {
    struct vwi_loop *loop;
    struct vwi_child_events events;
    void *arg;
    const struct vwi_guard *guard;
    pid_t pid;
    bool ended, dead;
    int pidfd; /* -1: none */
    struct event *end_ev;
    struct vwi_timer look;
    struct output outputs[2];
    struct vwi_burial burial;
};

/* ---- what it says ---- */

static void close_output(struct output *out)
{
    if (out->ev)
        event_free(out->ev);
    out->ev = NULL;
    if (out->fd >= 0)
        close(out->fd);
    out->fd = -1;
}

static void on_long(void *arg)
{
    struct output *out = arg;

    out->cut = true;
}

static void on_line(void *arg, const char *line, size_t len)
{
    struct output *out = arg;
    bool cut = out->cut;

    out->cut = false;
    if (!out->child->dead)
        out->child->events.on_line(out->child->arg, line, len, cut);
}

/* True while there may be more: it is not closed, and the budget was used up or nothing is there now. */
static bool read_on(struct output *out, size_t budget)
{
    while (budget > 0 && !out->child->dead) {
        size_t room;
        char *to = vwi_lines_room(&out->lines, &room);
        ssize_t n = read(out->fd, to, room < budget ? room : budget);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 && errno == EAGAIN;
        budget -= (size_t)n;
        vwi_lines_took(&out->lines, (size_t)n);
    }
    return true;
}

static void finish_output(struct output *out)
{
    close_output(out);
    if (!out->child->dead)
        vwi_lines_end(&out->lines);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct output *out = arg;

    (void)fd, (void)what;
    vwi_loop_awake(out->child->loop);
    if (!read_on(out, TURN_BYTES))
        finish_output(out);
}

/* ---- its end ---- */

static struct vwi_child_end wait_for_it(pid_t pid)
{
    struct vwi_child_end end = { VWI_CHILD_UNKNOWN, 0 };
    int status = 0;
    pid_t got;

    do {
        got = waitpid(pid, &status, 0);
    } while (got < 0 && errno == EINTR);
    if (got != pid)
        return end;
    end.how = WIFEXITED(status) ? VWI_CHILD_EXITED : VWI_CHILD_SIGNALLED;
    end.number = WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status);
    return end;
}

static bool has_ended(pid_t pid)
{
    siginfo_t info;

    info.si_pid = 0;
    if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0)
        return errno == ECHILD;
    return info.si_pid == pid;
}

static void stop_watching(struct vwi_child *child)
{
    vwi_timer_fini(&child->look);
    if (child->end_ev)
        event_free(child->end_ev);
    child->end_ev = NULL;
    if (child->pidfd >= 0)
        close(child->pidfd);
    child->pidfd = -1;
}

static struct vwi_child_end bury_group(struct vwi_child *child)
{
    kill(-child->pid, SIGKILL);
    if (child->guard)
        vwi_guard_tell(child->guard, 0);
    child->ended = true;
    return wait_for_it(child->pid);
}

static void look(void *arg)
{
    struct vwi_child *child = arg;
    struct vwi_child_end end;
    size_t i;

    if (child->ended || !has_ended(child->pid)) {
        if (!child->ended && child->pidfd < 0)
            vwi_timer_start(&child->look, LOOK_MS);
        return;
    }
    stop_watching(child);
    end = bury_group(child);
    for (i = 0; i < VWI_ARRAY_LEN(child->outputs); i++) {
        if (child->outputs[i].fd >= 0) {
            read_on(&child->outputs[i], REST_BYTES);
            finish_output(&child->outputs[i]);
        }
    }
    child->events.on_end(child->arg, end);
}

static void on_pidfd(evutil_socket_t fd, short what, void *arg)
{
    struct vwi_child *child = arg;

    (void)fd, (void)what;
    vwi_loop_awake(child->loop);
    look(child);
}

/* Without a pidfd the timer alone is used. */
static void watch_end(struct vwi_child *child, bool blind)
{
#ifdef SYS_pidfd_open
    child->pidfd = blind ? -1 : (int)syscall(SYS_pidfd_open, child->pid, 0);
#else
    (void)blind;
#endif
    if (child->pidfd >= 0) {
        fcntl(child->pidfd, F_SETFD, FD_CLOEXEC);
        child->end_ev = event_new(vwi_loop_base(child->loop), child->pidfd, EV_READ | EV_PERSIST, on_pidfd, child);
        if (child->end_ev && event_add(child->end_ev, NULL) == 0)
            return;
        close(child->pidfd);
        child->pidfd = -1;
    }
    vwi_timer_start(&child->look, LOOK_MS);
}

/* ---- building ---- */

static bool is_program(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

vw_err vwi_child_find(const char *name, const char *path, struct vwi_text *ret, vw_error_t *why)
{
    struct vwi_span rest, dir;

    vwi_text_clear(ret);
    if (strchr(name, '/')) {
        if (!vwi_text_adds(ret, name))
            return vwi_fail(why, VW_E_NOMEM, "model command: out of memory");
        return is_program(name) ? VW_OK : vwi_fail(why, VW_E_CONFIG, "model command: %s is not a file that can be executed", name);
    }
    path = path && *path ? path : "/usr/local/bin:/usr/bin:/bin";
    for (rest = (struct vwi_span){ path, strlen(path) }; vwi_span_next(&rest, ':', &dir);) {
        vwi_text_clear(ret);
        vwi_text_addf(ret, "%.*s%s%s", (int)dir.len, dir.p, dir.len ? "/" : "", name);
        if (ret->failed)
            return vwi_fail(why, VW_E_NOMEM, "model command: out of memory");
        if (is_program(ret->p))
            return VW_OK;
    }
    return vwi_fail(why, VW_E_CONFIG, "model command: there is no program %s in PATH (%s)", name, path);
}

static bool open_output(struct vwi_child *child, struct output *out, int *ret_theirs)
{
    static const struct vwi_lines_events line_events = { on_line, on_long };
    int ends[2];

    *ret_theirs = -1;
    out->child = child;
    if (vwi_lines_init(&out->lines, &line_events, out) != VW_OK || pipe2(ends, O_CLOEXEC) != 0)
        return false;
    out->fd = vwi_fds_raise(ends[0]); /* what the child gets as one of the three must not be overwritten before */
    *ret_theirs = vwi_fds_raise(ends[1]);
    if (out->fd < 0 || *ret_theirs < 0 || fcntl(out->fd, F_SETFL, O_NONBLOCK) != 0)
        return false;
    out->ev = event_new(vwi_loop_base(child->loop), out->fd, EV_READ | EV_PERSIST, on_readable, out);
    return out->ev && event_add(out->ev, NULL) == 0;
}

static void free_child(void *arg)
{
    struct vwi_child *child = arg;

    vwi_lines_fini(&child->outputs[0].lines);
    vwi_lines_fini(&child->outputs[1].lines);
    vwi_free(child);
}

vw_err vwi_child_start(const struct vwi_child_setup *setup, const struct vwi_child_events *events, void *arg, struct vwi_child **ret,
                       vw_error_t *why)
{
    struct vwi_child *child = vwi_zalloc(sizeof *child);
    int theirs[2] = { -1, -1 }, null = -1, problem;
    size_t i;

    if (!child)
        return vwi_fail(why, VW_E_NOMEM, "out of memory");
    *child = (struct vwi_child){ .loop = setup->loop, .events = *events, .arg = arg, .guard = setup->guard, .pidfd = -1 };
    child->outputs[0].fd = child->outputs[1].fd = -1;
    child->ended = true; /* not begun yet */
    errno = ENOMEM;
    null = vwi_fds_raise(open("/dev/null", O_RDONLY | O_CLOEXEC));
    if (null >= 0 && vwi_timer_init(&child->look, child->loop, look, child) == VW_OK && open_output(child, &child->outputs[0], &theirs[0]) &&
        open_output(child, &child->outputs[1], &theirs[1])) {
        child->pid = vwi_child_launch(setup, null, theirs);
        child->ended = child->pid <= 0;
    }
    problem = errno;
    for (i = 0; i < 2; i++)
        if (theirs[i] >= 0)
            close(theirs[i]);
    if (null >= 0)
        close(null);
    if (child->ended) {
        vwi_child_destroy(child);
        return vwi_fail(why, VW_E_IO, "%s", strerror(problem));
    }
    watch_end(child, setup->blind);
    *ret = child;
    return VW_OK;
}

pid_t vwi_child_pid(const struct vwi_child *child) { return child->pid; }

/* It may have gone over to another group; then it is meant all the same. */
static void send_signal(const struct vwi_child *child, int number)
{
    kill(-child->pid, number);
    if (getpgid(child->pid) != child->pid)
        kill(child->pid, number);
}

void vwi_child_signal(struct vwi_child *child, int number)
{
    if (!child->ended)
        send_signal(child, number);
}

/* What hangs in the kernel even then is left to it: nobody can wait for that. */
static void end_it(struct vwi_child *child)
{
    const struct timespec pause = { 0, 5000000 };
    int tries;

    send_signal(child, SIGKILL);
    for (tries = 0; tries < KILLED_TRIES && !has_ended(child->pid); tries++)
        nanosleep(&pause, NULL);
    if (tries < KILLED_TRIES)
        bury_group(child);
    child->ended = true;
}

void vwi_child_destroy(struct vwi_child *child)
{
    if (!child || child->dead)
        return;
    child->dead = true;
    stop_watching(child);
    close_output(&child->outputs[0]);
    close_output(&child->outputs[1]);
    if (!child->ended)
        end_it(child);
    vwi_loop_bury(child->loop, &child->burial, free_child, child); /* we may be inside one of its events */
}

/* ---- those of others ---- */

pid_t vwi_child_next_ended(void)
{
    siginfo_t info;

    info.si_pid = 0;
    return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 ? info.si_pid : 0;
}

void vwi_child_reap(pid_t pid) { wait_for_it(pid); }
