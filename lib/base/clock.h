/* Monotonic time for intervals, wall time for reports. Core never calls these: `now` is an argument. */
#ifndef VWI_BASE_CLOCK_H
#define VWI_BASE_CLOCK_H

#include <stdint.h>

int64_t vwi_mono_us(void);  /* microseconds, monotonic */
int64_t vwi_mono_ms(void);
double vwi_wall_s(void);    /* seconds since the epoch */

#endif
