/*
 * One client conversation: a request in, a reply out, and a notice when the client goes.
 * An exchange is handed out by io/front with its whole body where that is small (VWI_EXCHANGE_SMALL_BYTES), else with its head:
 * the user then collects the body in one buffer, or streams it, or replies without it. Until it says which, nothing is read.
 * It is valid from on_request until on_done has returned; every exchange gets exactly one on_done.
 */
#ifndef VWI_IO_EXCHANGE_H
#define VWI_IO_EXCHANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"

struct vwi_exchange;

struct vwi_exchange_events {
    /* Low water reached after vwi_exchange_backlog() was above high water. May be NULL. */
    void (*on_drained)(void *user);
    /* The exchange is over: gone = the client left (or its connection broke) before the whole reply was handed to the
     * kernel. Called once, also when no reply was begun. The user must drop its pointer here. */
    void (*on_done)(void *user, bool gone);
    /* More of a body that is collected or streamed has arrived, or its end. May be NULL for a user that does neither. A body that
     * breaks a rule, or comes too slowly, never ends: the client gets its 4xx and on_done(gone = true) follows. */
    void (*on_body)(void *user);
};

/* Called by the user inside on_request, unless it replies in whole there and needs no notice: what is neither bound nor answered
 * when on_request returns is cut. */
void vwi_exchange_bind(struct vwi_exchange *ex, const struct vwi_exchange_events *events, void *user);

struct vwi_span vwi_exchange_method(const struct vwi_exchange *ex);
struct vwi_span vwi_exchange_target(const struct vwi_exchange *ex); /* origin-form, "/path?query" as sent */
struct vwi_span vwi_exchange_header(const struct vwi_exchange *ex, const char *name); /* first; {NULL,0} when absent */
size_t vwi_exchange_header_count(const struct vwi_exchange *ex);
void vwi_exchange_header_at(const struct vwi_exchange *ex, size_t i, struct vwi_span *ret_name, struct vwi_span *ret_value);
struct vwi_span vwi_exchange_peer(const struct vwi_exchange *ex); /* "203.0.113.7" */
bool vwi_exchange_is_tls(const struct vwi_exchange *ex);          /* the client came through TLS that ends here */
/* What the request is called (io/request_id.h), valid until on_done has returned. Every reply carries it as X-Request-Id. Empty only
 * where the system has no randomness. */
struct vwi_span vwi_exchange_id(const struct vwi_exchange *ex);

/* What has become of it so far; asked for inside on_done, of the whole of it. */
struct vwi_exchange_figures {
    int status;                   /* 0: no reply was begun */
    uint64_t bytes_in, bytes_out; /* heads and bodies, as they were taken from and given to the kernel */
    bool cut;                     /* the reply was begun and is not whole */
    bool refused;                 /* it broke a rule of HTTP, and a refusal of the front's own follows on_done */
};
struct vwi_exchange_figures vwi_exchange_figures(const struct vwi_exchange *ex);

/* What has arrived of the body: all of it (collected; valid until on_done once it is whole, else until the next on_body), or the
 * piece that was not consumed yet (streamed). */
struct vwi_span vwi_exchange_body(const struct vwi_exchange *ex);
bool vwi_exchange_whole(const struct vwi_exchange *ex); /* nothing more will arrive of the body */
bool vwi_exchange_asks_upgrade(const struct vwi_exchange *ex, const char *protocol); /* RFC 9110 7.8; without a body */
int64_t vwi_exchange_length(const struct vwi_exchange *ex); /* of the whole body; -1: chunked and not whole, so not known */
void vwi_exchange_collect(struct vwi_exchange *ex); /* read on into one buffer */
/* Hand the body on in pieces: after each on_body, or at once for what is there, the user takes vwi_exchange_body() and consumes it.
 * The client is read while reading is on and the last piece was consumed; off at first. */
void vwi_exchange_stream(struct vwi_exchange *ex);
void vwi_exchange_consume(struct vwi_exchange *ex);
void vwi_exchange_read(struct vwi_exchange *ex, bool on);
void vwi_exchange_drop_body(struct vwi_exchange *ex); /* free the request body early; no effect on the reply */

/* A whole reply. headers: complete lines "Name: value\r\n" or NULL; framing headers, Date, Connection and X-Request-Id are added here.
 * A HEAD request gets the head alone. Data is copied. */
void vwi_exchange_reply(struct vwi_exchange *ex, int status, const char *headers, const char *body, size_t len);
/* A streamed reply: head, then writes, then end. length < 0: chunked (or close for an HTTP/1.0 client). The head is held until
 * the first write, the end, or the end of the turn; writes go out at once. An end before `length` bytes is an abort. */
void vwi_exchange_head(struct vwi_exchange *ex, int status, const char *headers, int64_t length);
void vwi_exchange_write(struct vwi_exchange *ex, const char *data, size_t len);
void vwi_exchange_end(struct vwi_exchange *ex);
/* The same with trailers, complete lines, which a reply that is not chunked drops. */
void vwi_exchange_end_with(struct vwi_exchange *ex, const char *trailers);
/* An interim reply (1xx) while none was begun. Dropped where the client speaks HTTP/1.0 or has not taken what was sent before. */
void vwi_exchange_interim(struct vwi_exchange *ex, int status, const char *headers);
bool vwi_exchange_is_1_1(const struct vwi_exchange *ex); /* the client knows chunks, trailers and interim replies */
void vwi_exchange_keep_date(struct vwi_exchange *ex); /* before the head: the headers have a Date of their own */
/* Cut the connection so that the loss is visible (no final chunk). on_done(gone = false) follows. */
void vwi_exchange_abort(struct vwi_exchange *ex);
void vwi_exchange_close_after(struct vwi_exchange *ex); /* Connection: close on this reply */
size_t vwi_exchange_backlog(const struct vwi_exchange *ex); /* bytes not yet taken by the kernel */
bool vwi_exchange_head_sent(const struct vwi_exchange *ex);

/* 101 Switching Protocols: headers as for vwi_exchange_head. From now on vwi_exchange_write sends bytes as they are, and what the
 * client sends is a streamed body without an end. Ends with vwi_exchange_end, an abort, or the client's leaving (gone). */
void vwi_exchange_tunnel(struct vwi_exchange *ex, const char *headers);

#define VWI_EXCHANGE_SMALL_BYTES (64u * 1024)
#define VWI_EXCHANGE_HIGH_BYTES (256u * 1024)
#define VWI_EXCHANGE_LOW_BYTES (64u * 1024)

#endif
