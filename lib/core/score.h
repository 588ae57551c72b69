/* What a benchmark is worth: the median of its rounds, and the text by which a score is remembered between starts. */
#ifndef VWI_CORE_SCORE_H
#define VWI_CORE_SCORE_H

#include <stddef.h>

#include <vastworker/err.h>

#include "base/text.h"

/* Sorts rounds. Rounds without a success (0) are left out; 0 when none is left. */
double vwi_score_median(double *rounds, size_t count);
/* The best round less the worst, as a part of the median: 0.1 is a tenth. Rounds as vwi_score_median() left them. */
double vwi_score_spread(const double *rounds, size_t count);
/* A few lines: format, SHA-256 of key, score. False when out of memory. */
bool vwi_score_render(const char *key, double score, struct vwi_text *ret);
/* VW_E_PARSE: not our text, or a score that cannot be; VW_E_STATE: for another key. */
vw_err vwi_score_parse(struct vwi_span text, const char *key, double *ret_score, vw_error_t *why);

#endif
