/* Leaving without losing a request: no new work, the accepted finishes within a limit, the last report is told, the loop ends. */
#ifndef VWI_FLOW_DRAIN_H
#define VWI_FLOW_DRAIN_H

#include <stdbool.h>

#include <vastworker/err.h>

#include "flow/request.h"
#include "io/front.h"

struct vwi_drain {
    struct vwi_desk *desk;
    struct vwi_front *front;
    double limit_s;
    struct vwi_timer limit;
    bool draining, finishing;
};

/* Fill desk, front and limit_s of a zeroed struct, then init. */
vw_err vwi_drain_init(struct vwi_drain *drain, vw_error_t *why);
void vwi_drain_fini(struct vwi_drain *drain);
void vwi_drain_begin(struct vwi_drain *drain); /* again: no effect */
void vwi_drain_now(struct vwi_drain *drain);   /* cut what is left and end */
void vwi_drain_on_idle(struct vwi_drain *drain);

#endif
