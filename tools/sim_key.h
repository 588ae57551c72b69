/* The control plane's RSA key, and signatures of scheme S3: over the text of {"url": ...}, nothing else. */
#ifndef SIM_KEY_H
#define SIM_KEY_H

#include <vastworker/err.h>

#include "base/text.h"

struct sim_key;

vw_err sim_key_make(struct sim_key **ret, vw_error_t *why);                   /* RSA-2048 */
vw_err sim_key_load(const char *path, struct sim_key **ret, vw_error_t *why); /* PEM, private; "-" is standard input */
void sim_key_free(struct sim_key *key);

vw_err sim_key_save(const struct sim_key *key, const char *path, vw_error_t *why);           /* PEM, private, mode 0600 */
vw_err sim_key_public_pem(const struct sim_key *key, struct vwi_text *ret, vw_error_t *why); /* SubjectPublicKeyInfo */

/* The bytes that are signed for a worker url. Refuses an empty url and bytes that are not UTF-8. */
vw_err sim_key_signed_text(const char *url, struct vwi_text *ret, vw_error_t *why);
/* RSASSA-PKCS1-v1_5 with SHA-256 over that text, as standard base64. */
vw_err sim_key_sign_url(const struct sim_key *key, const char *url, struct vwi_text *ret, vw_error_t *why);

vw_err sim_base64(const void *data, size_t len, struct vwi_text *ret, vw_error_t *why);

#endif
