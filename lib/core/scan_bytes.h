/*
 * How the readers of JSON skip what is no structure, sixteen bytes at a time where the machine has SSE2, else eight at a time in
 * ordinary integer arithmetic. Nothing at or behind `end` is read.
 */
#ifndef VWI_CORE_SCAN_BYTES_H
#define VWI_CORE_SCAN_BYTES_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "base/vwi.h"

static inline bool vwi_scan_is_space(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }
static inline bool vwi_scan_is_digit(char c) { return c >= '0' && c <= '9'; }

/* What ends the plain part of a string: its quote, a backslash, a control character, a byte beyond ASCII. */
static inline bool vwi_scan_is_special(unsigned char c) { return c < 0x20 || c == '"' || c == '\\' || c >= 0x80; }

#ifdef __SSE2__

/* One bit for each special byte. Bytes beyond ASCII are negative, so that one signed comparison finds them and the controls. */
static inline unsigned vwi_scan_marks16(const char *p)
{
    __m128i x = _mm_loadu_si128((const __m128i *)(const void *)p);
    __m128i special = _mm_or_si128(_mm_cmpeq_epi8(x, _mm_set1_epi8('"')), _mm_cmpeq_epi8(x, _mm_set1_epi8('\\')));

    special = _mm_or_si128(special, _mm_cmpgt_epi8(_mm_set1_epi8(0x20), x));
    return (unsigned)_mm_movemask_epi8(special);
}

static inline const char *vwi_scan_skip_plain(const char *p, const char *end)
{
    while (end - p >= 16) {
        unsigned marks = vwi_scan_marks16(p);

        if (marks)
            return p + __builtin_ctz(marks);
        p += 16;
    }
    while (p < end && !vwi_scan_is_special((unsigned char)*p))
        p++;
    return p;
}

#else

/*
 * Non-zero if one of the eight bytes is special. A borrow may mark the byte after a special one too, so only the first mark is
 * certain; bytes beyond ASCII are marked as they are, which makes the usual `& ~x` needless.
 */
static inline uint64_t vwi_scan_marks8(const char *p)
{
    uint64_t x;

    memcpy(&x, p, sizeof x);
    return ((x - VWI_EVERY(0x20)) | ((x ^ VWI_EVERY('"')) - VWI_EVERY(1)) |
            ((x ^ VWI_EVERY('\\')) - VWI_EVERY(1)) | x) & VWI_EVERY(0x80);
}

static inline const char *vwi_scan_skip_plain(const char *p, const char *end)
{
    while (end - p >= 8 && !vwi_scan_marks8(p))
        p += 8;
    while (p < end && !vwi_scan_is_special((unsigned char)*p))
        p++;
    return p;
}

#endif

static inline const char *vwi_scan_skip_space(const char *p, const char *end)
{
    while (p < end && vwi_scan_is_space(*p))
        p++;
    return p;
}

static inline const char *vwi_scan_skip_digits(const char *p, const char *end)
{
    while (p < end && vwi_scan_is_digit(*p))
        p++;
    return p;
}

#endif
