/* Counts of durations in fixed buckets. Counts are per bucket; exposition adds them up. */
#ifndef VWI_CORE_HISTOGRAM_H
#define VWI_CORE_HISTOGRAM_H

#include <stddef.h>
#include <stdint.h>

#define VWI_HISTOGRAM_BOUNDS_MAX 20

struct vwi_histogram {
    const double *bounds;                          /* seconds, upper and inclusive, rising; static */
    size_t bound_count;
    uint64_t counts[VWI_HISTOGRAM_BOUNDS_MAX + 1]; /* the last used one: above all bounds */
    uint64_t count;
    double sum;
};

void vwi_histogram_init_request(struct vwi_histogram *h); /* 1 ms to 10 min */
void vwi_histogram_init_turn(struct vwi_histogram *h);    /* 50 us to 1 s: turns of the loop */
void vwi_histogram_observe(struct vwi_histogram *h, double seconds); /* negative or not a number: 0 */

#endif
