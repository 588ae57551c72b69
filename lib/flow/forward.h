/* What goes to the model server: which path, which headers, which body. Always rebuilt here, so nothing can be smuggled through. */
#ifndef VWI_FLOW_FORWARD_H
#define VWI_FLOW_FORWARD_H

#include "base/conf.h"
#include "base/text.h"
#include "io/exchange.h"
#include "io/upstream.h"

/* The text that a struct vwi_upstream_request borrows from; zeroed at first, and used again and again. */
struct vwi_forward {
    struct vwi_text target, headers;
};

/*
 * envelope: body is the payload and goes out as a JSON POST without the client's headers or query (protocol.md 2.8), but for those
 * that trace a request. Else method, query and headers of the client go on, minus hop-by-hop ones and credentials of the platform.
 * False: out of memory. body is borrowed by *ret, all else until the next build.
 */
bool vwi_forward_build(struct vwi_forward *forward, const struct vwi_exchange *ex, const struct vwi_handler_conf *handler, bool envelope,
                       struct vwi_span body, struct vwi_upstream_request *ret);
void vwi_forward_fini(struct vwi_forward *forward);

#endif
