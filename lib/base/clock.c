/* The only file that asks the system for the time. */
#include "base/clock.h"

#include <time.h>

int64_t vwi_mono_us(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t vwi_mono_ms(void) { return vwi_mono_us() / 1000; }

double vwi_wall_s(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_REALTIME, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}
