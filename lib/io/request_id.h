/* X-Request-Id: what a request is called in logs, at the model and at the client. Either the client's word for it or a made one. */
#ifndef VWI_IO_REQUEST_ID_H
#define VWI_IO_REQUEST_ID_H

#include <stdbool.h>
#include <stddef.h>

#include "base/text.h"

#define VWI_REQUEST_ID_MAX 128 /* of a client's */
#define VWI_REQUEST_ID_MADE 32 /* of ours: hexadecimal digits */

/* Random bytes are taken in batches, so that an id costs no system call. */
struct vwi_request_ids {
    unsigned char bytes[64 * VWI_REQUEST_ID_MADE / 2];
    size_t left;
};

/* 1 to 128 characters of a token (RFC 9110 5.6.2): safe in a header, a log line and JSON alike. */
bool vwi_request_id_is_good(struct vwi_span id);
/* False: the system has no randomness. ids: zeroed at first. */
bool vwi_request_id_make(struct vwi_request_ids *ids, char out[VWI_REQUEST_ID_MADE]);

#endif
