/*
 * JSON in place: a cursor over bytes that checks RFC 8259 and UTF-8 in one pass and builds nothing.
 * Every function leaves the cursor behind what it took, or returns false: the text is not JSON and the cursor is of no more use.
 */
#ifndef VWI_CORE_SCAN_H
#define VWI_CORE_SCAN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/text.h"

#define VWI_SCAN_DEPTH_MAX 10000 /* a higher max_depth is read as this */

struct vwi_scan {
    const char *p, *end;
    int depth, max_depth; /* containers open now, and at most: `[[]]` has depth 2 */
};

/* A string as it stands between its quotes. */
struct vwi_scan_string {
    struct vwi_span raw;
    bool escaped; /* holds a backslash: raw is not its value */
};

void vwi_scan_init(struct vwi_scan *s, struct vwi_span json, int max_depth);
void vwi_scan_space(struct vwi_scan *s);
bool vwi_scan_take(struct vwi_scan *s, char c); /* this byte and no other */
bool vwi_scan_string(struct vwi_scan *s, struct vwi_scan_string *ret);
bool vwi_scan_value(struct vwi_scan *s, struct vwi_span *ret); /* any value; ret without the space around it */

/*
 * An object member by member: vwi_scan_object() takes the brace, then vwi_scan_member() until *ret_more is false. While it is
 * true the cursor stands at the member's value, which the caller takes before the next call.
 */
bool vwi_scan_object(struct vwi_scan *s);
bool vwi_scan_member(struct vwi_scan *s, bool first, struct vwi_scan_string *ret_key, bool *ret_more);

/* A number token to the nearest double whatever the locale; too large is infinite. False: not a JSON number, *ret untouched. */
bool vwi_scan_number(struct vwi_span token, double *ret);

/* What follows is for strings that were checked; on others it is only safe. */

static inline bool vwi_scan_is_surrogate(unsigned point) { return point >= 0xd800 && point <= 0xdfff; }

/* Is the string this text once unescaped? A lone surrogate equals nothing. */
bool vwi_scan_string_is(const struct vwi_scan_string *str, const char *text, size_t len);
/* The next character of *p < end, escapes undone, and moves *p. A lone surrogate comes as itself, malformed bytes as U+FFFD. */
unsigned vwi_scan_point(const char **p, const char *end);
/* One UTF-8 sequence at p < end: its length, or 0 if it is malformed, overlong, a surrogate or cut short. */
size_t vwi_scan_utf8(const char *p, const char *end, unsigned *ret_point);
/* Four hexadecimal digits at p, or -1. */
int vwi_scan_hex4(const char *p, const char *end);
/* A character as UTF-8, a surrogate as U+FFFD. Returns its length, 1 to 4. */
size_t vwi_scan_encode(unsigned point, char out[4]);

#endif
