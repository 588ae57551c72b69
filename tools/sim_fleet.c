/* The memory of workers. Rings are allocated when first written: most workers of a test never delete anything. */
#include "sim_fleet.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/vwi.h"

#define AVERAGE_WEIGHT 0.3 /* of the newest report in cur_load_rolling_avg */

const char *sim_state_name(enum sim_state state)
{
    static const char *const names[] = { "unheard", "loading", "ready", "error", "draining" };

    return names[state];
}

const void *sim_ring_at(const struct sim_ring *ring, size_t size, size_t i)
{
    size_t oldest = ring->count < ring->cap ? 0 : ring->next;

    return (const char *)ring->items + (oldest + i) % ring->cap * size;
}

/* Out of memory loses the entry, which is counted; the sums stay true. */
static void ring_add(struct sim_ring *ring, size_t cap, size_t size, const void *item)
{
    if (!ring->items) {
        ring->items = vwi_alloc(cap * size);
        ring->cap = cap;
    }
    if (!ring->items || ring->count == cap)
        ring->dropped++;
    if (!ring->items)
        return;
    memcpy((char *)ring->items + ring->next * size, item, size);
    ring->next = (ring->next + 1) % cap;
    if (ring->count < cap)
        ring->count++;
}

static void happens(struct sim_fleet *fleet, struct sim_worker *worker, double now, const char *what, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));

static void happens(struct sim_fleet *fleet, struct sim_worker *worker, double now, const char *what, const char *fmt, ...)
{
    struct sim_event event = { .t = now, .what = what };
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(event.detail, sizeof event.detail, fmt, ap);
    va_end(ap);
    ring_add(&worker->events, SIM_EVENTS_MAX, sizeof event, &event);
    if (fleet->on_event)
        fleet->on_event(fleet->arg, worker, &event);
}

static struct sim_worker *find(const struct sim_fleet *fleet, long long id)
{
    struct vwi_list *node;

    for (node = fleet->workers.next; node != &fleet->workers; node = node->next) {
        struct sim_worker *worker = VWI_CONTAINER(node, struct sim_worker, node);

        if (worker->id == id)
            return worker;
    }
    return NULL;
}

static struct sim_worker *find_or_add(struct sim_fleet *fleet, long long id, const char *url, double now, vw_error_t *why)
{
    struct sim_worker *worker = find(fleet, id);

    if (worker)
        return worker;
    if (fleet->worker_count == SIM_WORKERS_MAX) {
        vwi_fail(why, VW_E_BUSY, "more than %d workers; let some be forgotten", SIM_WORKERS_MAX);
        return NULL;
    }
    worker = vwi_zalloc(sizeof *worker);
    if (!worker) {
        vwi_fail(why, VW_E_NOMEM, "worker: out of memory");
        return NULL;
    }
    worker->id = id;
    worker->first_seen = now;
    worker->last = (struct sim_report){ .id = id, .mtoken = "", .version = "", .error_msg = "", .url = "" };
    vwi_list_init(&worker->node);
    vwi_list_add(&fleet->workers, &worker->node);
    fleet->worker_count++;
    happens(fleet, worker, now, "appears", "%s%s", *url ? "at " : "by its deletions alone", url);
    return worker;
}

static void free_worker(struct sim_fleet *fleet, struct sim_worker *worker)
{
    vwi_list_del(&worker->node);
    fleet->worker_count--;
    json_decref(worker->last_json);
    vwi_free(worker->events.items);
    vwi_free(worker->deleted.items);
    vwi_free(worker);
}

void sim_fleet_init(struct sim_fleet *fleet)
{
    *fleet = (struct sim_fleet){ .next_request_idx = 1, .next_reqnum = 1 };
    vwi_list_init(&fleet->workers);
}

void sim_fleet_fini(struct sim_fleet *fleet)
{
    while (!vwi_list_empty(&fleet->workers))
        free_worker(fleet, VWI_CONTAINER(fleet->workers.next, struct sim_worker, node));
    vwi_free(fleet->routes.items);
}

void sim_fleet_forget(struct sim_fleet *fleet, double now)
{
    while (!vwi_list_empty(&fleet->workers)) {
        struct sim_worker *worker = VWI_CONTAINER(fleet->workers.next, struct sim_worker, node);

        happens(fleet, worker, now, "forgotten", "on request");
        free_worker(fleet, worker);
        fleet->forgotten++;
    }
}

static enum sim_state state_of(const struct sim_report *report)
{
    if (*report->error_msg)
        return SIM_ERROR;
    if (report->loadtime > 0)
        return report->max_perf > 0 ? SIM_READY : SIM_DRAINING;
    return SIM_LOADING;
}

static void tell_change(struct sim_fleet *fleet, struct sim_worker *worker, const struct sim_report *report, double now)
{
    enum sim_state was = worker->state, is = state_of(report);

    worker->state = is;
    if (is == SIM_READY && was != SIM_READY) {
        worker->ready_at = now;
        if (worker->first_ready == 0)
            worker->first_ready = now;
        happens(fleet, worker, now, was == SIM_ERROR && worker->first_ready < now ? "recovered" : "ready",
                "max_perf %.2f, loadtime %.2f s", report->max_perf, report->loadtime);
    } else if (is == SIM_READY && report->max_perf != worker->last.max_perf) {
        happens(fleet, worker, now, "capacity", "max_perf %.2f, was %.2f", report->max_perf, worker->last.max_perf);
    } else if (is == SIM_ERROR && (was != SIM_ERROR || strcmp(report->error_msg, worker->last.error_msg) != 0)) {
        happens(fleet, worker, now, "error", "%s%s", report->beacon ? "(failed to start) " : "", report->error_msg);
    } else if (is == SIM_DRAINING && was != SIM_DRAINING) {
        happens(fleet, worker, now, "draining", "max_perf 0, %lld requests working", report->working);
    } else if (is == SIM_LOADING && was != SIM_LOADING) {
        happens(fleet, worker, now, "loading", "protocol version %s", report->version);
    }
    if (!report->beacon && report->received < worker->last.received) {
        worker->received_before += worker->last.received;
        happens(fleet, worker, now, "restarted", "its count of requests begins again");
    }
    if (*report->url && *worker->last.url && strcmp(report->url, worker->last.url) != 0)
        happens(fleet, worker, now, "moved", "to %s", report->url);
}

/* A beacon says only that there is an error and where: the figures told before stay, the strings go with their body. */
static void keep_beacon(struct sim_worker *worker, struct sim_report *report)
{
    struct sim_report merged = worker->last;

    merged.beacon = true;
    merged.error_msg = report->error_msg;
    merged.version = report->version;
    merged.url = report->url;
    *report = merged;
}

vw_err sim_fleet_report(struct sim_fleet *fleet, const struct sim_report *told, const json_t *body, double now, vw_error_t *why)
{
    struct sim_worker *worker = find_or_add(fleet, told->id, told->url, now, why);
    struct sim_report report = *told;
    json_t *copy;

    if (!worker)
        return why ? why->code : VW_E_NOMEM;
    copy = json_copy((json_t *)(uintptr_t)body);
    if (!copy)
        return vwi_fail(why, VW_E_NOMEM, "report: out of memory");
    json_object_del(copy, "mtoken");
    tell_change(fleet, worker, told, now);
    if (told->beacon) {
        keep_beacon(worker, &report);
        worker->beacons++;
    }
    report.mtoken = "";
    json_decref(worker->last_json);
    worker->last_json = copy;
    worker->last = report;
    worker->last_seen = now;
    worker->reports++;
    if (told->beacon)
        return VW_OK;
    worker->new_load += report.new_load;
    worker->rej_load += report.rej_load;
    worker->cur_perf += report.cur_perf;
    worker->load_average += AVERAGE_WEIGHT * (report.cur_load - worker->load_average);
    worker->routed_since = 0;
    return VW_OK;
}

vw_err sim_fleet_delete(struct sim_fleet *fleet, const struct sim_deletions *deletions, double now, vw_error_t *why)
{
    struct sim_worker *worker = find_or_add(fleet, deletions->worker_id, "", now, why);
    size_t i;

    if (!worker)
        return why ? why->code : VW_E_NOMEM;
    worker->last_deleted = now;
    for (i = 0; i < deletions->count; i++) {
        struct sim_deletion deletion = deletions->items[i];

        deletion.told = now;
        worker->deletions++;
        worker->succeeded += deletion.success;
        worker->by_status[deletion.status]++;
        ring_add(&worker->deleted, SIM_DELETIONS_MAX, sizeof deletion, &deletion);
    }
    return VW_OK;
}

size_t sim_fleet_choose(struct sim_fleet *fleet, double now, double stale_s, struct sim_worker **ret)
{
    struct vwi_list *node;
    double least = 0;
    size_t ready = 0;

    *ret = NULL;
    for (node = fleet->workers.next; node != &fleet->workers; node = node->next) {
        struct sim_worker *worker = VWI_CONTAINER(node, struct sim_worker, node);
        double wait;

        if (worker->state != SIM_READY || !*worker->last.url || now - worker->last_seen > stale_s)
            continue;
        ready++;
        wait = (worker->last.cur_load + worker->routed_since) / worker->last.max_perf;
        if (!*ret || wait < least || (wait == least && worker->routed < (*ret)->routed)) {
            *ret = worker;
            least = wait;
        }
    }
    return ready;
}

void sim_fleet_routed(struct sim_fleet *fleet, struct sim_worker *worker, const struct sim_routed *routed)
{
    worker->routed++;
    worker->routed_cost += routed->cost;
    worker->routed_since += routed->cost;
    ring_add(&fleet->routes, SIM_ROUTES_MAX, sizeof *routed, routed);
}
