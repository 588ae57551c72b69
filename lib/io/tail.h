/*
 * Follows one log file from its beginning and hands out whole lines. The file need not exist yet.
 *
 * Lines are as io/lines has them. The end of a line is waited for, and only when a rotated file is left for good its unfinished
 * last line is handed out as it is.
 *
 * Rename, delete and recreate lose and double nothing: the old file is read on until the new one has its first byte, then to its
 * end, and only then left. A file that came and went again between two looks is not seen. Truncation in place is noticed when the
 * file is shorter than what was read, or when the bytes before our place are not those we read there; the file is read again from
 * its beginning, what was not read before is gone, and it is counted.
 */
#ifndef VWI_IO_TAIL_H
#define VWI_IO_TAIL_H

#include <stddef.h>
#include <stdint.h>

#include <vastworker/err.h>

#include "io/lines.h"
#include "io/loop.h"

struct vwi_tail;

enum vwi_tail_note { VWI_TAIL_OPENED, VWI_TAIL_ROTATED, VWI_TAIL_TRUNCATED, VWI_TAIL_LONG_LINE, VWI_TAIL_UNREADABLE };

struct vwi_tail_events {
    void (*on_line)(void *arg, const char *line, size_t len);
    void (*on_note)(void *arg, enum vwi_tail_note note, int sys_errno); /* may be NULL; sys_errno with UNREADABLE, said once */
};

struct vwi_tail_counts {
    uint64_t lines, rotated, truncated, long_lines;
};

/* path: copied. Reading begins on the loop, never inside this call. */
vw_err vwi_tail_create(struct vwi_loop *loop, const char *path, const struct vwi_tail_events *events, void *arg,
                       struct vwi_tail **ret, vw_error_t *why);
/* Also legal inside its events; nothing is called afterwards. */
void vwi_tail_destroy(struct vwi_tail *tail);
const char *vwi_tail_path(const struct vwi_tail *tail);
struct vwi_tail_counts vwi_tail_counts(const struct vwi_tail *tail);

#endif
