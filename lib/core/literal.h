/*
 * Numbers and strings as JSON and Prometheus want them, whatever locale the host program has set.
 * What is not finite is written as 0, bytes that are not UTF-8 as U+FFFD: the text is valid in any case.
 */
#ifndef VWI_CORE_LITERAL_H
#define VWI_CORE_LITERAL_H

#include <stdint.h>

#include "base/text.h"

bool vwi_literal_number(struct vwi_text *t, double v);  /* shortest that reads back the same: 160, 0.3, 1e+22 */
bool vwi_literal_brief(struct vwi_text *t, double v);   /* ten digits, for sums and for people: what %.10g writes in the C locale */
bool vwi_literal_real(struct vwi_text *t, double v);    /* the same, and always seen to be a real: 160.0 */
bool vwi_literal_seconds(struct vwi_text *t, double v); /* epoch or duration to the microsecond: 1795422695.05, 0.0 */
bool vwi_literal_micros(struct vwi_text *t, uint64_t us); /* the same of so many microseconds, always with six digits: 0.050000 */
bool vwi_literal_string(struct vwi_text *t, const char *s); /* JSON string with its quotes; NULL is "" */
bool vwi_literal_label(struct vwi_text *t, const char *s);  /* Prometheus label value with its quotes */

#endif
