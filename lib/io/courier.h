/*
 * Errands: HTTP(S) calls that are not the hot path (reports, the public key), through libcurl's multi interface on the loop.
 * An errand ends with exactly one call of its function, unless it is cancelled. Retries and addresses are the caller's policy.
 */
#ifndef VWI_IO_COURIER_H
#define VWI_IO_COURIER_H

#include <stdbool.h>
#include <stddef.h>

#include <vastworker/err.h>

#include "io/loop.h"

struct vwi_courier;
struct vwi_errand;

struct vwi_errand_request {
    const char *url;
    const char *body;         /* NULL: GET, else POST; copied */
    size_t len;
    const char *content_type; /* of the body; copied */
    double timeout_s;         /* the whole call */
    size_t max_reply_bytes;   /* a longer answer is a failure; 0: the status is all that matters, the body is not kept */
};

struct vwi_errand_reply {
    long status;      /* 0: no answer */
    const char *body; /* borrowed for the call; NUL-terminated */
    size_t len;
    const char *text; /* one clause when status is 0, e.g. "connection refused"; never the URL's query */
    double seconds;
    long retry_after_s; /* what the answer asks for; 0: nothing */
};

/* Not called from inside vwi_courier_send(). The errand is over once this is called: drop the pointer, do not cancel it. */
typedef void (*vwi_errand_fn)(void *arg, const struct vwi_errand_reply *reply);

/* libcurl is initialised at the first errand, not here: listening comes first. */
vw_err vwi_courier_create(struct vwi_loop *loop, const char *user_agent, struct vwi_courier **ret, vw_error_t *why);
void vwi_courier_destroy(struct vwi_courier *courier); /* what is under way is dropped without a call */
/* NULL: out of memory, or libcurl could not start. */
struct vwi_errand *vwi_courier_send(struct vwi_courier *courier, const struct vwi_errand_request *request, vwi_errand_fn fn, void *arg);
void vwi_errand_cancel(struct vwi_errand *errand); /* NULL is fine; no call follows */

#endif
