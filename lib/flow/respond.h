/* Our own answers: one shape for every refusal, `{"error": {"code", "message", "type"}}` with X-Vastworker-Reason. */
#ifndef VWI_FLOW_RESPOND_H
#define VWI_FLOW_RESPOND_H

#include "base/text.h"
#include "core/reason.h"
#include "io/exchange.h"

/* Headers and body of a refusal. message NULL: the reason's own. retry_after_s < 0: none, except the default with 429 and 503. */
void vwi_respond_write(enum vwi_reason reason, const char *message, double retry_after_s, struct vwi_text *headers, struct vwi_text *body);
void vwi_respond_refuse(struct vwi_exchange *ex, enum vwi_reason reason, const char *message, double retry_after_s);
/* The platform's own body (protocol.md 2.4: 422 and 410), with our reason header beside it. */
void vwi_respond_platform(struct vwi_exchange *ex, enum vwi_reason reason, const char *json, size_t len);

#endif
