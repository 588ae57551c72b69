/* How long a request may wait for its turn, how long it would, and when to come again: limits of handler and client, and the estimate. */
#ifndef VWI_FLOW_WAIT_H
#define VWI_FLOW_WAIT_H

#include <stdbool.h>

#include "core/ready.h"
#include "flow/request_parts.h"

/* X-Request-Timeout into rq->patience_s; INFINITY where the client says nothing, or a control handler is asked. False: it is there
 * and is no number of seconds, or twice. */
bool vwi_wait_read(struct vwi_request *rq);
/* Seconds in the queue that the handler and the client both agree to; INFINITY: no limit, 0: it must start at once. */
double vwi_wait_limit(const struct vwi_request *rq);
/* When such a wait that begins now is over, in milliseconds; -1: never. */
int64_t vwi_wait_deadline(double limit_s, int64_t now_ms);
/* Seconds that what arrives now would wait; 0 where no capacity is known. */
double vwi_wait_predict(const struct vwi_desk *desk, const struct vwi_ready_view *ready);
/* Seconds until what is in flight now, but for own units, is done: at the capacity, else at the pace so far. 0: nobody knows. */
double vwi_wait_retry_after(const struct vwi_desk *desk, double own);

#endif
