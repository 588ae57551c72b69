/* Growth doubles; a failed growth is remembered so that builders need only one check at the end. */
#include "base/text.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/vwi.h"

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

static size_t count_digits(unsigned long long v)
{
    size_t count = 1;

    for (; v >= 10000; v /= 10000)
        count += 4;
    return count + (v >= 10) + (v >= 100) + (v >= 1000);
}

/* Two at a time. */
size_t vwi_digits(char to[VWI_DIGITS], unsigned long long v)
{
    static const char pairs[] = "0001020304050607080910111213141516171819202122232425262728293031323334353637383940414243444546474849"
                                "5051525354555657585960616263646566676869707172737475767778798081828384858687888990919293949596979899";
    size_t len = count_digits(v), at = len;

    for (; v >= 100; v /= 100)
        memcpy(to + (at -= 2), pairs + v % 100 * 2, 2);
    if (v >= 10)
        memcpy(to, pairs + v * 2, 2);
    else
        to[0] = (char)('0' + v);
    return len;
}

size_t vwi_hex_digits(char to[VWI_DIGITS], unsigned long long v)
{
    size_t len = 1, i;

    while (len < 16 && v >> (4 * len))
        len++;
    for (i = len; i > 0; v >>= 4)
        to[--i] = "0123456789abcdef"[v & 15];
    return len;
}

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

/* Eight bytes at once. Case is bit 5, and only of what lies between 'a' and 'z' once that bit is set; x has all of them at seven bits, so
 * that no sum runs into the next byte. */
static bool same_nocase8(const char *a, const char *b)
{
    uint64_t x, y, differ, seven, letters;

    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    differ = x ^ y;
    if (differ & ~VWI_EVERY(0x20))
        return false;
    x |= VWI_EVERY(0x20);
    seven = x & VWI_EVERY(0x7f);
    letters = (seven + VWI_EVERY(0x80 - 'a')) & ~(seven + VWI_EVERY(0x7f - 'z')) & ~x & VWI_EVERY(0x80);
    return !(differ << 2 & ~letters);
}

static bool same_letter(char a, char b)
{
    char lower = (char)(a | 0x20);

    return a == b || ((a ^ b) == 0x20 && lower >= 'a' && lower <= 'z');
}

bool vwi_same_nocase(const char *a, const char *b, size_t len)
{
    size_t i;

    for (i = 0; i + 8 <= len; i += 8)
        if (!same_nocase8(a + i, b + i))
            return false;
    if (i && i < len)
        return same_nocase8(a + len - 8, b + len - 8); /* some of them once more */
    for (; i < len; i++)
        if (!same_letter(a[i], b[i]))
            return false;
    return true;
}

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
