/* A copied snapshot of a worker: readiness, load, counters. */
#ifndef VASTWORKER_STATUS_H
#define VASTWORKER_STATUS_H

#include <stddef.h>
#include <stdint.h>

#include <vastworker/export.h>

/* In the order a healthy worker passes through; ready and degraded serve, the others refuse new work. */
typedef enum vw_state {
    VW_STATE_STARTING,
    VW_STATE_LOADING,
    VW_STATE_BENCHMARKING,
    VW_STATE_READY,
    VW_STATE_DEGRADED,
    VW_STATE_DRAINING,
    VW_STATE_ERROR
} vw_state_t;

/* Workloads are in the unit of the handlers' calculators (tokens, or 100 per standard job); times in seconds. */
typedef struct vw_status {
    size_t struct_size;  /* set by VW_STATUS_INIT, do not edit */
    vw_state_t state;
    char reason[256];    /* one sentence: why this state */
    uint16_t port;       /* bound workerPort */
    double uptime_s;
    double max_perf;     /* units/s; 0 while unknown */
    double load;         /* workload started and not settled */
    uint32_t in_flight;  /* started and not settled, queued included */
    uint32_t queued;     /* of these, waiting for their turn */
    uint64_t received, served, errored, cancelled, timed_out, rejected; /* requests since creation */
} vw_status_t;

#define VW_STATUS_INIT { sizeof(vw_status_t), VW_STATE_STARTING, "", 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }

#endif
