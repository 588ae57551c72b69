/*
 * Bodies for the control plane. Field names are the platform's, misspelled ones included.
 * Each call replaces the content of out; on VW_E_NOMEM out is empty.
 */
#ifndef VWI_CORE_WIRE_H
#define VWI_CORE_WIRE_H

#include <stdbool.h>
#include <stddef.h>

#include <vastworker/err.h>

#include "base/text.h"
#include "core/ledger.h"

struct vwi_wire_status {
    long long id;                             /* CONTAINER_ID */
    const char *mtoken;                       /* secret; strings: NULL is "" */
    const char *version;                      /* of the protocol */
    const char *error_msg, *url;
    double loadtime_s;                        /* 0 until ready */
    double max_perf;                          /* 0 until measured, and while draining */
    double disk_usage_gib;                    /* may be negative */
    const struct vwi_report_snapshot *counts; /* borrowed */
};

/* POST <address>/worker_status/ with all 17 fields. */
vw_err vwi_wire_status(const struct vwi_wire_status *in, struct vwi_text *out);
/* The same address when start-up failed: identity, error_msg and url of `in`, nothing else is read. */
vw_err vwi_wire_beacon(const struct vwi_wire_status *in, struct vwi_text *out);
/* POST <address>/delete_requests/, list format. */
vw_err vwi_wire_deletions(long long worker_id, const char *mtoken, const struct vwi_deletion *deletions, size_t count,
                          struct vwi_text *out);
/* The older format: one body for those with this success. *ret_count: how many it names; at 0 there is nothing to send. */
vw_err vwi_wire_deletions_legacy(long long worker_id, const char *mtoken, const struct vwi_deletion *deletions, size_t count,
                                 bool success, struct vwi_text *out, size_t *ret_count);

#endif
