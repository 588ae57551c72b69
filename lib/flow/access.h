/*
 * The access log: one line for each request, also for those that were refused (docs/logging.md). Never a target, query, header, payload
 * or token: the route is the configured one. Lines are of level info; those of built-in paths that only look, of level debug.
 */
#ifndef VWI_FLOW_ACCESS_H
#define VWI_FLOW_ACCESS_H

#include "flow/request_parts.h"

/* A request of a handler that is over, and settled. Called inside on_done. */
void vwi_access_request(const struct vwi_request *rq, const struct vwi_exchange_figures *figures);
/* Refused before there was a handler: its framing, its route or method. */
void vwi_access_refused(const struct vwi_log *log, const struct vwi_exchange *ex, const char *reason);
/* A built-in path, if it was answered already. */
void vwi_access_built_in(const struct vwi_log *log, const struct vwi_exchange *ex);

#endif
