/* Is a process that ended started again, and when? Only its ends and the restarts before are known here. */
#ifndef VWI_CORE_RESTART_H
#define VWI_CORE_RESTART_H

#include <stdbool.h>

#include "base/conf.h"

#define VWI_RESTART_MOST 100 /* restarts that are remembered; the highest maxRestarts */

struct vwi_restart {
    const struct vwi_supervise_conf *conf; /* borrowed */
    double at_s[VWI_RESTART_MOST];         /* of the last restarts: a ring */
    unsigned next, count;
};

struct vwi_restart_verdict {
    bool again;
    bool limited; /* not again because of the limit; else, where not again, the policy says so */
    double wait_s;
    unsigned nth; /* of the restarts within the window; with limited: how many they were */
};

void vwi_restart_init(struct vwi_restart *r, const struct vwi_supervise_conf *conf);
/* clean: it ended with exit status 0. What is started again counts as restarted at now + wait. now_s: any monotonic clock. */
struct vwi_restart_verdict vwi_restart_ended(struct vwi_restart *r, bool clean, double now_s);

#endif
