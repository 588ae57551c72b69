/* The fleet for readers: /sim/state as JSON, /sim/table as text, and the platform's list of workers. */
#ifndef SIM_VIEW_H
#define SIM_VIEW_H

#include <jansson.h>

#include "base/text.h"
#include "sim_fleet.h"

/*
 * Do the figures of a worker fit each other?
 * Loads: what it took in (new_load) = served (cur_perf) + in flight (cur_load) + rest; the rest is what errored, was
 * cancelled or timed out, so it needs deletions that say so. Counts: requests received = deletions + working + untold.
 */
enum sim_verdict { SIM_ADDS_UP, SIM_NOT_SETTLED, SIM_DOES_NOT_ADD_UP };

struct sim_balance {
    double rest;
    long long untold; /* < 0: more deletions than requests */
    enum sim_verdict verdict;
    char text[200];
};

struct sim_balance sim_view_balance(const struct sim_worker *worker);

struct sim_view {
    const struct sim_fleet *fleet;
    double now, started, stale_s;
    unsigned long long refused_keys, refused_bodies, refused_tokens;
    json_t *behave; /* borrowed */
};

json_t *sim_view_state(const struct sim_view *view); /* new */
void sim_view_table(const struct sim_view *view, struct vwi_text *ret);
json_t *sim_view_endpoint_workers(const struct sim_view *view); /* new; a bare list */

#endif
