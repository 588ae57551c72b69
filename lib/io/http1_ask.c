/* No Connection header, but for an upgrade: keep-alive is what HTTP/1.1 means without one. */
#include "io/http1_ask.h"

#include <string.h>

#include "base/vwi.h"

#define FIXED_BYTES 120u /* version, Host, the framing with its digits, Connection, line ends */

static bool is_clean(struct vwi_span s)
{
    size_t i;

    for (i = 0; i < s.len; i++)
        if ((unsigned char)s.p[i] <= ' ' || s.p[i] == 0x7f)
            return false;
    return s.len > 0;
}

bool vwi_http1_ask_fits(const struct vwi_upstream_request *rq) { return is_clean(rq->method) && is_clean(rq->target); }

bool vwi_http1_ask_is_idempotent(const struct vwi_upstream_request *rq)
{
    static const char *const names[] = { "GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE" };
    size_t i;

    for (i = 0; i < VWI_ARRAY_LEN(names); i++)
        if (vwi_span_is(rq->method, names[i]))
            return true;
    return false;
}

size_t vwi_http1_ask_bound(const char *authority, const struct vwi_upstream_request *rq)
{
    return FIXED_BYTES + rq->method.len + rq->target.len + strlen(authority) + (rq->headers ? strlen(rq->headers) : 0) +
           (rq->upgrade ? strlen(rq->upgrade) : 0);
}

static char *put(char *to, const char *p, size_t len)
{
    if (len)
        memcpy(to, p, len);
    return to + len;
}

static char *put_length(char *to, unsigned long long length)
{
    to = put(to, "Content-Length: ", 16);
    return put(to + vwi_digits(to, length), "\r\n", 2);
}

size_t vwi_http1_ask_write(const char *authority, const struct vwi_upstream_request *rq, char *to)
{
    static const char middle[] = " HTTP/1.1\r\nHost: ";
    char *p = put(to, rq->method.p, rq->method.len);

    p = put(p, " ", 1);
    p = put(p, rq->target.p, rq->target.len);
    p = put(p, middle, sizeof middle - 1);
    p = put(p, authority, strlen(authority));
    p = put(p, "\r\n", 2);
    p = put(p, rq->headers, rq->headers ? strlen(rq->headers) : 0);
    if (rq->upgrade)
        p = put(put(put(p, "Connection: Upgrade\r\nUpgrade: ", 30), rq->upgrade, strlen(rq->upgrade)), "\r\n", 2);
    else if (rq->streamed && rq->streamed_length < 0)
        p = put(p, "Transfer-Encoding: chunked\r\n", 28);
    else if (rq->streamed)
        p = put_length(p, (unsigned long long)rq->streamed_length);
    else if (rq->has_body || rq->body.len)
        p = put_length(p, rq->body.len);
    p = put(p, "\r\n", 2);
    return (size_t)(p - to);
}
