/*
 * Invariants: the lease is paused only while the exchange owes an on_drained; a client whose body is streamed is read only while
 * nothing waits to be sent to the model.
 * The odd thing: the head is held back until the first body bytes or the end of the same read, so that an answer that is there
 * in whole goes out as one reply with its length, however the model framed it.
 */
#include "io/relay.h"

#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/vwi.h"

struct vwi_relay {
    struct vwi_loop *loop;
    struct vwi_lease *lease; /* NULL: over */
    struct vwi_exchange *ex;
    struct vwi_relay_events events;
    void *arg;
    struct vwi_burial burial;
    bool head_request, held, begun, ended, paused, event_stream, streamed;
    int status;
    int64_t length; /* -1: unknown */
    uint64_t bytes;
    struct vwi_text headers; /* while held */
    char extra[];
};

static void free_relay(void *arg)
{
    struct vwi_relay *relay = arg;

    vwi_text_fini(&relay->headers);
    vwi_free(relay);
}

static void stop(struct vwi_relay *relay)
{
    vwi_lease_cancel(relay->lease); /* nothing, when it has ended */
    relay->lease = NULL;
    vwi_loop_bury(relay->loop, &relay->burial, free_relay, relay);
}

static void finish(struct vwi_relay *relay, enum vwi_upstream_result result, const char *text)
{
    struct vwi_relay_end end = { result, text, relay->status, relay->begun, relay->bytes };

    stop(relay);
    relay->events.on_end(relay->arg, &end);
}

/* ---- head ---- */

#define NAME(s) { s, sizeof(s) - 1 }
static const struct vwi_span dropped[] = {
    NAME("Connection"), NAME("Keep-Alive"), NAME("Proxy-Connection"), NAME("Transfer-Encoding"), NAME("TE"), NAME("Trailer"),
    NAME("Upgrade"), NAME("Proxy-Authenticate"), NAME("Proxy-Authorization"),
    NAME("Content-Length"), NAME("Date"), /* the exchange writes its own */
};

static bool same(struct vwi_span a, struct vwi_span b) { return a.len == b.len && strncasecmp(a.p, b.p, a.len) == 0; }

static bool is_dropped(struct vwi_span name)
{
    size_t i;

    for (i = 0; i < VWI_ARRAY_LEN(dropped); i++)
        if (same(name, dropped[i]))
            return true;
    return false;
}

static bool lists(struct vwi_span list, struct vwi_span name)
{
    size_t from = 0, to;

    while (from < list.len) {
        struct vwi_span token;

        for (to = from; to < list.len && list.p[to] != ','; to++)
            ;
        token = (struct vwi_span){ list.p + from, to - from };
        while (token.len && (token.p[0] == ' ' || token.p[0] == '\t'))
            token.p++, token.len--;
        while (token.len && (token.p[token.len - 1] == ' ' || token.p[token.len - 1] == '\t'))
            token.len--;
        if (same(token, name))
            return true;
        from = to + 1;
    }
    return false;
}

static bool is_named_by_connection(const struct vwi_answer *answer, struct vwi_span name)
{
    size_t i;

    for (i = 0; i < answer->header_count; i++)
        if (same(answer->names[i], dropped[0]) && lists(answer->values[i], name))
            return true;
    return false;
}

static bool has_connection_list(const struct vwi_answer *answer)
{
    size_t i;

    for (i = 0; i < answer->header_count; i++)
        if (same(answer->names[i], dropped[0]) && !vwi_span_is_nocase(answer->values[i], "keep-alive") &&
            !vwi_span_is_nocase(answer->values[i], "close"))
            return true;
    return false;
}

static bool build_headers(struct vwi_relay *relay, const struct vwi_answer *answer)
{
    struct vwi_text *t = &relay->headers;
    bool listed = has_connection_list(answer);
    size_t i, need = strlen(relay->extra);

    for (i = 0; i < answer->header_count; i++)
        need += answer->names[i].len + answer->values[i].len + 4;
    vwi_text_reserve(t, need);
    for (i = 0; i < answer->header_count; i++) {
        struct vwi_span name = answer->names[i];

        if (is_dropped(name) || (listed && is_named_by_connection(answer, name)))
            continue;
        vwi_text_add(t, name.p, name.len);
        vwi_text_add(t, ": ", 2);
        vwi_text_add(t, answer->values[i].p, answer->values[i].len);
        vwi_text_add(t, "\r\n", 2);
    }
    return vwi_text_adds(t, relay->extra);
}

static bool is_event_stream(const struct vwi_answer *answer)
{
    static const struct vwi_span type = NAME("text/event-stream"), content_type = NAME("Content-Type");
    size_t i;

    for (i = 0; i < answer->header_count; i++) {
        struct vwi_span value = answer->values[i];

        if (same(answer->names[i], content_type))
            return value.len >= type.len && strncasecmp(value.p, type.p, type.len) == 0 &&
                   (value.len == type.len || strchr("; \t", value.p[type.len]));
    }
    return false;
}

/* What the client sent, as far as the model takes it now. */
static void pump(struct vwi_relay *relay)
{
    struct vwi_span piece = vwi_exchange_body(relay->ex);
    size_t waiting = vwi_lease_write(relay->lease, piece.p, piece.len);

    if (vwi_exchange_whole(relay->ex))
        vwi_lease_finish(relay->lease);
    vwi_exchange_consume(relay->ex); /* first, or reading would stop for the piece that is gone already */
    vwi_exchange_read(relay->ex, waiting == 0);
}

/* The model agrees to another protocol: what follows has no form that we know. */
static void switch_protocol(struct vwi_relay *relay, const struct vwi_answer *answer)
{
    static const struct vwi_span name = NAME("Upgrade");
    struct vwi_text *t = &relay->headers;
    size_t i;

    vwi_text_adds(t, "Connection: Upgrade\r\n");
    for (i = 0; i < answer->header_count; i++)
        if (same(answer->names[i], name))
            vwi_text_addf(t, "Upgrade: %.*s\r\n", (int)answer->values[i].len, answer->values[i].p);
    if (t->failed) {
        finish(relay, VWI_UPSTREAM_RESET, "out of memory");
        return;
    }
    relay->begun = relay->streamed = true;
    relay->held = false;
    vwi_exchange_tunnel(relay->ex, t->p);
    vwi_text_fini(t);
    pump(relay);
}

static void on_head(void *arg, const struct vwi_answer *answer)
{
    struct vwi_relay *relay = arg;

    relay->status = answer->status;
    if (relay->events.on_head && !relay->events.on_head(relay->arg, answer)) {
        if (relay->lease)
            stop(relay);
        return;
    }
    if (!relay->lease)
        return; /* cancelled inside */
    relay->length = answer->chunked ? -1 : answer->content_length;
    relay->event_stream = is_event_stream(answer);
    relay->held = true;
    if (!build_headers(relay, answer))
        finish(relay, VWI_UPSTREAM_RESET, "out of memory");
    else if (answer->status == 101)
        switch_protocol(relay, answer);
}

static void release_head(struct vwi_relay *relay)
{
    if (!relay->held)
        return;
    relay->held = false;
    relay->begun = true;
    vwi_exchange_head(relay->ex, relay->status, relay->headers.p, relay->length);
    vwi_text_fini(&relay->headers);
}

static void reply(struct vwi_relay *relay, const char *data, size_t len)
{
    relay->held = false;
    relay->begun = relay->ended = true;
    vwi_exchange_reply(relay->ex, relay->status, relay->headers.p, data, len);
}

/* ---- body ---- */

static void on_body(void *arg, const char *data, size_t len)
{
    struct vwi_relay *relay = arg;

    relay->bytes += len;
    if (relay->held && vwi_lease_complete(relay->lease)) {
        reply(relay, data, len);
        return;
    }
    release_head(relay);
    vwi_exchange_write(relay->ex, data, len);
    if (!relay->paused && vwi_exchange_backlog(relay->ex) >= VWI_EXCHANGE_HIGH_BYTES) {
        relay->paused = true;
        vwi_lease_pause(relay->lease);
    }
}

static void on_lull(void *arg) { release_head(arg); }

void vwi_relay_drained(struct vwi_relay *relay)
{
    if (!relay->lease || !relay->paused)
        return;
    relay->paused = false;
    vwi_lease_resume(relay->lease);
}

static void on_writable(void *arg)
{
    struct vwi_relay *relay = arg;

    if (relay->lease)
        pump(relay);
}

void vwi_relay_body(struct vwi_relay *relay)
{
    if (relay->lease && relay->streamed)
        pump(relay);
}

/* ---- ends ---- */

/* A reader of events is told what happened, where a cut would look like the end to many of them. */
static bool end_event_stream(struct vwi_relay *relay, enum vwi_upstream_result result, const char *text)
{
    struct vwi_text event = VWI_TEXT_INIT;
    bool built;

    vwi_text_addf(&event, "\n\nevent: error\ndata: {\"error\":{\"code\":\"%s\",\"message\":",
                  result == VWI_UPSTREAM_TIMEOUT ? "model_timeout" : "model_reset");
    vwi_text_add_json(&event, text, strlen(text));
    built = vwi_text_adds(&event, ",\"type\":\"server_error\"}}\n\n");
    if (built) {
        vwi_exchange_write(relay->ex, event.p, event.len);
        vwi_exchange_end(relay->ex);
    }
    vwi_text_fini(&event);
    return built;
}

static void on_end(void *arg, enum vwi_upstream_result result, const char *text)
{
    struct vwi_relay *relay = arg;

    if (result == VWI_UPSTREAM_OK) {
        if (relay->held && !relay->head_request)
            reply(relay, NULL, 0);
        release_head(relay);
        if (!relay->ended)
            vwi_exchange_end(relay->ex);
    } else if (relay->begun) {
        if (relay->length >= 0 || !relay->event_stream || !end_event_stream(relay, result, text))
            vwi_exchange_abort(relay->ex);
    }
    finish(relay, result, text);
}

struct vwi_relay *vwi_relay_start(struct vwi_upstream *up, const struct vwi_upstream_request *request, struct vwi_exchange *ex,
                                  const char *extra_headers, const struct vwi_relay_events *events, void *arg)
{
    static const struct vwi_lease_events lease_events = { on_head, on_body, on_end, on_lull, on_writable };
    size_t extra_len = extra_headers ? strlen(extra_headers) : 0;
    struct vwi_relay *relay = vwi_alloc(sizeof *relay + extra_len + 1);

    if (!relay)
        return NULL;
    memset(relay, 0, sizeof *relay);
    if (extra_len)
        memcpy(relay->extra, extra_headers, extra_len);
    relay->extra[extra_len] = '\0';
    relay->loop = vwi_upstream_loop(up);
    relay->ex = ex;
    relay->events = *events;
    relay->arg = arg;
    relay->head_request = vwi_span_is(request->method, "HEAD");
    relay->lease = vwi_upstream_send(up, request, &lease_events, relay);
    if (!relay->lease) {
        vwi_free(relay);
        return NULL;
    }
    relay->streamed = request->streamed;
    if (relay->streamed) {
        vwi_exchange_stream(ex);
        pump(relay);
    }
    return relay;
}

void vwi_relay_cancel(struct vwi_relay *relay)
{
    if (relay && relay->lease)
        stop(relay);
}
