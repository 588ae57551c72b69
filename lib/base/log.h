/* Leveled lines to one sink. flow and tools log; core and io return errors (debug lines allowed). */
#ifndef VWI_BASE_LOG_H
#define VWI_BASE_LOG_H

#include <stdbool.h>

#include <vastworker/log.h>

#include "base/log_buffer.h"

struct vwi_log {
    vw_log_level_t level; /* lines above it are dropped */
    bool json;
    vw_log_fn fn;         /* NULL: standard error */
    void *arg;
    struct vwi_log_buffer *buffer; /* NULL: each line is built anew and written at once */
};

void vwi_log(const struct vwi_log *log, vw_log_level_t level, const char *fmt, ...) VW_PRINTF(3, 4);

/*
 * A line of fields instead of a sentence. The text that open returns has the time and level in it already, as JSON up to the level
 * ({"time":"...","level":"info") for the caller to go on with `,"name":value` pairs, else up to the blanks before the words; close adds
 * the end. NULL: the level is off, or the log has no buffer. Nothing else may be logged between the two.
 */
struct vwi_text *vwi_log_open(const struct vwi_log *log, vw_log_level_t level);
void vwi_log_close(const struct vwi_log *log, vw_log_level_t level);

/* Lines wait for vwi_log_flush(), which the loop calls after each turn; errors and warnings, and very many lines, do not. Switched
 * off, what waits is written. Both do nothing for a log without a buffer. */
void vwi_log_hold(const struct vwi_log *log, bool hold);
void vwi_log_flush(const struct vwi_log *log);

#define vwi_log_error(log, ...) vwi_log(log, VW_LOG_ERROR, __VA_ARGS__)
#define vwi_log_warn(log, ...) vwi_log(log, VW_LOG_WARN, __VA_ARGS__)
#define vwi_log_info(log, ...) vwi_log(log, VW_LOG_INFO, __VA_ARGS__)
#define vwi_log_debug(log, ...) \
    do { if ((log) && (log)->level >= VW_LOG_DEBUG) vwi_log(log, VW_LOG_DEBUG, __VA_ARGS__); } while (0)

#endif
