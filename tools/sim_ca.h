/* A certificate authority made on the spot: signs the requests of workers, as the platform's console does. */
#ifndef SIM_CA_H
#define SIM_CA_H

#include <vastworker/err.h>

#include "base/text.h"

struct sim_ca;

vw_err sim_ca_create(struct sim_ca **ret, vw_error_t *why);
void sim_ca_destroy(struct sim_ca *ca); /* NULL is fine */

/* Appends a certificate for the request's key, good for a day and for localhost, 127.0.0.1 and address. VW_E_PARSE: no request. */
vw_err sim_ca_sign(struct sim_ca *ca, struct vwi_span request_pem, const char *address, struct vwi_text *ret_pem, vw_error_t *why);
vw_err sim_ca_pem(const struct sim_ca *ca, struct vwi_text *ret_pem, vw_error_t *why); /* for clients to trust */

#endif
