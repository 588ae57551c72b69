/* Obtains the control plane's public key: each address in turn, for ever, with back-off; and again when a signature fails. */
#ifndef VWI_FLOW_PUBKEY_H
#define VWI_FLOW_PUBKEY_H

#include "base/conf.h"
#include "base/log.h"
#include "io/courier.h"

struct vwi_pubkey;

struct vwi_pubkey_events {
    /* A text arrived. Return VW_OK when it is a key and now in use; else fill why and the next address is asked. */
    vw_err (*on_key)(void *arg, const char *pem, size_t len, vw_error_t *why);
};

vw_err vwi_pubkey_create(struct vwi_loop *loop, struct vwi_courier *courier, const struct vwi_strings *addresses, const struct vwi_log *log,
                         const struct vwi_pubkey_events *events, void *arg, struct vwi_pubkey **ret, vw_error_t *why);
void vwi_pubkey_start(struct vwi_pubkey *pubkey);
/* A signature did not verify: the key may have been rotated. At most one fetch a minute comes of it. NULL is fine. */
void vwi_pubkey_doubt(struct vwi_pubkey *pubkey);
void vwi_pubkey_destroy(struct vwi_pubkey *pubkey);

#endif
