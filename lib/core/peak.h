/* The highest of the last minute or two: two windows of a minute, the running one and the one before. */
#ifndef VWI_CORE_PEAK_H
#define VWI_CORE_PEAK_H

#include <stdint.h>

#define VWI_PEAK_WINDOW_US INT64_C(60000000)

/* Zeroed is empty. */
struct vwi_peak {
    double now, before;
    int64_t since_us; /* when the running window began; monotonic */
};

static inline void vwi_peak_advance(struct vwi_peak *peak, int64_t now_us)
{
    if (now_us - peak->since_us < VWI_PEAK_WINDOW_US)
        return;
    peak->before = now_us - peak->since_us < 2 * VWI_PEAK_WINDOW_US ? peak->now : 0;
    peak->now = 0;
    peak->since_us = now_us;
}

static inline void vwi_peak_observe(struct vwi_peak *peak, double v, int64_t now_us)
{
    vwi_peak_advance(peak, now_us);
    if (v > peak->now)
        peak->now = v;
}

static inline double vwi_peak_highest(struct vwi_peak *peak, int64_t now_us)
{
    vwi_peak_advance(peak, now_us);
    return peak->now > peak->before ? peak->now : peak->before;
}

#endif
