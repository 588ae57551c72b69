/* The head of a request to the model server, as text. Knows no socket. */
#ifndef VWI_IO_HTTP1_ASK_H
#define VWI_IO_HTTP1_ASK_H

#include <stdbool.h>
#include <stddef.h>

#include "io/upstream.h"

bool vwi_http1_ask_fits(const struct vwi_upstream_request *rq); /* method and target hold no blank and no control */
bool vwi_http1_ask_is_idempotent(const struct vwi_upstream_request *rq);
size_t vwi_http1_ask_bound(const char *authority, const struct vwi_upstream_request *rq); /* room that is enough */
size_t vwi_http1_ask_write(const char *authority, const struct vwi_upstream_request *rq, char *to);

#endif
