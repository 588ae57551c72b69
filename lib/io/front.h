/*
 * Listener and client connections: accepts, parses (io/http1), enforces limits and deadlines, hands out exchanges.
 * Framing errors (design.md part 7, step 1) are answered here by itself through on_refuse's text, never by the user.
 */
#ifndef VWI_IO_FRONT_H
#define VWI_IO_FRONT_H

#include <stdint.h>

#include <vastworker/err.h>

#include "base/conf.h"
#include "base/log.h"
#include "io/exchange.h"
#include "io/loop.h"
#include "io/tls.h"

struct vwi_front;

struct vwi_front_stats {
    uint64_t accepted, bytes_in, bytes_out;
    uint32_t connections;
    uint64_t buffered_bytes;
};

struct vwi_front_events {
    /* Head and whole body are there. Reply now or later. */
    void (*on_request)(void *arg, struct vwi_exchange *ex);
    /* Optional: the head is there, of a body that is not small or that the client holds back (Expect). The callee collects, streams
     * or replies without it (io/exchange.h). NULL: such a request waits for its body too. */
    void (*on_early)(void *arg, struct vwi_exchange *ex);
    /* A framing error gets this body and reason; the callee formats design.md 7's JSON error into *headers and *body.
     * status 400 408 413 414 417 431 501 505 503; reason is a code such as "bad_request". Never NULL. */
    void (*on_refuse)(void *arg, int status, const char *reason, const char *message, struct vwi_text *headers,
                      struct vwi_text *body);
    /* Optional: such a refusal was sent. Of the exchange only figures, peer, id and method (empty where it is not known) may be asked. */
    void (*on_refused)(void *arg, const struct vwi_exchange *ex, const char *reason);
};

vw_err vwi_front_create(struct vwi_loop *loop, const struct vwi_front_conf *conf, const struct vwi_front_events *events,
                        void *arg, const struct vwi_log *log, struct vwi_front **ret, vw_error_t *why);
/* Connections from now on are TLS with it; borrowed until destroy. Ends vwi_front_hold(). */
vw_err vwi_front_use_tls(struct vwi_front *front, struct vwi_tls *tls, vw_error_t *why);
void vwi_front_hold(struct vwi_front *front); /* accept nothing yet: clients wait with the kernel */
uint16_t vwi_front_port(const struct vwi_front *front); /* the bound port, also when 0 was asked for */
/*
 * Leaving, in two steps. No request that was sent before we close is lost for want of an answer: a connection is closed only where
 * nothing waits to be read, our side first, and then read on for a while, so that a client whose request crosses it sees a plain
 * end and no reset (RFC 9112 9.5 and 9.6).
 */
void vwi_front_drain(struct vwi_front *front);          /* idle connections are closed, replies carry close; still accepts */
void vwi_front_stop_accepting(struct vwi_front *front); /* takes who has connected already, then refuses; drains, too */
struct vwi_front_stats vwi_front_stats(const struct vwi_front *front);
void vwi_front_destroy(struct vwi_front *front); /* cuts what is left, on_done for each */

#endif
