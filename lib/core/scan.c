/*
 * The scanner is a machine of states between the bytes. Each step takes as much as its state can: a whole string, a whole number;
 * only a token that the end of the bytes cuts leaves the machine inside of it. An escape or a character that is cut is not taken
 * before it is whole, but refused as soon as it cannot become one.
 */
#include "core/scan.h"

#include <string.h>

#include "base/mem.h"
#include "core/scan_bytes.h"

enum state {
    AT_VALUE,
    AT_FIRST_VALUE, /* of a list: or its end */
    AT_FIRST_KEY,   /* of an object: or its end */
    AT_KEY,
    AT_COLON,
    AT_NEXT, /* behind a value: a comma, a closing bracket, or the end of the text */
    IN_STRING,
    IN_KEY,
    IN_WORD,
    IN_NUMBER_MINUS,
    IN_NUMBER_ZERO,
    IN_NUMBER_INTEGER,
    IN_NUMBER_POINT,
    IN_NUMBER_FRACTION,
    IN_NUMBER_E,
    IN_NUMBER_SIGN,
    IN_NUMBER_EXPONENT,
    STOPPED /* told stays what it is */
};

void vwi_scan_init(struct vwi_scan *s, int max_depth, int tell)
{
    s->at = 0;
    s->depth = 0;
    s->max_depth = max_depth < VWI_SCAN_DEPTH_MAX ? max_depth : VWI_SCAN_DEPTH_MAX;
    s->tell = tell;
    s->in_object = s->escaped = false;
    s->state = AT_VALUE;
    s->told = VWI_SCAN_GOING;
    s->key = (struct vwi_scan_range){ 0, 0 };
    s->word = NULL;
    s->string_from = s->long_count = 0;
    s->far = NULL;
}

void vwi_scan_fini(struct vwi_scan *s)
{
    vwi_free(s->far);
    s->far = NULL;
}

static const char *stop(struct vwi_scan *s, const char *p, enum vwi_scan_told told)
{
    s->state = STOPPED;
    s->told = (unsigned char)told;
    return p;
}

static const char *refuse(struct vwi_scan *s, const char *p) { return stop(s, p, VWI_SCAN_BAD); }

/* ---- long values ---- */

/* Where it goes: a free place, else that of the shortest. */
static size_t place_of_shortest(const struct vwi_scan *s)
{
    size_t i, at = 0;

    if (s->long_count < VWI_SCAN_LONG_MAX)
        return s->long_count;
    for (i = 1; i < VWI_SCAN_LONG_MAX; i++)
        if (s->longs[i].range.to - s->longs[i].range.from < s->longs[at].range.to - s->longs[at].range.from)
            at = i;
    return at;
}

static void note_long(struct vwi_scan *s, struct vwi_scan_range range, size_t count)
{
    size_t at = place_of_shortest(s);

    if (at < s->long_count && range.to - range.from <= s->longs[at].range.to - s->longs[at].range.from)
        return;
    s->longs[at].range = range;
    s->longs[at].count = count;
    s->long_count += at == s->long_count;
}

static bool is_long(struct vwi_scan_range range) { return range.to - range.from >= VWI_SCAN_LONG_BYTES; }

size_t vwi_scan_longs(const struct vwi_scan *s, const char *text, struct vwi_scan_long ret[VWI_SCAN_LONG_MAX])
{
    size_t i, at;

    for (i = 0; i < s->long_count; i++) {
        struct vwi_scan_range range = s->longs[i].range;

        for (at = i; at > 0 && ret[at - 1].value.p > text + range.from; at--)
            ret[at] = ret[at - 1];
        ret[at] = (struct vwi_scan_long){ { text + range.from, range.to - range.from }, s->longs[i].count };
    }
    return s->long_count;
}

/* ---- values ---- */

static inline const char *end_value(struct vwi_scan *s, const char *p)
{
    s->state = AT_NEXT;
    if (s->depth <= s->tell)
        s->told = VWI_SCAN_VALUE;
    return p;
}

/* The word with the bit of this level; NULL: no memory. */
static uint64_t *word_of(struct vwi_scan *s, int level)
{
    if (level < VWI_SCAN_NEAR_WORDS * 64)
        return &s->near[level >> 6];
    if (!s->far)
        s->far = vwi_alloc(VWI_SCAN_FAR_WORDS * sizeof *s->far);
    return s->far ? &s->far[(level >> 6) - VWI_SCAN_NEAR_WORDS] : NULL;
}

static const char *open_container(struct vwi_scan *s, const char *text, const char *p)
{
    uint64_t bit = UINT64_C(1) << (s->depth & 63), *word;

    if (s->depth >= s->max_depth)
        return refuse(s, p);
    word = word_of(s, s->depth);
    if (!word)
        return stop(s, p, VWI_SCAN_NOMEM);
    if (bit == 1)
        *word = 0;
    if (s->depth < VWI_SCAN_OPEN_MAX) {
        s->open[s->depth].from = (size_t)(p - text);
        s->open[s->depth].commas = 0;
    }
    s->in_object = *p == '{';
    *word = s->in_object ? *word | bit : *word & ~bit;
    s->depth++;
    s->state = s->in_object ? AT_FIRST_KEY : AT_FIRST_VALUE;
    return p + 1;
}

static inline const char *close_container(struct vwi_scan *s, const char *text, const char *p)
{
    int outer = --s->depth - 1;

    if (s->depth < VWI_SCAN_OPEN_MAX) {
        struct vwi_scan_range range = { s->open[s->depth].from, (size_t)(p + 1 - text) };

        if (is_long(range))
            note_long(s, range, s->state == AT_NEXT ? s->open[s->depth].commas + 1 : 0);
    }
    s->in_object = outer >= 0 && *word_of(s, outer) >> (outer & 63) & 1;
    return end_value(s, p + 1);
}

static const char *take_word(struct vwi_scan *s, const char *p, const char *end)
{
    const char *word = s->word;

    while (p < end && *word && *p == *word)
        p++, word++;
    s->word = word;
    if (!*word)
        return end_value(s, p);
    return p < end ? refuse(s, p) : p;
}

static const char *begin_word(struct vwi_scan *s, const char *p, const char *end, const char *word)
{
    s->word = word;
    s->state = IN_WORD;
    return take_word(s, p, end);
}

/* ---- numbers ---- */

/* The state behind one more byte; AT_NEXT: the byte is behind the number; STOPPED: no number. */
static enum state number_step(enum state state, char c)
{
    bool digit = vwi_scan_is_digit(c), e = c == 'e' || c == 'E';

    switch (state) {
    case IN_NUMBER_MINUS: return c == '0' ? IN_NUMBER_ZERO : digit ? IN_NUMBER_INTEGER : STOPPED;
    case IN_NUMBER_ZERO: return c == '.' ? IN_NUMBER_POINT : e ? IN_NUMBER_E : AT_NEXT;
    case IN_NUMBER_INTEGER: return digit ? state : c == '.' ? IN_NUMBER_POINT : e ? IN_NUMBER_E : AT_NEXT;
    case IN_NUMBER_POINT: return digit ? IN_NUMBER_FRACTION : STOPPED;
    case IN_NUMBER_FRACTION: return digit ? state : e ? IN_NUMBER_E : AT_NEXT;
    case IN_NUMBER_E: return c == '+' || c == '-' ? IN_NUMBER_SIGN : digit ? IN_NUMBER_EXPONENT : STOPPED;
    case IN_NUMBER_SIGN: return digit ? IN_NUMBER_EXPONENT : STOPPED;
    default: return digit ? state : AT_NEXT;
    }
}

static const char *take_number(struct vwi_scan *s, const char *p, const char *end)
{
    for (; p < end; p++) {
        enum state next = number_step(s->state, *p);

        if (next == AT_NEXT)
            return end_value(s, p);
        if (next == STOPPED)
            return refuse(s, p);
        s->state = (unsigned char)next;
    }
    return p;
}

const char *vwi_scan_skip_number(const char *p, const char *end)
{
    const char *digits;

    if (p < end && *p == '-')
        p++;
    if (p == end || !vwi_scan_is_digit(*p))
        return NULL;
    p = *p == '0' ? p + 1 : vwi_scan_skip_digits(p, end);
    if (p < end && *p == '.') {
        digits = p + 1;
        p = vwi_scan_skip_digits(digits, end);
        if (p == digits)
            return NULL;
    }
    if (p < end && (*p == 'e' || *p == 'E')) {
        digits = p + 1;
        if (digits < end && (*digits == '+' || *digits == '-'))
            digits++;
        p = vwi_scan_skip_digits(digits, end);
        if (p == digits)
            return NULL;
    }
    return p;
}

/* In one go where the number's end is among the bytes; else byte by byte, which also finds the one that is wrong. */
static inline const char *begin_number(struct vwi_scan *s, const char *p, const char *end)
{
    const char *after = vwi_scan_skip_number(p, end);

    if (after && after < end)
        return end_value(s, after);
    if (*p != '-' && !vwi_scan_is_digit(*p))
        return refuse(s, p);
    s->state = *p == '-' ? IN_NUMBER_MINUS : *p == '0' ? IN_NUMBER_ZERO : IN_NUMBER_INTEGER;
    return take_number(s, p + 1, end);
}

/* ---- strings ---- */

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

/* May these bytes, which are no character, become one with the bytes to come? The second byte decides about overlong and the like. */
static bool begins_utf8(const char *p, const char *end)
{
    unsigned char first = (unsigned char)p[0], second = end - p > 1 ? (unsigned char)p[1] : 0;
    unsigned char low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80, high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    int len = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2, i;

    if (first < 0xc2 || first > 0xf4 || end - p >= len || (end - p > 1 && (second < low || second > high)))
        return false;
    for (i = 2; i < end - p; i++) {
        if (!is_tail(p[i]))
            return false;
    }
    return true;
}

/* The same for an escape, whose backslash is at p. */
static bool begins_escape(const char *p, const char *end)
{
    char digits[4] = { '0', '0', '0', '0' };

    if (end - p < 2)
        return true;
    if (p[1] != 'u' || end - p >= 6)
        return false;
    memcpy(digits, p + 2, (size_t)(end - p) - 2);
    return vwi_scan_hex4(digits, digits + 4) >= 0;
}

/* Behind the escape whose backslash is at p; p: it is cut short or none. Surrogates need no partner: RFC 8259 leaves them alone. */
static const char *skip_escape(const char *p, const char *end)
{
    if (end - p < 2)
        return p;
    switch (p[1]) {
    case '"': case '\\': case '/': case 'b': case 'f': case 'n': case 'r': case 't':
        return p + 2;
    case 'u':
        return vwi_scan_hex4(p + 2, end) < 0 ? p : p + 6;
    default:
        return p;
    }
}

/* Behind the characters beyond ASCII at p; p: the first is cut short or none. */
static const char *skip_beyond_ascii(const char *p, const char *end)
{
    unsigned point;

    while (p < end && (unsigned char)*p >= 0x80) {
        size_t len = vwi_scan_utf8(p, end, &point);

        if (!len)
            break;
        p += len;
    }
    return p;
}

/* At a byte of a string that neither goes on as it is nor ends it. */
static const char *take_special(struct vwi_scan *s, const char *p, const char *end)
{
    bool escape = *p == '\\';
    const char *after;

    if (!escape && (unsigned char)*p < 0x80)
        return refuse(s, p);
    s->escaped = s->escaped || escape;
    after = escape ? skip_escape(p, end) : skip_beyond_ascii(p, end);
    if (after != p)
        return after;
    if (escape ? !begins_escape(p, end) : !begins_utf8(p, end))
        return refuse(s, p);
    s->told = VWI_SCAN_MORE;
    return p;
}

/* The place behind the closing quote, else where the bytes end or what stopped it, and then *ret_closed is false. */
static inline const char *skip_string(struct vwi_scan *s, const char *p, const char *end, bool *ret_closed)
{
    for (;;) {
        p = vwi_scan_skip_plain(p, end);
        *ret_closed = p < end && *p == '"';
        if (p == end || *ret_closed)
            return p + *ret_closed;
        p = take_special(s, p, end);
        if (s->told)
            return p;
    }
}

static inline const char *take_string(struct vwi_scan *s, const char *p, const char *end)
{
    bool closed;

    p = skip_string(s, p, end, &closed);
    return closed ? end_value(s, p) : p;
}

static inline const char *take_key(struct vwi_scan *s, const char *text, const char *p, const char *end)
{
    bool closed;

    p = skip_string(s, p, end, &closed);
    if (!closed)
        return p;
    s->key.to = (size_t)(p - text) - 1;
    s->state = AT_COLON;
    if (s->depth <= s->tell)
        s->told = VWI_SCAN_KEY;
    return p;
}

/* ---- the machine; every step begins with p < end ---- */

static inline const char *begin_value(struct vwi_scan *s, const char *text, const char *p, const char *end)
{
    if (s->depth <= VWI_SCAN_TELL_MAX)
        s->starts[s->depth] = (size_t)(p - text);
    switch (*p) {
    case '"':
        s->state = IN_STRING;
        s->string_from = (size_t)(p - text);
        return take_string(s, p + 1, end);
    case '{': case '[':
        return open_container(s, text, p);
    case 't':
        return begin_word(s, p, end, "true");
    case 'f':
        return begin_word(s, p, end, "false");
    case 'n':
        return begin_word(s, p, end, "null");
    default:
        return begin_number(s, p, end);
    }
}

static inline const char *begin_key(struct vwi_scan *s, const char *text, const char *p, const char *end)
{
    if (*p != '"')
        return refuse(s, p);
    s->key.from = (size_t)(p + 1 - text);
    s->escaped = false;
    s->state = IN_KEY;
    return take_key(s, text, p + 1, end);
}

static inline const char *take_next(struct vwi_scan *s, const char *text, const char *p)
{
    if (*p == ',' && s->depth) {
        if (s->depth <= VWI_SCAN_OPEN_MAX)
            s->open[s->depth - 1].commas++;
        s->state = s->in_object ? AT_KEY : AT_VALUE;
        return p + 1;
    }
    return s->depth && *p == (s->in_object ? '}' : ']') ? close_container(s, text, p) : refuse(s, p);
}

static const char *take_colon(struct vwi_scan *s, const char *p)
{
    if (*p != ':')
        return refuse(s, p);
    s->state = AT_VALUE;
    return p + 1;
}

static const char *between_tokens(struct vwi_scan *s, const char *text, const char *p, const char *end)
{
    p = vwi_scan_skip_space(p, end);
    if (p == end)
        return p;
    switch (s->state) {
    case AT_FIRST_VALUE:
        return *p == ']' ? close_container(s, text, p) : begin_value(s, text, p, end);
    case AT_VALUE:
        return begin_value(s, text, p, end);
    case AT_FIRST_KEY:
        return *p == '}' ? close_container(s, text, p) : begin_key(s, text, p, end);
    case AT_KEY:
        return begin_key(s, text, p, end);
    case AT_COLON:
        return take_colon(s, p);
    default:
        return take_next(s, text, p);
    }
}

/* Of a string that was cut. */
static const char *go_on_string(struct vwi_scan *s, const char *text, const char *p, const char *end)
{
    struct vwi_scan_range string;

    p = take_string(s, p, end);
    string = (struct vwi_scan_range){ s->string_from, (size_t)(p - text) };
    if (s->state == AT_NEXT && is_long(string))
        note_long(s, string, 0);
    return p;
}

static const char *inside_token(struct vwi_scan *s, const char *text, const char *p, const char *end)
{
    switch (s->state) {
    case IN_STRING:
        return go_on_string(s, text, p, end);
    case IN_KEY:
        return take_key(s, text, p, end);
    case IN_WORD:
        return take_word(s, p, end);
    default:
        return take_number(s, p, end);
    }
}

enum vwi_scan_told vwi_scan_run(struct vwi_scan *s, const char *text, size_t len)
{
    const char *p = text, *end = text;

    if (s->state == STOPPED)
        return s->told;
    s->told = VWI_SCAN_GOING;
    if (len > s->at) { /* else text may be NULL */
        p = text + s->at;
        end = text + len;
        if (s->state >= IN_STRING)
            p = inside_token(s, text, p, end);
        while (p < end && s->told == VWI_SCAN_GOING)
            p = s->state < IN_STRING ? between_tokens(s, text, p, end) : inside_token(s, text, p, end);
        s->at = (size_t)(p - text);
    }
    return s->told == VWI_SCAN_GOING ? VWI_SCAN_MORE : (enum vwi_scan_told)s->told;
}

bool vwi_scan_is_whole(const struct vwi_scan *s)
{
    switch (s->state) {
    case IN_NUMBER_ZERO: case IN_NUMBER_INTEGER: case IN_NUMBER_FRACTION: case IN_NUMBER_EXPONENT: case AT_NEXT:
        return s->depth == 0;
    default:
        return false;
    }
}
