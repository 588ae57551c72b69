/*
 * Three views of the same events, kept side by side: the totals (two equations tie them together), what the next report will
 * say, and the rows of metrics. The one odd thing: sums live in two doubles each, and gauges go back to an exact 0 when the
 * last entry that feeds them leaves.
 */
#include "core/ledger.h"

#include <math.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/vwi.h"
#include "core/rate.h"

/* A workload below this is dust of rounding: not reported until it has grown. */
#define DUST 1e-9

struct vwi_ledger {
    struct vwi_list in_flight;
    struct vwi_tally offered, rejected, received, outcomes[VWI_OUTCOMES]; /* since the start */
    struct vwi_tally open, listed, plain; /* in flight: all; those in idxs and cur_load; those an arrival waits for */
    struct vwi_rate rate;                 /* of plain work that is served */

    struct vwi_sum new_load, rej_load, cur_perf; /* not acknowledged yet */
    uint64_t requests_received;
    uint64_t changes, acknowledged_changes;
    uint64_t snapshots, acknowledged_snapshot;
    struct vwi_deletions *deletions;
    struct vwi_journal *journal; /* NULL: none is kept */
    uint64_t recovered;
    struct vwi_stats stats;
};

vw_err vwi_ledger_create(const struct vwi_ledger_names *names, size_t deletions_max, struct vwi_ledger **ret, vw_error_t *why)
{
    struct vwi_ledger *l = vwi_zalloc(sizeof(*l));
    vw_err err = VW_E_NOMEM;

    if (!l)
        goto out;
    vwi_list_init(&l->in_flight);
    err = vwi_stats_init(&l->stats, names);
    if (err == VW_OK)
        err = vwi_deletions_create(deletions_max, &l->deletions);
    if (err != VW_OK)
        goto out;
    *ret = l;
    l = NULL;
out:
    vwi_ledger_destroy(l);
    return err == VW_OK ? VW_OK : vwi_fail(why, err, "out of memory");
}

void vwi_ledger_destroy(struct vwi_ledger *l)
{
    if (!l)
        return;
    while (!vwi_list_empty(&l->in_flight))
        vwi_list_del(l->in_flight.next);
    vwi_stats_fini(&l->stats);
    vwi_deletions_destroy(l->deletions);
    vwi_free(l);
}

static void take_over(void *arg, const struct vwi_deletion *deletion)
{
    struct vwi_ledger *l = arg;

    vwi_deletions_add(l->deletions, deletion);
    l->recovered++;
}

size_t vwi_ledger_keep_journal(struct vwi_ledger *l, struct vwi_journal *j, double wall_s)
{
    l->journal = j;
    return vwi_journal_recover(j, wall_s, take_over, l);
}

bool vwi_ledger_has_journal(const struct vwi_ledger *l) { return l->journal != NULL; }

static bool is_listed(const struct vwi_work *work) { return work->kind == VWI_WORK_PLAIN || work->kind == VWI_WORK_SESSION; }
static bool has_deletion(const struct vwi_work *work) { return is_listed(work) && work->has_request_idx; }
static bool is_reported(const struct vwi_work *work) { return work->kind != VWI_WORK_CONTROL; }

/* Weighing delivers finite numbers that are not negative; the bound keeps every sum finite. */
static double booked(const struct vwi_work *work)
{
    if (!is_reported(work) || !(work->workload > 0))
        return 0;
    return fmin(work->workload, VWI_WORKLOAD_MAX);
}

static double seconds_between(int64_t from_us, int64_t to_us) { return to_us > from_us ? (double)(to_us - from_us) / 1e6 : 0; }

static double wall_at(const struct vwi_entry *e, int64_t mono_us) { return e->entered_s + seconds_between(e->entered_us, mono_us); }

void vwi_ledger_start(struct vwi_ledger *l, struct vwi_entry *e, const struct vwi_work *work, double wall_s, int64_t mono_us)
{
    if (!VWI_EXPECT(!e->in_flight))
        return;
    memset(e, 0, sizeof(*e));
    e->work = *work;
    e->work.workload = booked(work);
    e->in_flight = true;
    e->entered_s = wall_s;
    e->entered_us = mono_us;
    if (l->journal && has_deletion(work))
        e->ticket = vwi_journal_acquire(l->journal, work->request_idx, wall_s);
    vwi_list_add(&l->in_flight, &e->node);

    vwi_tally_add(&l->offered, e->work.workload);
    vwi_tally_add(&l->received, e->work.workload);
    vwi_tally_add(&l->open, e->work.workload);
    if (is_listed(work))
        vwi_tally_add(&l->listed, e->work.workload);
    if (work->kind == VWI_WORK_PLAIN) {
        vwi_tally_add(&l->plain, e->work.workload);
        vwi_rate_begin(&l->rate, mono_us);
    }
    if (!is_reported(work))
        return;
    vwi_sum_add(&l->new_load, e->work.workload);
    l->requests_received++;
    l->changes++;
}

void vwi_ledger_run(struct vwi_ledger *l, struct vwi_entry *e, int64_t mono_us)
{
    if (!VWI_EXPECT(e->in_flight) || e->ran)
        return;
    e->ran = true;
    e->started_s = wall_at(e, mono_us);
    if (e->ticket)
        vwi_journal_run(l->journal, e->ticket, e->started_s);
    vwi_histogram_observe(&vwi_stats_row(&l->stats, e->work.route)->queue, seconds_between(e->entered_us, mono_us));
}

void vwi_ledger_first_byte(struct vwi_ledger *l, struct vwi_entry *e, int64_t mono_us)
{
    if (!VWI_EXPECT(e->in_flight) || e->answered)
        return;
    e->answered = true;
    vwi_histogram_observe(&vwi_stats_row(&l->stats, e->work.route)->first_byte, seconds_between(e->entered_us, mono_us));
}

/* design.md part 7, the columns of worker_status. */
static void book_report(struct vwi_ledger *l, const struct vwi_work *work, enum vwi_outcome outcome)
{
    if (outcome == VWI_OUTCOME_SERVED)
        vwi_sum_add(&l->cur_perf, work->workload);
    if (outcome == VWI_OUTCOME_CANCELLED || outcome == VWI_OUTCOME_QUEUE_TIMEOUT)
        vwi_sum_add(&l->new_load, -work->workload);
    if (outcome == VWI_OUTCOME_QUEUE_TIMEOUT)
        vwi_sum_add(&l->rej_load, work->workload);
    if (outcome != VWI_OUTCOME_CANCELLED)
        l->changes++; /* a cancellation is no reason to report early */
}

/* design.md part 7, the columns of delete_requests. */
static void book_deletion(struct vwi_ledger *l, const struct vwi_entry *e, enum vwi_outcome outcome, int64_t mono_us)
{
    static const enum vwi_deletion_status statuses[VWI_OUTCOMES] = {
        [VWI_OUTCOME_SERVED] = VWI_DELETION_SUCCESS,
        [VWI_OUTCOME_ERRORED] = VWI_DELETION_ERROR,
        [VWI_OUTCOME_CANCELLED] = VWI_DELETION_CANCELLED,
        [VWI_OUTCOME_QUEUE_TIMEOUT] = VWI_DELETION_REJECTED,
    };
    struct vwi_deletion d = { 0 };

    if (!has_deletion(&e->work))
        return;
    d.request_idx = e->work.request_idx;
    d.status = statuses[outcome];
    d.success = outcome == VWI_OUTCOME_SERVED || outcome == VWI_OUTCOME_CANCELLED;
    d.entered_s = e->entered_s;
    d.started_s = outcome == VWI_OUTCOME_QUEUE_TIMEOUT ? 0 : e->started_s;
    d.completed_s = outcome == VWI_OUTCOME_SERVED || outcome == VWI_OUTCOME_ERRORED ? wall_at(e, mono_us) : 0;
    d.ticket = e->ticket;
    if (d.ticket)
        vwi_journal_settle(l->journal, d.ticket, &d);
    vwi_deletions_add(l->deletions, &d);
}

bool vwi_ledger_settle(struct vwi_ledger *l, struct vwi_entry *e, enum vwi_outcome outcome, int64_t mono_us)
{
    struct vwi_route_stats *row;

    if (!e->in_flight || !VWI_EXPECT(outcome < VWI_OUTCOMES))
        return false;
    e->in_flight = false;
    vwi_list_del(&e->node);
    vwi_tally_sub(&l->open, e->work.workload);
    if (is_listed(&e->work))
        vwi_tally_sub(&l->listed, e->work.workload);
    if (e->work.kind == VWI_WORK_PLAIN) {
        vwi_tally_sub(&l->plain, e->work.workload);
        vwi_rate_add(&l->rate, outcome == VWI_OUTCOME_SERVED ? e->work.workload : 0, mono_us);
        if (l->plain.count == 0)
            vwi_rate_pause(&l->rate, mono_us);
    }
    vwi_tally_add(&l->outcomes[outcome], e->work.workload);

    row = vwi_stats_row(&l->stats, e->work.route);
    row->outcomes[outcome]++;
    vwi_histogram_observe(&row->request, seconds_between(e->entered_us, mono_us));
    if (!e->ran)
        vwi_histogram_observe(&row->queue, seconds_between(e->entered_us, mono_us));
    if (is_reported(&e->work))
        book_report(l, &e->work, outcome);
    book_deletion(l, e, outcome, mono_us);
    return true;
}

void vwi_ledger_blame(struct vwi_ledger *l, size_t route, unsigned reason)
{
    if (VWI_EXPECT(reason < l->stats.reason_count))
        vwi_stats_row(&l->stats, route)->reasons[reason]++;
}

void vwi_ledger_refuse(struct vwi_ledger *l, size_t route, unsigned reason)
{
    vwi_stats_row(&l->stats, route)->refused++;
    vwi_ledger_blame(l, route, reason);
}

void vwi_ledger_reject(struct vwi_ledger *l, const struct vwi_work *work, unsigned reason, double wall_s)
{
    struct vwi_deletion d = { 0 };
    double load = booked(work);

    vwi_stats_row(&l->stats, work->route)->rejected++;
    vwi_ledger_blame(l, work->route, reason);
    vwi_tally_add(&l->offered, load);
    vwi_tally_add(&l->rejected, load);
    if (!is_reported(work))
        return;
    vwi_sum_add(&l->rej_load, load);
    l->requests_received++;
    l->changes++;
    if (!has_deletion(work))
        return;
    d.request_idx = work->request_idx;
    d.status = VWI_DELETION_REJECTED;
    d.entered_s = wall_s;
    d.started_s = work->kind == VWI_WORK_SESSION ? wall_s : 0; /* the platform's own way, protocol.md 3.6 */
    vwi_deletions_add(l->deletions, &d);
}

double vwi_ledger_waiting_load(const struct vwi_ledger *l) { return fmax(l->plain.load.hi, 0); }
double vwi_ledger_rate(const struct vwi_ledger *l) { return vwi_rate_per_s(&l->rate); }
size_t vwi_ledger_in_flight(const struct vwi_ledger *l) { return (size_t)l->open.count; }
bool vwi_ledger_changed(const struct vwi_ledger *l) { return l->changes != l->acknowledged_changes; }

static const struct vwi_entry *entry_of(const struct vwi_list *node)
{
    return (const struct vwi_entry *)(const void *)((const char *)node - offsetof(struct vwi_entry, node));
}

static vw_err copy_idxs(const struct vwi_ledger *l, long long **ret, size_t *ret_count)
{
    const struct vwi_list *node;
    long long *idxs;
    size_t n = 0;

    *ret = NULL;
    *ret_count = 0;
    if (l->listed.count == 0)
        return VW_OK;
    idxs = vwi_alloc((size_t)l->listed.count * sizeof(*idxs));
    if (!idxs)
        return VW_E_NOMEM;
    for (node = l->in_flight.next; node != &l->in_flight; node = node->next) {
        const struct vwi_entry *e = entry_of(node);

        if (has_deletion(&e->work))
            idxs[n++] = e->work.request_idx;
    }
    *ret = idxs;
    *ret_count = n;
    return VW_OK;
}

/* What a report says of a sum: never negative (a debt is carried over), no dust. */
static double sendable(const struct vwi_sum *sum, struct vwi_sum *sent)
{
    *sent = sum->hi < DUST ? (struct vwi_sum){ 0, 0 } : *sum;
    return sent->hi;
}

vw_err vwi_ledger_snapshot(struct vwi_ledger *l, struct vwi_report_snapshot *ret)
{
    struct vwi_report_snapshot s = { 0 };
    vw_err err = copy_idxs(l, &s.idxs, &s.idx_count);

    if (err != VW_OK)
        return err;
    s.cur_load = fmax(l->listed.load.hi, 0);
    s.working = l->listed.count;
    s.requests_received = l->requests_received;
    s.new_load = sendable(&l->new_load, &s.sent_new);
    s.rej_load = sendable(&l->rej_load, &s.sent_rej);
    s.cur_perf = sendable(&l->cur_perf, &s.sent_perf);
    s.changes = l->changes;
    s.serial = ++l->snapshots;
    *ret = s;
    return VW_OK;
}

static void take_away(struct vwi_sum *from, const struct vwi_sum *sent)
{
    vwi_sum_add(from, -sent->hi);
    vwi_sum_add(from, -sent->lo);
}

void vwi_ledger_acknowledge(struct vwi_ledger *l, const struct vwi_report_snapshot *snapshot)
{
    if (snapshot->serial <= l->acknowledged_snapshot)
        return;
#ifdef VWI_DEBUG
    (void)VWI_EXPECT(vwi_ledger_balanced(l));
#endif
    l->acknowledged_snapshot = snapshot->serial;
    l->acknowledged_changes = snapshot->changes;
    take_away(&l->new_load, &snapshot->sent_new);
    take_away(&l->rej_load, &snapshot->sent_rej);
    take_away(&l->cur_perf, &snapshot->sent_perf);
}

void vwi_report_snapshot_fini(struct vwi_report_snapshot *snapshot)
{
    vwi_free(snapshot->idxs);
    memset(snapshot, 0, sizeof(*snapshot));
}

size_t vwi_ledger_deletions(const struct vwi_ledger *l, size_t max, struct vwi_deletion *ret)
{
    return vwi_deletions_peek(l->deletions, max, ret);
}

static void release(struct vwi_ledger *l, uint64_t up_to, bool successes, bool failures)
{
    const struct vwi_deletion *d;
    size_t i;

    if (!l->journal)
        return;
    for (i = 0; (d = vwi_deletions_nth(l->deletions, i)) && d->serial <= up_to; i++)
        if (d->success ? successes : failures)
            vwi_journal_release(l->journal, d->ticket);
}

void vwi_ledger_deletions_told(struct vwi_ledger *l, uint64_t serial, bool success) { release(l, serial, success, !success); }

void vwi_ledger_deletions_drop(struct vwi_ledger *l, uint64_t serial)
{
    release(l, serial, true, true);
    vwi_deletions_drop(l->deletions, serial);
}

size_t vwi_ledger_deletions_count(const struct vwi_ledger *l) { return vwi_deletions_count(l->deletions); }
const struct vwi_deletion *vwi_ledger_deletion(const struct vwi_ledger *l, size_t nth) { return vwi_deletions_nth(l->deletions, nth); }

struct vwi_ledger_stats vwi_ledger_stats(const struct vwi_ledger *l)
{
    struct vwi_ledger_stats s = { 0 };

    s.rows = l->stats.rows;
    s.row_count = l->stats.row_count;
    s.reasons = (const char *const *)l->stats.reasons;
    s.reason_count = l->stats.reason_count;
    s.received = l->received.load.hi;
    s.served = l->outcomes[VWI_OUTCOME_SERVED].load.hi;
    s.errored = l->outcomes[VWI_OUTCOME_ERRORED].load.hi;
    s.cancelled = l->outcomes[VWI_OUTCOME_CANCELLED].load.hi;
    s.queue_timeout = l->outcomes[VWI_OUTCOME_QUEUE_TIMEOUT].load.hi;
    s.rejected = l->rejected.load.hi;
    s.load = fmax(l->listed.load.hi, 0);
    s.deletions_waiting = vwi_deletions_count(l->deletions);
    s.deletions_dropped = vwi_deletions_dropped(l->deletions);
    s.journal_dropped = l->journal ? vwi_journal_dropped(l->journal) : 0;
    s.journal_recovered = l->recovered;
    return s;
}

static bool same(const struct vwi_tally *a, const struct vwi_tally *b)
{
    return a->count == b->count && fabs(a->load.hi - b->load.hi) <= DUST + 1e-12 * fabs(b->load.hi);
}

static void merge(struct vwi_tally *into, const struct vwi_tally *t)
{
    into->count += t->count;
    vwi_sum_add(&into->load, t->load.hi);
    vwi_sum_add(&into->load, t->load.lo);
}

bool vwi_ledger_balanced(const struct vwi_ledger *l)
{
    struct vwi_tally offered = l->rejected, received = l->open, open = { 0 }, listed = { 0 }, plain = { 0 };
    const struct vwi_list *node;
    size_t i;

    merge(&offered, &l->received);
    for (i = 0; i < VWI_OUTCOMES; i++)
        merge(&received, &l->outcomes[i]);
    for (node = l->in_flight.next; node != &l->in_flight; node = node->next) {
        const struct vwi_work *work = &entry_of(node)->work;

        vwi_tally_add(&open, work->workload);
        if (is_listed(work))
            vwi_tally_add(&listed, work->workload);
        if (work->kind == VWI_WORK_PLAIN)
            vwi_tally_add(&plain, work->workload);
    }
    return same(&l->offered, &offered) && same(&l->received, &received) && same(&l->open, &open) &&
           same(&l->listed, &listed) && same(&l->plain, &plain);
}
