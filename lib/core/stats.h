/* Counts for /metrics, a row for each route. Routes of the same name share a row; row 0 is what matched no route. */
#ifndef VWI_CORE_STATS_H
#define VWI_CORE_STATS_H

#include <stddef.h>
#include <stdint.h>

#include <vastworker/err.h>

#include "core/histogram.h"

#define VWI_NO_ROUTE ((size_t)-1)

enum vwi_outcome {
    VWI_OUTCOME_SERVED,
    VWI_OUTCOME_ERRORED,
    VWI_OUTCOME_CANCELLED,
    VWI_OUTCOME_QUEUE_TIMEOUT,
    VWI_OUTCOMES
};

const char *vwi_outcome_name(enum vwi_outcome outcome);

/* A reason is an index below reason_count, a route one below route_count, or VWI_NO_ROUTE. */
struct vwi_ledger_names {
    const char *const *routes;
    size_t route_count;
    const char *const *reasons;
    size_t reason_count;
};

struct vwi_route_stats {
    char *name;
    uint64_t outcomes[VWI_OUTCOMES];
    uint64_t rejected, refused;
    uint64_t *reasons; /* one count for each reason */
    struct vwi_histogram request, queue, first_byte;
};

struct vwi_stats {
    struct vwi_route_stats *rows;
    size_t row_count;
    size_t *row_of; /* by route */
    size_t route_count;
    char **reasons;
    size_t reason_count;
    uint64_t *counts; /* the reasons of all rows */
};

vw_err vwi_stats_init(struct vwi_stats *s, const struct vwi_ledger_names *names); /* copied; on failure nothing is held */
void vwi_stats_fini(struct vwi_stats *s);                                         /* safe on zeroed */
struct vwi_route_stats *vwi_stats_row(struct vwi_stats *s, size_t route);

#endif
