/*
 * Probes the model server, one at a time: GET of the health path, where only 200 is good, or without a path an accepted
 * connection. It judges each probe alone; how many make a verdict is core/ready's business.
 */
#ifndef VWI_FLOW_HEALTH_H
#define VWI_FLOW_HEALTH_H

#include <vastworker/err.h>

#include "base/conf.h"
#include "base/log.h"
#include "io/loop.h"

#define VWI_HEALTH_TIMEOUT_S 10.0

struct vwi_health;

struct vwi_health_events {
    void (*on_good)(void *arg);
    void (*on_bad)(void *arg, const char *text); /* text: fit for error_msg; borrowed */
};

/* path: borrowed; NULL: connect only. No probe runs before the first call below. */
vw_err vwi_health_create(struct vwi_loop *loop, const struct vwi_model_conf *model, const char *path, const struct vwi_log *log,
                         const struct vwi_health_events *events, void *arg, struct vwi_health **ret, vw_error_t *why);
void vwi_health_pace(struct vwi_health *h, int64_t gap_ms); /* end of a probe to the next; 0: stop after the running one */
void vwi_health_now(struct vwi_health *h);                  /* begin a fresh probe, dropping one that is under way */
/* What the model server calls itself: the Server header of its last good answer; "" while there is none. */
const char *vwi_health_engine(const struct vwi_health *h);
void vwi_health_destroy(struct vwi_health *h);              /* not inside its events */

#endif
