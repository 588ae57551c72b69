/*
 * A slot is free only when the model has really stopped: the calls that ask it to, of handlers with `cancel`. Each holds the slot of
 * the request that ended here until it is answered, whatever the status, or has failed, or its grace is over. They go over
 * connections of their own, never over those that carry requests.
 */
#ifndef VWI_FLOW_CANCEL_H
#define VWI_FLOW_CANCEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vastworker/err.h>

#include "base/conf.h"
#include "base/log.h"
#include "core/queue.h"
#include "flow/handler.h"
#include "io/loop.h"

#define VWI_CANCELS_MAX 1000 /* under way at once; what is beyond goes without a call, and is counted */

struct vwi_cancels;

/* The call is over: take slot out of the queue, which is its last use. Never called from inside vwi_cancels_call(). */
typedef void (*vwi_cancels_fn)(void *arg, struct vwi_ticket *slot);

struct vwi_cancels_stats {
    uint64_t answered, failed, timed_out; /* failed: not reached, broken off, no memory */
    uint64_t dropped;
};

/* All borrowed until destroy. */
vw_err vwi_cancels_create(struct vwi_loop *loop, const struct vwi_model_conf *model, struct vwi_queue *queue, const struct vwi_log *log,
                          vwi_cancels_fn fn, void *arg, struct vwi_cancels **ret, vw_error_t *why);
/* slot: one that runs; handed over, so that it is out. False: no call is made and slot is as it was. id: of the request, for the model. */
bool vwi_cancels_call(struct vwi_cancels *cancels, struct vwi_handler *handler, struct vwi_span id, struct vwi_ticket *slot);
size_t vwi_cancels_under_way(const struct vwi_cancels *cancels);
struct vwi_cancels_stats vwi_cancels_stats(const struct vwi_cancels *cancels);
void vwi_cancels_destroy(struct vwi_cancels *cancels); /* NULL is fine; drops what is under way, without a call of fn */

#endif
