/*
 * The worker's own API keys, for handlers with auth "bearer" (RFC 6750): only their SHA-256 digests are kept, so nothing here can
 * show a key. A presented key is held against all of them, whether one fits or not, so time tells nothing about which.
 */
#ifndef VWI_CORE_BEARER_H
#define VWI_CORE_BEARER_H

#include <stdbool.h>
#include <stddef.h>

#include <vastworker/err.h>

#include "base/text.h"

#define VWI_BEARER_KEYS_MAX 1000
#define VWI_BEARER_KEY_BYTES 1024 /* a longer one is no key */

struct vwi_bearer;

/* What a key is given besides access. */
struct vwi_bearer_rank {
    bool has_priority;
    int priority; /* 0 when it has none */
};

/* An empty set, which no key is in. One thread at a time. */
vw_err vwi_bearer_create(struct vwi_bearer **ret, vw_error_t *why);
void vwi_bearer_destroy(struct vwi_bearer *bearer); /* accepts NULL */

/*
 * Adds what stands between the separators ('\n' or ','), with the white space around it taken off; empty pieces and those that begin
 * with '#' are skipped. A key is visible ASCII without spaces; behind it may stand blanks and "priority=N". A text with anything else
 * is refused whole (VW_E_PARSE): why names the piece by its number, never by what it says.
 */
vw_err vwi_bearer_add(struct vwi_bearer *bearer, struct vwi_span text, char separator, vw_error_t *why);
size_t vwi_bearer_count(const struct vwi_bearer *bearer);

/* The key in the value of an Authorization header. False: it is not "Bearer KEY" (any case, RFC 9110 11.1). */
bool vwi_bearer_token(struct vwi_span authorization, struct vwi_span *ret);
/* ret_rank: where the key is in; of a key that was added twice, what was said last. */
bool vwi_bearer_holds(struct vwi_bearer *bearer, struct vwi_span key, struct vwi_bearer_rank *ret_rank);

#endif
