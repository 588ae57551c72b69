#include "flow/forward.h"

#include <string.h>
#include <strings.h>

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

/* Headers that Connection names, hop by hop too. Bounded, since each is held against every header: who names more gets the first. */
#define NAMED_MAX 32

struct named {
    struct vwi_span names[NAMED_MAX];
    size_t count;
};

static void add_named(struct named *named, struct vwi_span list)
{
    size_t at = 0;

    while (at < list.len && named->count < NAMED_MAX) {
        const char *start = list.p + at;
        const char *comma = memchr(start, ',', list.len - at);
        size_t len = comma ? (size_t)(comma - start) : list.len - at;

        at += len + 1;
        while (len && (*start == ' ' || *start == '\t'))
            start++, len--;
        while (len && (start[len - 1] == ' ' || start[len - 1] == '\t'))
            len--;
        if (len && !vwi_span_is_nocase((struct vwi_span){ start, len }, "keep-alive"))
            named->names[named->count++] = (struct vwi_span){ start, len };
    }
}

/* Connection may be there more than once. */
static void find_named(const struct vwi_exchange *ex, struct named *named)
{
    struct vwi_span name, value;
    size_t i, count = vwi_exchange_header_count(ex);

    for (i = 0; i < count; i++) {
        vwi_exchange_header_at(ex, i, &name, &value);
        if (vwi_span_is_nocase(name, "connection"))
            add_named(named, value);
    }
}

static bool is_named(const struct named *named, struct vwi_span name)
{
    size_t i;

    for (i = 0; i < named->count; i++)
        if (named->names[i].len == name.len && strncasecmp(named->names[i].p, name.p, name.len) == 0)
            return true;
    return false;
}

#define JSON_HEADERS "Content-Type: application/json\r\nAccept: */*\r\n"
#define IDENTITY "Accept-Encoding: identity\r\n" /* what a heartbeat went before cannot be coded */

static void copy_headers(struct vwi_text *out, const struct vwi_exchange *ex, bool credentials, bool plain)
{
    size_t i, count = vwi_exchange_header_count(ex);
    struct vwi_span name, value;
    struct named named;

    named.count = 0;
    if (vwi_exchange_header(ex, "connection").p)
        find_named(ex, &named);
    for (i = 0; i < count; i++) {
        vwi_exchange_header_at(ex, i, &name, &value);
        if (is_dropped(name, credentials) || is_named(&named, name) || (plain && vwi_span_is_nocase(name, "accept-encoding")))
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
        request.headers = handler->heartbeat.enabled ? JSON_HEADERS IDENTITY : JSON_HEADERS;
    } else {
        request.method = vwi_exchange_method(ex);
        request.has_body = vwi_exchange_header(ex, "content-length").p || vwi_exchange_header(ex, "transfer-encoding").p;
        copy_headers(&forward->headers, ex, handler->auth != VWI_AUTH_NONE, handler->heartbeat.enabled);
        if (handler->heartbeat.enabled)
            vwi_text_adds(&forward->headers, IDENTITY);
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
