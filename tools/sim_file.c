/*
 * Small files. Writing goes through a neighbour and a rename, so a script may wait for the name to appear.
 * The odd thing: root may replace and remove anything, so what is no regular file (/dev/null, a FIFO) is written to as it is.
 */
#include "sim_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"

#define CHUNK_BYTES 65536

vw_err sim_file_read(const char *path, struct vwi_text *ret, vw_error_t *why)
{
    int fd = strcmp(path, "-") == 0 ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    vw_err err = VW_OK;
    ssize_t n;

    if (fd < 0)
        return vwi_fail(why, VW_E_IO, "%s: %s", path, strerror(errno));
    for (;;) {
        if (!vwi_text_reserve(ret, CHUNK_BYTES)) {
            err = vwi_fail(why, VW_E_NOMEM, "%s: out of memory", path);
            break;
        }
        n = read(fd, ret->p + ret->len, CHUNK_BYTES);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            err = vwi_fail(why, VW_E_IO, "%s: %s", path, strerror(errno));
        if (n <= 0)
            break;
        ret->len += (size_t)n;
        if (ret->len > SIM_FILE_MAX_BYTES) {
            err = vwi_fail(why, VW_E_IO, "%s: more than %zu bytes", path, SIM_FILE_MAX_BYTES);
            break;
        }
    }
    if (err == VW_OK)
        ret->p[ret->len] = '\0';
    if (fd != STDIN_FILENO)
        close(fd);
    return err;
}

vw_err sim_file_write_fd(int fd, const char *name, const char *data, size_t len, vw_error_t *why)
{
    while (len) {
        ssize_t n = write(fd, data, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return vwi_fail(why, VW_E_IO, "%s: %s", name, strerror(errno));
        data += n;
        len -= (size_t)n;
    }
    return VW_OK;
}

static bool is_special(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && !S_ISREG(st.st_mode);
}

static vw_err write_special(const char *path, const char *data, size_t len, vw_error_t *why)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    vw_err err;

    if (fd < 0)
        return vwi_fail(why, VW_E_IO, "%s: %s", path, strerror(errno));
    err = sim_file_write_fd(fd, path, data, len, why);
    close(fd);
    return err;
}

void sim_file_remove(const char *path)
{
    if (!is_special(path))
        unlink(path);
}

vw_err sim_file_write(const char *path, mode_t mode, const char *data, size_t len, vw_error_t *why)
{
    struct vwi_text temp = VWI_TEXT_INIT;
    vw_err err = VW_OK;
    int fd = -1;

    if (is_special(path))
        return write_special(path, data, len, why);
    if (!vwi_text_addf(&temp, "%s.%ld.tmp", path, (long)getpid()))
        return vwi_fail(why, VW_E_NOMEM, "%s: out of memory", path);
    fd = open(temp.p, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    if (fd < 0) {
        err = vwi_fail(why, VW_E_IO, "%s: %s", path, strerror(errno));
        goto out;
    }
    err = sim_file_write_fd(fd, path, data, len, why);
    if (close(fd) != 0 && err == VW_OK)
        err = vwi_fail(why, VW_E_IO, "%s: %s", path, strerror(errno));
    if (err == VW_OK && rename(temp.p, path) != 0)
        err = vwi_fail(why, VW_E_IO, "%s: %s", path, strerror(errno));
    if (err != VW_OK)
        unlink(temp.p);
out:
    vwi_text_fini(&temp);
    return err;
}
