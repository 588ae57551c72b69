/* printf's decimal point follows the locale of the host program; here it is always a full stop. */
#include "core/literal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

/* The decimal point, which may be several bytes, is put right. */
static void mend_point(char *buf)
{
    char *p = buf + strspn(buf, "-0123456789"), *end;

    if (*p == '\0' || *p == 'e')
        return;
    end = p + strcspn(p, "0123456789");
    *p = '.';
    memmove(p + 1, end, strlen(end) + 1);
}

/* Prints v with the fewest digits that read back as v. */
static void shortest(double v, char *buf, size_t size)
{
    int precision;

    for (precision = 15; precision <= 17; precision++) {
        snprintf(buf, size, "%.*g", precision, v);
        if (strtod(buf, NULL) == v)
            break;
    }
    mend_point(buf);
}

bool vwi_literal_number(struct vwi_text *t, double v)
{
    char buf[64];

    if (!isfinite(v) || v == 0)
        return vwi_text_add(t, "0", 1);
    shortest(v, buf, sizeof(buf));
    return vwi_text_adds(t, buf);
}

bool vwi_literal_brief(struct vwi_text *t, double v)
{
    char buf[64];

    if (!isfinite(v) || v == 0)
        return vwi_text_add(t, "0", 1);
    snprintf(buf, sizeof buf, "%.10g", v);
    mend_point(buf);
    return vwi_text_adds(t, buf);
}

bool vwi_literal_real(struct vwi_text *t, double v)
{
    char buf[64];

    if (!isfinite(v) || v == 0)
        return vwi_text_adds(t, "0.0");
    shortest(v, buf, sizeof(buf) - 2);
    if (buf[strspn(buf, "-0123456789")] == '\0')
        memcpy(buf + strlen(buf), ".0", 3);
    return vwi_text_adds(t, buf);
}

/* Seconds with six digits behind the point; returns the length. */
static size_t write_micros(char *to, uint64_t us)
{
    size_t at = vwi_digits(to, us / 1000000), len = at + vwi_digits(to + at, 1000000 + us % 1000000); /* of a one and six digits */

    to[at] = '.'; /* in the place of the one */
    return len;
}

bool vwi_literal_micros(struct vwi_text *t, uint64_t us)
{
    char text[2 * VWI_DIGITS];

    return vwi_text_add(t, text, write_micros(text, us));
}

bool vwi_literal_seconds(struct vwi_text *t, double v)
{
    char text[2 * VWI_DIGITS] = "-";
    uint64_t us;
    size_t len;
    bool negative;

    if (!isfinite(v) || fabs(v) > 9e12)
        return vwi_text_adds(t, "0.0");
    us = (uint64_t)llround(fabs(v) * 1e6);
    negative = v < 0 && us;
    len = negative + write_micros(text + negative, us);
    while (text[len - 1] == '0' && text[len - 2] != '.')
        len--;
    return vwi_text_add(t, text, len);
}

/* Length of the UTF-8 sequence at s; 0 when it is not one. Surrogates, overlong forms and what is above U+10FFFF are not. */
static size_t sequence(const unsigned char *s)
{
    size_t len, i;

    if (s[0] < 0x80)
        return 1;
    if (s[0] < 0xc2 || s[0] > 0xf4)
        return 0;
    len = s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
    for (i = 1; i < len; i++)
        if ((s[i] & 0xc0) != 0x80) /* also stops at the end of the text */
            return 0;
    if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) || (s[0] == 0xf0 && s[1] < 0x90) ||
        (s[0] == 0xf4 && s[1] > 0x8f))
        return 0;
    return len;
}

static void escape(struct vwi_text *t, const char *s, bool json)
{
    if (*s == '"' || *s == '\\')
        vwi_text_addf(t, "\\%c", *s);
    else if (*s == '\n')
        vwi_text_adds(t, "\\n");
    else if (json)
        vwi_text_addf(t, "\\u%04x", (unsigned)(unsigned char)*s);
    else
        vwi_text_add(t, s, 1);
}

/* Copies runs of plain bytes; what needs care is handled one by one. */
static bool quote(struct vwi_text *t, const char *s, bool json)
{
    const char *run;

    s = run = s ? s : "";
    vwi_text_add(t, "\"", 1);
    while (*s) {
        unsigned char c = (unsigned char)*s;
        size_t len = sequence((const unsigned char *)s);

        if (len > 0 && c != '"' && c != '\\' && c >= 0x20 && c != 0x7f) {
            s += len;
            continue;
        }
        vwi_text_add(t, run, (size_t)(s - run));
        if (len == 0)
            vwi_text_adds(t, REPLACEMENT);
        else
            escape(t, s, json);
        run = ++s;
    }
    vwi_text_add(t, run, (size_t)(s - run));
    return vwi_text_add(t, "\"", 1);
}

bool vwi_literal_string(struct vwi_text *t, const char *s) { return quote(t, s, true); }
bool vwi_literal_label(struct vwi_text *t, const char *s) { return quote(t, s, false); }
