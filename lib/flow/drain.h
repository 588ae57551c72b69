/* Leaving without losing a request: no new work, the accepted finishes within its limits, the last report is told, the loop ends. */
#ifndef VWI_FLOW_DRAIN_H
#define VWI_FLOW_DRAIN_H

#include <stdbool.h>

#include <vastworker/err.h>

#include "flow/request.h"
#include "io/front.h"

struct vwi_drain {
    struct vwi_desk *desk;
    struct vwi_front *front;
    struct vwi_timer timer;    /* the next limit; once finishing, the next look at whether everybody has left */
    int64_t began_ms, over_ms; /* over: when clients that have not left are waited for no longer */
    int64_t told_ms;           /* when the ends of sessions that the model server has not taken are waited for no longer */
    int64_t stopped_ms;        /* the same of calls of cancel, which have limits of their own */
    double due_s;              /* the next limit, since it began */
    bool draining, finishing, flushed;
    bool all_told; /* as of then, the control plane knew everything */
    bool gave_up; /* on ends of sessions that the model server does not take */
    bool hasty; /* somebody wants us gone now */
};

/* Fill desk and front of a zeroed struct, then init. */
vw_err vwi_drain_init(struct vwi_drain *drain, vw_error_t *why);
void vwi_drain_fini(struct vwi_drain *drain);
void vwi_drain_begin(struct vwi_drain *drain); /* again: no effect */
void vwi_drain_now(struct vwi_drain *drain);   /* cut what is left and end */
void vwi_drain_on_idle(struct vwi_drain *drain);

#endif
