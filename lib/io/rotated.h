/*
 * A file that is appended to and turned over when it is full: it becomes .1, the one before .2, up to a number, and a new one begins.
 * Lines are whole in each file. What cannot be written (the disk is full, the directory is gone) is dropped and counted, and tried
 * again with the next piece. What is no file, a device or a pipe, is only written to.
 */
#ifndef VWI_IO_ROTATED_H
#define VWI_IO_ROTATED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vastworker/err.h>

struct vwi_rotated {
    const char *path; /* borrowed; NULL: there is none, and nothing is written */
    uint64_t most;    /* bytes */
    unsigned kept;    /* files besides it */
    int fd;           /* -1: not open */
    bool endless;     /* a device or a pipe, which is never full */
    uint64_t size, dropped; /* dropped: bytes */
    int problem;      /* errno of the last try; 0: it was written */
};

void vwi_rotated_init(struct vwi_rotated *file, const char *path, uint64_t most, unsigned kept);
/* Whole lines. One that is larger than the file may be has a file of its own. */
void vwi_rotated_write(struct vwi_rotated *file, const char *lines, size_t len);
void vwi_rotated_fini(struct vwi_rotated *file); /* safe on a zeroed struct with fd -1 */

#endif
