/* The buffer holds the longest line with its CR LF, so a line that fills it is too long whatever comes next. */
#include "io/lines.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"

#define BUF_BYTES (VWI_LINE_MAX + 2)

vw_err vwi_lines_init(struct vwi_lines *l, const struct vwi_lines_events *events, void *arg)
{
    memset(l, 0, sizeof *l);
    l->events = *events;
    l->arg = arg;
    l->buf = vwi_alloc(BUF_BYTES);
    return l->buf ? VW_OK : VW_E_NOMEM;
}

void vwi_lines_fini(struct vwi_lines *l)
{
    vwi_free(l->buf);
    l->buf = NULL;
}

/* The NULs at the start of a line, which are a hole behind a truncation; it must not count as a long line. */
static size_t hole(const char *line, size_t len)
{
    size_t n = 0;

    while (n < len && line[n] == '\0')
        n++;
    return n;
}

/* One line without its newline; cut when it is too long after its CR is gone. */
static void give(struct vwi_lines *l, const char *line, size_t len)
{
    size_t skip = hole(line, len);

    line += skip;
    len -= skip;
    if (len > 0 && line[len - 1] == '\r')
        len--;
    if (len > VWI_LINE_MAX) {
        len = VWI_LINE_MAX;
        l->long_count++;
        if (l->events.on_long)
            l->events.on_long(l->arg);
    }
    if (l->stopped)
        return;
    l->count++;
    l->events.on_line(l->arg, line, len);
}

/* What has no end yet; moved to the front, or cut when there is no room for more. */
static void hold(struct vwi_lines *l, const char *rest, size_t len)
{
    size_t skip = hole(rest, len);

    len = l->skipping ? 0 : len - skip;
    memmove(l->buf, rest + skip, len);
    l->held = len;
    if (len == BUF_BYTES) {
        l->skipping = true;
        l->held = 0;
        give(l, l->buf, len);
    }
}

char *vwi_lines_room(struct vwi_lines *l, size_t *ret_room)
{
    *ret_room = BUF_BYTES - l->held;
    return l->buf + l->held;
}

void vwi_lines_took(struct vwi_lines *l, size_t len)
{
    char *p = l->buf, *end = l->buf + l->held + len;
    char *scan = l->buf + l->held; /* what was held has no newline */

    while (!l->stopped) {
        char *nl = memchr(scan, '\n', (size_t)(end - scan));

        if (!nl)
            break;
        if (!l->skipping)
            give(l, p, (size_t)(nl - p));
        l->skipping = false;
        p = scan = nl + 1;
    }
    if (!l->stopped)
        hold(l, p, (size_t)(end - p));
}

void vwi_lines_feed(struct vwi_lines *l, const char *bytes, size_t len)
{
    while (len > 0 && !l->stopped) {
        size_t room;
        char *at = vwi_lines_room(l, &room);

        room = room < len ? room : len;
        memcpy(at, bytes, room);
        vwi_lines_took(l, room);
        bytes += room;
        len -= room;
    }
}

vw_err vwi_lines_read(struct vwi_lines *l, const char *path, vw_error_t *why)
{
    bool own = strcmp(path, "-") != 0;
    int fd = own ? open(path, O_RDONLY | O_CLOEXEC) : STDIN_FILENO, cause = fd < 0 ? errno : 0;
    ssize_t n = 1;

    while (fd >= 0 && n != 0 && !cause && !l->stopped) {
        size_t room;
        char *at = vwi_lines_room(l, &room);

        n = read(fd, at, room);
        if (n > 0)
            vwi_lines_took(l, (size_t)n);
        else if (n < 0 && errno != EINTR)
            cause = errno;
    }
    if (own && fd >= 0)
        close(fd);
    if (cause)
        return vwi_fail(why, VW_E_IO, "%s: %s", path, strerror(cause));
    vwi_lines_end(l);
    return VW_OK;
}

void vwi_lines_end(struct vwi_lines *l)
{
    size_t len = l->held;

    l->held = 0;
    if (len > 0 && !l->skipping && !l->stopped)
        give(l, l->buf, len);
    l->skipping = false;
}

void vwi_lines_forget(struct vwi_lines *l)
{
    l->held = 0;
    l->skipping = false;
}

void vwi_lines_stop(struct vwi_lines *l) { l->stopped = true; }
