/* Once a second: does the model still answer those who wait (core/pulse), and what can it do (core/capacity)? */
#ifndef VWI_FLOW_VITALS_H
#define VWI_FLOW_VITALS_H

#include <vastworker/err.h>

#include "core/capacity.h"
#include "core/pulse.h"
#include "flow/request.h"

struct vwi_vitals {
    const struct vwi_desk *desk;
    const struct vwi_ready_conf *conf;
    unsigned many; /* requests at once that a benchmark measured with; 0: there is none */
    struct vwi_timer timer;
    struct vwi_pulse pulse;
    struct vwi_capacity capacity;
};

/* Fill desk, conf and many of a zeroed struct, then init. */
vw_err vwi_vitals_init(struct vwi_vitals *vitals, vw_error_t *why);
void vwi_vitals_start(struct vwi_vitals *vitals);
void vwi_vitals_fini(struct vwi_vitals *vitals);

#endif
