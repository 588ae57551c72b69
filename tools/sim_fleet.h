/*
 * What the control plane remembers of its workers, and the choice of one for a request; pure, `now` is an argument.
 * States are derived from reports alone, as the platform has nothing else.
 */
#ifndef SIM_FLEET_H
#define SIM_FLEET_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "sim_wire.h"

#define SIM_WORKERS_MAX 1000
#define SIM_EVENTS_MAX 256 /* kept for each worker, newest last */
#define SIM_DELETIONS_MAX 1000
#define SIM_ROUTES_MAX 1000

enum sim_state { SIM_UNHEARD, SIM_LOADING, SIM_READY, SIM_ERROR, SIM_DRAINING };

struct sim_event {
    double t;
    const char *what; /* appears, loading, ready, error, recovered, draining, capacity, moved, restarted, forgotten */
    char detail[200];
};

struct sim_ring { /* the last `cap` items */
    void *items;
    size_t cap, count, next;
    unsigned long long dropped;
};

struct sim_worker {
    struct vwi_list node;
    long long id;
    enum sim_state state;
    struct sim_report last; /* its strings live in last_json */
    json_t *last_json;      /* without the token */
    double first_seen, last_seen, last_deleted, first_ready, ready_at, load_average;
    unsigned long long reports, beacons;
    long long received_before;           /* by processes of this worker that have ended */
    double new_load, rej_load, cur_perf; /* sums over all reports */
    unsigned long long routed;
    double routed_cost, routed_since; /* since: not in a report yet */
    unsigned long long deletions, succeeded, by_status[SIM_STATUSES];
    struct sim_ring events, deleted; /* struct sim_event, struct sim_deletion */
};

struct sim_routed {
    double t, cost;
    long long request_idx, reqnum, worker_id;
};

struct sim_fleet {
    struct vwi_list workers; /* by first appearance */
    size_t worker_count;
    unsigned long long forgotten;
    struct sim_ring routes; /* struct sim_routed */
    long long next_request_idx, next_reqnum;
    unsigned long long ready_answers, waiting_answers;
    void (*on_event)(void *arg, const struct sim_worker *worker, const struct sim_event *event);
    void *arg;
};

void sim_fleet_init(struct sim_fleet *fleet);
void sim_fleet_fini(struct sim_fleet *fleet);

/* body: borrowed; a copy without the token is kept. */
vw_err sim_fleet_report(struct sim_fleet *fleet, const struct sim_report *report, const json_t *body, double now,
                        vw_error_t *why);
vw_err sim_fleet_delete(struct sim_fleet *fleet, const struct sim_deletions *deletions, double now, vw_error_t *why);
void sim_fleet_forget(struct sim_fleet *fleet, double now);

/* How many workers could take a request, and the one with the least (cur_load + routed since) / max_perf. */
size_t sim_fleet_choose(struct sim_fleet *fleet, double now, double stale_s, struct sim_worker **ret);
void sim_fleet_routed(struct sim_fleet *fleet, struct sim_worker *worker, const struct sim_routed *routed);

const char *sim_state_name(enum sim_state state);
const void *sim_ring_at(const struct sim_ring *ring, size_t size, size_t i); /* 0 = the oldest kept */

#endif
