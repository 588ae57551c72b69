/*
 * A POSIX extended regular expression over bytes. What can run away is bounded: the text's length, what its counted
 * repetitions amount to, and how much of a line is looked at. Refused are back-references, which POSIX does not have here and which make
 * matching exponential, and repetitions of what may match nothing or holds an anchor, which make compiling so.
 */
#ifndef VWI_CORE_REGEX_H
#define VWI_CORE_REGEX_H

#include <stdbool.h>

#include <vastworker/err.h>

#include "base/text.h"

#define VWI_REGEX_TEXT_MAX 1000  /* bytes of an expression */
#define VWI_REGEX_PARTS_MAX 1000 /* of an expression whose repetitions are written out: (a{20}){20} has 420 */
#define VWI_REGEX_LINE_MAX 4096  /* bytes of a line that are looked at */

struct vwi_regex;

/* text: copied; VW_E_CONFIG says what is wrong with it, without repeating it. */
vw_err vwi_regex_create(struct vwi_span text, struct vwi_regex **ret, vw_error_t *why);
void vwi_regex_destroy(struct vwi_regex *regex);
/* The line may hold any bytes; a NUL counts as a space. What is cut off has no end of line for "$". */
bool vwi_regex_match(struct vwi_regex *regex, struct vwi_span line);

#endif
