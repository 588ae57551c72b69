/* What io/tls and io/tls_link share. */
#ifndef VWI_IO_TLS_PARTS_H
#define VWI_IO_TLS_PARTS_H

#include <openssl/bio.h>
#include <openssl/ssl.h>

#include "io/tls.h"

#define VWI_TLS_RECORD_BYTES 16384u /* RFC 8446 5.1 */

struct vwi_tls {
    struct vwi_loop *loop;
    SSL_CTX *ctx;         /* of new connections; open ones hold their own reference */
    BIO_METHOD *method;   /* sockets without SIGPIPE */
    unsigned busy;        /* handshakes that went on in this turn */
    bool counting;        /* busy is set to 0 at the end of the turn */
    struct vwi_burial turn;
    char scratch[VWI_TLS_RECORD_BYTES]; /* small pieces of one reply become one record */
};

BIO_METHOD *vwi_tls_link_method(void); /* new; NULL: out of memory */

#endif
