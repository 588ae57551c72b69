/* Leveled lines to one sink. flow and tools log; core and io return errors (debug lines allowed). */
#ifndef VWI_BASE_LOG_H
#define VWI_BASE_LOG_H

#include <stdbool.h>

#include <vastworker/log.h>

struct vwi_log {
    vw_log_level_t level; /* lines above it are dropped */
    bool json;
    vw_log_fn fn;         /* NULL: standard error */
    void *arg;
};

void vwi_log(const struct vwi_log *log, vw_log_level_t level, const char *fmt, ...) VW_PRINTF(3, 4);

#define vwi_log_error(log, ...) vwi_log(log, VW_LOG_ERROR, __VA_ARGS__)
#define vwi_log_warn(log, ...) vwi_log(log, VW_LOG_WARN, __VA_ARGS__)
#define vwi_log_info(log, ...) vwi_log(log, VW_LOG_INFO, __VA_ARGS__)
#define vwi_log_debug(log, ...) \
    do { if ((log) && (log)->level >= VW_LOG_DEBUG) vwi_log(log, VW_LOG_DEBUG, __VA_ARGS__); } while (0)

#endif
