/* The odd thing: a new file is made beside its name, sized, locked, and only then linked to it, so that nobody ever opens half of one. */
#include "io/mapped.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/text.h"

#define MODE 0600
#define ATTEMPTS 3 /* a file that goes away while it is opened is looked for again */

struct vwi_mapped {
    int fd;
    void *memory;
    size_t bytes;
};

/* 0, or the reason. Holes, too, get their place on the disk. */
static int reserve(int fd, size_t bytes)
{
    int cause = posix_fallocate(fd, 0, (off_t)bytes);

    if (!cause && ftruncate(fd, (off_t)bytes) != 0)
        cause = errno;
    return cause;
}

static int lock(int fd) { return flock(fd, LOCK_EX | LOCK_NB) == 0 ? 0 : errno; }

/* What the name means now is what is open. */
static bool is_still(int fd, const char *path)
{
    struct stat held, named;

    return fstat(fd, &held) == 0 && lstat(path, &named) == 0 && held.st_ino == named.st_ino && held.st_dev == named.st_dev;
}

static int create_new(const char *path, size_t bytes, int *ret_fd)
{
    struct vwi_text temp = VWI_TEXT_INIT;
    int cause = ENOMEM, fd = -1;

    if (!vwi_text_addf(&temp, "%s.XXXXXX", path))
        goto out;
    fd = mkostemp(temp.p, O_CLOEXEC);
    if (fd < 0) {
        cause = errno;
        goto out;
    }
    cause = fchmod(fd, MODE) == 0 ? reserve(fd, bytes) : errno;
    if (!cause)
        cause = lock(fd);
    if (!cause && link(temp.p, path) != 0)
        cause = errno;
    unlink(temp.p);
    if (!cause) {
        *ret_fd = fd;
        fd = -1;
    }
out:
    if (fd >= 0)
        close(fd);
    vwi_text_fini(&temp);
    return cause;
}

static int take_old(const char *path, size_t bytes, int *ret_fd)
{
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK), cause;
    struct stat st;

    if (fd < 0)
        return errno;
    cause = fstat(fd, &st) != 0 ? errno : S_ISREG(st.st_mode) ? lock(fd) : EINVAL;
    if (!cause && !is_still(fd, path))
        cause = EEXIST;
    if (!cause)
        cause = reserve(fd, bytes);
    if (!cause && fchmod(fd, MODE) != 0)
        cause = errno;
    if (cause)
        close(fd);
    else
        *ret_fd = fd;
    return cause;
}

static int open_or_create(const char *path, size_t bytes, int *ret_fd)
{
    int attempt, cause = EAGAIN;

    for (attempt = 0; attempt < ATTEMPTS; attempt++) {
        cause = take_old(path, bytes, ret_fd);
        if (cause == ENOENT)
            cause = create_new(path, bytes, ret_fd);
        if (cause != EEXIST && cause != ENOENT)
            break;
    }
    return cause;
}

vw_err vwi_mapped_open(const char *path, size_t bytes, struct vwi_mapped **ret, vw_error_t *why)
{
    struct vwi_mapped *m = vwi_zalloc(sizeof *m);
    int cause;

    if (!m)
        return vwi_fail(why, VW_E_NOMEM, "%s: out of memory", path);
    m->fd = -1;
    m->bytes = bytes;
    cause = open_or_create(path, bytes, &m->fd);
    if (!cause) {
        m->memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, m->fd, 0);
        if (m->memory == MAP_FAILED) {
            cause = errno;
            m->memory = NULL;
        }
    }
    if (!cause) {
        *ret = m;
        return VW_OK;
    }
    vwi_mapped_close(m);
    if (cause == EWOULDBLOCK)
        return vwi_fail(why, VW_E_STATE, "%s: another process has it", path);
    if (cause == ENOMEM)
        return vwi_fail(why, VW_E_NOMEM, "%s: out of memory", path);
    return vwi_fail(why, VW_E_IO, "%s: %s", path, cause == EINVAL ? "not a regular file, or not on a disk that takes one" : strerror(cause));
}

void *vwi_mapped_memory(struct vwi_mapped *m) { return m->memory; }

void vwi_mapped_close(struct vwi_mapped *m)
{
    if (!m)
        return;
    if (m->memory)
        munmap(m->memory, m->bytes);
    if (m->fd >= 0)
        close(m->fd); /* and with it the lock */
    vwi_free(m);
}
