/* Small files whole: read with a bound, written so that a reader sees the old or the new, never half. */
#ifndef VWI_IO_FILE_H
#define VWI_IO_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <time.h>

#include <vastworker/err.h>

#include "base/text.h"

/* Appends to ret. VW_E_IO names the path; a file over max bytes, or one that is not regular, is refused. */
vw_err vwi_file_read(const char *path, size_t max, struct vwi_text *ret, vw_error_t *why);
/* Temporary file beside path, fsync, rename. mode is not narrowed by the umask. */
vw_err vwi_file_write(const char *path, const char *data, size_t len, mode_t mode, vw_error_t *why);
/*
 * Appends what is in the file to PATH.old and empties it in place, so that a writer that has it open goes on in it. A file that is not
 * there is fine. VW_E_IO: not all could be copied, and both are as before.
 */
vw_err vwi_file_set_aside(const char *path, vw_error_t *why);
bool vwi_file_exists(const char *path); /* of any kind, readable or not */
/* The directory and its missing parents, as mkdir -p. */
vw_err vwi_dir_make(const char *path, mode_t mode, vw_error_t *why);

/* What changes about a file when it is written or replaced; all zero for one that is not there. */
struct vwi_file_stamp {
    struct timespec mtime;
    off_t size;
    ino_t inode;
    dev_t device;
    bool there;
};

void vwi_file_take_stamp(const char *path, struct vwi_file_stamp *ret);
bool vwi_file_same_stamp(const struct vwi_file_stamp *a, const struct vwi_file_stamp *b);

#endif
