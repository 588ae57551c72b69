/*
 * The keys of bearer handlers at work: those of bearerKeysFile and of VASTWORKER_BEARER_KEYS together. The file is looked at every
 * second and read again once it has changed and stands still; one that cannot be used leaves the keys as they were, with a warning.
 */
#ifndef VWI_FLOW_KEYRING_H
#define VWI_FLOW_KEYRING_H

#include "base/conf.h"
#include "base/log.h"
#include "base/text.h"
#include "core/bearer.h"
#include "io/loop.h"

struct vwi_keyring;

/* conf and log: borrowed until destroy. VW_E_CONFIG: a file or variable that is no list of keys, or no key at all. */
vw_err vwi_keyring_create(struct vwi_loop *loop, const struct vwi_auth_conf *conf, const struct vwi_log *log, struct vwi_keyring **ret,
                          vw_error_t *why);
void vwi_keyring_start(struct vwi_keyring *keyring); /* watches the file from now on; NULL is fine */
bool vwi_keyring_holds(struct vwi_keyring *keyring, struct vwi_span key, struct vwi_bearer_rank *ret_rank); /* as vwi_bearer_holds */
void vwi_keyring_destroy(struct vwi_keyring *keyring); /* NULL is fine */

#endif
