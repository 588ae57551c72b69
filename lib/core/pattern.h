/*
 * Log patterns: a line of the model's log in, what it means out, in the order load, error, info. A pattern is a substring, case
 * matters; one written "/.../" is a regular expression (core/regex), in which a plain "/" may also be written "\/". So the
 * substring "/x/" is written "/\/x\//".
 */
#ifndef VWI_CORE_PATTERN_H
#define VWI_CORE_PATTERN_H

#include <vastworker/err.h>

#include "base/conf.h"
#include "base/text.h"

enum vwi_pattern_kind { VWI_PATTERN_LOAD, VWI_PATTERN_ERROR, VWI_PATTERN_INFO, VWI_PATTERN_KINDS };

const char *vwi_pattern_kind_name(enum vwi_pattern_kind kind);

struct vwi_patterns;

/* For each kind the first pattern that matched, borrowed from the table; NULL: none. After an error info is not asked. */
struct vwi_pattern_hits {
    const char *text[VWI_PATTERN_KINDS];
};

/* VW_E_CONFIG: empty, which would match every line, or no good regular expression; why says so without repeating it. */
vw_err vwi_pattern_check(const char *text, vw_error_t *why);

/* The lists are copied; VW_E_CONFIG as above, with the key before it. */
vw_err vwi_patterns_create(const struct vwi_strings *on_load, const struct vwi_strings *on_error,
                           const struct vwi_strings *on_info, struct vwi_patterns **ret, vw_error_t *why);
void vwi_patterns_destroy(struct vwi_patterns *p);
/* True when anything matched. The line may hold any bytes. */
bool vwi_patterns_match(const struct vwi_patterns *p, struct vwi_span line, struct vwi_pattern_hits *ret);

#endif
