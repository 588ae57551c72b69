/*
 * Invariants: the lease is paused only while the exchange owes an on_drained; a client whose body is streamed is read only while
 * nothing waits to be sent to the model.
 * The odd thing: the head is held back until the first body bytes or the end of the same read, so that an answer that is there
 * in whole goes out as one reply with its length, however the model framed it.
 */
#include "io/relay.h"

#include <string.h>

#include "base/mem.h"
#include "base/vwi.h"
#include "io/answer_fields.h"

struct vwi_relay {
    struct vwi_loop *loop;
    struct vwi_lease *lease; /* NULL: over */
    struct vwi_exchange *ex;
    struct vwi_relay_events events;
    void *arg;
    struct vwi_burial burial;
    bool head_request, held, begun, ended, paused, streamed;
    bool late;     /* the user has sent a head already: begun at the first byte of the body */
    bool as_event; /* the body goes out as the data of one event */
    bool unended;  /* the last line of an answer whose length is announced wants a line end, which was counted */
    char last;     /* of the body so far */
    int status;
    int64_t length; /* -1: unknown */
    uint64_t bytes;
    struct vwi_answer_traits traits;
    struct vwi_text headers; /* while held */
    struct vwi_text trailers;
    char extra[];
};

static void free_relay(void *arg)
{
    struct vwi_relay *relay = arg;

    vwi_text_fini(&relay->headers);
    vwi_text_fini(&relay->trailers);
    vwi_free(relay);
}

static void stop(struct vwi_relay *relay)
{
    vwi_lease_cancel(relay->lease); /* nothing, when it has ended */
    relay->lease = NULL;
    vwi_loop_bury(relay->loop, &relay->burial, free_relay, relay);
}

bool vwi_relay_at_work(const struct vwi_relay *relay) { return relay->lease && vwi_lease_at_work(relay->lease); }

static void finish(struct vwi_relay *relay, enum vwi_upstream_result result, const char *text)
{
    struct vwi_relay_end end = { result, text, relay->status, relay->begun, relay->bytes, vwi_relay_at_work(relay) };

    stop(relay);
    relay->events.on_end(relay->arg, &end);
}

/* ---- head ---- */

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
    struct vwi_text *t = &relay->headers;
    size_t i;

    vwi_text_adds(t, "Connection: Upgrade\r\n");
    for (i = 0; i < answer->header_count; i++)
        if (vwi_span_is_nocase(answer->names[i], "Upgrade"))
            vwi_text_addf(t, "Upgrade: %.*s\r\n", (int)answer->values[i].len, answer->values[i].p);
    if (t->failed) {
        finish(relay, VWI_UPSTREAM_RESET, "out of memory");
        return;
    }
    relay->begun = relay->streamed = true;
    relay->held = false;
    relay->traits = (struct vwi_answer_traits){ 0 }; /* nothing is added to what goes through */
    vwi_exchange_tunnel(relay->ex, t->p);
    vwi_text_fini(t);
    pump(relay);
}

/* Only the body is left to be passed on; it goes out without a length. */
static void be_late(struct vwi_relay *relay)
{
    relay->late = true;
    relay->held = false;
    relay->length = -1;
    vwi_text_fini(&relay->headers);
}

/* Events get the end of their last line, and told what broke them, also where the model has announced a length. */
static bool may_grow(const struct vwi_relay *relay, const struct vwi_answer *answer)
{
    return relay->traits.events && !relay->traits.coded && !relay->head_request && answer->content_length > 0;
}

static void on_head(void *arg, const struct vwi_answer *answer)
{
    struct vwi_relay *relay = arg;
    bool built;

    relay->status = answer->status;
    if (relay->events.on_head && !relay->events.on_head(relay->arg, answer)) {
        if (relay->lease)
            stop(relay);
        return;
    }
    if (!relay->lease)
        return; /* cancelled inside */
    relay->held = true;
    built = vwi_answer_fields_head(&relay->headers, answer, &relay->traits);
    relay->length = answer->chunked || may_grow(relay, answer) ? -1 : answer->content_length;
    if (!built || (relay->extra[0] && !vwi_text_adds(&relay->headers, relay->extra)))
        finish(relay, VWI_UPSTREAM_RESET, "out of memory");
    else if (answer->status == 101)
        switch_protocol(relay, answer);
    else if (vwi_exchange_head_sent(relay->ex))
        be_late(relay);
}

/* The client reads it line by line, and lines may be added to it. */
static bool is_read_by_line(const struct vwi_relay *relay) { return relay->traits.lines && !relay->traits.coded; }

/* What cannot be told for want of memory is left out: the client must do without it anyway (RFC 9110 15.2). */
static void on_interim(void *arg, const struct vwi_answer *answer)
{
    struct vwi_relay *relay = arg;
    struct vwi_answer_traits traits;
    struct vwi_text headers = VWI_TEXT_INIT;

    if (vwi_answer_fields_head(&headers, answer, &traits))
        vwi_exchange_interim(relay->ex, answer->status, headers.p);
    vwi_text_fini(&headers);
}

static void release_head(struct vwi_relay *relay)
{
    if (!relay->held)
        return;
    relay->held = false;
    relay->begun = true;
    if (relay->length < 0 && !relay->head_request && !relay->traits.accel)
        vwi_text_adds(&relay->headers, "X-Accel-Buffering: no\r\n"); /* missing where memory is: only slower */
    if (relay->traits.dated)
        vwi_exchange_keep_date(relay->ex);
    vwi_exchange_head(relay->ex, relay->status, relay->headers.p, relay->length);
    vwi_text_fini(&relay->headers);
}

static void reply(struct vwi_relay *relay, const char *data, size_t len)
{
    relay->held = false;
    relay->begun = relay->ended = true;
    if (relay->traits.dated)
        vwi_exchange_keep_date(relay->ex);
    vwi_exchange_reply(relay->ex, relay->status, relay->headers.p, data, len);
}

/* ---- body ---- */

/* Line ends in JSON are white space, but would end the line of data. */
static void write_as_event(struct vwi_relay *relay, const char *data, size_t len)
{
    struct vwi_text line = VWI_TEXT_INIT;
    size_t i;

    if (!relay->begun)
        vwi_text_adds(&line, relay->status >= 400 ? "event: error\ndata: " : "data: ");
    i = line.len;
    vwi_text_add(&line, data, len);
    for (; i < line.len; i++)
        if (line.p[i] == '\n' || line.p[i] == '\r')
            line.p[i] = ' ';
    if (line.failed)
        vwi_exchange_abort(relay->ex);
    else
        vwi_exchange_write(relay->ex, line.p, line.len);
    vwi_text_fini(&line);
}

static void on_body(void *arg, const char *data, size_t len)
{
    struct vwi_relay *relay = arg;

    relay->bytes += len;
    relay->last = data[len - 1];
    if (relay->held && vwi_lease_complete(relay->lease) && !relay->trailers.len) {
        if (relay->last == '\n' || relay->length >= 0 || !is_read_by_line(relay)) {
            reply(relay, data, len);
            return;
        }
        relay->length = (int64_t)len + 1; /* all of it, and the line end that is missing */
        relay->unended = true;
    }
    release_head(relay);
    if (relay->as_event)
        write_as_event(relay, data, len);
    else
        vwi_exchange_write(relay->ex, data, len);
    relay->begun = true;
    if (!relay->paused && vwi_exchange_backlog(relay->ex) >= VWI_EXCHANGE_HIGH_BYTES) {
        relay->paused = true;
        vwi_lease_pause(relay->lease);
    }
}

/* They keep an answer that is there in whole chunked; a client that knows no chunks goes without (RFC 9110 6.5.1). */
static void on_trailers(void *arg, const struct vwi_answer *trailers)
{
    struct vwi_relay *relay = arg;

    if (vwi_exchange_is_1_1(relay->ex) && !vwi_answer_fields_trailers(&relay->trailers, trailers))
        vwi_text_clear(&relay->trailers);
}

static void on_lull(void *arg) { release_head(arg); }

void vwi_relay_as_event(struct vwi_relay *relay) { relay->as_event = true; }

bool vwi_relay_awaits_model(const struct vwi_relay *relay)
{
    return relay->lease && !relay->paused && (!relay->streamed || vwi_exchange_whole(relay->ex));
}

uint64_t vwi_relay_bytes(const struct vwi_relay *relay) { return relay->bytes; }

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

/* A reader of events is told what happened, where a cut would look like the end to many of them. The two line ends close the line
 * and the event that broke off. */
static bool end_event_stream(struct vwi_relay *relay, const char *code, const char *text)
{
    struct vwi_text event = VWI_TEXT_INIT;
    bool built;

    vwi_text_addf(&event, "\n\nevent: error\ndata: {\"error\":{\"code\":\"%s\",\"message\":", code);
    vwi_text_add_json(&event, text, strlen(text));
    built = vwi_text_adds(&event, ",\"type\":\"server_error\"}}\n\n");
    if (built) {
        vwi_exchange_write(relay->ex, event.p, event.len);
        vwi_exchange_end(relay->ex);
    }
    vwi_text_fini(&event);
    return built;
}

static bool takes_event(const struct vwi_relay *relay)
{
    return relay->length < 0 && !relay->traits.coded && (relay->traits.events || relay->as_event);
}

static void break_off(struct vwi_relay *relay, const char *code, const char *text)
{
    if (!takes_event(relay) || !end_event_stream(relay, code, text))
        vwi_exchange_abort(relay->ex);
}

/* A reader by lines never sees one that does not end. */
static void end(struct vwi_relay *relay)
{
    if (relay->as_event)
        vwi_exchange_write(relay->ex, "\n\n", 2);
    else if (relay->unended || (relay->bytes && relay->length < 0 && relay->last != '\n' && is_read_by_line(relay)))
        vwi_exchange_write(relay->ex, "\n", 1);
    vwi_exchange_end_with(relay->ex, relay->trailers.p);
}

static void on_end(void *arg, enum vwi_upstream_result result, const char *text)
{
    struct vwi_relay *relay = arg;

    if (result == VWI_UPSTREAM_OK && relay->late && !relay->begun && !relay->traits.events) {
        finish(relay, VWI_UPSTREAM_RESET, "an empty answer"); /* is no JSON */
        return;
    }
    if (result == VWI_UPSTREAM_OK) {
        if (relay->held && !relay->head_request && !relay->trailers.len)
            reply(relay, NULL, 0);
        release_head(relay);
        if (!relay->ended)
            end(relay);
    } else if (relay->begun) {
        break_off(relay, result == VWI_UPSTREAM_TIMEOUT ? "model_timeout" : "model_reset", text);
    }
    finish(relay, result, text);
}

struct vwi_relay *vwi_relay_start(struct vwi_upstream *up, const struct vwi_upstream_request *request, struct vwi_exchange *ex,
                                  const char *extra_headers, const struct vwi_relay_events *events, void *arg)
{
    static const struct vwi_lease_events lease_events = {
        .on_head = on_head, .on_body = on_body, .on_end = on_end, .on_lull = on_lull, .on_writable = on_writable,
        .on_interim = on_interim, .on_trailers = on_trailers,
    };
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

bool vwi_relay_break(struct vwi_relay *relay, const char *code, const char *text)
{
    if (!relay->lease || !relay->begun)
        return false;
    break_off(relay, code, text);
    stop(relay);
    return true;
}

void vwi_relay_cancel(struct vwi_relay *relay)
{
    if (relay && relay->lease)
        stop(relay);
}
