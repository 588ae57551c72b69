/* What checked tokens mean: numbers and the characters of strings. */
#include "core/scan.h"

#include <float.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REPLACEMENT 0xfffdu

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

static bool is_number(struct vwi_span token)
{
    const char *end = token.len ? token.p + token.len : NULL;

    return end && vwi_scan_skip_number(token.p, end) == end;
}

/* An exponent so large that it decides alone, whatever the digits. */
static long long read_exponent(const char *p, const char *end)
{
    bool negative = *p == '-';
    long long value = 0;

    if (*p == '-' || *p == '+')
        p++;
    for (; p < end; p++) {
        if (value < 1000000000000)
            value = value * 10 + (*p - '0');
    }
    return negative ? -value : value;
}

/*
 * The usual number: at most 15 digits and a power of ten up to 22 are both exact in a double, so one operation rounds correctly
 * (Clinger 1990). True also only where doubles are computed as doubles.
 */
static bool read_short(struct vwi_span token, double *ret)
{
    static const double powers[] = { 1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18,
                                     1e19, 1e20, 1e21, 1e22 };
    bool negative = token.p[0] == '-', fraction = false;
    uint64_t digits = 0;
    int power = 0;
    size_t i;

    if (FLT_EVAL_METHOD != 0 || token.len > 16 + (negative ? 1u : 0u))
        return false;
    for (i = negative; i < token.len; i++) {
        char c = token.p[i];

        if (c == 'e' || c == 'E' || digits >= UINT64_C(100000000000000))
            return false;
        if (c == '.') {
            fraction = true;
            continue;
        }
        digits = digits * 10 + (uint64_t)(c - '0');
        power += fraction;
    }
    *ret = (double)digits / powers[power];
    if (negative)
        *ret = -*ret;
    return true;
}

/*
 * strtod() wants the locale's decimal point, so it gets none: 12.5e3 is handed over as 125e2. 767 digits tell any double from
 * its neighbours; of what follows it only matters whether it is all zeros.
 */
bool vwi_scan_number(struct vwi_span token, double *ret)
{
    enum { DIGITS_MAX = 780 };
    char text[DIGITS_MAX + 32];
    const char *p = token.p, *end = p + token.len;
    size_t len = 0;
    long long exponent = 0;
    bool fraction = false, rest = false;

    if (!is_number(token))
        return false;
    if (read_short(token, ret))
        return true;
    for (; p < end && *p != 'e' && *p != 'E'; p++) {
        if (*p == '.') {
            fraction = true;
        } else if (is_digit(*p)) {
            bool kept = len < DIGITS_MAX;

            if (kept && (len || *p != '0'))
                text[len++] = *p;
            rest = rest || (!kept && *p != '0');
            exponent += (kept ? 0 : 1) - (fraction ? 1 : 0);
        }
    }
    if (p < end)
        exponent += read_exponent(p + 1, end);
    if (rest) {
        text[len++] = '1';
        exponent--;
    }
    if (!len)
        text[len++] = '0';
    snprintf(text + len, sizeof text - len, "e%lld", exponent);
    *ret = strtod(text, NULL);
    if (token.p[0] == '-')
        *ret = -*ret;
    return true;
}

static int hex_value(char c)
{
    if (is_digit(c))
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int vwi_scan_hex4(const char *p, const char *end)
{
    int value = 0, i;

    if (end - p < 4)
        return -1;
    for (i = 0; i < 4; i++) {
        int digit = hex_value(p[i]);

        if (digit < 0)
            return -1;
        value = value << 4 | digit;
    }
    return value;
}

static unsigned point_of_escape(char c)
{
    switch (c) {
    case 'b': return '\b';
    case 'f': return '\f';
    case 'n': return '\n';
    case 'r': return '\r';
    case 't': return '\t';
    case '"': case '\\': case '/': return (unsigned char)c;
    default: return REPLACEMENT;
    }
}

/* The escape at *p, which has at least two bytes. */
static unsigned take_escape(const char **p, const char *end)
{
    const char *at = *p;
    int first, second;

    *p += 2;
    if (at[1] != 'u')
        return point_of_escape(at[1]);
    first = vwi_scan_hex4(at + 2, end);
    if (first < 0)
        return REPLACEMENT;
    *p += 4;
    if (first < 0xd800 || first > 0xdbff || end - *p < 6 || (*p)[0] != '\\' || (*p)[1] != 'u')
        return (unsigned)first;
    second = vwi_scan_hex4(*p + 2, end);
    if (second < 0xdc00 || second > 0xdfff)
        return (unsigned)first;
    *p += 6;
    return 0x10000u + (((unsigned)first - 0xd800u) << 10) + ((unsigned)second - 0xdc00u);
}

unsigned vwi_scan_point(const char **p, const char *end)
{
    unsigned point;
    size_t len;

    if (**p == '\\' && end - *p >= 2)
        return take_escape(p, end);
    len = **p == '\\' ? 0 : vwi_scan_utf8(*p, end, &point);
    *p += len ? len : 1;
    return len ? point : REPLACEMENT;
}

size_t vwi_scan_encode(unsigned point, char out[4])
{
    if (vwi_scan_is_surrogate(point) || point > 0x10ffff)
        point = REPLACEMENT;
    if (point < 0x80) {
        out[0] = (char)point;
        return 1;
    }
    if (point < 0x800) {
        out[0] = (char)(0xc0 | point >> 6);
        out[1] = (char)(0x80 | (point & 0x3f));
        return 2;
    }
    if (point < 0x10000) {
        out[0] = (char)(0xe0 | point >> 12);
        out[1] = (char)(0x80 | (point >> 6 & 0x3f));
        out[2] = (char)(0x80 | (point & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | point >> 18);
    out[1] = (char)(0x80 | (point >> 12 & 0x3f));
    out[2] = (char)(0x80 | (point >> 6 & 0x3f));
    out[3] = (char)(0x80 | (point & 0x3f));
    return 4;
}

bool vwi_scan_escaped_is(const struct vwi_scan_string *str, const char *text, size_t len)
{
    const char *p = str->raw.p, *end = p + str->raw.len;
    size_t at = 0;

    while (p < end) {
        unsigned point = vwi_scan_point(&p, end);
        char out[4];
        size_t n = vwi_scan_encode(point, out);

        if (vwi_scan_is_surrogate(point) || n > len - at || memcmp(out, text + at, n) != 0)
            return false;
        at += n;
    }
    return at == len;
}
