/*
 * TLS on one connection of ours to a client: a handshake, then bytes, as recv and sendmsg would have it. Never blocks.
 * The odd thing: bytes may wait in here that the kernel will not announce again; vwi_tls_link_more() tells.
 */
#ifndef VWI_IO_TLS_LINK_H
#define VWI_IO_TLS_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "io/tls.h"

struct vwi_tls_link;

enum vwi_tls_step {
    VWI_TLS_UP,          /* bytes may flow */
    VWI_TLS_WANTS_READ,  /* go on when the socket is readable */
    VWI_TLS_WANTS_WRITE, /* go on when it is writable */
    VWI_TLS_LATER,       /* others had their turn of handshakes already: go on in the next one */
    VWI_TLS_PLAIN,       /* the client speaks plain HTTP; nothing was taken from the socket */
    VWI_TLS_BROKEN
};

struct vwi_tls_link *vwi_tls_link_create(struct vwi_tls *tls, int fd); /* fd stays the caller's. NULL: out of memory */
void vwi_tls_link_destroy(struct vwi_tls_link *link);                  /* says nothing to the peer; NULL is fine */

enum vwi_tls_step vwi_tls_link_handshake(struct vwi_tls_link *link);
const char *vwi_tls_link_problem(const struct vwi_tls_link *link); /* why it is broken, a clause */

/* As recv(2) and sendmsg(2) without waiting; only once it is up. -1 with EAGAIN, or ECONNRESET for whatever broke it; recv gives
 * 0 for an orderly end. Bytes that send refused must come first in the next send. */
ssize_t vwi_tls_link_recv(struct vwi_tls_link *link, void *buf, size_t len);
ssize_t vwi_tls_link_send(struct vwi_tls_link *link, const struct iovec *parts, int count);
bool vwi_tls_link_more(const struct vwi_tls_link *link); /* recv again without being told by the kernel */
bool vwi_tls_link_owes(const struct vwi_tls_link *link); /* a record went out in part: send before anything else is received */

/* Tells the peer that no more will come (close_notify). False: the socket takes nothing now, try again. */
bool vwi_tls_link_end(struct vwi_tls_link *link);

#endif
