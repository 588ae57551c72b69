/*
 * begin -> limits, one after the other -> finish: the last report, clients that have yet to take their answers, and the end of the model
 * process where it is ours -> leave.
 * What each step does for whom is told in docs/drain.md.
 */
#include "flow/drain.h"

#include "base/clock.h"
#include "base/err.h"
#include "flow/cut.h"
#include "flow/sessions.h"
#include "flow/supervise.h"

#define FLUSH_LIMIT_MS 5000
#define FAREWELL_LIMIT_MS 3000
#define CUT_FLUSH_LIMIT_MS 1000 /* somebody wants us gone now */
#define LEAVE_LIMIT_MS 500      /* for clients to take their last answer and to see that we close */
#define LOOK_MS 5

static void leave(struct vwi_drain *drain)
{
    vwi_log_info(drain->desk->log, "stopped");
    vwi_loop_stop(drain->desk->loop);
}

static void look(struct vwi_drain *drain);

static void on_flushed(void *arg)
{
    struct vwi_drain *drain = arg;

    drain->flushed = true;
    drain->all_told = drain->desk->report && vwi_report_is_told(drain->desk->report);
    look(drain);
}

static void flush(struct vwi_drain *drain)
{
    drain->flushed = false;
    vwi_report_flush(drain->desk->report, drain->hasty ? CUT_FLUSH_LIMIT_MS : FLUSH_LIMIT_MS, on_flushed, drain);
}

/* Whoever is still connected has an answer to read, or does not know yet that we close; of sessions that were cut the model server may
 * have to hear yet, and be told to stop what else was cut. */
static void look(struct vwi_drain *drain)
{
    int64_t now_ms = vwi_mono_ms();
    bool told = vwi_sessions_idle(drain->desk->sessions), late = now_ms >= drain->told_ms;
    bool stopped = !vwi_desk_cancels(drain->desk) || now_ms >= drain->stopped_ms;

    if (!told && late && !drain->gave_up) {
        drain->gave_up = true;
        vwi_log_warn(drain->desk->log, "drain: the model server did not take the end of every session in time");
        vwi_sessions_give_up(drain->desk->sessions);
        drain->over_ms = now_ms + LEAVE_LIMIT_MS; /* to read that */
    }
    if ((told || late) && stopped)
        vwi_supervise_stop(drain->desk->supervise);
    if ((!told && !late) || !stopped || !vwi_supervise_is_over(drain->desk->supervise) ||
        (vwi_front_stats(drain->front).connections && now_ms < drain->over_ms)) {
        vwi_timer_start(&drain->timer, LOOK_MS);
        return;
    }
    if (drain->all_told && !vwi_report_is_told(drain->desk->report))
        flush(drain); /* somebody was refused since */
    else
        leave(drain);
}

static void finish(struct vwi_drain *drain)
{
    if (drain->finishing)
        return;
    drain->finishing = true;
    drain->over_ms = vwi_mono_ms() + LEAVE_LIMIT_MS;
    drain->told_ms = vwi_mono_ms() + (drain->hasty ? 0 : FAREWELL_LIMIT_MS);
    drain->stopped_ms = drain->hasty ? vwi_mono_ms() + CUT_FLUSH_LIMIT_MS : INT64_MAX;
    vwi_timer_stop(&drain->timer);
    vwi_front_stop_accepting(drain->front);
    if (vwi_sessions_idle(drain->desk->sessions) && !vwi_desk_cancels(drain->desk))
        vwi_supervise_stop(drain->desk->supervise); /* while the last report is told */
    if (drain->desk->report)
        flush(drain);
    else
        on_flushed(drain);
}

static void wait_for_limit(struct vwi_drain *drain, double due_s)
{
    int64_t left_ms = drain->began_ms + (int64_t)(due_s * 1000) - vwi_mono_ms();

    drain->due_s = due_s;
    vwi_timer_start(&drain->timer, left_ms > 0 ? left_ms : 0);
}

static void on_limit(struct vwi_drain *drain)
{
    size_t count = vwi_desk_cut_overdue(drain->desk, drain->due_s);
    double next_s = vwi_desk_next_cut(drain->desk, drain->due_s);

    if (count)
        vwi_log_warn(drain->desk->log, "drain: %zu requests did not finish within drainTimeout (%g s) and are cut", count, drain->due_s);
    else if (next_s < 0 && vwi_sessions_idle(drain->desk->sessions) && !vwi_desk_cancels(drain->desk))
        vwi_log_warn(drain->desk->log, "drain: some clients did not read their answers within drainTimeout (%g s)", drain->due_s);
    if (drain->finishing)
        return; /* the last one has just left */
    if (next_s >= 0) {
        wait_for_limit(drain, next_s);
        return;
    }
    vwi_desk_cut(drain->desk); /* sessions, too; control handlers take no more */
    finish(drain);
}

static void on_timer(void *arg)
{
    struct vwi_drain *drain = arg;

    if (drain->finishing)
        look(drain);
    else
        on_limit(drain);
}

vw_err vwi_drain_init(struct vwi_drain *drain, vw_error_t *why)
{
    if (vwi_timer_init(&drain->timer, drain->desk->loop, on_timer, drain) != VW_OK)
        return vwi_fail(why, VW_E_NOMEM, "drain: out of memory");
    return VW_OK;
}

void vwi_drain_fini(struct vwi_drain *drain) { vwi_timer_fini(&drain->timer); }

/* The hurry first, so that the news that we drain is not kept back by a pause. */
static void begin(struct vwi_drain *drain)
{
    if (drain->draining)
        return;
    drain->draining = true;
    drain->began_ms = vwi_mono_ms();
    if (drain->desk->report)
        vwi_report_hurry(drain->desk->report);
    vwi_startup_drain(drain->desk->startup);
    vwi_supervise_leave(drain->desk->supervise);
    vwi_front_drain(drain->front);
}

/* Where only the ends of sessions or calls of cancel are waited for, they have the time of the most patient handler. */
static double first_limit(const struct vwi_desk *desk)
{
    double next_s = vwi_desk_next_cut(desk, -1);

    return next_s < 0 ? vwi_desk_longest_drain(desk) : next_s;
}

void vwi_drain_begin(struct vwi_drain *drain)
{
    struct vwi_desk *desk = drain->desk;

    if (drain->draining)
        return;
    vwi_log_info(desk->log, "draining: %zu requests in flight, %zu of them queued, at most %g s", vwi_ledger_in_flight(desk->ledger),
                 vwi_queue_waiting(desk->queue), vwi_desk_longest_drain(desk));
    begin(drain);
    vwi_desk_refuse_unjudged(desk);
    vwi_sessions_drain(desk->sessions);
    if (!vwi_desk_idle(desk))
        wait_for_limit(drain, first_limit(desk));
    vwi_drain_on_idle(drain);
}

void vwi_drain_now(struct vwi_drain *drain)
{
    struct vwi_desk *desk = drain->desk;
    size_t left = vwi_ledger_in_flight(desk->ledger);
    bool again = drain->finishing; /* before the cut, which may leave nothing and so bring the end about */

    if (left)
        vwi_log_warn(desk->log, "stopping at once: %zu requests are cut", left);
    begin(drain);
    drain->hasty = true;
    vwi_desk_cut(desk);
    vwi_supervise_kill(desk->supervise);
    if (again) {
        left = vwi_ledger_deletions_count(desk->ledger);
        if (!drain->flushed) {
            vwi_log_warn(desk->log, "stopping at once: the last report is not waited for; %zu finished requests stay untold", left);
            vwi_report_say_untold(desk->report);
        }
        leave(drain);
    } else {
        finish(drain);
    }
}

void vwi_drain_on_idle(struct vwi_drain *drain)
{
    if (!drain->draining || vwi_desk_has_work(drain->desk))
        return;
    if (vwi_desk_idle(drain->desk))
        finish(drain);
    else
        vwi_desk_last_call(drain->desk); /* or whoever asks again and again, or never finishes asking, would hold us up to the limit */
}
