/*
 * How fast work is done: units a second over the time in which there was any, the last minute counting most. A worker that had
 * nothing to do has not become slower, so idle time does not count.
 */
#ifndef VWI_CORE_RATE_H
#define VWI_CORE_RATE_H

#include <stdbool.h>
#include <stdint.h>

/* Zeroed before use. */
struct vwi_rate {
    double work, busy_s; /* both fade, so that their quotient is a weighted mean */
    int64_t since_us;
    bool busy;
};

/* now_us: monotonic. */
void vwi_rate_begin(struct vwi_rate *rate, int64_t now_us);             /* there is work; again: no effect */
void vwi_rate_add(struct vwi_rate *rate, double work, int64_t now_us);  /* so much of it is done */
void vwi_rate_pause(struct vwi_rate *rate, int64_t now_us);             /* there is none any more */
double vwi_rate_per_s(const struct vwi_rate *rate);                     /* 0: not known */

#endif
