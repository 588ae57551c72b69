#include "core/rate.h"

#include <math.h>

#define MEMORY_S 60.0
#define LEAST_S 1e-3 /* of busy time: less says nothing */

static void advance(struct vwi_rate *rate, int64_t now_us)
{
    double passed_s, left;

    if (!rate->busy || now_us <= rate->since_us)
        return;
    passed_s = (double)(now_us - rate->since_us) / 1e6;
    left = exp(-passed_s / MEMORY_S);
    rate->work *= left;
    rate->busy_s = rate->busy_s * left + MEMORY_S * (1 - left);
    rate->since_us = now_us;
}

void vwi_rate_begin(struct vwi_rate *rate, int64_t now_us)
{
    if (rate->busy)
        return;
    rate->busy = true;
    rate->since_us = now_us;
}

void vwi_rate_add(struct vwi_rate *rate, double work, int64_t now_us)
{
    advance(rate, now_us);
    rate->work += work;
}

void vwi_rate_pause(struct vwi_rate *rate, int64_t now_us)
{
    advance(rate, now_us);
    rate->busy = false;
}

double vwi_rate_per_s(const struct vwi_rate *rate) { return rate->busy_s < LEAST_S || !(rate->work > 0) ? 0 : rate->work / rate->busy_s; }
