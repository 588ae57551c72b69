/* The odd thing: a file that grows while it is read is read to the bound and no further; its size beforehand is not trusted. */
#include "io/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"

#define CHUNK 4096

static vw_err read_fd(int fd, const char *path, size_t max, struct vwi_text *ret, vw_error_t *why)
{
    size_t total = 0;

    for (;;) {
        size_t want = max - total < CHUNK ? max - total + 1 : CHUNK; /* one more than allowed shows that it is too long */
        ssize_t n;

        if (!vwi_text_reserve(ret, want))
            return vwi_fail(why, VW_E_NOMEM, "%s: out of memory", path);
        n = read(fd, ret->p + ret->len, want);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return vwi_fail(why, VW_E_IO, "%s: %s", path, strerror(errno));
        total += (size_t)n;
        if (total > max)
            return vwi_fail(why, VW_E_IO, "%s: longer than %zu bytes", path, max);
        ret->len += (size_t)n;
        ret->p[ret->len] = '\0';
        if (n == 0)
            return VW_OK;
    }
}

vw_err vwi_file_read(const char *path, size_t max, struct vwi_text *ret, vw_error_t *why)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* not to hang on a FIFO */
    size_t before = ret->len;
    struct stat st;
    vw_err err;

    if (fd < 0)
        return vwi_fail(why, VW_E_IO, "%s: %s", path, strerror(errno));
    if (fstat(fd, &st) != 0)
        err = vwi_fail(why, VW_E_IO, "%s: %s", path, strerror(errno));
    else if (!S_ISREG(st.st_mode))
        err = vwi_fail(why, VW_E_IO, "%s: not a regular file", path);
    else
        err = read_fd(fd, path, max, ret, why);
    close(fd);
    if (err != VW_OK && ret->p) {
        ret->len = before;
        ret->p[before] = '\0';
    }
    return err;
}

static bool write_all(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, data, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        data += n;
        len -= (size_t)n;
    }
    return true;
}

/* So that the new name survives a power cut; a filesystem that cannot do it is no failure. */
static void sync_dir_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *dir = slash ? vwi_strndup(path, slash == path ? 1 : (size_t)(slash - path)) : vwi_strdup(".");
    int fd = dir ? open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
    vwi_free(dir);
}

vw_err vwi_file_write(const char *path, const char *data, size_t len, mode_t mode, vw_error_t *why)
{
    struct vwi_text temp = VWI_TEXT_INIT;
    bool made = false;
    int fd = -1;
    vw_err err = VW_E_NOMEM;

    if (!vwi_text_addf(&temp, "%s.XXXXXX", path)) {
        vwi_fail(why, VW_E_NOMEM, "%s: out of memory", path);
        goto out;
    }
    fd = mkostemp(temp.p, O_CLOEXEC);
    made = fd >= 0;
    if (!made || fchmod(fd, mode) != 0 || !write_all(fd, data, len) || fsync(fd) != 0) {
        err = vwi_fail(why, VW_E_IO, "%s: %s", path, strerror(errno));
        goto out;
    }
    if (rename(temp.p, path) != 0) {
        err = vwi_fail(why, VW_E_IO, "%s: %s", path, strerror(errno));
        goto out;
    }
    made = false; /* it has its name now */
    sync_dir_of(path);
    err = VW_OK;
out:
    if (fd >= 0)
        close(fd);
    if (made)
        unlink(temp.p);
    vwi_text_fini(&temp);
    return err;
}

/* All of from; false with errno. */
static bool copy_all(int from, int to)
{
    char chunk[CHUNK * 4];

    for (;;) {
        ssize_t n = read(from, chunk, sizeof chunk);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n == 0;
        if (!write_all(to, chunk, (size_t)n))
            return false;
    }
}

/* 0, or the reason; on failure what was appended is taken away again. */
static int move_into(int from, int to)
{
    off_t before = lseek(to, 0, SEEK_END);
    int cause = 0;

    if (before < 0 || !copy_all(from, to) || fsync(to) != 0 || ftruncate(from, 0) != 0)
        cause = errno ? errno : EIO;
    if (cause && before >= 0 && ftruncate(to, before) != 0)
        return cause; /* a copy too many; nothing is lost */
    return cause;
}

vw_err vwi_file_set_aside(const char *path, vw_error_t *why)
{
    struct vwi_text old = VWI_TEXT_INIT;
    int from = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), to = -1, cause = 0;
    struct stat st;

    if (from < 0)
        return errno == ENOENT ? VW_OK : vwi_fail(why, VW_E_IO, "%s: %s", path, strerror(errno));
    if (!vwi_text_addf(&old, "%s.old", path)) {
        close(from);
        return vwi_fail(why, VW_E_NOMEM, "%s: out of memory", path);
    }
    if (fstat(from, &st) != 0)
        cause = errno;
    else if (!S_ISREG(st.st_mode))
        cause = EINVAL;
    else
        to = open(old.p, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, st.st_mode & 0777);
    if (!cause)
        cause = to < 0 ? errno : move_into(from, to);
    if (cause)
        vwi_fail(why, VW_E_IO, "%s: cannot be set aside as %s: %s", path, old.p, strerror(cause));
    if (to >= 0)
        close(to);
    close(from);
    vwi_text_fini(&old);
    return cause ? VW_E_IO : VW_OK;
}

bool vwi_file_exists(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 || (errno != ENOENT && errno != ENOTDIR);
}

/* 0, or the reason. */
static int make_one(const char *path, mode_t mode)
{
    struct stat st;
    int cause;

    if (mkdir(path, mode) == 0)
        return 0;
    cause = errno;
    if (stat(path, &st) == 0)
        return S_ISDIR(st.st_mode) ? 0 : ENOTDIR;
    return cause;
}

vw_err vwi_dir_make(const char *path, mode_t mode, vw_error_t *why)
{
    char *part = vwi_strdup(path);
    vw_err err = VW_OK;
    int cause = 0;
    char *p;

    if (!part)
        return vwi_fail(why, VW_E_NOMEM, "%s: out of memory", path);
    for (p = part + (part[0] == '/'); err == VW_OK; p++) {
        char kept = *p;

        if (kept != '/' && kept != '\0')
            continue;
        *p = '\0';
        if (part[0])
            cause = make_one(part, mode);
        if (cause)
            err = vwi_fail(why, VW_E_IO, "%s: %s", part, strerror(cause));
        *p = kept;
        if (kept == '\0')
            break;
    }
    vwi_free(part);
    return err;
}

void vwi_file_take_stamp(const char *path, struct vwi_file_stamp *ret)
{
    struct stat st;

    memset(ret, 0, sizeof *ret);
    if (stat(path, &st) == 0)
        *ret = (struct vwi_file_stamp){ st.st_mtim, st.st_size, st.st_ino, st.st_dev, true };
}

bool vwi_file_same_stamp(const struct vwi_file_stamp *a, const struct vwi_file_stamp *b)
{
    return a->there == b->there && a->mtime.tv_sec == b->mtime.tv_sec && a->mtime.tv_nsec == b->mtime.tv_nsec && a->size == b->size &&
           a->inode == b->inode && a->device == b->device;
}
