/*
 * The scanner. Long strings are what a large payload consists of (base64, prompts), so their plain part is taken eight bytes at a
 * time in ordinary integer arithmetic. Open brackets are kept as one bit each: an object or a list.
 */
#include "core/scan.h"

#include <stdint.h>
#include <string.h>

#define EVERY(byte) (UINT64_C(0x0101010101010101) * (byte))
#define TOP_BITS EVERY(0x80)

/* What ends the plain part of a string. */
static bool is_special(unsigned char c) { return c < 0x20 || c == '"' || c == '\\' || c >= 0x80; }
static bool is_digit(char c) { return c >= '0' && c <= '9'; }

/*
 * Non-zero if one of the eight bytes is special. A borrow may mark the byte after a special one too, so only the first mark is
 * certain; bytes beyond ASCII are marked as they are, which makes the usual `& ~x` needless.
 */
static uint64_t marks(const char *p)
{
    uint64_t x;

    memcpy(&x, p, sizeof x);
    return ((x - EVERY(0x20)) | ((x ^ EVERY('"')) - EVERY(1)) | ((x ^ EVERY('\\')) - EVERY(1)) | x) & TOP_BITS;
}

static const char *skip_plain(const char *p, const char *end)
{
    while (end - p >= 32 && !(marks(p) | marks(p + 8) | marks(p + 16) | marks(p + 24)))
        p += 32;
    while (end - p >= 8) {
        uint64_t m = marks(p);

        if (m) {
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
            return p + (__builtin_ctzll(m) >> 3);
#else
            break;
#endif
        }
        p += 8;
    }
    while (p < end && !is_special((unsigned char)*p))
        p++;
    return p;
}

static bool is_tail(char c) { return ((unsigned char)c & 0xc0) == 0x80; }

size_t vwi_scan_utf8(const char *p, const char *end, unsigned *ret_point)
{
    const unsigned char *b = (const unsigned char *)p;
    size_t left = (size_t)(end - p);

    if (b[0] < 0x80) {
        *ret_point = b[0];
        return 1;
    }
    if (b[0] >= 0xe0 && b[0] < 0xf0) {
        if (left < 3 || !is_tail(p[1]) || !is_tail(p[2]))
            return 0;
        *ret_point = (b[0] & 0x0fu) << 12 | (b[1] & 0x3fu) << 6 | (b[2] & 0x3fu);
        return *ret_point >= 0x800 && !vwi_scan_is_surrogate(*ret_point) ? 3 : 0;
    }
    if (b[0] >= 0xc2 && b[0] < 0xe0) {
        if (left < 2 || !is_tail(p[1]))
            return 0;
        *ret_point = (b[0] & 0x1fu) << 6 | (b[1] & 0x3fu);
        return 2;
    }
    if (b[0] < 0xf0 || b[0] > 0xf4 || left < 4 || !is_tail(p[1]) || !is_tail(p[2]) || !is_tail(p[3]))
        return 0;
    *ret_point = (b[0] & 0x07u) << 18 | (b[1] & 0x3fu) << 12 | (b[2] & 0x3fu) << 6 | (b[3] & 0x3fu);
    return *ret_point >= 0x10000 && *ret_point <= 0x10ffff ? 4 : 0;
}

/* Behind the escape whose backslash is at p, or NULL. Surrogates need no partner: RFC 8259 leaves them alone. */
static const char *skip_escape(const char *p, const char *end)
{
    if (end - p < 2)
        return NULL;
    switch (p[1]) {
    case '"': case '\\': case '/': case 'b': case 'f': case 'n': case 'r': case 't':
        return p + 2;
    case 'u':
        return vwi_scan_hex4(p + 2, end) < 0 ? NULL : p + 6;
    default:
        return NULL;
    }
}

static const char *skip_beyond_ascii(const char *p, const char *end)
{
    unsigned point;

    while (p < end && (unsigned char)*p >= 0x80) {
        size_t len = vwi_scan_utf8(p, end, &point);

        if (!len)
            return NULL;
        p += len;
    }
    return p;
}

void vwi_scan_init(struct vwi_scan *s, struct vwi_span json, int max_depth)
{
    s->p = json.p ? json.p : "";
    s->end = s->p + (json.p ? json.len : 0);
    s->depth = 0;
    s->max_depth = max_depth < VWI_SCAN_DEPTH_MAX ? max_depth : VWI_SCAN_DEPTH_MAX;
}

void vwi_scan_space(struct vwi_scan *s)
{
    while (s->p < s->end && (*s->p == ' ' || *s->p == '\n' || *s->p == '\r' || *s->p == '\t'))
        s->p++;
}

bool vwi_scan_take(struct vwi_scan *s, char c)
{
    if (s->p == s->end || *s->p != c)
        return false;
    s->p++;
    return true;
}

bool vwi_scan_string(struct vwi_scan *s, struct vwi_scan_string *ret)
{
    const char *p = s->p, *end = s->end, *start;

    if (p == end || *p != '"')
        return false;
    start = ++p;
    ret->escaped = false;
    for (;;) {
        p = skip_plain(p, end);
        if (p == end)
            return false;
        if (*p == '"')
            break;
        if (*p == '\\') {
            ret->escaped = true;
            p = skip_escape(p, end);
        } else {
            p = (unsigned char)*p >= 0x80 ? skip_beyond_ascii(p, end) : NULL;
        }
        if (!p)
            return false;
    }
    ret->raw.p = start;
    ret->raw.len = (size_t)(p - start);
    s->p = p + 1;
    return true;
}

static const char *skip_digits(const char *p, const char *end)
{
    while (p < end && is_digit(*p))
        p++;
    return p;
}

/* Behind the number at p, or NULL. */
static const char *skip_number(const char *p, const char *end)
{
    const char *digits;

    if (p < end && *p == '-')
        p++;
    if (p == end || !is_digit(*p))
        return NULL;
    p = *p == '0' ? p + 1 : skip_digits(p, end);
    if (p < end && *p == '.') {
        digits = p + 1;
        p = skip_digits(digits, end);
        if (p == digits)
            return NULL;
    }
    if (p < end && (*p == 'e' || *p == 'E')) {
        digits = p + 1;
        if (digits < end && (*digits == '+' || *digits == '-'))
            digits++;
        p = skip_digits(digits, end);
        if (p == digits)
            return NULL;
    }
    return p;
}

static bool take_word(struct vwi_scan *s, const char *word, size_t len)
{
    if ((size_t)(s->end - s->p) < len || memcmp(s->p, word, len) != 0)
        return false;
    s->p += len;
    return true;
}

/* A value without members or entries; s->p < s->end. */
static bool take_scalar(struct vwi_scan *s)
{
    struct vwi_scan_string str;
    const char *p;

    switch (*s->p) {
    case '"':
        return vwi_scan_string(s, &str);
    case 't':
        return take_word(s, "true", 4);
    case 'f':
        return take_word(s, "false", 5);
    case 'n':
        return take_word(s, "null", 4);
    default:
        p = skip_number(s->p, s->end);
        if (!p)
            return false;
        s->p = p;
        return true;
    }
}

static bool take_key(struct vwi_scan *s, struct vwi_scan_string *ret)
{
    vwi_scan_space(s);
    if (!vwi_scan_string(s, ret))
        return false;
    vwi_scan_space(s);
    if (!vwi_scan_take(s, ':'))
        return false;
    vwi_scan_space(s);
    return true;
}

/* One bit for each open bracket, the outermost first: set for an object. */
struct nest {
    uint64_t bits[(VWI_SCAN_DEPTH_MAX + 63) / 64];
    int base; /* depth of the cursor before the outermost */
};

static bool in_object(const struct nest *n, const struct vwi_scan *s)
{
    int level = s->depth - n->base - 1;

    return n->bits[level >> 6] >> (level & 63) & 1;
}

/* Takes the bracket at the cursor, and its partner if it is empty. */
static bool open_bracket(struct nest *n, struct vwi_scan *s, bool *ret_empty)
{
    bool object = *s->p == '{';
    int level = s->depth - n->base;
    struct vwi_scan_string key;

    if (s->depth >= s->max_depth)
        return false;
    s->p++;
    s->depth++;
    if ((level & 63) == 0)
        n->bits[level >> 6] = 0;
    n->bits[level >> 6] &= ~(UINT64_C(1) << (level & 63));
    n->bits[level >> 6] |= (uint64_t)object << (level & 63);
    vwi_scan_space(s);
    *ret_empty = vwi_scan_take(s, object ? '}' : ']');
    if (*ret_empty)
        s->depth--;
    return *ret_empty || !object || take_key(s, &key);
}

/* Behind a value: takes closing brackets and then, unless all are closed, the comma and what leads to the next value. */
static bool go_on(const struct nest *n, struct vwi_scan *s)
{
    struct vwi_scan_string key;

    while (s->depth > n->base) {
        bool object = in_object(n, s);

        vwi_scan_space(s);
        if (vwi_scan_take(s, ','))
            return !object || take_key(s, &key);
        if (!vwi_scan_take(s, object ? '}' : ']'))
            return false;
        s->depth--;
    }
    return true;
}

bool vwi_scan_value(struct vwi_scan *s, struct vwi_span *ret)
{
    struct nest n;
    const char *start;
    bool empty;

    n.base = s->depth;
    vwi_scan_space(s);
    start = s->p;
    do {
        vwi_scan_space(s);
        if (s->p == s->end)
            return false;
        if (*s->p == '{' || *s->p == '[') {
            if (!open_bracket(&n, s, &empty))
                return false;
            if (!empty)
                continue;
        } else if (!take_scalar(s)) {
            return false;
        }
        if (!go_on(&n, s))
            return false;
    } while (s->depth > n.base);
    ret->p = start;
    ret->len = (size_t)(s->p - start);
    return true;
}

bool vwi_scan_object(struct vwi_scan *s)
{
    if (s->depth >= s->max_depth || !vwi_scan_take(s, '{'))
        return false;
    s->depth++;
    return true;
}

bool vwi_scan_member(struct vwi_scan *s, bool first, struct vwi_scan_string *ret_key, bool *ret_more)
{
    vwi_scan_space(s);
    *ret_more = !vwi_scan_take(s, '}');
    if (!*ret_more) {
        s->depth--;
        return true;
    }
    return (first || vwi_scan_take(s, ',')) && take_key(s, ret_key);
}
