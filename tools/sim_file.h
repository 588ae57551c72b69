/* Small files: read one whole, write one so that a reader never sees half of it. */
#ifndef SIM_FILE_H
#define SIM_FILE_H

#include <stddef.h>
#include <sys/types.h>

#include <vastworker/err.h>

#include "base/text.h"

#define SIM_FILE_MAX_BYTES ((size_t)64 * 1024 * 1024)

vw_err sim_file_read(const char *path, struct vwi_text *ret, vw_error_t *why); /* "-" is standard input */
vw_err sim_file_write(const char *path, mode_t mode, const char *data, size_t len, vw_error_t *why);
void sim_file_remove(const char *path); /* unless it is a device or the like */
/* Every byte, through short writes. */
vw_err sim_file_write_fd(int fd, const char *name, const char *data, size_t len, vw_error_t *why);

#endif
