/* A request, as the files of its life share it: request (the story), judge (verdicts 4 to 8). */
#ifndef VWI_FLOW_REQUEST_PARTS_H
#define VWI_FLOW_REQUEST_PARTS_H

#include "base/list.h"
#include "base/text.h"
#include "base/vwi.h"
#include "core/envelope.h"
#include "core/ledger.h"
#include "core/queue.h"
#include "core/reason.h"
#include "flow/request.h"
#include "flow/request_state.h"
#include "io/relay.h"

/* How a body is to be read, known from the head alone. */
enum vwi_request_form {
    VWI_FORM_PLAIN,    /* credentials are in the head or not asked for: the body is the model's */
    VWI_FORM_ENVELOPE, /* they are in the body */
    VWI_FORM_LOOSE     /* unsecured: an envelope if it looks like one */
};

struct vwi_request {
    struct vwi_list node; /* in desk->own.requests */
    struct vwi_list turn; /* in desk->own.turns */
    struct vwi_ticket ticket;
    struct vwi_entry entry;
    struct vwi_desk *desk;
    struct vwi_exchange *ex; /* NULL once the exchange is over */
    struct vwi_span id;      /* X-Request-Id */
    struct vwi_handler *handler;
    struct vwi_relay *relay;
    struct vwi_heartbeat *heartbeat; /* NULL: the handler has none */
    struct vwi_envelope envelope;
    struct vwi_span body; /* for the model; empty when it is streamed */
    void *parsed;         /* owns body when the parser made a new one */
    struct vwi_envelope_feed *feed; /* of an envelope that came in pieces, or of a plain body that is to be read as JSON; else NULL */
    struct vwi_text auth_json; /* of X-Vast-Auth, which the envelope's spans point into */
    struct vwi_work work;
    int64_t arrived_us, ran_us, first_us; /* monotonic; 0: did not happen. First: byte of the model's answer */
    enum vwi_reason reason;   /* why it was not served */
    enum vwi_outcome outcome; /* where it was started */
    struct vwi_session *session; /* NULL: in none, or it has ended */
    struct vwi_list inside;      /* in session->requests */
    double patience_s; /* how long the client would wait for its turn; INFINITY: it does not say */
    int priority;
    enum vwi_request_state state;
    enum vwi_request_form form;
    bool early;     /* the credentials of an arriving envelope are there, and not judged yet */
    bool enveloped; /* the body was an envelope: the payload alone goes to the model */
    bool is_json;   /* a plain body that a calculator or parser may read */
    bool streamed;  /* the body goes to the model as it comes, from the turn on */
    bool upgrade;   /* asks for a tunnel, and may */
    bool tunnel;    /* has one */
    bool entered;   /* counted: it was started */
    bool rejected;  /* refused at verdicts 9 and 10 */
    bool at_work;   /* it ended, and the model may not know */
};

/* Every log line about a request ends in its id: vwi_log_warn(log, "%s: it failed" VWI_REQUEST_ID, route, VWI_REQUEST_ID_OF(rq)). */
#define VWI_REQUEST_ID " (request %.*s)"
#define VWI_REQUEST_ID_OF(rq) (int)(rq)->id.len, (rq)->id.len ? (rq)->id.p : ""

/* For flow/cut. A request that is not settled is ended, and booked as errored. */
void vwi_request_cut(struct vwi_request *rq);
void vwi_request_let_run(struct vwi_desk *desk); /* turns that were held back while own.giving was set are given */

static inline void vwi_request_go(struct vwi_request *rq, enum vwi_request_state to)
{
    if (VWI_EXPECT(vwi_request_state_allows(rq->state, to)))
        rq->state = to;
}

/* The session they run in is over: booked as cancelled, and their clients' connections end. inside: its requests; empty afterwards. */
void vwi_requests_end_with_session(struct vwi_desk *desk, struct vwi_list *inside);

static inline size_t vwi_request_route(const struct vwi_request *rq) { return (size_t)(rq->handler - rq->desk->handlers); }

#endif
