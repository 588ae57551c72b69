/*
 * Bytes in, whole lines out. Read straight into vwi_lines_room() and say vwi_lines_took(), or hand bytes over with vwi_lines_feed().
 *
 * Lines come without their newline and without one CR before it; any byte may be inside. NUL bytes at the start of a line are
 * dropped: a writer without O_APPEND leaves a hole of them behind a truncation. The end of a line is waited for. Of a line longer
 * than VWI_LINE_MAX the beginning is handed out, the rest skipped and the line counted.
 */
#ifndef VWI_IO_LINES_H
#define VWI_IO_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vastworker/err.h>

#define VWI_LINE_MAX (64u * 1024)

struct vwi_lines_events {
    void (*on_line)(void *arg, const char *line, size_t len); /* line: borrowed for the call */
    void (*on_long)(void *arg);                               /* the line that follows was cut; may be NULL */
};

struct vwi_lines {
    struct vwi_lines_events events;
    void *arg;
    char *buf;
    size_t held;   /* bytes of an unfinished line in buf */
    bool skipping; /* behind the cut of a long line, until its end */
    bool stopped;
    uint64_t count, long_count;
};

vw_err vwi_lines_init(struct vwi_lines *lines, const struct vwi_lines_events *events, void *arg); /* VW_E_NOMEM */
void vwi_lines_fini(struct vwi_lines *lines); /* also of a zeroed one; not inside on_line */

/* Where the next bytes go, and how many; there is always room for one. */
char *vwi_lines_room(struct vwi_lines *lines, size_t *ret_room);
void vwi_lines_took(struct vwi_lines *lines, size_t len);
void vwi_lines_feed(struct vwi_lines *lines, const char *bytes, size_t len);

/* A whole file, "-" for standard input, and its end. Blocks. VW_E_IO names the path. */
vw_err vwi_lines_read(struct vwi_lines *lines, const char *path, vw_error_t *why);

/* What is held counts as a line, for its end will not come. */
void vwi_lines_end(struct vwi_lines *lines);
/* What is held never was. */
void vwi_lines_forget(struct vwi_lines *lines);
/* Nothing is handed out any more; legal inside on_line. */
void vwi_lines_stop(struct vwi_lines *lines);

#endif
