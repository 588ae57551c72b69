/* Log levels and the sink an embedder may set. */
#ifndef VASTWORKER_LOG_H
#define VASTWORKER_LOG_H

#include <vastworker/export.h>

typedef enum vw_log_level { VW_LOG_ERROR, VW_LOG_WARN, VW_LOG_INFO, VW_LOG_DEBUG } vw_log_level_t;

/* One finished line without a newline; borrowed for the call. Called on the thread that logs. */
typedef void (*vw_log_fn)(void *arg, vw_log_level_t level, const char *line);

#endif
