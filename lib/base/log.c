/* A line is built whole and then written, so lines of two threads or programs never mix. */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define WAIT_MS 1000 /* for a reader, while the loop does not turn */

static const char *const names[] = { "error", "warn", "info", "debug" };

static void open_line(const struct vwi_log *log, vw_log_level_t level, struct vwi_log_buffer *buffer)
{
    struct vwi_text *lines = &buffer->lines;
    size_t len = strlen(names[level]);

    vwi_log_buffer_begin(buffer);
    if (log->json)
        vwi_text_add(lines, "{\"time\":\"", 9);
    vwi_log_buffer_stamp(buffer);
    if (log->json)
        vwi_text_add(lines, "\",\"level\":\"", 11);
    else
        vwi_text_add(lines, " ", 1);
    vwi_text_add(lines, names[level], len);
    if (log->json)
        vwi_text_add(lines, "\"", 1);
    else
        vwi_text_add(lines, "      ", 6 - len);
}

/* An embedder gets its lines one by one, without the line end. */
static void hand_over(const struct vwi_log *log, vw_log_level_t level, struct vwi_log_buffer *buffer)
{
    if (vwi_log_buffer_end(buffer, level <= VW_LOG_WARN))
        log->fn(log->arg, level, buffer->lines.p);
    vwi_text_clear(&buffer->lines);
}

static void close_line(const struct vwi_log *log, vw_log_level_t level, struct vwi_log_buffer *buffer)
{
    bool urgent = level <= VW_LOG_WARN, many;

    if (log->json)
        vwi_text_add(&buffer->lines, "}", 1);
    if (log->fn) {
        hand_over(log, level, buffer);
        return;
    }
    vwi_text_add(&buffer->lines, "\n", 1);
    if (!vwi_log_buffer_end(buffer, urgent))
        return;
    many = buffer->lines.len - buffer->at >= buffer->held + VWI_LOG_TOGETHER_BYTES;
    if (!buffer->holding || urgent || many)
        vwi_log_buffer_flush(buffer, buffer->holding ? 0 : WAIT_MS);
}

struct vwi_text *vwi_log_open(const struct vwi_log *log, vw_log_level_t level)
{
    if (!log || level > log->level || !log->buffer)
        return NULL;
    open_line(log, level, log->buffer);
    return &log->buffer->lines;
}

void vwi_log_close(const struct vwi_log *log, vw_log_level_t level) { close_line(log, level, log->buffer); }

void vwi_log(const struct vwi_log *log, vw_log_level_t level, const char *fmt, ...)
{
    struct vwi_log_buffer own, *buffer;
    char message[2048];
    va_list ap;

    if (!log || level > log->level)
        return;
    va_start(ap, fmt);
    vsnprintf(message, sizeof message, fmt, ap);
    va_end(ap);
    buffer = log->buffer;
    if (!buffer) {
        vwi_log_buffer_init(&own, STDERR_FILENO);
        buffer = &own;
    }
    open_line(log, level, buffer);
    if (log->json) {
        vwi_text_add(&buffer->lines, ",\"message\":", 11);
        vwi_text_add_json(&buffer->lines, message, strlen(message));
    } else {
        vwi_text_adds(&buffer->lines, message);
    }
    close_line(log, level, buffer);
    if (buffer == &own)
        vwi_log_buffer_fini(&own);
}

void vwi_log_hold(const struct vwi_log *log, bool hold)
{
    if (!log->buffer)
        return;
    log->buffer->holding = hold;
    if (!hold)
        vwi_log_buffer_flush(log->buffer, WAIT_MS);
}

void vwi_log_flush(const struct vwi_log *log)
{
    struct vwi_log_buffer *buffer = log->buffer;
    unsigned long long untold;

    if (!buffer)
        return;
    vwi_log_buffer_flush(buffer, 0);
    untold = buffer->dropped - buffer->told;
    if (!untold || buffer->lines.len)
        return; /* told once there is a reader again */
    buffer->told = buffer->dropped;
    vwi_log_warn(log, "%llu lines of this log were dropped, because nobody read them in time", untold);
}
