/*
 * Verdicts 4 to 8 on a request (docs/architecture.md has the whole order): form and credentials, signature, session, parser, weight.
 * Each returns false when it has refused: answered, counted in our own metrics, settled.
 */
#ifndef VWI_FLOW_JUDGE_H
#define VWI_FLOW_JUDGE_H

#include "core/reason.h"
#include "flow/request_parts.h"

bool vwi_judge_refuse(struct vwi_request *rq, enum vwi_reason reason, const char *message); /* always false */

bool vwi_judge_head(struct vwi_request *rq);        /* 4: sets the form, and reads credentials that are in the head */
bool vwi_judge_body(struct vwi_request *rq);        /* 4: the body is there in full, an envelope's credentials in it */
bool vwi_judge_signature(struct vwi_request *rq);   /* 5 */
/* The same for auth_data alone. NONE: signed, or nothing is verified here. */
enum vwi_reason vwi_judge_pair(const struct vwi_desk *desk, const struct vwi_auth_data *auth);
bool vwi_judge_session(struct vwi_request *rq);     /* 6 */
bool vwi_judge_payload(struct vwi_request *rq);     /* 7; body becomes what the model gets */
void vwi_judge_weigh(struct vwi_request *rq);       /* 8; cannot fail */

/* A body of which not all has arrived: what can be said of it already is said, and what has come is read. False: refused. */
bool vwi_judge_arriving(struct vwi_request *rq);
void vwi_judge_forget(struct vwi_request *rq); /* frees what judging kept */

/* May the body go to the model as it comes? Only where nothing here has to read it, be it for a heartbeat. */
bool vwi_judge_can_stream(const struct vwi_request *rq);

#endif
