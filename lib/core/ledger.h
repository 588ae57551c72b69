/*
 * The accounts: what is in flight, what became of the rest, and what the control plane has not been told yet.
 * Every request that was started is an entry, known by its address alone (ids of the platform repeat), and settled exactly once.
 * Nothing here is ever zeroed by a report: an acknowledged report takes away what it said and no more.
 */
#ifndef VWI_CORE_LEDGER_H
#define VWI_CORE_LEDGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vastworker/err.h>

#include "base/list.h"
#include "core/deletion.h"
#include "core/journal.h"
#include "core/stats.h"
#include "core/sum.h"

#define VWI_WORKLOAD_MAX 1e15 /* larger ones are booked as this, so that no sum overflows */

struct vwi_ledger;

enum vwi_work_kind {
    VWI_WORK_PLAIN,   /* counts everywhere */
    VWI_WORK_SESSION, /* a session itself: counts everywhere but in the estimate of waiting */
    VWI_WORK_INSIDE,  /* a request in a session: new_load, cur_perf and rej_load, never cur_load, idxs or deletions */
    VWI_WORK_CONTROL  /* a control handler: our metrics only, its workload is not booked */
};

struct vwi_work {
    enum vwi_work_kind kind;
    size_t route;
    double workload;
    bool has_request_idx; /* false (auth bearer or none): never in idxs or deletions */
    long long request_idx;
};

/* Embedded in a request; zeroed before use. Read-only outside the ledger. */
struct vwi_entry {
    struct vwi_list node;
    struct vwi_work work;
    bool in_flight, ran, answered;
    double entered_s, started_s; /* epoch; started 0.0 until it leaves the queue */
    int64_t entered_us;          /* monotonic */
    uint64_t ticket;             /* of its record in the journal; 0: none */
};

/* names is copied. deletions_max bounds what waits for /delete_requests/: the oldest are dropped and counted. */
vw_err vwi_ledger_create(const struct vwi_ledger_names *names, size_t deletions_max, struct vwi_ledger **ret, vw_error_t *why);
void vwi_ledger_destroy(struct vwi_ledger *l); /* entries still in flight are unlinked */

/* From now on what is started is recorded in j (borrowed until destroy), until its deletion was acknowledged. What j holds of an earlier
 * process becomes deletions. Before the first request, once. Returns how many there were. */
size_t vwi_ledger_keep_journal(struct vwi_ledger *l, struct vwi_journal *j, double wall_s);
bool vwi_ledger_has_journal(const struct vwi_ledger *l);

/* wall_s: epoch seconds; mono_us: monotonic microseconds. The wall clock is asked once, on arrival: what is reported of the rest is
 * that and the time gone by, so a clock that is set meanwhile cannot put an end before its beginning. None of these allocates in a way
 * that can fail the caller. */
void vwi_ledger_start(struct vwi_ledger *l, struct vwi_entry *e, const struct vwi_work *work, double wall_s, int64_t mono_us);
void vwi_ledger_run(struct vwi_ledger *l, struct vwi_entry *e, int64_t mono_us);        /* left the queue; once */
void vwi_ledger_first_byte(struct vwi_ledger *l, struct vwi_entry *e, int64_t mono_us); /* of the answer; once */
/* Books the outcome and, where one is due, the deletion. False and no change when e is not in flight (any more). */
bool vwi_ledger_settle(struct vwi_ledger *l, struct vwi_entry *e, enum vwi_outcome outcome, int64_t mono_us);
/* Verdicts 9 and 10: rejected on arrival, never started. */
void vwi_ledger_reject(struct vwi_ledger *l, const struct vwi_work *work, unsigned reason, double wall_s);
/* Verdicts 1 to 8: our metrics only, the control plane hears nothing. */
void vwi_ledger_refuse(struct vwi_ledger *l, size_t route, unsigned reason);
/* The reason of an outcome that settle books (queue_timeout, model_unreachable, ...), for refusals_total alone. */
void vwi_ledger_blame(struct vwi_ledger *l, size_t route, unsigned reason);

/* Workload that arrivals have to wait for: plain requests in flight, queued included. For vwi_queue_predicted_wait. */
double vwi_ledger_waiting_load(const struct vwi_ledger *l);
/* Workload served a second while there is any (core/rate.h); 0: not known yet. */
double vwi_ledger_rate(const struct vwi_ledger *l);
size_t vwi_ledger_in_flight(const struct vwi_ledger *l); /* entries of every kind */

/* What one report says. The sums are what vwi_ledger_acknowledge takes away. */
struct vwi_report_snapshot {
    double cur_load, new_load, rej_load, cur_perf;
    uint64_t working, requests_received;
    long long *idxs; /* owned; NULL when none */
    size_t idx_count;
    struct vwi_sum sent_new, sent_rej, sent_perf;
    uint64_t changes, serial;
};

/* VW_E_NOMEM: nothing changed, *ret untouched. */
vw_err vwi_ledger_snapshot(struct vwi_ledger *l, struct vwi_report_snapshot *ret);
/* The report was accepted. A second time for the same snapshot does nothing. */
void vwi_ledger_acknowledge(struct vwi_ledger *l, const struct vwi_report_snapshot *snapshot);
void vwi_report_snapshot_fini(struct vwi_report_snapshot *snapshot); /* safe on zeroed */
/* Something to report at once happened (start, served, errored, rejected; not cancelled) after the last acknowledged snapshot. */
bool vwi_ledger_changed(const struct vwi_ledger *l);

/* Copies the oldest, at most max, and leaves them. Returns how many. */
size_t vwi_ledger_deletions(const struct vwi_ledger *l, size_t max, struct vwi_deletion *ret);
/* Accepted: removes everything up to and including that serial (the last one copied), whatever overflow dropped meanwhile. */
void vwi_ledger_deletions_drop(struct vwi_ledger *l, uint64_t serial);
/* The same half way, in the older form: those up to serial with this success were accepted. They stay in the list, but not in the journal. */
void vwi_ledger_deletions_told(struct vwi_ledger *l, uint64_t serial, bool success);
size_t vwi_ledger_deletions_count(const struct vwi_ledger *l);
const struct vwi_deletion *vwi_ledger_deletion(const struct vwi_ledger *l, size_t nth); /* 0: the oldest; NULL: not so many */

/* Metrics. */
struct vwi_ledger_stats {
    const struct vwi_route_stats *rows;
    size_t row_count;
    const char *const *reasons;
    size_t reason_count;
    double received, served, errored, cancelled, queue_timeout, rejected; /* workload since the start */
    double load;                                                         /* cur_load */
    uint64_t deletions_waiting, deletions_dropped;
    uint64_t journal_dropped, journal_recovered;
};

struct vwi_ledger_stats vwi_ledger_stats(const struct vwi_ledger *l); /* pointers live until the ledger changes */

/* offered = rejected + received; received = served + errored + cancelled + timed out + in flight; by count and by workload.
 * Walks all entries: tests and debug builds. */
bool vwi_ledger_balanced(const struct vwi_ledger *l);

#endif
