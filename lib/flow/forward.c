#include "flow/forward.h"

#include <string.h>

#include "base/vwi.h"
#include "core/route.h"

/* RFC 9110 7.6.1, and what frames the message or is ours to write. */
static const char *const dropped[] = {
    "connection", "keep-alive", "proxy-connection", "proxy-authorization", "proxy-authenticate", "te", "trailer", "transfer-encoding",
    "upgrade", "host", "content-length", "expect", "x-vast-auth", "x-vast-session",
};

static bool is_dropped(struct vwi_span name, bool credentials)
{
    size_t i;

    for (i = 0; i < VWI_ARRAY_LEN(dropped); i++)
        if (vwi_span_is_nocase(name, dropped[i]))
            return true;
    return credentials && vwi_span_is_nocase(name, "authorization");
}

/* Connection may name more headers that end here. */
static bool is_named(struct vwi_span connection, struct vwi_span name)
{
    size_t at = 0;

    while (at < connection.len) {
        const char *start = connection.p + at;
        const char *comma = memchr(start, ',', connection.len - at);
        size_t len = comma ? (size_t)(comma - start) : connection.len - at;

        at += len + 1;
        while (len && (*start == ' ' || *start == '\t'))
            start++, len--;
        while (len && (start[len - 1] == ' ' || start[len - 1] == '\t'))
            len--;
        if (len == name.len && len) {
            size_t i;

            for (i = 0; i < len; i++)
                if ((start[i] | 0x20) != (name.p[i] | 0x20))
                    break;
            if (i == len)
                return true;
        }
    }
    return false;
}

static void copy_headers(struct vwi_text *out, const struct vwi_exchange *ex, bool credentials)
{
    struct vwi_span connection = vwi_exchange_header(ex, "connection"), name, value;
    size_t i, count = vwi_exchange_header_count(ex);

    for (i = 0; i < count; i++) {
        vwi_exchange_header_at(ex, i, &name, &value);
        if (is_dropped(name, credentials) || is_named(connection, name))
            continue;
        vwi_text_add(out, name.p, name.len);
        vwi_text_add(out, ": ", 2);
        vwi_text_add(out, value.p, value.len);
        vwi_text_add(out, "\r\n", 2);
    }
}

bool vwi_forward_build(struct vwi_forward *forward, const struct vwi_exchange *ex, const struct vwi_handler_conf *handler, bool envelope,
                       struct vwi_span body, struct vwi_upstream_request *ret)
{
    struct vwi_upstream_request request = { .body = body, .retry = handler->retry, .timeouts = &handler->timeouts };

    vwi_route_target(handler, vwi_exchange_target(ex), !envelope, &forward->target);
    if (envelope) {
        request.method = (struct vwi_span){ "POST", 4 };
        request.has_body = true;
        request.headers = "Content-Type: application/json\r\nAccept: */*\r\n";
    } else {
        request.method = vwi_exchange_method(ex);
        request.has_body = vwi_exchange_header(ex, "content-length").p || vwi_exchange_header(ex, "transfer-encoding").p;
        copy_headers(&forward->headers, ex, handler->auth != VWI_AUTH_NONE);
        request.headers = forward->headers.p;
    }
    request.target = (struct vwi_span){ forward->target.p, forward->target.len };
    *ret = request;
    return !forward->target.failed && !forward->headers.failed;
}

void vwi_forward_fini(struct vwi_forward *forward)
{
    vwi_text_fini(&forward->target);
    vwi_text_fini(&forward->headers);
}
