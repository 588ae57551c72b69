/* A host name to addresses, looked up on a short thread; the result comes back through the loop's door. */
#ifndef VWI_IO_RESOLVE_H
#define VWI_IO_RESOLVE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "io/loop.h"

#define VWI_ADDRESSES 16u /* more are not tried */

struct vwi_addresses {
    unsigned count;
    struct vwi_address {
        struct sockaddr_storage sa;
        socklen_t len;
    } items[VWI_ADDRESSES];
};

struct vwi_resolve;

/* found: borrowed for the call; count 0 when the name has no address, then text says why. */
typedef void (*vwi_resolve_fn)(void *arg, const struct vwi_addresses *found, const char *text);

/* An IPv4 or IPv6 address in digits, without looking anything up. False: it is a name. */
bool vwi_resolve_literal(const char *host, uint16_t port, struct vwi_addresses *ret);
/* host: copied. fn is called on the loop thread, once. NULL: no memory or no thread. */
struct vwi_resolve *vwi_resolve_start(struct vwi_loop *loop, const char *host, uint16_t port, vwi_resolve_fn fn, void *arg);
void vwi_resolve_cancel(struct vwi_resolve *r); /* loop thread; never waits for the thread */

#endif
