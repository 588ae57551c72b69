/* What the patterns of a configuration would make of a log that is there, told line by line. */
#ifndef VWI_FLOW_TRIAL_H
#define VWI_FLOW_TRIAL_H

#include <stdbool.h>

#include <vastworker/err.h>

#include "base/conf.h"

/* path: "-" for standard input. *ret_loaded: a load pattern was found. VW_E_IO: the log cannot be read. */
vw_err vwi_trial_run(const struct vwi_ready_conf *conf, const char *path, void (*fn)(void *arg, const char *line), void *arg, bool *ret_loaded,
                     vw_error_t *why);

#endif
