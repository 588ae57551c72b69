/*
 * Invariant: a lane has someone waiting only while all its slots are taken, because whoever leaves a slot hands it on at once.
 * The heap is one for all lanes; its memory grows in vwi_queue_enter alone, so that leaving can never fail.
 */
#include "core/queue.h"

#include <math.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/vwi.h"

struct lane {
    char *name;
    unsigned max_concurrency, max_queue_length;
    size_t running, waiting;
    struct vwi_list line; /* tickets, first come first */
};

struct vwi_queue {
    struct lane *lanes;
    size_t lane_count;
    size_t running, waiting;
    struct vwi_ticket **heap; /* heap[0] has the earliest deadline */
    size_t heap_len, heap_cap;
    uint64_t serial;
};

vw_err vwi_queue_create(const struct vwi_lane_conf *lanes, size_t count, struct vwi_queue **ret, vw_error_t *why)
{
    struct vwi_queue *q = vwi_zalloc(sizeof(*q));
    vw_err err = VW_OK;
    size_t i;

    if (!q)
        return vwi_fail(why, VW_E_NOMEM, "out of memory");
    q->lanes = vwi_zalloc(count * sizeof(*q->lanes));
    for (i = 0; q->lanes && i < count; i++) {
        struct lane *lane = &q->lanes[i];

        lane->name = vwi_strdup(lanes[i].name ? lanes[i].name : "");
        if (!lane->name)
            break;
        lane->max_concurrency = lanes[i].max_concurrency;
        lane->max_queue_length = lanes[i].max_queue_length;
        vwi_list_init(&lane->line);
        q->lane_count++;
    }
    if (q->lane_count < count || !q->lanes) {
        err = vwi_fail(why, VW_E_NOMEM, "out of memory");
        goto out;
    }
    *ret = q;
    q = NULL;
out:
    vwi_queue_destroy(q);
    return err;
}

void vwi_queue_destroy(struct vwi_queue *q)
{
    size_t i;

    if (!q)
        return;
    for (i = 0; i < q->lane_count; i++)
        vwi_free(q->lanes[i].name);
    vwi_free(q->lanes);
    vwi_free(q->heap);
    vwi_free(q);
}

static bool earlier(const struct vwi_ticket *a, const struct vwi_ticket *b)
{
    return a->deadline_ms != b->deadline_ms ? a->deadline_ms < b->deadline_ms : a->serial < b->serial;
}

static void heap_put(struct vwi_queue *q, size_t at, struct vwi_ticket *t)
{
    q->heap[at] = t;
    t->heap_at = at + 1;
}

static void heap_up(struct vwi_queue *q, size_t at, struct vwi_ticket *t)
{
    while (at > 0) {
        size_t parent = (at - 1) / 2;

        if (!earlier(t, q->heap[parent]))
            break;
        heap_put(q, at, q->heap[parent]);
        at = parent;
    }
    heap_put(q, at, t);
}

static void heap_down(struct vwi_queue *q, size_t at, struct vwi_ticket *t)
{
    for (;;) {
        size_t child = 2 * at + 1;

        if (child + 1 < q->heap_len && earlier(q->heap[child + 1], q->heap[child]))
            child++;
        if (child >= q->heap_len || !earlier(q->heap[child], t))
            break;
        heap_put(q, at, q->heap[child]);
        at = child;
    }
    heap_put(q, at, t);
}

static bool heap_reserve(struct vwi_queue *q)
{
    size_t cap = q->heap_cap ? q->heap_cap * 2 : 64;
    struct vwi_ticket **heap;

    if (q->heap_len < q->heap_cap)
        return true;
    heap = vwi_realloc(q->heap, cap * sizeof(*heap));
    if (!heap)
        return false;
    q->heap = heap;
    q->heap_cap = cap;
    return true;
}

static void heap_remove(struct vwi_queue *q, struct vwi_ticket *t)
{
    struct vwi_ticket *last;
    size_t at = t->heap_at;

    if (at == 0)
        return;
    at--;
    t->heap_at = 0;
    last = q->heap[--q->heap_len];
    if (last == t)
        return;
    if (at > 0 && earlier(last, q->heap[(at - 1) / 2]))
        heap_up(q, at, last);
    else
        heap_down(q, at, last);
}

static bool has_slot(const struct lane *lane)
{
    return lane->max_concurrency == 0 || lane->running < lane->max_concurrency;
}

static void take_slot(struct vwi_queue *q, struct lane *lane, struct vwi_ticket *t)
{
    lane->running++;
    q->running++;
    t->place = VWI_PLACE_RUNNING;
}

static void give_up_place(struct vwi_queue *q, struct lane *lane, struct vwi_ticket *t)
{
    vwi_list_del(&t->node);
    heap_remove(q, t);
    lane->waiting--;
    q->waiting--;
    t->place = VWI_PLACE_OUT;
}

bool vwi_queue_would_run(const struct vwi_queue *q, size_t lane)
{
    return VWI_EXPECT(lane < q->lane_count) && has_slot(&q->lanes[lane]);
}

enum vwi_turn vwi_queue_enter(struct vwi_queue *q, struct vwi_ticket *t, size_t lane, int64_t now_ms, int64_t deadline_ms)
{
    struct lane *into;

    if (!VWI_EXPECT(lane < q->lane_count) || !VWI_EXPECT(t->place == VWI_PLACE_OUT))
        return VWI_TURN_FULL;
    into = &q->lanes[lane];
    if (!has_slot(into)) {
        if (into->waiting >= into->max_queue_length || (deadline_ms >= 0 && deadline_ms <= now_ms))
            return VWI_TURN_FULL;
        if (deadline_ms >= 0 && !heap_reserve(q))
            return VWI_TURN_NOMEM;
    }
    t->lane = lane;
    t->deadline_ms = deadline_ms;
    t->serial = q->serial++;
    t->heap_at = 0;
    vwi_list_init(&t->node);
    if (has_slot(into)) {
        take_slot(q, into, t);
        return VWI_TURN_RUN;
    }
    vwi_list_add(&into->line, &t->node);
    into->waiting++;
    q->waiting++;
    t->place = VWI_PLACE_WAITING;
    if (deadline_ms >= 0)
        heap_up(q, q->heap_len++, t);
    return VWI_TURN_WAIT;
}

struct vwi_ticket *vwi_queue_leave(struct vwi_queue *q, struct vwi_ticket *t)
{
    struct vwi_ticket *next = NULL;
    struct lane *lane;

    if (t->place == VWI_PLACE_OUT)
        return NULL;
    lane = &q->lanes[t->lane];
    if (t->place == VWI_PLACE_WAITING) {
        give_up_place(q, lane, t);
        return NULL;
    }
    t->place = VWI_PLACE_OUT;
    lane->running--;
    q->running--;
    if (!vwi_list_empty(&lane->line)) {
        next = VWI_CONTAINER(lane->line.next, struct vwi_ticket, node);
        give_up_place(q, lane, next);
        take_slot(q, lane, next);
    }
    return next;
}

struct vwi_ticket *vwi_queue_expired(struct vwi_queue *q, int64_t now_ms)
{
    struct vwi_ticket *t;

    if (q->heap_len == 0 || q->heap[0]->deadline_ms > now_ms)
        return NULL;
    t = q->heap[0];
    give_up_place(q, &q->lanes[t->lane], t);
    return t;
}

int64_t vwi_queue_next_deadline(const struct vwi_queue *q) { return q->heap_len ? q->heap[0]->deadline_ms : -1; }
size_t vwi_queue_lane_count(const struct vwi_queue *q) { return q->lane_count; }
size_t vwi_queue_running(const struct vwi_queue *q) { return q->running; }
size_t vwi_queue_waiting(const struct vwi_queue *q) { return q->waiting; }

struct vwi_lane_counts vwi_queue_lane(const struct vwi_queue *q, size_t lane)
{
    struct vwi_lane_counts counts = { "", 0, 0, 0, 0 };
    const struct lane *of;

    if (!VWI_EXPECT(lane < q->lane_count))
        return counts;
    of = &q->lanes[lane];
    counts.name = of->name;
    counts.running = of->running;
    counts.waiting = of->waiting;
    counts.max_concurrency = of->max_concurrency;
    counts.max_queue_length = of->max_queue_length;
    return counts;
}

double vwi_queue_predicted_wait(double in_flight_load, double capacity)
{
    if (!isfinite(capacity) || capacity <= 0 || !(in_flight_load > 0))
        return 0;
    return fmin(in_flight_load / capacity, 1e9); /* thirty years are enough, and finite */
}
