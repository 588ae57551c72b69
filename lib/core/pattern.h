/* Log patterns: a line of the model's log in, what it means out. Case-sensitive substrings, in the order load, error, info. */
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

/* The lists are copied. An empty pattern would match every line and is refused (VW_E_CONFIG). */
vw_err vwi_patterns_create(const struct vwi_strings *on_load, const struct vwi_strings *on_error,
                           const struct vwi_strings *on_info, struct vwi_patterns **ret, vw_error_t *why);
void vwi_patterns_destroy(struct vwi_patterns *p);
/* True when anything matched. The line may hold any bytes. */
bool vwi_patterns_match(const struct vwi_patterns *p, struct vwi_span line, struct vwi_pattern_hits *ret);

#endif
