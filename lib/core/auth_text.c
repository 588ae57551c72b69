/* The texts around a signature: what is signed, base64 as the platform writes and reads it, secrets compared. */
#include "core/auth.h"

#include <string.h>

#include "core/scan.h"

static void add_unit(unsigned unit, struct vwi_text *out)
{
    vwi_text_addf(out, "\\u%04x", unit);
}

/* As Python's json.dumps writes it: everything but printable ASCII is escaped. */
static void add_point(unsigned point, struct vwi_text *out)
{
    static const char shorts[] = "\bb\ff\nn\rr\tt\"\"\\\\";
    char c = (char)point;
    const char *s;

    for (s = shorts; *s; s += 2) {
        if (point == (unsigned char)*s) {
            vwi_text_add(out, "\\", 1);
            vwi_text_add(out, s + 1, 1);
            return;
        }
    }
    if (point >= 0x20 && point < 0x7f) {
        vwi_text_add(out, &c, 1);
    } else if (point < 0x10000) {
        add_unit(point, out);
    } else {
        add_unit(0xd800 + ((point - 0x10000) >> 10), out);
        add_unit(0xdc00 + ((point - 0x10000) & 0x3ff), out);
    }
}

bool vwi_auth_canonical(struct vwi_span url, struct vwi_text *out)
{
    const char *p = url.p ? url.p : "", *end = p + (url.p ? url.len : 0);
    size_t from = out->len;
    unsigned point;
    size_t len;

    vwi_text_adds(out, "{\n    \"url\": \"");
    for (; p < end; p += len) {
        len = vwi_scan_utf8(p, end, &point);
        if (!len)
            break;
        add_point(point, out);
    }
    vwi_text_adds(out, "\"\n}");
    if (p < end && !out->failed) {
        out->len = from;
        out->p[from] = '\0';
    }
    return p == end && !out->failed;
}

static int base64_value(char c, bool strict)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '+' || (strict && c == '-'))
        return 62;
    return c == '/' || (strict && c == '_') ? 63 : -1;
}

/* What may follow the first '=' in strict decoding: nothing but what makes four characters. */
static bool ends_strictly(const char *p, const char *end, unsigned place)
{
    return (place == 2 && end - p == 2 && p[1] == '=') || (place == 3 && end - p == 1);
}

/* No lone character, and no bits set in the last one that belong to no byte. */
static bool ends_cleanly(unsigned place, unsigned bits)
{
    static const unsigned left_over[] = { 0, 0, 0xf, 3 };

    return place != 1 && !(bits & left_over[place]);
}

bool vwi_base64_into(struct vwi_span in, bool strict, unsigned char *out, size_t size, size_t *ret_len)
{
    const char *p = in.p ? in.p : "", *end = p + (in.p ? in.len : 0);
    unsigned place = 0, pads = 0, bits = 0; /* place: characters of the current four */
    size_t len = 0;

    for (; p < end; p++) {
        int value = base64_value(*p, strict);

        if (*p == '=' && strict) {
            if (!ends_strictly(p, end, place))
                return false;
            break;
        }
        if (*p == '=' && place >= 2 && place + ++pads >= 4)
            break;
        if (value < 0 && strict)
            return false;
        if (value < 0)
            continue;
        pads = 0;
        bits = (bits << 6 | (unsigned)value) & 0xfff;
        if (place > 0) {
            if (len == size)
                return false;
            out[len++] = (unsigned char)(bits >> (6 - 2 * place));
        }
        place = (place + 1) & 3;
    }
    if (strict ? !ends_cleanly(place, bits) : p == end && place)
        return false;
    *ret_len = len;
    return true;
}

vw_err vwi_base64_decode(struct vwi_span in, bool strict, struct vwi_text *out)
{
    size_t room = in.len / 4 * 3 + 3, len;

    if (!vwi_text_reserve(out, room))
        return VW_E_NOMEM;
    if (!vwi_base64_into(in, strict, (unsigned char *)out->p + out->len, room, &len))
        len = 0, room = 0;
    out->len += len;
    out->p[out->len] = '\0';
    return room ? VW_OK : VW_E_PARSE;
}

bool vwi_secret_equal(const char *a, size_t alen, const char *b, size_t blen)
{
    volatile unsigned char difference = alen != blen;
    size_t i;

    for (i = 0; i < alen; i++)
        difference |= (unsigned char)(a[i] ^ (i < blen ? b[i] : 0));
    return difference == 0;
}
