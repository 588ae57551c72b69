/*
 * Values are skipped by counting brackets, without checking them again: a payload of megabytes costs a search for quotes, but for values
 * whose ends are known. Every loop ends at `end` and moves forward, whatever the bytes are.
 * The odd thing: what is known is kept for the thread, since a plugin asks through functions that have no room for it.
 */
#include "core/payload.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "base/vwi.h"
#include "core/scan.h"

static _Thread_local struct {
    const struct vwi_scan_long *values;
    size_t count;
} known;

void vwi_payload_know(const struct vwi_scan_long *values, size_t count)
{
    known.values = values;
    known.count = count;
}

/* What is known of the value at p; NULL: it must be walked through. */
static const struct vwi_scan_long *known_at(const char *p, size_t left)
{
    size_t i;

    if (!known.count || p < known.values[0].value.p || p > known.values[known.count - 1].value.p)
        return NULL;
    for (i = 0; i < known.count && known.values[i].value.p <= p; i++)
        if (known.values[i].value.p == p)
            return known.values[i].value.len <= left ? &known.values[i] : NULL;
    return NULL;
}

static const char *known_end(const char *p, const char *end)
{
    const struct vwi_scan_long *value = known_at(p, (size_t)(end - p));

    return value ? p + value->value.len : NULL;
}

/* Behind the string whose quote is at p. A quote is the last one unless an odd number of backslashes precedes it. */
static const char *skip_string(const char *p, const char *end)
{
    const char *q = known_end(p, end), *b;

    if (q)
        return q;
    for (q = p + 1; q < end; q++) {
        q = memchr(q, '"', (size_t)(end - q));
        if (!q)
            return end;
        for (b = q; b[-1] == '\\' && b - 1 > p; b--)
            ;
        if (((q - b) & 1) == 0)
            return q + 1;
    }
    return end;
}

/* To a byte that may be a quote or bracket. Bit 5 makes two of the four brackets; what else it confuses is looked at once. */
static const char *skip_inert(const char *p, const char *end)
{
    uint64_t x, open, close, quote;

    for (; end - p >= 8; p += 8) {
        memcpy(&x, p, sizeof x);
        x |= VWI_EVERY(0x20);
        open = x ^ VWI_EVERY('{');
        close = x ^ VWI_EVERY('}');
        quote = x ^ VWI_EVERY('"');
        if ((((open - VWI_EVERY(1)) & ~open) | ((close - VWI_EVERY(1)) & ~close) | ((quote - VWI_EVERY(1)) & ~quote)) & VWI_EVERY(0x80))
            break;
    }
    return p;
}

static bool ends_scalar(char c)
{
    return c == ',' || c == '}' || c == ']' || c == ' ' || c == '\n' || c == '\r' || c == '\t' || c == ':';
}

/* Behind the value at p; p itself if none is there. */
static const char *skip_value(const char *p, const char *end)
{
    const char *behind;
    size_t depth = 0;

    if (p < end && *p != '"' && *p != '{' && *p != '[') {
        while (p < end && !ends_scalar(*p))
            p++;
        return p;
    }
    while (p < end) {
        if (*p == '"')
            p = skip_string(p, end);
        else if ((*p == '{' || *p == '[') && (behind = known_end(p, end)) != NULL)
            p = behind;
        else if (*p == '{' || *p == '[')
            depth++, p++;
        else if (*p == '}' || *p == ']')
            depth--, p++;
        else
            p++;
        if (depth == 0)
            break;
        p = skip_inert(p, end);
    }
    return p;
}

static bool is_space(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

static const char *skip_space(const char *p, const char *end)
{
    while (p < end && is_space(*p))
        p++;
    return p;
}

static struct vwi_span trim(struct vwi_span s)
{
    const char *p = s.p ? s.p : "", *end = p + (s.p ? s.len : 0);

    p = skip_space(p, end);
    while (p < end && is_space(end[-1]))
        end--;
    return (struct vwi_span){ p, (size_t)(end - p) };
}

static enum vwi_kind kind_of(struct vwi_span value)
{
    if (!value.len)
        return VWI_KIND_ABSENT;
    switch (value.p[0]) {
    case '{': return VWI_KIND_OBJECT;
    case '[': return VWI_KIND_ARRAY;
    case '"': return VWI_KIND_STRING;
    case 't': case 'f': return VWI_KIND_BOOL;
    case 'n': return VWI_KIND_NULL;
    default: return VWI_KIND_NUMBER;
    }
}

/* Members or entries, one by one: cursor at the bracket or behind the last value. */
struct walk {
    const char *p, *end;
    bool object, started;
    struct vwi_scan_string key;
    struct vwi_span value;
};

static void start(struct walk *w, struct vwi_span container)
{
    w->object = container.p[0] == '{';
    w->p = container.p + 1;
    w->end = container.p + container.len;
    w->started = false;
}

static bool take_key(struct walk *w)
{
    const char *after;

    if (w->p == w->end || *w->p != '"')
        return false;
    after = skip_string(w->p, w->end);
    if (after - w->p < 2)
        return false;
    w->key.raw = (struct vwi_span){ w->p + 1, (size_t)(after - w->p) - 2 };
    w->key.escaped = memchr(w->key.raw.p, '\\', w->key.raw.len) != NULL;
    w->p = skip_space(after, w->end);
    if (w->p == w->end || *w->p != ':')
        return false;
    w->p = skip_space(w->p + 1, w->end);
    return true;
}

static bool step(struct walk *w)
{
    const char *after;

    w->p = skip_space(w->p, w->end);
    if (w->started) {
        if (w->p == w->end || *w->p != ',')
            return false;
        w->p = skip_space(w->p + 1, w->end);
    }
    w->started = true;
    if (w->object && !take_key(w))
        return false;
    after = skip_value(w->p, w->end);
    if (after == w->p)
        return false;
    w->value = (struct vwi_span){ w->p, (size_t)(after - w->p) };
    w->p = after;
    return true;
}

/* Is the key this part of a JSON pointer, which has ~0 for ~ and ~1 for a slash? */
static bool key_is(const struct vwi_scan_string *key, struct vwi_span token)
{
    const char *p = key->raw.p, *end = p + key->raw.len, *t = token.p, *t_end = t + token.len;

    if (!memchr(token.p, '~', token.len))
        return vwi_scan_string_is(key, token.p, token.len);
    while (p < end) {
        unsigned point = vwi_scan_point(&p, end);
        bool coded = point == '~' || point == '/';
        char text[4] = { '~', point == '~' ? '0' : '1', 0, 0 };
        size_t n = coded ? 2 : vwi_scan_encode(point, text);

        if (vwi_scan_is_surrogate(point) || n > (size_t)(t_end - t) || memcmp(text, t, n) != 0)
            return false;
        t += n;
    }
    return t == t_end;
}

/* The digits of an array index: no sign, no leading zero. False also when no list can be so long. */
static bool read_index(struct vwi_span token, uint64_t *ret)
{
    uint64_t value = 0;
    size_t i;

    if (!token.len || token.len > 18 || (token.len > 1 && token.p[0] == '0'))
        return false;
    for (i = 0; i < token.len; i++) {
        if (token.p[i] < '0' || token.p[i] > '9')
            return false;
        value = value * 10 + (uint64_t)(token.p[i] - '0');
    }
    *ret = value;
    return true;
}

static bool descend(struct vwi_span *value, struct vwi_span token)
{
    enum vwi_kind kind = kind_of(*value);
    struct vwi_span hit = { NULL, 0 };
    uint64_t index = 0;
    struct walk w;

    if (kind != VWI_KIND_OBJECT && (kind != VWI_KIND_ARRAY || !read_index(token, &index)))
        return false;
    start(&w, *value);
    while (step(&w)) {
        if (w.object) {
            if (key_is(&w.key, token))
                hit = w.value;
        } else if (index-- == 0) {
            hit = w.value;
            break;
        }
    }
    *value = hit;
    return hit.p != NULL;
}

/* The tildes of a pointer's part are all ~0 or ~1. */
static bool tildes_are_good(struct vwi_span token)
{
    size_t i;

    for (i = 0; i < token.len; i++) {
        if (token.p[i] == '~' && (i + 1 == token.len || (token.p[i + 1] != '0' && token.p[i + 1] != '1')))
            return false;
    }
    return true;
}

enum vwi_kind vwi_payload_find(struct vwi_span json, const char *pointer, struct vwi_span *ret_value)
{
    struct vwi_span value = trim(json), token;

    while (*pointer) {
        if (*pointer++ != '/')
            return VWI_KIND_ABSENT;
        token = (struct vwi_span){ pointer, strcspn(pointer, "/") };
        pointer += token.len;
        if (!tildes_are_good(token) || !descend(&value, token))
            return VWI_KIND_ABSENT;
    }
    if (ret_value && value.len)
        *ret_value = value;
    return kind_of(value);
}

size_t vwi_payload_count(struct vwi_span value)
{
    const struct vwi_scan_long *long_value;
    enum vwi_kind kind;
    size_t count = 0;
    struct walk w;

    value = trim(value);
    kind = kind_of(value);
    if (kind != VWI_KIND_OBJECT && kind != VWI_KIND_ARRAY)
        return 0;
    long_value = known_at(value.p, value.len);
    if (long_value && long_value->value.len == value.len)
        return long_value->count;
    start(&w, value);
    while (step(&w))
        count++;
    return count;
}

bool vwi_payload_number(struct vwi_span value, double *ret)
{
    double number;

    if (!vwi_scan_number(trim(value), &number) || !isfinite(number))
        return false;
    *ret = number;
    return true;
}

bool vwi_payload_string(struct vwi_span value, char *out, size_t size, size_t *ret_len)
{
    const char *p, *end;
    size_t len = 0, n;
    char utf8[4];

    value = trim(value);
    if (!size || value.len < 2 || value.p[0] != '"' || value.p[value.len - 1] != '"')
        return false;
    end = value.p + value.len - 1;
    for (p = value.p + 1; p < end; len += n) {
        n = vwi_scan_encode(vwi_scan_point(&p, end), utf8);
        if (n > size - 1 - len)
            break;
        memcpy(out + len, utf8, n);
    }
    out[len] = '\0';
    if (ret_len)
        *ret_len = len;
    return true;
}

struct vwi_span vwi_payload_unwrap(struct vwi_span payload)
{
    struct vwi_span input;

    return vwi_payload_find(payload, "/input", &input) == VWI_KIND_OBJECT ? input : payload;
}

bool vwi_json_valid(struct vwi_span json, int max_depth)
{
    struct vwi_scan s;
    bool valid;

    vwi_scan_init(&s, max_depth, -1);
    valid = vwi_scan_run(&s, json.p, json.len) == VWI_SCAN_MORE && vwi_scan_is_whole(&s);
    vwi_scan_fini(&s);
    return valid;
}
