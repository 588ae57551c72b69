/*
 * Request bytes in, one judged request at a time out; knows no socket. What is refused and how: docs/http.md.
 * A body is collected in one block, or streamed: handed on piece by piece, at most VWI_HTTP1_PIECE_BYTES held.
 * Bytes of the next request may arrive early: they are kept aside until vwi_http1_next().
 */
#ifndef VWI_IO_HTTP1_H
#define VWI_IO_HTTP1_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <llhttp.h>

#include "base/text.h"

#define VWI_HTTP1_TARGET_BYTES 8192u /* longer: 414 */
#define VWI_HTTP1_HEADER_COUNT 256u  /* more: 431 */
#define VWI_HTTP1_NAMED_COUNT 64u    /* fields that Connection may name, empty ones counted; more: 400 */
#define VWI_HTTP1_PIECE_BYTES (64u * 1024)

/* Bytes held by all parsers that share it. */
struct vwi_http1_budget {
    uint64_t used_bytes, max_bytes;
};

/* Borrowed, frozen while a parser uses it. */
struct vwi_http1_conf {
    uint32_t max_header_bytes;
    uint64_t max_body_bytes;
    struct vwi_http1_budget *budget;
};

enum vwi_http1_state {
    VWI_HTTP1_HEAD,   /* the head is not complete, or nothing has arrived */
    VWI_HTTP1_BODY,   /* the head is judged fine, the body is not complete */
    VWI_HTTP1_DONE,   /* a whole request */
    VWI_HTTP1_REFUSED /* see refusal; further bytes are ignored */
};

struct vwi_http1_refusal {
    int status;
    const char *reason, *message; /* static texts */
};

struct vwi_http1_bytes {
    char *p;
    size_t len, cap;
};

/* One header: offsets from the start of the request. */
struct vwi_http1_row {
    uint32_t name, name_len, value, value_len;
};

struct vwi_http1 {
    const struct vwi_http1_conf *conf;
    llhttp_t llhttp;
    enum vwi_http1_state state;
    struct vwi_http1_refusal refusal;

    struct vwi_http1_bytes head;  /* the head, and a body that came along with it */
    struct vwi_http1_bytes body;  /* a body that did not, or that was chunked */
    struct vwi_http1_bytes ahead; /* came after the request was complete, when head must not move */
    size_t start;                 /* of the request in head; offsets count from here */
    size_t scanned, end;          /* bytes of the head looked at; end of the whole request, when DONE */
    struct vwi_http1_row *rows;
    uint32_t row_count, row_cap;
    uint32_t line, line_len;      /* request line: start, length with CRLF (while scanning: of the present line) */
    uint32_t method_len, target, target_len;
    uint64_t content_length;      /* of a body that is not chunked; UINT64_MAX: a tunnel, which has no end */
    uint64_t passed;              /* streamed: bytes handed on and forgotten */
    struct vwi_span body_span;    /* when DONE */

    const char *slice;            /* what llhttp is working on */
    size_t framed;                /* chunked: how much of slice was looked at */
    uint64_t framing_bytes;       /* chunked: all that was not body */
    char trailer[20];             /* chunked: name of the present trailer field, cut */
    uint8_t trailer_len;
    unsigned char last;           /* last byte that was scanned */
    bool line_done, head_done, message_done, chunked, keep_alive, expects_continue, streamed, tunnel;
    bool whole; /* the body has arrived in full, whatever became of what came after it */
};

void vwi_http1_init(struct vwi_http1 *h, const struct vwi_http1_conf *conf);
void vwi_http1_fini(struct vwi_http1 *h); /* safe on a zeroed struct */

/* Take bytes: copied. In state DONE they are kept for the next request, so the caller bounds vwi_http1_ahead(). */
enum vwi_http1_state vwi_http1_feed(struct vwi_http1 *h, const char *data, size_t len);
/* In state BODY with a known length: where the next body bytes may be read to, and how many. Else NULL. */
char *vwi_http1_room(struct vwi_http1 *h, size_t *ret_len);
enum vwi_http1_state vwi_http1_filled(struct vwi_http1 *h, size_t len); /* len bytes were read there */
/* Drop the request and begin the next one with what has arrived already. */
enum vwi_http1_state vwi_http1_next(struct vwi_http1 *h);

bool vwi_http1_started(const struct vwi_http1 *h);    /* some byte of the present request has arrived */
bool vwi_http1_body_begun(const struct vwi_http1 *h); /* some byte of its body has */
size_t vwi_http1_ahead(const struct vwi_http1 *h);    /* bytes kept past a request that is DONE */
void vwi_http1_drop_body(struct vwi_http1 *h);        /* in state DONE */

/* In state BODY or DONE: from now on the body is streamed. What is there already is the first piece. */
void vwi_http1_stream(struct vwi_http1 *h);
/* The piece that is there (streamed), or all that has arrived so far; the bytes may move with the next feed. */
struct vwi_span vwi_http1_body(const struct vwi_http1 *h);
void vwi_http1_consume(struct vwi_http1 *h); /* streamed: the piece was handed on */
/* In state DONE, of a request without a body: all that follows is one endless streamed body. */
void vwi_http1_tunnel(struct vwi_http1 *h);

/* From state BODY on; the spans live until vwi_http1_next(). */
struct vwi_span vwi_http1_method(const struct vwi_http1 *h);
struct vwi_span vwi_http1_target(const struct vwi_http1 *h);
void vwi_http1_header_at(const struct vwi_http1 *h, size_t i, struct vwi_span *ret_name, struct vwi_span *ret_value);
struct vwi_span vwi_http1_header(const struct vwi_http1 *h, const char *name); /* the first; {NULL, 0} when absent */
bool vwi_http1_is_1_1(const struct vwi_http1 *h);
bool vwi_http1_is_head(const struct vwi_http1 *h); /* the method is HEAD; also told after a refusal */

#endif
