#include "io/request_id.h"

#include <string.h>

#include <openssl/err.h>
#include <openssl/rand.h>

static bool is_token(unsigned char c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || (c && strchr("!#$%&'*+-.^_`|~", c));
}

bool vwi_request_id_is_good(struct vwi_span id)
{
    size_t i;

    for (i = 0; i < id.len; i++)
        if (!is_token((unsigned char)id.p[i]))
            return false;
    return id.len > 0 && id.len <= VWI_REQUEST_ID_MAX;
}

static bool refill(struct vwi_request_ids *ids)
{
    bool ok;

    ERR_set_mark();
    ok = RAND_bytes(ids->bytes, sizeof ids->bytes) == 1;
    ERR_pop_to_mark();
    if (ok)
        ids->left = sizeof ids->bytes;
    return ok;
}

bool vwi_request_id_make(struct vwi_request_ids *ids, char out[VWI_REQUEST_ID_MADE])
{
    static const char digits[] = "0123456789abcdef";
    size_t i;

    if (!ids->left && !refill(ids))
        return false;
    for (i = 0; i < VWI_REQUEST_ID_MADE; i += 2) {
        unsigned char byte = ids->bytes[--ids->left];

        out[i] = digits[byte >> 4];
        out[i + 1] = digits[byte & 15];
    }
    return true;
}
