/* How much work a payload is, for the kinds that need no plugin. Weighing cannot fail: what cannot be weighed counts as 100. */
#ifndef VWI_CORE_WORKLOAD_H
#define VWI_CORE_WORKLOAD_H

#include <stdbool.h>
#include <stddef.h>

#include <vastworker/err.h>

#include "base/conf.h"
#include "base/text.h"

#define VWI_WORKLOAD_FALLBACK 100.0

bool vwi_workload_valid(double workload); /* finite, 0 or more */

/*
 * constant  conf->value
 * field     the number at conf->pointer, a negative one being the fallback; conf->value where there is no number (NAN: no default)
 * count     entries of the list (members of the object) at conf->pointer; a string, number or boolean counts as 1
 * bytes     body_bytes / conf->value
 * plugin    not weighed here: the fallback; the caller asks the plugin and then vwi_workload_valid()
 * *ret_fallback (never NULL) says that the result is VWI_WORKLOAD_FALLBACK for want of better, why says why.
 */
double vwi_workload_weigh(const struct vwi_workload_conf *conf, struct vwi_span payload, size_t body_bytes, bool *ret_fallback,
                          vw_error_t *why);

#endif
