/*
 * The built-in paths. Those of GET, /health, /health/live and /metrics, are public by decision: they hold no secret, no payload and no
 * model output.
 */
#ifndef VWI_FLOW_ADMIN_H
#define VWI_FLOW_ADMIN_H

#include <stdbool.h>

#include <vastworker/err.h>

#include "io/exchange.h"

struct vwi_admin;
struct vwi_desk;
struct vwi_front;

/* desk and front are borrowed until destroy; *front may still be NULL here. */
vw_err vwi_admin_create(const struct vwi_desk *desk, struct vwi_front *const *front, struct vwi_admin **ret, vw_error_t *why);
void vwi_admin_destroy(struct vwi_admin *admin);
/* True: the path was built in, and answered. */
bool vwi_admin_serve(struct vwi_admin *admin, struct vwi_exchange *ex);
/* What one turn of the loop cost, for loop_turn_cpu_seconds, and how long it took, for loop_stall_seconds. */
void vwi_admin_turn(struct vwi_admin *admin, double cpu_s, double wall_s);

#endif
