/* Filling a vw_error_t: the first cause wins, later echoes are dropped. */
#ifndef VWI_BASE_ERR_H
#define VWI_BASE_ERR_H

#include <vastworker/err.h>

/* Returns code, so that `return vwi_fail(why, ...)` reads well. why may be NULL. */
vw_err vwi_fail(vw_error_t *why, vw_err code, const char *fmt, ...) VW_PRINTF(3, 4);

#endif
