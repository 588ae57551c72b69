/* Spans (pointer and length, not terminated) and a growing text with a sticky failure. */
#ifndef VWI_BASE_TEXT_H
#define VWI_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include <vastworker/export.h>

struct vwi_span {
    const char *p;
    size_t len;
};

struct vwi_text {
    char *p; /* NUL-terminated once anything was added; NULL before */
    size_t len, cap;
    bool failed; /* out of memory at some point: content is incomplete */
};

#define VWI_TEXT_INIT { NULL, 0, 0, false }

bool vwi_text_reserve(struct vwi_text *t, size_t more);
bool vwi_text_add_grown(struct vwi_text *t, const char *p, size_t len); /* what vwi_text_add does where there is no room yet */

static inline bool vwi_text_add(struct vwi_text *t, const char *p, size_t len)
{
    if (t->failed || len >= t->cap - t->len)
        return vwi_text_add_grown(t, p, len);
    if (len)
        memcpy(t->p + t->len, p, len);
    t->len += len;
    t->p[t->len] = '\0';
    return true;
}

static inline bool vwi_text_adds(struct vwi_text *t, const char *s) { return vwi_text_add(t, s, strlen(s)); }
bool vwi_text_add_integer(struct vwi_text *t, long long v); /* what %lld writes, at a tenth of the price */
/* What %llu and %llx write, without a NUL; returns how many. */
#define VWI_DIGITS 20
size_t vwi_digits(char to[VWI_DIGITS], unsigned long long v);
size_t vwi_hex_digits(char to[VWI_DIGITS], unsigned long long v);
/* The line before a chunk of an HTTP body (RFC 9112 7.1); returns its length. */
#define VWI_CHUNK_LINE (VWI_DIGITS + 2)
size_t vwi_chunk_line(char to[VWI_CHUNK_LINE], size_t chunk);
bool vwi_text_addf(struct vwi_text *t, const char *fmt, ...) VW_PRINTF(2, 3);
/* Adds a JSON string with its quotes; bytes are taken as UTF-8, controls are escaped. */
bool vwi_text_add_json(struct vwi_text *t, const char *p, size_t len);
bool vwi_text_add_field(struct vwi_text *t, struct vwi_span name, struct vwi_span value); /* a line of an HTTP head */
/* Foreign text for people's eyes: controls, which could forge or colour lines, become spaces. */
void vwi_text_blank_controls(char *p, size_t len);
/* The same, added: at most max bytes of it. */
bool vwi_text_add_shown(struct vwi_text *t, const char *p, size_t len, size_t max);
void vwi_text_clear(struct vwi_text *t); /* keeps the memory */
void vwi_text_fini(struct vwi_text *t);

static inline bool vwi_span_is(struct vwi_span s, const char *text) { return s.len == strlen(text) && memcmp(s.p, text, s.len) == 0; }
/* Case folded in ASCII alone: strncasecmp() folds as the host program's locale says. */
bool vwi_same_nocase(const char *a, const char *b, size_t len);
static inline bool vwi_span_is_nocase(struct vwi_span s, const char *text) { return s.len == strlen(text) && vwi_same_nocase(s.p, text, s.len); }
static inline bool vwi_span_same_nocase(struct vwi_span a, struct vwi_span b) { return a.len == b.len && vwi_same_nocase(a.p, b.p, a.len); }
/* The next piece of a list, white space at both ends taken off; *rest goes on behind its separator. False at the end of the list. */
bool vwi_span_next(struct vwi_span *rest, char separator, struct vwi_span *ret);
/* "/path?query" in two; the query without its '?', "" where there is none. */
struct vwi_span vwi_span_path(struct vwi_span target);
struct vwi_span vwi_span_query(struct vwi_span target);

#endif
