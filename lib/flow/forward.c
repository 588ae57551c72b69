#include "flow/forward.h"

#include <string.h>

#include "base/vwi.h"
#include "core/route.h"
#include "io/http1.h"

/* What becomes of a header of the client. */
enum fate {
    PASSED,
    DROPPED,
    CODED,         /* passed but where a heartbeat may go before the answer, which cannot be coded then */
    TRACED,        /* passed in an envelope's request too */
    AUTHORIZATION, /* passed where the handler says so */
    APPENDED       /* X-Forwarded-For, which is written below with the client's address behind it */
};

#define ROW(name, fate) { { name, sizeof(name) - 1 }, fate }
static const struct row {
    struct vwi_span name;
    enum fate fate;
} rows[] = {
    /* RFC 9110 7.6.1, and what frames the message or is ours to write. */
    ROW("connection", DROPPED), ROW("keep-alive", DROPPED), ROW("proxy-connection", DROPPED), ROW("proxy-authorization", DROPPED),
    ROW("proxy-authenticate", DROPPED), ROW("te", DROPPED), ROW("trailer", DROPPED), ROW("transfer-encoding", DROPPED),
    ROW("upgrade", DROPPED), ROW("host", DROPPED), ROW("content-length", DROPPED), ROW("expect", DROPPED),
    ROW("x-forwarded-proto", DROPPED), ROW("x-request-id", DROPPED),
    /* The platform's. */
    ROW("x-vast-auth", DROPPED), ROW("x-vast-session", DROPPED), ROW("authorization", AUTHORIZATION),
    /* W3C Trace Context. */
    ROW("traceparent", TRACED), ROW("tracestate", TRACED), ROW("x-forwarded-for", APPENDED),
    ROW("accept-encoding", CODED),
};
#undef ROW

static enum fate find_fate(struct vwi_span name)
{
    size_t i;

    for (i = 0; i < VWI_ARRAY_LEN(rows); i++)
        if (vwi_span_same_nocase(rows[i].name, name))
            return rows[i].fate;
    return PASSED;
}

/* Servers behind CGI's naming (RFC 3875 4.1.18) cannot tell "_" from "-": what only looks like a name of the table goes no further. */
static enum fate fate_of(struct vwi_span name)
{
    char dashed[32];
    size_t i;

    if (!memchr(name.p, '_', name.len))
        return find_fate(name);
    if (name.len > sizeof dashed)
        return PASSED;
    for (i = 0; i < name.len; i++)
        dashed[i] = (char)(name.p[i] == '_' ? '-' : name.p[i]);
    return find_fate((struct vwi_span){ dashed, name.len }) == PASSED ? PASSED : DROPPED;
}

/* Headers that Connection names, hop by hop too. */
struct named {
    struct vwi_span names[VWI_HTTP1_NAMED_COUNT];
    size_t count;
};

static void add_named(struct named *named, struct vwi_span list)
{
    struct vwi_span name;

    while (named->count < VWI_ARRAY_LEN(named->names) && vwi_span_next(&list, ',', &name))
        if (name.len && !vwi_span_is_nocase(name, "keep-alive"))
            named->names[named->count++] = name;
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
        if (vwi_span_same_nocase(named->names[i], name))
            return true;
    return false;
}

/* Whom the request came from, in the order it came: what the client says, then the client. */
static void add_forwarded_for(struct vwi_text *out, const struct vwi_exchange *ex, bool listed)
{
    struct vwi_span name, value, peer = vwi_exchange_peer(ex);
    size_t i, count = listed ? vwi_exchange_header_count(ex) : 0;

    vwi_text_add(out, "X-Forwarded-For: ", 17);
    for (i = 0; i < count; i++) {
        vwi_exchange_header_at(ex, i, &name, &value);
        if (!value.len || fate_of(name) != APPENDED)
            continue;
        vwi_text_add(out, value.p, value.len);
        vwi_text_add(out, ", ", 2);
    }
    vwi_text_add(out, peer.p, peer.len);
    vwi_text_add(out, "\r\n", 2);
}

static void add_own(struct vwi_text *out, const struct vwi_exchange *ex, bool listed)
{
    struct vwi_span id = vwi_exchange_id(ex);

    add_forwarded_for(out, ex, listed);
    vwi_text_add(out, "X-Forwarded-Proto: ", 19);
    vwi_text_adds(out, vwi_exchange_is_tls(ex) ? "https" : "http");
    vwi_text_add(out, "\r\n", 2);
    if (id.len)
        vwi_text_add_field(out, (struct vwi_span){ "X-Request-Id", 12 }, id);
}

static void write_headers(struct vwi_text *out, const struct vwi_exchange *ex, const struct vwi_handler_conf *handler, bool envelope)
{
    size_t i, count = vwi_exchange_header_count(ex);
    struct vwi_span name, value;
    struct named named;
    bool listed = false;

    named.count = 0;
    if (vwi_exchange_header(ex, "connection").p)
        find_named(ex, &named);
    for (i = 0; i < count; i++) {
        enum fate fate;

        vwi_exchange_header_at(ex, i, &name, &value);
        fate = fate_of(name);
        listed = listed || fate == APPENDED;
        if (fate == AUTHORIZATION && handler->forward_authorization)
            fate = TRACED;
        if (fate == CODED && !handler->heartbeat.enabled)
            fate = PASSED;
        if ((fate == TRACED || (fate == PASSED && !envelope)) && !is_named(&named, name))
            vwi_text_add_field(out, name, value);
    }
    if (envelope)
        vwi_text_adds(out, "Content-Type: application/json\r\nAccept: */*\r\n");
    if (handler->heartbeat.enabled)
        vwi_text_adds(out, "Accept-Encoding: identity\r\n");
    add_own(out, ex, listed);
}

bool vwi_forward_build(struct vwi_forward *forward, const struct vwi_exchange *ex, const struct vwi_handler_conf *handler, bool envelope,
                       struct vwi_span body, struct vwi_upstream_request *ret)
{
    struct vwi_upstream_request request = { .body = body, .retry = handler->retry, .timeouts = &handler->timeouts };

    vwi_text_clear(&forward->target);
    vwi_text_clear(&forward->headers);
    vwi_route_target(handler, vwi_exchange_target(ex), !envelope, &forward->target);
    write_headers(&forward->headers, ex, handler, envelope);
    request.method = envelope ? (struct vwi_span){ "POST", 4 } : vwi_exchange_method(ex);
    request.has_body = envelope || vwi_exchange_header(ex, "content-length").p || vwi_exchange_header(ex, "transfer-encoding").p;
    request.target = (struct vwi_span){ forward->target.p, forward->target.len };
    request.headers = forward->headers.p;
    *ret = request;
    return !forward->target.failed && !forward->headers.failed;
}

void vwi_forward_fini(struct vwi_forward *forward)
{
    vwi_text_fini(&forward->target);
    vwi_text_fini(&forward->headers);
}
