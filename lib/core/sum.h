/* Sums in two doubles: what rounding takes from the first is kept in the second, so that adding and taking away never drifts. */
#ifndef VWI_CORE_SUM_H
#define VWI_CORE_SUM_H

#include <stdint.h>

struct vwi_sum {
    double hi; /* the value, rounded */
    double lo; /* the rest */
};

static inline void vwi_sum_add(struct vwi_sum *s, double x)
{
    double hi = s->hi + x;
    double part = hi - s->hi;
    double lo = s->lo + ((s->hi - (hi - part)) + (x - part));

    s->hi = hi + lo;
    s->lo = lo - (s->hi - hi);
}

/* A count of requests and the workload they carry; the load of none is an exact 0. */
struct vwi_tally {
    uint64_t count;
    struct vwi_sum load;
};

static inline void vwi_tally_add(struct vwi_tally *t, double load)
{
    t->count++;
    vwi_sum_add(&t->load, load);
}

static inline void vwi_tally_sub(struct vwi_tally *t, double load)
{
    t->count--;
    vwi_sum_add(&t->load, -load);
    if (t->count == 0)
        t->load = (struct vwi_sum){ 0, 0 };
}

#endif
