/*
 * Any bytes as requests. The same requests must come out, and the same end must be reached, however the bytes are cut, and whether
 * bodies are collected or streamed; nothing may be held afterwards. The first byte chooses the cut.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "io/http1.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct outcome {
    uint64_t digest; /* of all requests, in order */
    uint64_t body, body_len; /* of the present one, digested as it comes */
    unsigned requests;
    bool refused;
};

static void mix(struct outcome *o, struct vwi_span s)
{
    size_t i;

    for (i = 0; i < s.len; i++)
        o->digest = (o->digest ^ (unsigned char)s.p[i]) * 1099511628211u;
    o->digest = (o->digest ^ s.len) * 1099511628211u;
}

static void take_body(struct vwi_http1 *h, struct outcome *o)
{
    struct vwi_span piece = vwi_http1_body(h);
    size_t i;

    for (i = 0; i < piece.len; i++)
        o->body = (o->body ^ (unsigned char)piece.p[i]) * 1099511628211u;
    o->body_len += piece.len;
}

static void take_requests(struct vwi_http1 *h, struct outcome *o, bool stream)
{
    if (stream && h->state == VWI_HTTP1_BODY) {
        vwi_http1_stream(h);
        take_body(h, o);
        vwi_http1_consume(h);
    }
    while (h->state == VWI_HTTP1_DONE) {
        struct vwi_span name, value;
        size_t i;

        take_body(h, o);
        if (stream)
            vwi_http1_consume(h);

        mix(o, vwi_http1_method(h));
        mix(o, vwi_http1_target(h));
        for (i = 0; i < h->row_count; i++) {
            vwi_http1_header_at(h, i, &name, &value);
            mix(o, name);
            mix(o, value);
        }
        mix(o, (struct vwi_span){ (const char *)&o->body, sizeof o->body });
        mix(o, (struct vwi_span){ (const char *)&o->body_len, sizeof o->body_len });
        o->body = o->body_len = 0;
        o->requests++;
        vwi_http1_next(h);
        if (stream && h->state == VWI_HTTP1_BODY)
            vwi_http1_stream(h);
    }
}

/* Pieces of `step` bytes; direct: a body goes where the parser wants it. */
static struct outcome parse(const char *in, size_t len, size_t step, bool direct, bool stream)
{
    struct vwi_http1_budget budget = { 0, 0 };
    struct vwi_http1_conf conf = { 2048, 4096, &budget };
    struct outcome o = { .digest = 14695981039346656037u };
    struct vwi_http1 h;
    size_t n, room;
    char *to, *piece;

    vwi_http1_init(&h, &conf);
    while (len) {
        n = len < step ? len : step;
        to = direct ? vwi_http1_room(&h, &room) : NULL;
        if (to) {
            n = n < room ? n : room;
            memcpy(to, in, n);
            vwi_http1_filled(&h, n);
        } else if ((piece = malloc(n)) != NULL) {
            memcpy(piece, in, n);
            vwi_http1_feed(&h, piece, n);
            free(piece); /* so that a pointer kept into it is caught */
        }
        take_requests(&h, &o, stream);
        in += n;
        len -= n;
    }
    o.refused = h.state == VWI_HTTP1_REFUSED;
    vwi_http1_fini(&h);
    if (budget.used_bytes)
        abort();
    return o;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct outcome whole, cut, streamed;
    const char *in = (const char *)data + 1;
    size_t step;

    if (size < 2)
        return 0;
    step = (size_t)data[0] % 64 + 1;
    whole = parse(in, size - 1, size, false, false);
    cut = parse(in, size - 1, step, data[0] >= 128, false);
    streamed = parse(in, size - 1, step, data[0] >= 128, true);
    if (whole.digest != cut.digest || whole.requests != cut.requests || whole.refused != cut.refused)
        abort();
    if (whole.digest != streamed.digest || whole.requests != streamed.requests || whole.refused != streamed.refused)
        abort();
    return 0;
}
