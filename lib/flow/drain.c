#include "flow/drain.h"

#include "base/err.h"

#define FLUSH_LIMIT_MS 5000
#define CUT_FLUSH_LIMIT_MS 1000 /* somebody wants us gone now */

static void on_flushed(void *arg)
{
    struct vwi_drain *drain = arg;

    vwi_log_info(drain->desk->log, "stopped");
    vwi_loop_stop(drain->desk->loop);
}

static void finish(struct vwi_drain *drain, int64_t flush_ms)
{
    if (drain->finishing)
        return;
    drain->finishing = true;
    vwi_timer_stop(&drain->limit);
    vwi_front_stop_accepting(drain->front);
    if (drain->desk->report)
        vwi_report_flush(drain->desk->report, flush_ms, on_flushed, drain);
    else
        on_flushed(drain);
}

static void on_limit(void *arg)
{
    struct vwi_drain *drain = arg;
    size_t left = vwi_ledger_in_flight(drain->desk->ledger);

    if (left)
        vwi_log_warn(drain->desk->log, "drain: %zu requests did not finish within drainTimeout (%g s) and are cut", left, drain->limit_s);
    else
        vwi_log_warn(drain->desk->log, "drain: some clients did not read their answers within drainTimeout (%g s)", drain->limit_s);
    vwi_desk_cut(drain->desk);
    finish(drain, FLUSH_LIMIT_MS);
}

vw_err vwi_drain_init(struct vwi_drain *drain, vw_error_t *why)
{
    if (vwi_timer_init(&drain->limit, drain->desk->loop, on_limit, drain) != VW_OK)
        return vwi_fail(why, VW_E_NOMEM, "drain: out of memory");
    return VW_OK;
}

void vwi_drain_fini(struct vwi_drain *drain) { vwi_timer_fini(&drain->limit); }

/* The hurry first, so that the news that we drain is not kept back by a pause. */
static void begin(struct vwi_drain *drain)
{
    if (drain->draining)
        return;
    drain->draining = true;
    if (drain->desk->report)
        vwi_report_hurry(drain->desk->report);
    vwi_startup_drain(drain->desk->startup);
}

void vwi_drain_begin(struct vwi_drain *drain)
{
    struct vwi_desk *desk = drain->desk;

    if (drain->draining)
        return;
    vwi_log_info(desk->log, "draining: %zu requests in flight, %zu of them queued, at most %g s", vwi_ledger_in_flight(desk->ledger),
                 vwi_queue_waiting(desk->queue), drain->limit_s);
    begin(drain);
    vwi_desk_refuse_unjudged(desk);
    if (vwi_desk_idle(desk))
        finish(drain, FLUSH_LIMIT_MS);
    else
        vwi_timer_start(&drain->limit, (int64_t)(drain->limit_s * 1000));
}

void vwi_drain_now(struct vwi_drain *drain)
{
    struct vwi_desk *desk = drain->desk;
    size_t left = vwi_ledger_in_flight(desk->ledger);

    if (left)
        vwi_log_warn(desk->log, "stopping at once: %zu requests are cut", left);
    begin(drain);
    vwi_desk_cut(desk);
    if (drain->finishing) {
        left = vwi_ledger_deletions_count(desk->ledger);
        vwi_log_warn(desk->log, "stopping at once: the last report is not waited for; %zu finished requests stay untold", left);
        on_flushed(drain);
    } else {
        finish(drain, CUT_FLUSH_LIMIT_MS);
    }
}

void vwi_drain_on_idle(struct vwi_drain *drain)
{
    if (drain->draining)
        finish(drain, FLUSH_LIMIT_MS);
}
