/* What workers may tell the control plane, checked field by field; pure. */
#ifndef SIM_WIRE_H
#define SIM_WIRE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include <vastworker/err.h>

enum sim_status { SIM_SUCCESS, SIM_ERRORED, SIM_CANCELLED, SIM_REJECTED, SIM_STARTED, SIM_UNSTATED, SIM_STATUSES };

/* A worker_status body. Strings are borrowed from it. */
struct sim_report {
    long long id;
    bool beacon; /* the short form of a worker that failed to start: id and error_msg, perhaps more, no figures */
    const char *mtoken, *version, *error_msg, *url; /* "" when a beacon leaves them out */
    double loadtime, cur_load, new_load, rej_load, cur_perf, max_perf, disk_usage;
    long long working, received;
};

struct sim_deletion {
    double told; /* epoch seconds, by our clock */
    long long request_idx;
    bool success;
    enum sim_status status;             /* SIM_UNSTATED in the old format, which has none */
    double entered, started, completed; /* 0.0 = never */
};

/* A delete_requests body, list format or the older one. */
struct sim_deletions {
    long long worker_id;
    const char *mtoken;
    struct sim_deletion *items;
    size_t count;
};

/* Every missing or mistyped field is named in one sentence. */
vw_err sim_wire_report(const json_t *body, struct sim_report *ret, vw_error_t *why);
vw_err sim_wire_deletions(const json_t *body, struct sim_deletions *ret, vw_error_t *why);
void sim_deletions_fini(struct sim_deletions *deletions);

const char *sim_status_name(enum sim_status status); /* "Success"; "unstated" */

#endif
