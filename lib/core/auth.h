/*
 * Signatures of the platform: RSA PKCS#1 v1.5 with SHA-256 over the canonical text of {"url": ...} (scheme S3).
 * Pairs that were found good are remembered, since the platform's signature is constant for a worker's url.
 */
#ifndef VWI_CORE_AUTH_H
#define VWI_CORE_AUTH_H

#include <stdbool.h>
#include <stddef.h>

#include <vastworker/err.h>

#include "base/text.h"

struct vwi_verifier;

enum vwi_auth_verdict { VWI_AUTH_GOOD, VWI_AUTH_NO_KEY, VWI_AUTH_FOREIGN_URL, VWI_AUTH_BAD_SIGNATURE };

#define VWI_AUTH_URL_MAX 2048 /* a longer url has a bad signature */

/* Appends the signed text. False: url is not UTF-8 (out is as it was), or out->failed. */
bool vwi_auth_canonical(struct vwi_span url, struct vwi_text *out);

/* remembered_pairs: at most 65536 are kept; 0: none. One thread at a time. */
vw_err vwi_verifier_create(size_t remembered_pairs, struct vwi_verifier **ret, vw_error_t *why);
void vwi_verifier_destroy(struct vwi_verifier *v); /* accepts NULL */
/*
 * PEM, SubjectPublicKeyInfo or PKCS#1, RSA of 2048 to 8192 bits: the platform signs with 2048, less can be forged, more would
 * let a key slow the loop. A new key empties the table, the same key again keeps it, a refused one leaves all as it was.
 */
vw_err vwi_verifier_set_key(struct vwi_verifier *v, const char *pem, size_t len, vw_error_t *why);
bool vwi_verifier_has_key(const struct vwi_verifier *v);
/* expected_url of length 0: any url. signature: base64 as sent. Allocates nothing of its own. */
enum vwi_auth_verdict vwi_verifier_judge(struct vwi_verifier *v, struct vwi_span expected_url, struct vwi_span url,
                                         struct vwi_span signature);

/*
 * Appends to out; on failure out is as it was. strict: base64 or base64url, padded or not, nothing else in between. Not strict:
 * as the platform decodes signatures: standard alphabet, other characters skipped, padding required, the rest after it ignored.
 * VW_E_PARSE, VW_E_NOMEM.
 */
vw_err vwi_base64_decode(struct vwi_span in, bool strict, struct vwi_text *out);

/* The same into size bytes. False: not base64, or more than that. *ret_len untouched then, out not. */
bool vwi_base64_into(struct vwi_span in, bool strict, unsigned char *out, size_t size, size_t *ret_len);

/* Time depends on alen alone: give what the client sent as a. */
bool vwi_secret_equal(const char *a, size_t alen, const char *b, size_t blen);

#endif
