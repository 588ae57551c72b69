/*
 * /metrics: one table of metrics, written as Prometheus text 0.0.4, as JSON, or as the page docs/metrics.md.
 * All figures come in through one struct; what is absent (NULL, count 0) leaves its metric without samples. Ledger and queue
 * must be there.
 */
#ifndef VWI_CORE_EXPOSITION_H
#define VWI_CORE_EXPOSITION_H

#include <stddef.h>
#include <stdint.h>

#include <vastworker/err.h>

#include "base/text.h"
#include "core/gpu.h"
#include "core/histogram.h"
#include "core/ledger.h"
#include "core/queue.h"

struct vwi_plugin_figures {
    const char *name;
    double seconds; /* spent inside its hooks */
    uint64_t calls;
};

struct vwi_process_figures {
    double cpu_s, start_time_s; /* user and kernel; epoch */
    uint64_t resident_bytes, open_fds, max_fds;
};

/* Zero it, then fill; everything is borrowed for the call. */
struct vwi_exposition {
    const char *version;
    const struct vwi_ledger *ledger;
    const struct vwi_queue *queue;
    double capacity; /* 0: not known */
    double measured; /* by the benchmark, which traffic may have corrected since; 0: not */
    const char *const *states;
    size_t state_count, state;
    double state_since_s; /* epoch */
    uint64_t sessions;
    uint64_t reports_accepted, reports_failed, reports_refused;
    const struct vwi_histogram *report_seconds;
    uint64_t model_active, model_idle;
    uint64_t cancels_answered, cancels_failed, cancels_timed_out, cancels_dropped;
    uint64_t client_connections, bytes_in, bytes_out;
    const struct vwi_histogram *loop_turn_cpu;
    double loop_stall_s;
    const struct vwi_plugin_figures *plugins;
    size_t plugin_count;
    uint64_t plugin_fallbacks;
    uint64_t log_loads, log_errors, log_infos, log_truncations;
    uint64_t log_lines_dropped; /* of our own */
    const struct vwi_gpus *gpus;
    uint64_t model_restarts, model_lines_dropped; /* of a process of our own */
    struct vwi_process_figures process;
};

#define VWI_EXPOSITION_TEXT_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* Each replaces the content of out; VW_E_NOMEM leaves it empty. */
vw_err vwi_exposition_text(const struct vwi_exposition *in, struct vwi_text *out);
vw_err vwi_exposition_json(const struct vwi_exposition *in, struct vwi_text *out);
vw_err vwi_exposition_docs(struct vwi_text *out);

#endif
