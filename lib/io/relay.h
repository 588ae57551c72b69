/*
 * The one place where bytes move between a client and the model: the answer down (hop-by-hop headers dropped, two water marks,
 * chunked when the length is unknown), and a streamed request body or a tunnel's bytes up.
 */
#ifndef VWI_IO_RELAY_H
#define VWI_IO_RELAY_H

#include "io/exchange.h"
#include "io/upstream.h"

struct vwi_relay;

struct vwi_relay_end {
    enum vwi_upstream_result result; /* from the upstream; RESET as well when memory ran out before the head */
    const char *text;
    int status;          /* the model's, 0 when it never answered */
    bool head_relayed;   /* the client has seen a head: a failure can only be a cut */
    uint64_t bytes;      /* body bytes relayed */
    bool at_work;        /* the model may be, still: it had not ended when its connection was closed */
};

struct vwi_relay_events {
    /* Optional veto before anything is relayed; return false to stop: the relay cancels the lease and ends silently, the
     * user replies. */
    bool (*on_head)(void *arg, const struct vwi_answer *answer);
    /* Over, once. Where the user has sent a head itself, before the model's came, that one stays and head_relayed means the first
     * byte of the body. When head_relayed and result is OK the reply has been ended already; when head_relayed and not OK the
     * exchange was aborted (for text/event-stream: an error event and a proper end); when not head_relayed the user must reply
     * itself. */
    void (*on_end)(void *arg, const struct vwi_relay_end *end);
};

/* extra_headers: lines added to the client's head (e.g. X-Accel-Buffering), or NULL; copied, as events are. NULL return: out of
 * memory. No event is delivered from inside this call. The relay is gone once on_end, a veto or a cancel has returned. */
struct vwi_relay *vwi_relay_start(struct vwi_upstream *up, const struct vwi_upstream_request *request, struct vwi_exchange *ex,
                                  const char *extra_headers, const struct vwi_relay_events *events, void *arg);
/* Inside on_head, where the user has sent a head of events itself: the answer, which is JSON, becomes the data of one event. */
void vwi_relay_as_event(struct vwi_relay *relay);
uint64_t vwi_relay_bytes(const struct vwi_relay *relay); /* of the body, so far */
bool vwi_relay_at_work(const struct vwi_relay *relay);   /* would it be left at work by a cancel or a veto? */
/* The model owes the next byte: it has the whole request, and what it answers is read. */
bool vwi_relay_awaits_model(const struct vwi_relay *relay);
void vwi_relay_drained(struct vwi_relay *relay); /* forward the exchange's on_drained */
void vwi_relay_body(struct vwi_relay *relay);    /* forward the exchange's on_body, when the request is streamed or upgrades */
/* We end it, as a model that dies would: an error event with this code and a proper end where the client reads events, else a cut.
 * False and nothing done while the client has no byte of the answer: reply, then cancel. No on_end. */
bool vwi_relay_break(struct vwi_relay *relay, const char *code, const char *text);
void vwi_relay_cancel(struct vwi_relay *relay);  /* the client is gone: model connection closed at once; no on_end */

#endif
