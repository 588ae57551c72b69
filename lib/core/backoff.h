/*
 * How long to leave something alone that failed: twice as long each time, up to a bound, with half of it drawn by lot so that workers
 * which lost the same peer at the same moment do not come back to it in step.
 */
#ifndef VWI_CORE_BACKOFF_H
#define VWI_CORE_BACKOFF_H

#include <stdint.h>

/* Milliseconds after so many failures in a row (1 and up): from half of min(first_ms * 2^(failures - 1), max_ms) to all of it. The same
 * seed gives the same pause. 1 <= first_ms <= max_ms. */
int64_t vwi_backoff_ms(unsigned failures, int64_t first_ms, int64_t max_ms, uint64_t seed);

#endif
