#include "io/rotated.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void vwi_rotated_init(struct vwi_rotated *file, const char *path, uint64_t most, unsigned kept)
{
    *file = (struct vwi_rotated){ .path = path, .most = most, .kept = kept, .fd = -1 };
}

void vwi_rotated_fini(struct vwi_rotated *file)
{
    if (file->fd >= 0)
        close(file->fd);
    file->fd = -1;
}

/* A pipe without a reader must not hold the loop up, and what is no file (/dev/null, a terminal) must never be renamed. */
static bool open_it(struct vwi_rotated *file)
{
    struct stat st;

    file->fd = open(file->path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0640);
    if (file->fd < 0)
        return false;
    file->endless = fstat(file->fd, &st) != 0 || !S_ISREG(st.st_mode);
    file->size = !file->endless && st.st_size > 0 ? (uint64_t)st.st_size : 0;
    return true;
}

static void name(const struct vwi_rotated *file, unsigned nth, char out[PATH_MAX])
{
    if (nth)
        snprintf(out, PATH_MAX, "%s.%u", file->path, nth);
    else
        snprintf(out, PATH_MAX, "%s", file->path);
}

/* Where none are kept, it begins anew itself. */
static bool turn_over(struct vwi_rotated *file)
{
    char from[PATH_MAX], to[PATH_MAX];
    unsigned nth;

    vwi_rotated_fini(file);
    for (nth = file->kept; nth > 0; nth--) {
        name(file, nth - 1, from);
        name(file, nth, to);
        if (rename(from, to) != 0 && errno != ENOENT)
            return false;
    }
    if (!file->kept && unlink(file->path) != 0 && errno != ENOENT)
        return false;
    return open_it(file);
}

static bool write_all(struct vwi_rotated *file, const char *p, size_t len)
{
    ssize_t n;

    while (len > 0) {
        n = write(file->fd, p, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        p += n;
        len -= (size_t)n;
        file->size += (uint64_t)n;
    }
    file->dropped += len;
    return len == 0;
}

/* As many lines as still fit, at least one. */
static size_t piece(const struct vwi_rotated *file, const char *lines, size_t len)
{
    uint64_t room = file->size < file->most ? file->most - file->size : 0;
    const char *end;

    if (len <= room || file->endless)
        return len;
    end = room ? memrchr(lines, '\n', (size_t)room) : NULL;
    if (end)
        return (size_t)(end + 1 - lines);
    if (file->size)
        return 0;
    end = memchr(lines, '\n', len);
    return end ? (size_t)(end + 1 - lines) : len;
}

void vwi_rotated_write(struct vwi_rotated *file, const char *lines, size_t len)
{
    bool good = true;
    size_t n;

    if (!file->path || !len)
        return;
    if (file->fd < 0)
        good = open_it(file);
    while (good && len) {
        n = piece(file, lines, len);
        good = n ? write_all(file, lines, n) : turn_over(file);
        lines += n;
        len -= n;
    }
    file->problem = good ? 0 : errno;
    file->dropped += len;
}
