/*
 * One descriptor for the file, one for inotify (file and directory), and a slow timer beside them for filesystems that do not
 * tell. Whatever wakes us, one function looks: read to the end, then ask whether the path still names this file.
 * The odd things: an old file is left only when its successor has a first byte, because a writer that is told to reopen goes on
 * writing to the old name in between. And each read begins a little before the place we are at, in the same call: bytes there that
 * are not those we had mean that the file was truncated and written anew, even if it is longer than before.
 */
#include "io/tail.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/vwi.h"

#define MARK_BYTES 128u                       /* before our place, by which a file is known again */
#define BURST_MS 10                           /* in so much time ... */
#define BURST_LOOKS 20                        /* ... so many looks at once; then one each PACE_MS, for some log line by line */
#define PACE_MS 2
#define TURN_BYTES (256u * 1024)              /* read in one turn of the loop */
#define POLL_MS 1000                          /* beside inotify */
#define POLL_BLIND_MS 250                     /* without it */
#define DIR_EVENTS (IN_CREATE | IN_MOVED_TO | IN_MOVE_SELF | IN_DELETE_SELF | IN_ONLYDIR)
#define FILE_EVENTS (IN_MODIFY | IN_ATTRIB | IN_MOVE_SELF)

struct vwi_tail {
    struct vwi_loop *loop;
    struct vwi_tail_events events;
    void *arg;
    char *path, *dir;
    const char *name;      /* last part of path */
    int fd, notify_fd;
    int dir_wd, file_wd, next_wd; /* -1: not watched; next: the file that path names while we still read an older one */
    struct event *notify_ev;
    struct vwi_timer timer;
    uint64_t offset;       /* what was read of this file */
    char mark[MARK_BYTES];
    size_t mark_len;       /* of the bytes before offset */
    bool seekable;         /* a pipe is not: it has no place to come back to */
    int64_t burst_ms;      /* since when looks are counted */
    unsigned looks;
    struct vwi_lines lines;
    bool dead;
    int said_errno;        /* UNREADABLE is said once for each reason */
    struct vwi_tail_counts counts;
    struct vwi_burial burial;
};

static void note(struct vwi_tail *t, enum vwi_tail_note what, int sys_errno)
{
    if (t->events.on_note && !t->dead)
        t->events.on_note(t->arg, what, sys_errno);
}

static void on_line(void *arg, const char *line, size_t len)
{
    struct vwi_tail *t = arg;

    t->counts.lines++;
    t->events.on_line(t->arg, line, len);
}

static void on_long(void *arg)
{
    struct vwi_tail *t = arg;

    t->counts.long_lines++;
    note(t, VWI_TAIL_LONG_LINE, 0);
}

static void unwatch(struct vwi_tail *t, int *wd)
{
    if (*wd >= 0)
        inotify_rm_watch(t->notify_fd, *wd); /* may be gone already with its file */
    *wd = -1;
}

/* Watches what path names now. */
static void watch_path(struct vwi_tail *t, int *wd, uint32_t mask)
{
    int fresh = t->notify_fd >= 0 ? inotify_add_watch(t->notify_fd, wd == &t->dir_wd ? t->dir : t->path, mask) : -1;

    if (fresh != *wd)
        unwatch(t, wd);
    *wd = fresh;
}

static void watch_dir(struct vwi_tail *t)
{
    if (t->dir_wd < 0)
        watch_path(t, &t->dir_wd, DIR_EVENTS);
}

static void go_to_start(struct vwi_tail *t)
{
    t->offset = 0;
    t->mark_len = 0;
    vwi_lines_forget(&t->lines);
}

static void leave_file(struct vwi_tail *t)
{
    if (t->fd >= 0)
        close(t->fd);
    t->fd = -1;
    go_to_start(t);
    unwatch(t, &t->file_wd);
    t->file_wd = t->next_wd; /* usually the file opened next; if not, opening replaces it */
    t->next_wd = -1;
}

static bool open_file(struct vwi_tail *t)
{
    struct stat st;
    int cause = 0;

    t->fd = open(t->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (t->fd < 0)
        cause = errno;
    else if (fstat(t->fd, &st) != 0)
        cause = errno;
    else if (S_ISDIR(st.st_mode))
        cause = EISDIR;
    if (cause) {
        leave_file(t);
        if (cause != ENOENT && cause != ENOTDIR && cause != t->said_errno)
            note(t, VWI_TAIL_UNREADABLE, cause);
        t->said_errno = cause;
        return false;
    }
    t->said_errno = 0;
    t->seekable = S_ISREG(st.st_mode);
    watch_path(t, &t->file_wd, FILE_EVENTS);
    note(t, VWI_TAIL_OPENED, 0);
    return !t->dead;
}

/* The last MARK_BYTES before offset, now that so many more were read. */
static void remember(struct vwi_tail *t, const char *fresh, size_t len)
{
    size_t kept = len < MARK_BYTES ? MARK_BYTES - len : 0;

    if (kept > t->mark_len)
        kept = t->mark_len;
    memmove(t->mark, t->mark + t->mark_len - kept, kept);
    if (len > MARK_BYTES) {
        fresh += len - MARK_BYTES;
        len = MARK_BYTES;
    }
    memcpy(t->mark + kept, fresh, len);
    t->mark_len = kept + len;
}

/* What was not read yet is gone. */
static void start_again(struct vwi_tail *t)
{
    go_to_start(t);
    t->counts.truncated++;
    note(t, VWI_TAIL_TRUNCATED, 0);
}

/* As read(); *ret_same is false where the bytes before our place are not the ones we had. */
static ssize_t read_fresh(struct vwi_tail *t, char *at, size_t room, bool *ret_same)
{
    char mark[MARK_BYTES];
    struct iovec parts[] = { { mark, t->mark_len }, { at, room } };
    ssize_t n;

    *ret_same = true;
    if (!t->seekable)
        return read(t->fd, at, room);
    n = preadv(t->fd, parts, 2, (off_t)(t->offset - t->mark_len));
    if (n < 0)
        return n;
    *ret_same = (size_t)n >= t->mark_len && memcmp(mark, t->mark, t->mark_len) == 0;
    return n - (ssize_t)t->mark_len;
}

/* Reads on until the end or the turn's budget. True at the end. */
static bool read_on(struct vwi_tail *t, size_t *budget)
{
    while (*budget > 0 && !t->dead) {
        size_t room;
        char *at = vwi_lines_room(&t->lines, &room);
        bool same;
        ssize_t n = read_fresh(t, at, room < *budget ? room : *budget, &same);

        if (n < 0 && errno == EINTR)
            continue;
        if (!same) {
            start_again(t);
            continue;
        }
        if (n <= 0)
            return true;
        *budget -= (size_t)n;
        t->offset += (uint64_t)n;
        remember(t, at, (size_t)n);
        vwi_lines_took(&t->lines, (size_t)n);
    }
    return false;
}

enum turn { TURN_WAIT, TURN_AGAIN };

/* At the end of the file: does the path name another file with something in it? */
static enum turn look_around(struct vwi_tail *t, bool *drained)
{
    struct stat here, there;

    if (fstat(t->fd, &here) != 0)
        return TURN_WAIT;
    if (stat(t->path, &there) != 0 || (there.st_dev == here.st_dev && there.st_ino == here.st_ino)) {
        *drained = false;
        return TURN_WAIT;
    }
    if (there.st_size == 0) {
        watch_path(t, &t->next_wd, FILE_EVENTS); /* to hear its first byte */
        *drained = false;
        return stat(t->path, &there) == 0 && there.st_size > 0 ? TURN_AGAIN : TURN_WAIT;
    }
    if (!*drained) {
        *drained = true; /* seen after the last read: read once more, then nothing is left behind */
        return TURN_AGAIN;
    }
    vwi_lines_end(&t->lines);
    leave_file(t);
    t->counts.rotated++;
    note(t, VWI_TAIL_ROTATED, 0);
    return TURN_AGAIN;
}

static void look(void *arg)
{
    struct vwi_tail *t = arg;
    size_t budget = TURN_BYTES;
    bool drained = false;
    enum turn turn = TURN_AGAIN;

    if (t->notify_ev)
        event_add(t->notify_ev, NULL); /* may_look() may have taken it out */
    watch_dir(t); /* first, so that no creation falls between looking and watching */
    while (turn == TURN_AGAIN && budget > 0 && !t->dead) {
        if (t->fd < 0 && !open_file(t))
            break;
        turn = read_on(t, &budget) ? look_around(t, &drained) : TURN_AGAIN;
    }
    if (t->dead)
        return;
    if (t->fd >= 0 && budget == 0)
        vwi_timer_start(&t->timer, 0);
    else
        vwi_timer_start(&t->timer, t->dir_wd >= 0 && (t->fd < 0 || t->file_wd >= 0) ? POLL_MS : POLL_BLIND_MS);
}

/* True when the event says something about our file. */
static bool concerns(struct vwi_tail *t, const struct inotify_event *ev)
{
    if (ev->wd == t->dir_wd && !(ev->mask & IN_Q_OVERFLOW)) {
        if (ev->mask & (IN_MOVE_SELF | IN_DELETE_SELF | IN_IGNORED)) {
            unwatch(t, &t->dir_wd); /* path leads through another directory now, or will */
            return true;
        }
        return ev->len > 0 && strcmp(ev->name, t->name) == 0;
    }
    if ((ev->mask & IN_IGNORED) && ev->wd == t->file_wd)
        t->file_wd = -1;
    if ((ev->mask & IN_IGNORED) && ev->wd == t->next_wd)
        t->next_wd = -1;
    return true;
}

/* False: looks come too thick, the next one waits for the timer, and until then nothing is heard. */
static bool may_look(struct vwi_tail *t)
{
    int64_t now = vwi_mono_ms();

    if (now - t->burst_ms >= BURST_MS) {
        t->burst_ms = now;
        t->looks = 0;
    }
    if (++t->looks <= BURST_LOOKS)
        return true;
    event_del(t->notify_ev);
    vwi_timer_start(&t->timer, PACE_MS);
    return false;
}

static void on_notify(evutil_socket_t fd, short what, void *arg)
{
    struct vwi_tail *t = arg;
    char buf[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
    bool ours = false;
    ssize_t n, at = 0;

    (void)what;
    vwi_loop_awake(t->loop);
    n = read(fd, buf, sizeof buf);
    while (n - at >= (ssize_t)sizeof(struct inotify_event)) {
        const struct inotify_event *ev = (const void *)(buf + at);

        ours = concerns(t, ev) || ours;
        at += (ssize_t)sizeof *ev + (ssize_t)ev->len;
    }
    if (ours && may_look(t))
        look(t);
}

/* Without inotify (a limit was reached, a kernel without it) the timer alone is used. */
static void start_notify(struct vwi_tail *t)
{
    t->notify_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (t->notify_fd < 0)
        return;
    t->notify_ev = event_new(vwi_loop_base(t->loop), t->notify_fd, EV_READ | EV_PERSIST, on_notify, t);
    if (t->notify_ev && event_add(t->notify_ev, NULL) == 0)
        return;
    if (t->notify_ev)
        event_free(t->notify_ev);
    t->notify_ev = NULL;
    close(t->notify_fd);
    t->notify_fd = -1;
}

static void free_tail(void *arg)
{
    struct vwi_tail *t = arg;

    vwi_lines_fini(&t->lines);
    vwi_free(t->path);
    vwi_free(t->dir);
    vwi_free(t);
}

vw_err vwi_tail_create(struct vwi_loop *loop, const char *path, const struct vwi_tail_events *events, void *arg,
                       struct vwi_tail **ret, vw_error_t *why)
{
    static const struct vwi_lines_events line_events = { on_line, on_long };
    const char *slash = strrchr(path, '/');
    struct vwi_tail *t = vwi_zalloc(sizeof *t);

    if (!t)
        return vwi_fail(why, VW_E_NOMEM, "%s: out of memory", path);
    t->loop = loop;
    t->events = *events;
    t->arg = arg;
    t->fd = t->notify_fd = t->dir_wd = t->file_wd = t->next_wd = -1;
    t->path = vwi_strdup(path);
    t->dir = !slash ? vwi_strdup(".") : vwi_strndup(path, slash == path ? 1 : (size_t)(slash - path));
    if (!t->path || !t->dir || vwi_lines_init(&t->lines, &line_events, t) != VW_OK || vwi_timer_init(&t->timer, loop, look, t) != VW_OK) {
        vwi_timer_fini(&t->timer);
        free_tail(t);
        return vwi_fail(why, VW_E_NOMEM, "%s: out of memory", path);
    }
    t->name = slash ? t->path + (slash - path) + 1 : t->path;
    start_notify(t);
    vwi_timer_start(&t->timer, 0);
    *ret = t;
    return VW_OK;
}

void vwi_tail_destroy(struct vwi_tail *t)
{
    if (!t || t->dead)
        return;
    t->dead = true;
    vwi_lines_stop(&t->lines);
    vwi_timer_fini(&t->timer);
    if (t->notify_ev)
        event_free(t->notify_ev);
    if (t->notify_fd >= 0)
        close(t->notify_fd);
    if (t->fd >= 0)
        close(t->fd);
    t->notify_fd = t->fd = -1;
    vwi_loop_bury(t->loop, &t->burial, free_tail, t); /* we may be inside one of its events */
}

const char *vwi_tail_path(const struct vwi_tail *t) { return t->path; }
struct vwi_tail_counts vwi_tail_counts(const struct vwi_tail *t) { return t->counts; }
