/*
 * Obtains a certificate where the platform gave the worker none: a key, a request, and a call that signs it (docs/protocol.md).
 * Five tries, with 2, 4, 8 and 16 s between them; then it has failed for good. Nothing here blocks.
 */
#ifndef VWI_FLOW_CERTIFICATE_H
#define VWI_FLOW_CERTIFICATE_H

#include "base/conf.h"
#include "base/log.h"
#include "io/courier.h"

struct vwi_certificate;

struct vwi_certificate_setup {
    struct vwi_loop *loop;
    struct vwi_courier *courier;
    const struct vwi_tls_conf *conf;
    long long worker_id;
    const struct vwi_log *log;
    int64_t first_wait_ms; /* 0: 2000 */
};

/* One of them, once, from the loop. */
struct vwi_certificate_events {
    void (*on_there)(void *arg); /* both files are written and belong together */
    void (*on_failed)(void *arg, const char *text);
};

bool vwi_certificate_is_missing(const struct vwi_tls_conf *conf); /* there is no certFile */

/* Everything in setup is borrowed until destroy, except the struct itself. */
vw_err vwi_certificate_create(const struct vwi_certificate_setup *setup, const struct vwi_certificate_events *events, void *arg,
                              struct vwi_certificate **ret, vw_error_t *why);
void vwi_certificate_start(struct vwi_certificate *certificate);
void vwi_certificate_stop(struct vwi_certificate *certificate); /* no call follows; NULL is fine */
void vwi_certificate_destroy(struct vwi_certificate *certificate); /* not inside its own events; NULL is fine */

#endif
