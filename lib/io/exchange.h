/*
 * One client conversation: a complete request in, a reply out, and a notice when the client goes.
 * An exchange is handed out by io/front when head and whole body have arrived (body kept in one buffer).
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
};

/* Called by the user inside on_request, unless it replies in whole there and needs no notice: what is neither bound nor answered
 * when on_request returns is cut. */
void vwi_exchange_bind(struct vwi_exchange *ex, const struct vwi_exchange_events *events, void *user);

struct vwi_span vwi_exchange_method(const struct vwi_exchange *ex);
struct vwi_span vwi_exchange_target(const struct vwi_exchange *ex); /* origin-form, "/path?query" as sent */
struct vwi_span vwi_exchange_header(const struct vwi_exchange *ex, const char *name); /* first; {NULL,0} when absent */
size_t vwi_exchange_header_count(const struct vwi_exchange *ex);
void vwi_exchange_header_at(const struct vwi_exchange *ex, size_t i, struct vwi_span *ret_name, struct vwi_span *ret_value);
struct vwi_span vwi_exchange_body(const struct vwi_exchange *ex); /* valid until on_done */
struct vwi_span vwi_exchange_peer(const struct vwi_exchange *ex); /* "203.0.113.7" */
void vwi_exchange_drop_body(struct vwi_exchange *ex); /* free the request body early; no effect on the reply */

/* A whole reply. headers: complete lines "Name: value\r\n" or NULL; framing headers, Date and Connection are added here.
 * A HEAD request gets the head alone. Data is copied. */
void vwi_exchange_reply(struct vwi_exchange *ex, int status, const char *headers, const char *body, size_t len);
/* A streamed reply: head, then writes, then end. length < 0: chunked (or close for an HTTP/1.0 client). The head is held until
 * the first write, the end, or the end of the turn; writes go out at once. An end before `length` bytes is an abort. */
void vwi_exchange_head(struct vwi_exchange *ex, int status, const char *headers, int64_t length);
void vwi_exchange_write(struct vwi_exchange *ex, const char *data, size_t len);
void vwi_exchange_end(struct vwi_exchange *ex);
/* Cut the connection so that the loss is visible (no final chunk). on_done(gone = false) follows. */
void vwi_exchange_abort(struct vwi_exchange *ex);
void vwi_exchange_close_after(struct vwi_exchange *ex); /* Connection: close on this reply */
size_t vwi_exchange_backlog(const struct vwi_exchange *ex); /* bytes not yet taken by the kernel */
bool vwi_exchange_head_sent(const struct vwi_exchange *ex);

#define VWI_EXCHANGE_HIGH_BYTES (256u * 1024)
#define VWI_EXCHANGE_LOW_BYTES (64u * 1024)

#endif
