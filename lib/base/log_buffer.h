/*
 * Lines on their way to standard error: collected while the loop turns and written together at the end of the turn, so that a line
 * costs no system call of its own. Nobody waits for a reader that does not read: up to a bound lines wait, then new ones are dropped
 * and counted, those of errors and warnings later than others.
 * The odd thing: standard error may belong to others as well, so it is never made non-blocking. It is asked whether it takes a piece
 * (a pipe that says so takes a page), and gets no more.
 */
#ifndef VWI_BASE_LOG_BUFFER_H
#define VWI_BASE_LOG_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "base/text.h"

#define VWI_LOG_HELD_BYTES (1024u * 1024)    /* of lines that wait for a reader */
#define VWI_LOG_URGENT_BYTES (256u * 1024)   /* more, for errors and warnings */
#define VWI_LOG_TOGETHER_BYTES (64u * 1024)  /* so many are written before the turn is over */

struct vwi_log_buffer {
    struct vwi_text lines;
    size_t at;        /* written so far */
    size_t line;      /* where the one that is being built begins */
    size_t held;      /* bytes of lines that the reader did not take at the last try */
    int fd;
    bool holding;     /* until vwi_log_buffer_flush(); else each line is written at once, and waited for */
    uint64_t dropped; /* lines */
    uint64_t told;    /* of them, in the log itself: see base/log */
    time_t stamp_s;
    char stamp[24];   /* "2026-11-26T15:04:05" of stamp_s */
};

void vwi_log_buffer_init(struct vwi_log_buffer *buffer, int fd);
void vwi_log_buffer_fini(struct vwi_log_buffer *buffer); /* what is left is not written; safe on zeroed */

/* A line is built in buffer->lines between these two. False: there is no room, and it was dropped. */
void vwi_log_buffer_begin(struct vwi_log_buffer *buffer);
bool vwi_log_buffer_end(struct vwi_log_buffer *buffer, bool urgent);
void vwi_log_buffer_stamp(struct vwi_log_buffer *buffer); /* adds "2026-11-26T15:04:05.123Z" */

/* Writes what the reader takes now; waits for it for up to wait_ms each time. */
void vwi_log_buffer_flush(struct vwi_log_buffer *buffer, int wait_ms);

#endif
