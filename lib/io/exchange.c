/*
 * What the user of an exchange calls. Nothing here calls the user: whatever becomes due is left to vwi_client_settle().
 * The odd thing: a head alone is held until the first body bytes, the end, or the end of the turn, so that a reply that
 * is there at once costs one system call however it is handed in.
 */
#include "io/exchange.h"

#include <stdio.h>
#include <string.h>

#include "base/vwi.h"
#include "io/client.h"
#include "io/send.h"

static struct vwi_client *of(struct vwi_exchange *ex) { return VWI_CONTAINER(ex, struct vwi_client, ex); }

static const struct vwi_client *view(const struct vwi_exchange *ex)
{
    return (const struct vwi_client *)(const void *)((const char *)ex - offsetof(struct vwi_client, ex));
}

static const struct vwi_http1 *request(const struct vwi_exchange *ex) { return &view(ex)->http; }

void vwi_exchange_bind(struct vwi_exchange *ex, const struct vwi_exchange_events *events, void *user)
{
    ex->events = events;
    ex->user = user;
}

struct vwi_span vwi_exchange_method(const struct vwi_exchange *ex)
{
    return request(ex)->head_done ? vwi_http1_method(request(ex)) : (struct vwi_span){ "", 0 };
}

struct vwi_span vwi_exchange_target(const struct vwi_exchange *ex) { return vwi_http1_target(request(ex)); }
size_t vwi_exchange_header_count(const struct vwi_exchange *ex) { return request(ex)->row_count; }
struct vwi_span vwi_exchange_body(const struct vwi_exchange *ex) { return vwi_http1_body(request(ex)); }
bool vwi_exchange_whole(const struct vwi_exchange *ex) { return request(ex)->whole; }
void vwi_exchange_drop_body(struct vwi_exchange *ex) { vwi_http1_drop_body(&of(ex)->http); }
bool vwi_exchange_head_sent(const struct vwi_exchange *ex) { return ex->phase >= VWI_EXCHANGE_BEGUN; }
size_t vwi_exchange_backlog(const struct vwi_exchange *ex) { return vwi_client_backlog(view(ex)); }
void vwi_exchange_close_after(struct vwi_exchange *ex) { ex->keep_alive = false; }
void vwi_exchange_keep_date(struct vwi_exchange *ex) { ex->dated = true; }

bool vwi_exchange_is_1_1(const struct vwi_exchange *ex) { return vwi_http1_is_1_1(request(ex)); }

int64_t vwi_exchange_length(const struct vwi_exchange *ex)
{
    const struct vwi_http1 *h = request(ex);

    if (!h->chunked)
        return (int64_t)h->content_length;
    return vwi_exchange_whole(ex) ? (int64_t)(h->passed + h->body_span.len) : -1;
}

void vwi_exchange_collect(struct vwi_exchange *ex) { vwi_exchange_read(ex, true); }
void vwi_exchange_stream(struct vwi_exchange *ex) { vwi_http1_stream(&of(ex)->http); }

void vwi_exchange_consume(struct vwi_exchange *ex)
{
    vwi_http1_consume(&of(ex)->http);
    vwi_client_read_body(of(ex));
}

void vwi_exchange_read(struct vwi_exchange *ex, bool on)
{
    ex->reading = on;
    vwi_client_read_body(of(ex));
}

struct vwi_span vwi_exchange_header(const struct vwi_exchange *ex, const char *name)
{
    return vwi_http1_header(request(ex), name);
}

void vwi_exchange_header_at(const struct vwi_exchange *ex, size_t i, struct vwi_span *ret_name, struct vwi_span *ret_value)
{
    vwi_http1_header_at(request(ex), i, ret_name, ret_value);
}

/* Is the token in a comma list of one of the headers of this name? */
static bool lists(const struct vwi_http1 *h, const char *header, const char *token)
{
    size_t len = strlen(token), i, at, from;
    struct vwi_span name, value;

    for (i = 0; i < h->row_count; i++) {
        vwi_http1_header_at(h, i, &name, &value);
        for (at = 0; vwi_span_is_nocase(name, header) && at < value.len; at++) {
            while (at < value.len && (value.p[at] == ' ' || value.p[at] == '\t' || value.p[at] == ','))
                at++;
            for (from = at; at < value.len && value.p[at] != ',' && value.p[at] != ' ' && value.p[at] != '\t'; at++)
                continue;
            if (at - from == len && vwi_span_is_nocase((struct vwi_span){ value.p + from, len }, token))
                return true;
        }
    }
    return false;
}

bool vwi_exchange_asks_upgrade(const struct vwi_exchange *ex, const char *protocol)
{
    const struct vwi_http1 *h = request(ex);

    return vwi_http1_is_1_1(h) && h->whole && !h->body_span.len && lists(h, "connection", "upgrade") && lists(h, "upgrade", protocol);
}

bool vwi_exchange_is_tls(const struct vwi_exchange *ex) { return view(ex)->tls != NULL; }

struct vwi_span vwi_exchange_peer(const struct vwi_exchange *ex)
{
    return (struct vwi_span){ view(ex)->peer, strlen(view(ex)->peer) };
}

struct vwi_exchange_figures vwi_exchange_figures(const struct vwi_exchange *ex) { return view(ex)->figures; }

struct vwi_span vwi_exchange_id(const struct vwi_exchange *ex) { return view(ex)->id; }

/* Decides the framing and builds the head. length < 0: not known. */
static struct vwi_span begin(struct vwi_exchange *ex, int status, const char *headers, int64_t length)
{
    struct vwi_client *c = of(ex);
    bool bodyless = status < 200 || status == 204 || status == 304;
    int64_t framing = length;

    ex->mute = bodyless || vwi_http1_is_head(&c->http);
    ex->left = length;
    ex->chunked = length < 0 && !ex->mute && vwi_http1_is_1_1(&c->http);
    if (bodyless || length < 0)
        framing = ex->chunked ? VWI_LENGTH_CHUNKED : VWI_LENGTH_NONE;
    if (c->front->stopping || (length < 0 && !ex->mute && !ex->chunked) || !vwi_exchange_whole(ex))
        ex->keep_alive = false; /* a body that nobody asked for is in the way of the next request */
    return vwi_client_build_head(c, status, headers, framing, ex->keep_alive);
}

void vwi_exchange_reply(struct vwi_exchange *ex, int status, const char *headers, const char *body, size_t len)
{
    struct vwi_span head;
    struct iovec parts[2];

    if (!VWI_EXPECT(ex->phase == VWI_EXCHANGE_OPEN))
        return;
    head = begin(ex, status, headers, (int64_t)len);
    parts[0] = vwi_part(head.p, head.len);
    parts[1] = vwi_part(body, len);
    vwi_client_send(of(ex), parts, ex->mute || !len ? 1 : 2);
    ex->phase = VWI_EXCHANGE_ENDED;
    vwi_client_touch(of(ex));
}

void vwi_exchange_head(struct vwi_exchange *ex, int status, const char *headers, int64_t length)
{
    struct vwi_span head;

    if (!VWI_EXPECT(ex->phase == VWI_EXCHANGE_OPEN))
        return;
    head = begin(ex, status, headers, length);
    ex->phase = VWI_EXCHANGE_BEGUN;
    vwi_client_hold(of(ex), head.p, head.len);
    vwi_client_touch(of(ex));
}

void vwi_exchange_write(struct vwi_exchange *ex, const char *data, size_t len)
{
    struct vwi_client *c = of(ex);
    struct iovec parts[3];
    char line[VWI_CHUNK_LINE];

    if (ex->phase != VWI_EXCHANGE_BEGUN || ex->mute)
        return;
    if (ex->left >= 0) {
        if (!VWI_EXPECT((uint64_t)len <= (uint64_t)ex->left))
            len = (size_t)ex->left;
        ex->left -= (int64_t)len;
    }
    if (!len)
        return;
    if (ex->chunked) {
        parts[0] = vwi_part(line, vwi_chunk_line(line, len));
        parts[1] = vwi_part(data, len);
        parts[2] = vwi_part("\r\n", 2);
        vwi_client_send(c, parts, 3);
    } else {
        parts[0] = vwi_part(data, len);
        vwi_client_send(c, parts, 1);
    }
    if (vwi_client_backlog(c) >= VWI_EXCHANGE_HIGH_BYTES)
        ex->was_high = true;
    if (c->lost)
        vwi_client_touch(c);
}

void vwi_exchange_tunnel(struct vwi_exchange *ex, const char *headers)
{
    struct vwi_client *c = of(ex);
    struct vwi_span head;

    if (!VWI_EXPECT(ex->phase == VWI_EXCHANGE_OPEN))
        return;
    head = vwi_client_build_head(c, 101, headers, VWI_LENGTH_NONE, true);
    ex->left = -1;
    ex->keep_alive = ex->mute = ex->chunked = false;
    ex->phase = VWI_EXCHANGE_BEGUN;
    vwi_http1_tunnel(&c->http);
    ex->fresh = vwi_http1_body(&c->http).len > 0;
    vwi_client_hold(c, head.p, head.len);
    vwi_client_touch(c);
}

void vwi_exchange_interim(struct vwi_exchange *ex, int status, const char *headers)
{
    struct vwi_client *c = of(ex);
    struct iovec parts[3];
    char line[40];
    int n = snprintf(line, sizeof line, "HTTP/1.1 %03d %s\r\n", status, vwi_client_phrase(status));

    if (ex->phase != VWI_EXCHANGE_OPEN || vwi_client_backlog(c) || !vwi_exchange_is_1_1(ex) || !VWI_EXPECT(status / 100 == 1))
        return;
    parts[0] = vwi_part(line, (size_t)n);
    parts[1] = vwi_part(headers, strlen(headers));
    parts[2] = vwi_part("\r\n", 2);
    vwi_client_send(c, parts, 3);
    if (c->lost)
        vwi_client_touch(c);
}

void vwi_exchange_end(struct vwi_exchange *ex) { vwi_exchange_end_with(ex, NULL); }

void vwi_exchange_end_with(struct vwi_exchange *ex, const char *trailers)
{
    struct iovec last[3] = { vwi_part("0\r\n", 3), vwi_part(trailers, trailers ? strlen(trailers) : 0), vwi_part("\r\n", 2) };

    if (ex->phase != VWI_EXCHANGE_BEGUN)
        return;
    if (ex->left > 0 && !ex->mute) {
        vwi_exchange_abort(ex); /* less than announced */
        return;
    }
    if (ex->chunked && !ex->mute)
        vwi_client_send(of(ex), last, 3);
    ex->phase = VWI_EXCHANGE_ENDED;
    vwi_client_touch(of(ex));
}

void vwi_exchange_abort(struct vwi_exchange *ex)
{
    if (ex->phase == VWI_EXCHANGE_NONE)
        return;
    ex->phase = VWI_EXCHANGE_ENDED;
    ex->cut = true;
    vwi_client_touch(of(ex));
}
