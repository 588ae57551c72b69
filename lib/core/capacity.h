/*
 * What traffic says of the capacity that a benchmark measured once: while more is asked of the model than it can do, what it serves is
 * what it can. Only whole stretches of such time count; each moves the figure a little, and never far from the benchmark's.
 */
#ifndef VWI_CORE_CAPACITY_H
#define VWI_CORE_CAPACITY_H

#include <stdbool.h>
#include <stdint.h>

#define VWI_CAPACITY_STRETCH_S 30.0 /* at least so long, and so many requests, */
#define VWI_CAPACITY_STRETCH_REQUESTS 20
#define VWI_CAPACITY_STEP 0.1       /* of the way from the present figure to what a stretch showed */
#define VWI_CAPACITY_LEAST 0.5      /* of the benchmark's figure */
#define VWI_CAPACITY_MOST 2.0

struct vwi_capacity {
    double measured, live; /* live 0: traffic has said nothing yet */
    bool saturated;        /* at the last look */
    double since_s, since_work;
    uint64_t since_requests;
};

/* measured: of a new benchmark; forgets what was learnt. */
void vwi_capacity_init(struct vwi_capacity *c, double measured);
/* work, requests: served since the start. saturated: at this moment. True: live has a new value. */
bool vwi_capacity_look(struct vwi_capacity *c, bool saturated, double work, uint64_t requests, double now_s);

#endif
