/*
 * Requests to the model server over pooled keep-alive connections (idle ones bounded by conf->idle_connections).
 * A lease is one request and its answer. Every lease ends with exactly one on_end, unless it is cancelled.
 * A pooled connection is looked at (readable = dead) before reuse; a request goes out again on a fresh connection only if the
 * old one was dead before the first byte was written, or (idempotent method or retry) before the first byte of the answer.
 */
#ifndef VWI_IO_UPSTREAM_H
#define VWI_IO_UPSTREAM_H

#include <stdbool.h>
#include <stdint.h>

#include <vastworker/err.h>

#include "base/conf.h"
#include "base/log.h"
#include "base/text.h"
#include "io/http1_answer.h" /* struct vwi_answer */
#include "io/loop.h"

struct vwi_upstream;
struct vwi_lease;

enum vwi_upstream_result {
    VWI_UPSTREAM_OK,          /* answered in full */
    VWI_UPSTREAM_UNREACHABLE, /* refused, no route, name not resolved; also: no memory for a connection */
    VWI_UPSTREAM_TIMEOUT,     /* connect, first byte, idle or total; text names which */
    VWI_UPSTREAM_RESET        /* broke or spoke nonsense before the end of the answer */
};

struct vwi_lease_events {
    void (*on_head)(void *arg, const struct vwi_answer *answer);     /* optional; final head */
    void (*on_body)(void *arg, const char *data, size_t len);        /* optional; as it arrives */
    void (*on_end)(void *arg, enum vwi_upstream_result result, const char *text); /* text: one clause for the log */
    /* Optional: the model has said nothing more for now. Follows on_head and on_body calls that came out of one read, unless
     * on_end follows them at once: the moment to flush what was held back to go out in one piece. */
    void (*on_lull)(void *arg);
    /* Optional, streamed bodies: what was written has gone out and more would be taken. */
    void (*on_writable)(void *arg);
    /* Optional, as in io/http1_answer.h: interim answers before on_head, trailers before the last on_body of the answer. */
    void (*on_interim)(void *arg, const struct vwi_answer *answer);
    void (*on_trailers)(void *arg, const struct vwi_answer *answer);
};

struct vwi_upstream_request {
    struct vwi_span method, target; /* target: "/path?query" */
    const char *headers;            /* complete lines without Host, Content-Length, Connection; may be NULL */
    struct vwi_span body;           /* borrowed until on_end or cancel; all else is copied */
    bool has_body;                  /* send Content-Length even when 0 */
    /* The body comes by vwi_lease_write(): streamed_length bytes, or chunked where that is negative. Goes over a fresh connection,
     * since what was handed over cannot be sent again. */
    bool streamed;
    int64_t streamed_length;
    /* The protocol asked for by an Upgrade header: with an answer of 101 the lease becomes a tunnel, in which vwi_lease_write() and
     * on_body carry bytes as they are, and which ends when the model closes. Has no body. */
    const char *upgrade;
    bool retry;
    const struct vwi_timeouts_conf *timeouts; /* NULL: the model's */
};

/* conf, log: borrowed until destroy. */
vw_err vwi_upstream_create(struct vwi_loop *loop, const struct vwi_model_conf *conf, const struct vwi_log *log,
                           struct vwi_upstream **ret, vw_error_t *why);
void vwi_upstream_destroy(struct vwi_upstream *up); /* no lease may be left */
struct vwi_loop *vwi_upstream_loop(const struct vwi_upstream *up);
/* NULL only when out of memory. No event is ever delivered from inside this call. events: copied. The request goes out after the
 * callbacks of this turn of the loop, at the latest.
 * Timeouts are kept to a tenth of a second. first_byte counts from the moment the request was written in full; idle is the
 * longest gap between bytes of the answer (not while paused, nor while the user owes the rest of a streamed body), or in which the
 * model takes no byte of the request. */
struct vwi_lease *vwi_upstream_send(struct vwi_upstream *up, const struct vwi_upstream_request *request,
                                    const struct vwi_lease_events *events, void *arg);
/* Stop reading the model. What was read already is still delivered (up to 64 KiB); a FIN or RST is noticed at resume. */
void vwi_lease_pause(struct vwi_lease *lease);
void vwi_lease_resume(struct vwi_lease *lease);
/* Streamed bodies and tunnels: queue bytes (copied) and send what can be sent. Returns how many wait; when any do, the user writes no
 * more until on_writable. Bytes that nobody will read any more are dropped. */
size_t vwi_lease_write(struct vwi_lease *lease, const char *data, size_t len);
void vwi_lease_finish(struct vwi_lease *lease); /* the body is complete */
void vwi_lease_cancel(struct vwi_lease *lease); /* closes the connection at once; no further event. Also legal inside events */
/* Inside on_head and on_body: nothing but on_end(OK) follows. */
bool vwi_lease_complete(const struct vwi_lease *lease);
/* Did the request reach the model, at least in part, and was its connection left, or is still held, before the model had ended the answer
 * or the connection? Then it may be at work. Also to be asked inside on_end. */
bool vwi_lease_at_work(const struct vwi_lease *lease);
uint64_t vwi_upstream_received(const struct vwi_upstream *up); /* bytes of answers, since creation */
/* active: connections that carry a lease, connecting ones included, and those that this turn's leases will have after it. */
void vwi_upstream_counts(const struct vwi_upstream *up, unsigned *ret_active, unsigned *ret_idle);

#endif
