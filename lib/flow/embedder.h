/* What the host program says of its model, from any thread: kept in order, and told to the readiness machine on the loop thread. */
#ifndef VWI_FLOW_EMBEDDER_H
#define VWI_FLOW_EMBEDDER_H

#include <stddef.h>

#include <vastworker/err.h>

#include "flow/startup.h"

struct vwi_embedder;

enum vwi_embedder_news { VWI_EMBEDDER_LINE, VWI_EMBEDDER_LOADED, VWI_EMBEDDER_UNLOADED, VWI_EMBEDDER_FAILED, VWI_EMBEDDER_CAPACITY };

#define VWI_EMBEDDER_MAX_BYTES (1024u * 1024)

vw_err vwi_embedder_create(struct vwi_embedder **ret, vw_error_t *why);
void vwi_embedder_destroy(struct vwi_embedder *embedder);
/* Any thread. text is copied. VW_E_BUSY: too much waits. The caller wakes the loop. */
vw_err vwi_embedder_say(struct vwi_embedder *embedder, enum vwi_embedder_news news, const char *text, size_t len, double value);
/* Loop thread: tell what has come. */
void vwi_embedder_tell(struct vwi_embedder *embedder, struct vwi_startup *startup);

#endif
