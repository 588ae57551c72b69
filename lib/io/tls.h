/*
 * The certificate we serve with, from two PEM files, and the context that io/tls_link makes connections from.
 * When the files change, new connections get what is in them now and open ones keep what they have; a pair that is no pair is said
 * once and changes nothing.
 */
#ifndef VWI_IO_TLS_H
#define VWI_IO_TLS_H

#include <vastworker/err.h>

#include "base/log.h"
#include "io/loop.h"

struct vwi_tls;

/* Both files are read now. VW_E_CONFIG names the key of the configuration, the file and the remedy. */
vw_err vwi_tls_create(struct vwi_loop *loop, const char *cert_file, const char *key_file, const struct vwi_log *log, struct vwi_tls **ret,
                      vw_error_t *why);
void vwi_tls_watch(struct vwi_tls *tls); /* from now on both files are looked at every two seconds */
void vwi_tls_look(struct vwi_tls *tls);  /* one look: a change is taken when two looks in a row have found the same */
const char *vwi_tls_until(const struct vwi_tls *tls); /* when the certificate ends: "Nov 26 06:00:00 2036 GMT" */
void vwi_tls_destroy(struct vwi_tls *tls); /* after its connections; NULL is fine */

#endif
