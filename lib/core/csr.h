/* A key of our own and the request to have it certified, as the platform's boot script makes them with `openssl req`. PEM all through. */
#ifndef VWI_CORE_CSR_H
#define VWI_CORE_CSR_H

#include <vastworker/err.h>

#include "base/text.h"

/* Appends a new RSA-2048 key. It is a secret: wipe the text (vwi_csr_wipe) before it is freed. */
vw_err vwi_csr_make_key(struct vwi_text *ret_pem, vw_error_t *why);
void vwi_csr_wipe(struct vwi_text *pem); /* overwrites and frees */

/* Appends the request for this key: C=US, ST=CA, CN=pyworker.vast.ai, not a CA, address 0.0.0.0, signed with SHA-256. */
vw_err vwi_csr_write(struct vwi_span key_pem, struct vwi_text *ret_pem, vw_error_t *why);

/* VW_E_PARSE: the text does not begin with a certificate, it is one of another key, or what follows is not whole. */
vw_err vwi_csr_check(struct vwi_span cert_pem, struct vwi_span key_pem, vw_error_t *why);

#endif
