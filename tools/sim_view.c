/* Three views of one memory; pure. Verdicts are careful: a worker tells deletions at once and loads a second later. */
#include "sim_view.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include "base/vwi.h"

#define TOLERANCE 1e-6 /* of the load taken in: sums of doubles */

static void judge(struct sim_balance *b, enum sim_verdict verdict, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

static void judge(struct sim_balance *b, enum sim_verdict verdict, const char *fmt, ...)
{
    va_list ap;

    b->verdict = verdict;
    va_start(ap, fmt);
    vsnprintf(b->text, sizeof b->text, fmt, ap);
    va_end(ap);
}

struct sim_balance sim_view_balance(const struct sim_worker *w)
{
    struct sim_balance b = { 0 };
    double slack = TOLERANCE * (1 + w->new_load);
    unsigned long long unserved = w->by_status[SIM_ERRORED] + w->by_status[SIM_CANCELLED] + w->by_status[SIM_REJECTED] +
                                  w->by_status[SIM_STARTED] + w->by_status[SIM_UNSTATED];
    bool fresh_news = w->last_deleted > w->last_seen;

    b.rest = w->new_load - w->cur_perf - w->last.cur_load;
    if (fabs(b.rest) <= slack)
        b.rest = 0;
    b.untold = w->received_before + w->last.received - (long long)w->deletions - w->last.working;
    if (w->reports == w->beacons)
        judge(&b, SIM_NOT_SETTLED, "no full report yet");
    else if (b.rest < 0)
        judge(&b, SIM_DOES_NOT_ADD_UP, "%.2f more served and in flight than taken in", -b.rest);
    else if (b.untold < 0 && fresh_news)
        judge(&b, SIM_NOT_SETTLED, "deletions are newer than the last report");
    else if (b.untold < 0)
        judge(&b, SIM_DOES_NOT_ADD_UP, "%lld more deletions than requests", -b.untold);
    else if (b.rest > 0 && !unserved && !b.untold)
        judge(&b, SIM_DOES_NOT_ADD_UP, "%.2f was taken in and never heard of again", b.rest);
    else if (b.untold > 0)
        judge(&b, SIM_NOT_SETTLED, "%lld finished requests without a deletion (sent soon, or inside a session)", b.untold);
    else if (b.rest > 0)
        judge(&b, SIM_ADDS_UP, "adds up; %.2f errored, was cancelled or timed out", b.rest);
    else
        judge(&b, SIM_ADDS_UP, "adds up");
    return b;
}

static const char *verdict_name(enum sim_verdict verdict)
{
    static const char *const names[] = { "adds up", "not settled", "does not add up" };

    return names[verdict];
}

static json_t *events_json(const struct sim_worker *w)
{
    json_t *list = json_array();
    size_t i;

    for (i = 0; i < w->events.count; i++) {
        const struct sim_event *event = sim_ring_at(&w->events, sizeof *event, i);

        json_array_append_new(list, json_pack("{s:f,s:s,s:s}", "t", event->t, "event", event->what, "detail", event->detail));
    }
    return list;
}

static json_t *deletions_json(const struct sim_worker *w)
{
    json_t *list = json_array(), *by_status = json_object();
    size_t i;

    for (i = 0; i < w->deleted.count; i++) {
        const struct sim_deletion *d = sim_ring_at(&w->deleted, sizeof *d, i);

        json_array_append_new(list,
                              json_pack("{s:f,s:I,s:b,s:s,s:f,s:f,s:f}", "t", d->told, "request_idx", (json_int_t)d->request_idx,
                                        "success", d->success, "status", sim_status_name(d->status), "entered_queue_at",
                                        d->entered, "work_started_at", d->started, "work_completed_at", d->completed));
    }
    for (i = 0; i < SIM_STATUSES; i++)
        json_object_set_new(by_status, sim_status_name((enum sim_status)i), json_integer((json_int_t)w->by_status[i]));
    return json_pack("{s:I,s:I,s:I,s:o,s:o,s:I}", "count", (json_int_t)w->deletions, "success", (json_int_t)w->succeeded,
                     "failed", (json_int_t)(w->deletions - w->succeeded), "by_status", by_status, "list", list, "dropped",
                     (json_int_t)w->deleted.dropped);
}

static json_t *time_or_null(double t) { return t > 0 ? json_real(t) : json_null(); }

static json_t *worker_json(const struct sim_worker *w, const struct sim_view *view)
{
    struct sim_balance b = sim_view_balance(w);
    json_t *last = w->last_json ? json_incref(w->last_json) : json_null();
    json_t *json = json_pack(
        "{s:I,s:s,s:s,s:s,s:b,s:f,s:o,s:o,s:o,s:I,s:I,s:o}", "id", (json_int_t)w->id, "url", w->last.url, "version",
        w->last.version, "state", sim_state_name(w->state), "silent", view->now - w->last_seen > view->stale_s, "first_seen",
        w->first_seen, "last_seen", time_or_null(w->last_seen), "first_ready", time_or_null(w->first_ready), "ready_at",
        time_or_null(w->ready_at), "reports", (json_int_t)w->reports, "beacons", (json_int_t)w->beacons, "last", last);

    if (!json)
        return NULL;
    json_object_set_new(json, "sums",
                        json_pack("{s:f,s:f,s:f}", "new_load", w->new_load, "rej_load", w->rej_load, "cur_perf", w->cur_perf));
    json_object_set_new(
        json, "routed",
        json_pack("{s:I,s:f,s:f}", "count", (json_int_t)w->routed, "cost", w->routed_cost, "since_report", w->routed_since));
    json_object_set_new(json, "deletions", deletions_json(w));
    json_object_set_new(json, "balance",
                        json_pack("{s:s,s:f,s:I,s:s}", "verdict", verdict_name(b.verdict), "rest", b.rest, "untold",
                                  (json_int_t)b.untold, "text", b.text));
    json_object_set_new(json, "events", events_json(w));
    return json;
}

static json_t *routes_json(const struct sim_view *view)
{
    const struct sim_ring *ring = &view->fleet->routes;
    json_t *list = json_array();
    size_t i;

    for (i = 0; i < ring->count; i++) {
        const struct sim_routed *r = sim_ring_at(ring, sizeof *r, i);

        json_array_append_new(list,
                              json_pack("{s:f,s:I,s:I,s:I,s:f}", "t", r->t, "request_idx", (json_int_t)r->request_idx, "reqnum",
                                        (json_int_t)r->reqnum, "worker_id", (json_int_t)r->worker_id, "cost", r->cost));
    }
    return json_pack("{s:I,s:I,s:o,s:I}", "ready", (json_int_t)view->fleet->ready_answers, "waiting",
                     (json_int_t)view->fleet->waiting_answers, "list", list, "dropped", (json_int_t)ring->dropped);
}

json_t *sim_view_state(const struct sim_view *view)
{
    json_t *workers = json_array();
    struct vwi_list *node;

    for (node = view->fleet->workers.next; node != &view->fleet->workers; node = node->next)
        json_array_append_new(workers, worker_json(VWI_CONTAINER(node, struct sim_worker, node), view));
    return json_pack("{s:f,s:f,s:o,s:o,s:{s:I,s:I,s:I},s:I,s:O}", "now", view->now, "started", view->started, "workers", workers,
                     "routes", routes_json(view), "refused", "keys", (json_int_t)view->refused_keys, "bodies",
                     (json_int_t)view->refused_bodies, "tokens", (json_int_t)view->refused_tokens, "forgotten",
                     (json_int_t)view->fleet->forgotten, "behave", view->behave);
}

static const char *engine_status(const struct sim_worker *w)
{
    switch (w->state) {
    case SIM_READY: return "idle";
    case SIM_ERROR: return "error";
    case SIM_DRAINING: return "stopping";
    case SIM_UNHEARD:
    case SIM_LOADING: break;
    }
    return w->first_ready > 0 ? "starting" : "model_loading";
}

json_t *sim_view_endpoint_workers(const struct sim_view *view)
{
    json_t *list = json_array();
    struct vwi_list *node;

    for (node = view->fleet->workers.next; node != &view->fleet->workers; node = node->next) {
        const struct sim_worker *w = VWI_CONTAINER(node, struct sim_worker, node);

        json_array_append_new(
            list, json_pack("{s:I,s:s,s:f,s:f,s:f,s:f,s:f,s:f,s:f,s:f,s:I,s:f,s:f,s:f}", "id", (json_int_t)w->id, "status",
                            engine_status(w), "cur_load", w->last.cur_load, "new_load", w->last.new_load, "cur_load_rolling_avg",
                            w->load_average, "cur_perf", w->last.cur_perf, "perf", w->last.max_perf, "measured_perf",
                            w->last.max_perf, "dlperf", 0.0, "reliability", 1.0, "reqs_working", (json_int_t)w->last.working,
                            "disk_usage", w->last.disk_usage, "loaded_at", w->ready_at, "started_at", w->first_seen));
    }
    return list;
}

static void add_clock(struct vwi_text *t, double epoch)
{
    time_t whole = (time_t)epoch;
    struct tm local;

    localtime_r(&whole, &local);
    vwi_text_addf(t, "%02d:%02d:%02d", local.tm_hour, local.tm_min, local.tm_sec);
}

static void table_loads(const struct sim_view *view, struct vwi_text *t)
{
    struct vwi_list *node;

    vwi_text_adds(t, "LOADS       state     reports  age s   max_perf   cur_load |   taken in =     served +  in flight +       "
                     "rest |   rejected\n");
    for (node = view->fleet->workers.next; node != &view->fleet->workers; node = node->next) {
        const struct sim_worker *w = VWI_CONTAINER(node, struct sim_worker, node);
        struct sim_balance b = sim_view_balance(w);
        bool silent = view->now - w->last_seen > view->stale_s;

        vwi_text_addf(t, "%-11lld %-9s %7llu %6.1f %10.2f %10.2f | %10.2f = %10.2f + %10.2f + %10.2f | %10.2f\n", w->id,
                      w->reports && silent ? "silent" : sim_state_name(w->state), w->reports,
                      w->reports ? view->now - w->last_seen : 0.0, w->last.max_perf, w->last.cur_load, w->new_load, w->cur_perf,
                      w->last.cur_load, b.rest, w->rej_load);
    }
}

static void table_counts(const struct sim_view *view, struct vwi_text *t)
{
    struct vwi_list *node;

    vwi_text_adds(t, "\nREQUESTS    routed  received =  deleted + working + untold | Success   Error Cancelled Rejected Started "
                     "unstated | verdict\n");
    for (node = view->fleet->workers.next; node != &view->fleet->workers; node = node->next) {
        const struct sim_worker *w = VWI_CONTAINER(node, struct sim_worker, node);
        struct sim_balance b = sim_view_balance(w);

        vwi_text_addf(t, "%-11lld %6llu %9lld = %8llu + %7lld + %6lld | %7llu %7llu %9llu %8llu %7llu %8llu | %s%s\n", w->id,
                      w->routed, w->received_before + w->last.received, w->deletions, w->last.working, b.untold,
                      w->by_status[SIM_SUCCESS], w->by_status[SIM_ERRORED], w->by_status[SIM_CANCELLED],
                      w->by_status[SIM_REJECTED], w->by_status[SIM_STARTED], w->by_status[SIM_UNSTATED],
                      b.verdict == SIM_ADDS_UP       ? ""
                      : b.verdict == SIM_NOT_SETTLED ? "not settled: "
                                                     : "DOES NOT ADD UP: ",
                      b.text);
    }
}

void sim_view_table(const struct sim_view *view, struct vwi_text *ret)
{
    struct vwi_list *node;

    vwi_text_adds(ret, "control plane at ");
    add_clock(ret, view->now);
    vwi_text_addf(ret, "; workers: %zu; routes: %llu ready, %llu waiting; refused: %llu keys, %llu tokens, %llu bodies\n\n",
                  view->fleet->worker_count, view->fleet->ready_answers, view->fleet->waiting_answers, view->refused_keys,
                  view->refused_tokens, view->refused_bodies);
    if (!view->fleet->worker_count) {
        vwi_text_adds(ret, "No worker has reported yet.\n");
        return;
    }
    table_loads(view, ret);
    table_counts(view, ret);
    vwi_text_adds(ret, "\n");
    for (node = view->fleet->workers.next; node != &view->fleet->workers; node = node->next) {
        const struct sim_worker *w = VWI_CONTAINER(node, struct sim_worker, node);

        vwi_text_addf(ret, "%-11lld %s%s%s\n", w->id, *w->last.url ? w->last.url : "(no url)",
                      *w->last.error_msg ? ", error: " : "", w->last.error_msg);
    }
}
