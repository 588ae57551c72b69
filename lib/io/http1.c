/*
 * The bytes of a request: where they are kept while it is parsed and until it is answered.
 * The odd thing: a small request stays in one block, as it was received; only a body that arrives later, or in chunks,
 * gets a block of its own, which grows with what has come and never with what was promised.
 */
#include "io/http1.h"

#include <string.h>

#include "base/mem.h"
#include "io/http1_parts.h"

#define BODY_FIRST_BYTES (64u * 1024)
#define ROWS_KEPT 32u /* a longer table is freed between requests */

enum vwi_http1_state vwi_http1_refuse(struct vwi_http1 *h, int status, const char *reason, const char *message)
{
    if (h->state != VWI_HTTP1_REFUSED)
        h->refusal = (struct vwi_http1_refusal){ status, reason, message };
    return h->state = VWI_HTTP1_REFUSED;
}

enum vwi_http1_state vwi_http1_refuse_memory(struct vwi_http1 *h, bool budget)
{
    return vwi_http1_refuse(h, 503, "too_many_connections",
                            budget ? "the requests held now take all the memory set aside for them" : "out of memory");
}

static void release(struct vwi_http1 *h, struct vwi_http1_bytes *b)
{
    h->conf->budget->used_bytes -= b->cap;
    vwi_free(b->p);
    *b = (struct vwi_http1_bytes){ NULL, 0, 0 };
}

/* To exactly cap bytes, which must hold what is there. */
static bool resize(struct vwi_http1 *h, struct vwi_http1_bytes *b, size_t cap)
{
    struct vwi_http1_budget *budget = h->conf->budget;
    char *p;

    if (cap > b->cap && budget->max_bytes && budget->used_bytes + (cap - b->cap) > budget->max_bytes) {
        vwi_http1_refuse_memory(h, true);
        return false;
    }
    p = vwi_realloc(b->p, cap);
    if (!p) {
        if (cap < b->cap)
            return true; /* shrinking is a courtesy */
        vwi_http1_refuse_memory(h, false);
        return false;
    }
    budget->used_bytes += cap;
    budget->used_bytes -= b->cap;
    b->p = p;
    b->cap = cap;
    return true;
}

bool vwi_http1_append(struct vwi_http1 *h, struct vwi_http1_bytes *b, const char *data, size_t len)
{
    size_t need = b->len + len;

    if (!len)
        return true;
    /* The first bytes are usually all there will be. */
    if (need > b->cap && !resize(h, b, b->cap && need < b->cap + b->cap / 2 ? b->cap + b->cap / 2 : need))
        return false;
    memcpy(b->p + b->len, data, len);
    b->len = need;
    return true;
}

void vwi_http1_init(struct vwi_http1 *h, const struct vwi_http1_conf *conf)
{
    memset(h, 0, sizeof *h);
    h->conf = conf;
    vwi_http1_parse_begin(h);
}

void vwi_http1_fini(struct vwi_http1 *h)
{
    if (!h->conf)
        return;
    release(h, &h->head);
    release(h, &h->body);
    release(h, &h->ahead);
    vwi_free(h->rows);
    h->rows = NULL;
    h->row_cap = h->row_count = 0;
    h->start = h->scanned = h->end = 0;
}

static enum vwi_http1_state done(struct vwi_http1 *h, const char *body, size_t len)
{
    h->body_span = (struct vwi_span){ len ? body : "", len };
    h->whole = true;
    return h->state = VWI_HTTP1_DONE;
}

/* The bytes past the head that came with it are the first chunks. */
static enum vwi_http1_state begin_chunks(struct vwi_http1 *h, const char *rest, size_t have)
{
    size_t used = 0;

    h->llhttp.upgrade = 0;
    llhttp_resume(&h->llhttp);
    vwi_http1_parse_chunks(h, rest, have, &used);
    h->end = h->scanned + used;
    return h->state == VWI_HTTP1_DONE ? done(h, h->body.p, h->body.len) : h->state;
}

/* The head is fine: see how much of the body is there. */
static enum vwi_http1_state begin_body(struct vwi_http1 *h)
{
    const char *rest = h->head.p + h->start + h->scanned;
    size_t have = h->head.len - h->start - h->scanned;
    size_t cap;

    if (h->chunked)
        return begin_chunks(h, rest, have);
    if (h->content_length <= have) {
        h->end = h->scanned + (size_t)h->content_length;
        return done(h, rest, (size_t)h->content_length);
    }
    cap = have < BODY_FIRST_BYTES / 2 ? BODY_FIRST_BYTES : have * 2;
    if (cap > h->content_length)
        cap = (size_t)h->content_length;
    if (!resize(h, &h->body, cap))
        return h->state;
    memcpy(h->body.p, rest, have);
    h->body.len = have;
    h->end = h->scanned;
    h->head.len -= have;
    resize(h, &h->head, h->head.len);
    return h->state;
}

static enum vwi_http1_state go_on(struct vwi_http1 *h)
{
    if (vwi_http1_parse_head(h) == VWI_HTTP1_BODY)
        begin_body(h);
    return h->state;
}

static enum vwi_http1_state feed_head(struct vwi_http1 *h, const char *data, size_t len)
{
    if (h->start) {
        h->head.len -= h->start;
        memmove(h->head.p, h->head.p + h->start, h->head.len);
        h->start = 0;
    }
    return vwi_http1_append(h, &h->head, data, len) ? go_on(h) : h->state;
}

static enum vwi_http1_state feed_body(struct vwi_http1 *h, const char *data, size_t len)
{
    size_t used = 0, room;
    char *p;

    if (h->chunked) {
        vwi_http1_parse_chunks(h, data, len, &used);
        if (h->state == VWI_HTTP1_DONE) {
            h->end = h->head.len - h->start;
            if (h->body.cap - h->body.len > h->body.len / 8)
                resize(h, &h->body, h->body.len);
            done(h, h->body.p, h->body.len);
        }
    } else {
        while (used < len && (p = vwi_http1_room(h, &room)) != NULL) {
            room = room < len - used ? room : len - used;
            memcpy(p, data + used, room);
            used += room;
            vwi_http1_filled(h, room);
        }
    }
    if (h->state == VWI_HTTP1_DONE)
        vwi_http1_append(h, &h->ahead, data + used, len - used);
    return h->state;
}

enum vwi_http1_state vwi_http1_feed(struct vwi_http1 *h, const char *data, size_t len)
{
    switch (h->state) {
    case VWI_HTTP1_HEAD:
        return feed_head(h, data, len);
    case VWI_HTTP1_BODY:
        return feed_body(h, data, len);
    case VWI_HTTP1_DONE:
        vwi_http1_append(h, &h->ahead, data, len);
        return h->state;
    case VWI_HTTP1_REFUSED:
        break;
    }
    return h->state;
}

char *vwi_http1_room(struct vwi_http1 *h, size_t *ret_len)
{
    uint64_t cap = h->streamed ? VWI_HTTP1_PIECE_BYTES : (uint64_t)h->body.cap * 2, left;

    if (h->state != VWI_HTTP1_BODY || h->chunked)
        return NULL;
    left = h->content_length - h->passed;
    if (h->body.len == h->body.cap && (h->body.cap >= left || !resize(h, &h->body, (size_t)(cap < left ? cap : left))))
        return NULL;
    *ret_len = h->body.cap - h->body.len;
    if (*ret_len > left - h->body.len)
        *ret_len = (size_t)(left - h->body.len);
    return h->body.p + h->body.len;
}

enum vwi_http1_state vwi_http1_filled(struct vwi_http1 *h, size_t len)
{
    h->body.len += len;
    return h->passed + h->body.len == h->content_length ? done(h, h->body.p, h->body.len) : h->state;
}

void vwi_http1_stream(struct vwi_http1 *h)
{
    if (h->state == VWI_HTTP1_BODY || h->state == VWI_HTTP1_DONE)
        h->streamed = true;
}

struct vwi_span vwi_http1_body(const struct vwi_http1 *h)
{
    if (h->whole)
        return h->body_span;
    return (struct vwi_span){ h->body.len ? h->body.p : "", h->body.len };
}

void vwi_http1_consume(struct vwi_http1 *h)
{
    if (!h->streamed)
        return;
    h->passed += vwi_http1_body(h).len;
    h->body_span = (struct vwi_span){ "", 0 };
    h->body.len = 0;
    if (h->whole || h->body.cap > 2 * VWI_HTTP1_PIECE_BYTES)
        release(h, &h->body);
}

void vwi_http1_tunnel(struct vwi_http1 *h)
{
    const char *rest = h->head.p + h->start + h->end;
    size_t have = h->head.len - h->start - h->end;

    if (h->state != VWI_HTTP1_DONE)
        return;
    h->chunked = false;
    h->streamed = h->tunnel = true;
    h->whole = false;
    h->content_length = UINT64_MAX;
    h->passed = 0;
    h->state = VWI_HTTP1_BODY;
    release(h, &h->body);
    if (!vwi_http1_append(h, &h->body, rest, have) || !vwi_http1_append(h, &h->body, h->ahead.p, h->ahead.len))
        return;
    h->head.len -= have;
    release(h, &h->ahead);
}

/* What is left of head and what came ahead become the new head. */
static bool keep_rest(struct vwi_http1 *h)
{
    size_t rest = h->head.len - h->start - h->end;

    release(h, &h->body);
    if (!rest) {
        release(h, &h->head);
        h->head = h->ahead;
        h->ahead = (struct vwi_http1_bytes){ NULL, 0, 0 };
        h->start = 0;
    } else if (!h->ahead.len) {
        h->start += h->end;
    } else {
        memmove(h->head.p, h->head.p + h->start + h->end, rest);
        h->head.len = rest;
        h->start = 0;
        if (!vwi_http1_append(h, &h->head, h->ahead.p, h->ahead.len))
            return false;
        release(h, &h->ahead);
    }
    return true;
}

enum vwi_http1_state vwi_http1_next(struct vwi_http1 *h)
{
    if (h->state != VWI_HTTP1_DONE)
        return h->state;
    h->head_done = false; /* its fields are not of the next, even if that is refused at once */
    if (!keep_rest(h))
        return h->state;
    if (h->row_cap > ROWS_KEPT) {
        vwi_free(h->rows);
        h->rows = NULL;
        h->row_cap = 0;
    }
    vwi_http1_parse_begin(h);
    return h->head.len ? go_on(h) : h->state;
}

bool vwi_http1_started(const struct vwi_http1 *h) { return h->head.len > h->start; }
bool vwi_http1_body_begun(const struct vwi_http1 *h) { return h->body.len > 0 || h->framing_bytes > 0; }
size_t vwi_http1_ahead(const struct vwi_http1 *h) { return h->head.len - h->start - h->end + h->ahead.len; }

void vwi_http1_drop_body(struct vwi_http1 *h)
{
    if (h->state != VWI_HTTP1_DONE)
        return;
    release(h, &h->body);
    h->body_span = (struct vwi_span){ "", 0 };
}

struct vwi_span vwi_http1_method(const struct vwi_http1 *h)
{
    return (struct vwi_span){ h->head.p + h->start + h->line, h->method_len };
}

struct vwi_span vwi_http1_target(const struct vwi_http1 *h)
{
    return (struct vwi_span){ h->head.p + h->start + h->target, h->target_len };
}

void vwi_http1_header_at(const struct vwi_http1 *h, size_t i, struct vwi_span *ret_name, struct vwi_span *ret_value)
{
    const struct vwi_http1_row *row = &h->rows[i];
    const char *base = h->head.p + h->start;

    *ret_name = (struct vwi_span){ base + row->name, row->name_len };
    *ret_value = (struct vwi_span){ base + row->value, row->value_len };
}

struct vwi_span vwi_http1_header(const struct vwi_http1 *h, const char *name)
{
    const char *base = h->head.p + h->start;
    size_t len = strlen(name), i;

    for (i = 0; i < h->row_count; i++) {
        const struct vwi_http1_row *row = &h->rows[i];

        if (row->name_len == len && vwi_same_nocase(base + row->name, name, len))
            return (struct vwi_span){ base + row->value, row->value_len };
    }
    return (struct vwi_span){ NULL, 0 };
}

bool vwi_http1_is_1_1(const struct vwi_http1 *h) { return h->llhttp.http_major == 1 && h->llhttp.http_minor == 1; }
bool vwi_http1_is_head(const struct vwi_http1 *h) { return h->line_done && h->llhttp.method == HTTP_HEAD; }
