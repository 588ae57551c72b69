/*
 * JSON in place, also while it arrives: one pass over the bytes that checks RFC 8259 and UTF-8, builds nothing and stops at any
 * byte. The text may be somewhere else at each call, so that all places are offsets; what was taken is not looked at again.
 * Keys and values in the outermost containers are told to the caller, who keeps what he knows.
 */
#ifndef VWI_CORE_SCAN_H
#define VWI_CORE_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"

#define VWI_SCAN_DEPTH_MAX 10000 /* a higher max_depth is read as this */
#define VWI_SCAN_TELL_MAX 2      /* a higher tell is not allowed */
#define VWI_SCAN_LONG_MAX 16 /* as many long values are kept; a payload has a few lists, and an image or a few */
#define VWI_SCAN_OPEN_MAX 8  /* containers further in are not looked at for that */
#ifndef VWI_SCAN_LONG_BYTES  /* a fuzzer's texts are short */
#define VWI_SCAN_LONG_BYTES (16u * 1024)
#endif
#define VWI_SCAN_NEAR_WORDS 8
#define VWI_SCAN_FAR_WORDS ((VWI_SCAN_DEPTH_MAX + 63) / 64 - VWI_SCAN_NEAR_WORDS)

/* A string as it stands between its quotes. */
struct vwi_scan_string {
    struct vwi_span raw;
    bool escaped; /* holds a backslash: raw is not its value */
};

/* A long value, and how many entries or members it has directly; 0 for a string. */
struct vwi_scan_long {
    struct vwi_span value;
    size_t count;
};

/* Bytes of the text; a value ends behind its first byte, so to == 0 is one that is not there. */
struct vwi_scan_range {
    size_t from, to;
};

struct vwi_scan {
    size_t at;                /* bytes taken */
    int depth, max_depth;     /* containers open now, and at most: `[[]]` has depth 2 */
    int tell;                 /* what is at this depth or further out is told; -1: nothing. May change between calls */
    bool in_object, escaped;  /* the innermost open container is an object; the key holds a backslash */
    unsigned char state, told;
    struct vwi_scan_range key;            /* of VWI_SCAN_KEY, without the quotes */
    size_t starts[VWI_SCAN_TELL_MAX + 1]; /* by depth: where the value begins that is under way or was told */
    const char *word;                     /* the rest of true, false or null */
    size_t string_from;                   /* the quote of the string that began last, keys apart */
    struct {
        size_t from, commas;
    } open[VWI_SCAN_OPEN_MAX]; /* the outermost containers, by depth */
    size_t long_count;
    struct {
        struct vwi_scan_range range;
        size_t count;
    } longs[VWI_SCAN_LONG_MAX]; /* see vwi_scan_longs */
    uint64_t near[VWI_SCAN_NEAR_WORDS];   /* one bit for each open container, set for an object */
    uint64_t *far;                        /* of those beyond 512, allocated when needed */
};

enum vwi_scan_told {
    VWI_SCAN_GOING, /* never returned */
    VWI_SCAN_MORE,  /* all bytes are taken, or wait for the end of their escape or character */
    VWI_SCAN_KEY,   /* a key in the container `depth`: key and escaped; the value has not begun */
    VWI_SCAN_VALUE, /* the value from starts[depth] to `at` has ended; depth is that of the container around it */
    VWI_SCAN_BAD,   /* the byte at `at`, or in the escape or character there, makes this no JSON or too deep; for good */
    VWI_SCAN_NOMEM  /* for good */
};

void vwi_scan_init(struct vwi_scan *s, int max_depth, int tell);
/* text: len bytes, of which those taken are the same as before. */
enum vwi_scan_told vwi_scan_run(struct vwi_scan *s, const char *text, size_t len);
/* There is no more: was that one JSON text? To be asked after MORE. A number that ends here is not told before. */
bool vwi_scan_is_whole(const struct vwi_scan *s);
void vwi_scan_fini(struct vwi_scan *s);
/*
 * Values that have VWI_SCAN_LONG_BYTES at least and have ended: lists and objects, and the strings that came in more than one call; the
 * longest, in the order in which they begin. Who walks through the text again need not walk through them (vwi_payload_know). Returns how
 * many.
 */
size_t vwi_scan_longs(const struct vwi_scan *s, const char *text, struct vwi_scan_long ret[VWI_SCAN_LONG_MAX]);

static inline struct vwi_scan_range vwi_scan_value(const struct vwi_scan *s)
{
    return (struct vwi_scan_range){ s->starts[s->depth], s->at };
}

static inline struct vwi_scan_string vwi_scan_key(const struct vwi_scan *s, const char *text)
{
    return (struct vwi_scan_string){ { text + s->key.from, s->key.to - s->key.from }, s->escaped };
}

/* A number token to the nearest double whatever the locale; too large is infinite. False: not a JSON number, *ret untouched. */
bool vwi_scan_number(struct vwi_span token, double *ret);
/* Behind the number at p; NULL: none is there. What follows it is not looked at. */
const char *vwi_scan_skip_number(const char *p, const char *end);

/* What follows is for strings that were checked; on others it is only safe. */

static inline bool vwi_scan_is_surrogate(unsigned point) { return point >= 0xd800 && point <= 0xdfff; }

bool vwi_scan_escaped_is(const struct vwi_scan_string *str, const char *text, size_t len);
/* Is the string this text once unescaped? A lone surrogate equals nothing. */
static inline bool vwi_scan_string_is(const struct vwi_scan_string *str, const char *text, size_t len)
{
    return str->escaped ? vwi_scan_escaped_is(str, text, len) : str->raw.len == len && memcmp(str->raw.p, text, len) == 0;
}
/* The next character of *p < end, escapes undone, and moves *p. A lone surrogate comes as itself, malformed bytes as U+FFFD. */
unsigned vwi_scan_point(const char **p, const char *end);
/* One UTF-8 sequence at p < end: its length, or 0 if it is malformed, overlong, a surrogate or cut short. */
size_t vwi_scan_utf8(const char *p, const char *end, unsigned *ret_point);
/* Four hexadecimal digits at p, or -1. */
int vwi_scan_hex4(const char *p, const char *end);
/* A character as UTF-8, a surrogate as U+FFFD. Returns its length, 1 to 4. */
size_t vwi_scan_encode(unsigned point, char out[4]);

#endif
