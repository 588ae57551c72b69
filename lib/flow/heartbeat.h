/*
 * Signs of life for a client that waits, so that gateways with a time limit on silence stay open: opt-in per handler (`heartbeat`).
 * The first one sends a head with status 200, so from then on every failure is told in the body: an error event, or a JSON error.
 */
#ifndef VWI_FLOW_HEARTBEAT_H
#define VWI_FLOW_HEARTBEAT_H

#include "core/reason.h"
#include "flow/request_parts.h"

/* From here the request waits; its handler has a heartbeat. */
void vwi_heartbeat_start(struct vwi_request *rq);
/* The model's head has come, to a request with a heartbeat. False: it does not go with what the client was told; *ret_text says how (not to be freed). */
bool vwi_heartbeat_take(struct vwi_request *rq, const struct vwi_answer *answer, const char **ret_text);
/* Tells a failure and ends the reply, whose head has been sent by a heartbeat. */
void vwi_heartbeat_fail(struct vwi_request *rq, enum vwi_reason reason, const char *message);
void vwi_heartbeat_stop(struct vwi_request *rq);

#endif
