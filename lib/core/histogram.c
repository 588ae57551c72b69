/* The bounds are fixed, so that figures of two workers can be added up. */
#include "core/histogram.h"

#include <string.h>

#include "base/vwi.h"

static const double request_bounds[] = { 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5,
                                         1,     2.5,    5,     10,   30,    60,   120, 300,  600 };
static const double turn_bounds[] = { 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01,
                                      0.025,   0.05,   0.1,     0.25,   0.5,   1 };

_Static_assert(VWI_ARRAY_LEN(request_bounds) <= VWI_HISTOGRAM_BOUNDS_MAX, "room for a count beside each bound");
_Static_assert(VWI_ARRAY_LEN(turn_bounds) <= VWI_HISTOGRAM_BOUNDS_MAX, "room for a count beside each bound");

void vwi_histogram_init_request(struct vwi_histogram *h)
{
    memset(h, 0, sizeof(*h));
    h->bounds = request_bounds;
    h->bound_count = VWI_ARRAY_LEN(request_bounds);
}

void vwi_histogram_init_turn(struct vwi_histogram *h)
{
    memset(h, 0, sizeof(*h));
    h->bounds = turn_bounds;
    h->bound_count = VWI_ARRAY_LEN(turn_bounds);
}

void vwi_histogram_observe(struct vwi_histogram *h, double seconds)
{
    size_t i = 0;

    if (!(seconds > 0))
        seconds = 0;
    while (i < h->bound_count && seconds > h->bounds[i])
        i++;
    h->counts[i]++;
    h->count++;
    h->sum += seconds;
}
