/* Growth doubles; a failed growth is remembered so that builders need only one check at the end. */
#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"

bool vwi_text_reserve(struct vwi_text *t, size_t more)
{
    size_t need = t->len + more + 1;
    size_t cap = t->cap ? t->cap : 128;
    char *p;

    if (t->failed)
        return false;
    if (need <= t->cap)
        return true;
    while (cap < need)
        cap *= 2;
    p = vwi_realloc(t->p, cap);
    if (!p) {
        t->failed = true;
        return false;
    }
    t->p = p;
    t->cap = cap;
    return true;
}

bool vwi_text_add_grown(struct vwi_text *t, const char *p, size_t len) { return vwi_text_reserve(t, len) && vwi_text_add(t, p, len); }

bool vwi_text_addf(struct vwi_text *t, const char *fmt, ...)
{
    size_t room;
    va_list ap;
    int n;

    if (!vwi_text_reserve(t, 0))
        return false;
    room = t->cap - t->len;
    va_start(ap, fmt);
    n = vsnprintf(t->p + t->len, room, fmt, ap);
    va_end(ap);
    if (n >= 0 && (size_t)n >= room && vwi_text_reserve(t, (size_t)n)) {
        va_start(ap, fmt);
        n = vsnprintf(t->p + t->len, (size_t)n + 1, fmt, ap);
        va_end(ap);
    }
    if (n >= 0 && !t->failed) {
        t->len += (size_t)n;
        return true;
    }
    t->p[t->len] = '\0';
    return false;
}

/* base is a constant where this is called, so that there is no division in it. */
static inline size_t write_digits(char *to, unsigned long long v, unsigned base)
{
    char digits[VWI_DIGITS], *at = digits + sizeof digits;
    size_t len;

    do {
        *--at = "0123456789abcdef"[v % base];
        v /= base;
    } while (v);
    len = (size_t)(digits + sizeof digits - at);
    memcpy(to, at, len);
    return len;
}

size_t vwi_digits(char to[VWI_DIGITS], unsigned long long v) { return write_digits(to, v, 10); }
size_t vwi_hex_digits(char to[VWI_DIGITS], unsigned long long v) { return write_digits(to, v, 16); }

size_t vwi_chunk_line(char to[VWI_CHUNK_LINE], size_t chunk)
{
    size_t len = vwi_hex_digits(to, chunk);

    memcpy(to + len, "\r\n", 2);
    return len + 2;
}

bool vwi_text_add_integer(struct vwi_text *t, long long v)
{
    char text[1 + VWI_DIGITS] = "-";
    size_t sign = v < 0;

    return vwi_text_add(t, text, sign + vwi_digits(text + sign, sign ? 0ULL - (unsigned long long)v : (unsigned long long)v));
}

bool vwi_text_add_json(struct vwi_text *t, const char *p, size_t len)
{
    size_t i;

    vwi_text_add(t, "\"", 1);
    for (i = 0; i < len; i++) {
        unsigned char c = (unsigned char)p[i];

        if (c == '"' || c == '\\')
            vwi_text_addf(t, "\\%c", c);
        else if (c == '\n')
            vwi_text_adds(t, "\\n");
        else if (c < 0x20 || c == 0x7f)
            vwi_text_addf(t, "\\u%04x", c);
        else
            vwi_text_add(t, p + i, 1);
    }
    return vwi_text_add(t, "\"", 1);
}

bool vwi_text_add_field(struct vwi_text *t, struct vwi_span name, struct vwi_span value)
{
    vwi_text_add(t, name.p, name.len);
    vwi_text_add(t, ": ", 2);
    vwi_text_add(t, value.p, value.len);
    return vwi_text_add(t, "\r\n", 2);
}

void vwi_text_blank_controls(char *p, size_t len)
{
    size_t i;

    for (i = 0; i < len; i++)
        if ((unsigned char)p[i] < 0x20 || p[i] == 0x7f)
            p[i] = ' ';
}

bool vwi_text_add_shown(struct vwi_text *t, const char *p, size_t len, size_t max)
{
    len = len < max ? len : max;
    if (!vwi_text_add(t, p, len))
        return false;
    vwi_text_blank_controls(t->p + t->len - len, len);
    return true;
}

void vwi_text_clear(struct vwi_text *t)
{
    t->len = 0;
    t->failed = false;
    if (t->p)
        t->p[0] = '\0';
}

void vwi_text_fini(struct vwi_text *t)
{
    vwi_free(t->p);
    *t = (struct vwi_text)VWI_TEXT_INIT;
}

bool vwi_span_is_nocase(struct vwi_span s, const char *text)
{
    return s.len == strlen(text) && strncasecmp(s.p, text, s.len) == 0;
}

bool vwi_span_same_nocase(struct vwi_span a, struct vwi_span b) { return a.len == b.len && strncasecmp(a.p, b.p, a.len) == 0; }

static bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

bool vwi_span_next(struct vwi_span *rest, char separator, struct vwi_span *ret)
{
    struct vwi_span piece = *rest;
    const char *stop;

    if (!rest->p)
        return false;
    stop = piece.len ? memchr(piece.p, separator, piece.len) : NULL;
    if (stop) {
        piece.len = (size_t)(stop - piece.p);
        *rest = (struct vwi_span){ stop + 1, rest->len - piece.len - 1 };
    } else {
        *rest = (struct vwi_span){ NULL, 0 };
    }
    while (piece.len && is_blank(piece.p[0]))
        piece.p++, piece.len--;
    while (piece.len && is_blank(piece.p[piece.len - 1]))
        piece.len--;
    *ret = piece;
    return true;
}

struct vwi_span vwi_span_path(struct vwi_span target)
{
    const char *question = target.len ? memchr(target.p, '?', target.len) : NULL;

    return (struct vwi_span){ target.p, question ? (size_t)(question - target.p) : target.len };
}

struct vwi_span vwi_span_query(struct vwi_span target)
{
    size_t path = vwi_span_path(target).len;

    return path < target.len ? (struct vwi_span){ target.p + path + 1, target.len - path - 1 } : (struct vwi_span){ "", 0 };
}
