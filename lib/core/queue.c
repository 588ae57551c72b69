/*
 * Invariant: a lane has someone waiting only while all its slots are taken, because whoever leaves a slot hands it on at once.
 * Each lane has a heap of turns, and all lanes share one of deadlines; their memory grows in vwi_queue_enter alone, so that leaving
 * can never fail. While nobody waits no heap is touched.
 */
#include "core/queue.h"

#include <math.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/vwi.h"

struct lane {
    char *name;
    unsigned max_concurrency, max_queue_length;
    size_t running;
    struct vwi_heap line; /* who waits, by virtual arrival */
};

struct vwi_queue {
    struct lane *lanes;
    size_t lane_count;
    size_t running, waiting;
    struct vwi_heap deadlines; /* of those who wait, where they have one */
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
    for (i = 0; i < q->lane_count; i++) {
        vwi_free(q->lanes[i].name);
        vwi_heap_fini(&q->lanes[i].line);
    }
    vwi_free(q->lanes);
    vwi_heap_fini(&q->deadlines);
    vwi_free(q);
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
    vwi_heap_remove(&lane->line, &t->turn);
    vwi_heap_remove(&q->deadlines, &t->deadline);
    q->waiting--;
    t->place = VWI_PLACE_OUT;
}

bool vwi_queue_would_run(const struct vwi_queue *q, size_t lane)
{
    return VWI_EXPECT(lane < q->lane_count) && has_slot(&q->lanes[lane]);
}

/* Where it stands in line: as if it had come so many seconds earlier, or later. */
static int64_t virtual_arrival(int64_t now_ms, int priority) { return now_ms - (int64_t)priority * VWI_PRIORITY_POINT_MS; }

static enum vwi_turn wait_in(struct vwi_queue *q, struct lane *lane, struct vwi_ticket *t, const struct vwi_wish *wish, int64_t now_ms)
{
    bool timed = wish->deadline_ms >= 0;

    if (lane->line.count >= lane->max_queue_length || (timed && wish->deadline_ms <= now_ms))
        return VWI_TURN_FULL;
    if (!vwi_heap_reserve(&lane->line) || (timed && !vwi_heap_reserve(&q->deadlines)))
        return VWI_TURN_NOMEM;
    vwi_heap_put(&lane->line, &t->turn, virtual_arrival(now_ms, wish->priority), q->serial);
    if (timed)
        vwi_heap_put(&q->deadlines, &t->deadline, wish->deadline_ms, q->serial);
    q->serial++;
    q->waiting++;
    t->lane = wish->lane;
    t->place = VWI_PLACE_WAITING;
    return VWI_TURN_WAIT;
}

enum vwi_turn vwi_queue_enter(struct vwi_queue *q, struct vwi_ticket *t, const struct vwi_wish *wish, int64_t now_ms)
{
    struct lane *lane;

    if (!VWI_EXPECT(wish->lane < q->lane_count) || !VWI_EXPECT(t->place == VWI_PLACE_OUT))
        return VWI_TURN_FULL;
    lane = &q->lanes[wish->lane];
    if (!has_slot(lane))
        return wait_in(q, lane, t, wish, now_ms);
    t->lane = wish->lane;
    take_slot(q, lane, t);
    return VWI_TURN_RUN;
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
    if (lane->line.count) {
        next = VWI_CONTAINER(vwi_heap_first(&lane->line), struct vwi_ticket, turn);
        give_up_place(q, lane, next);
        take_slot(q, lane, next);
    }
    return next;
}

void vwi_queue_hand_over(struct vwi_queue *q, struct vwi_ticket *from, struct vwi_ticket *to)
{
    if (!VWI_EXPECT(from->place == VWI_PLACE_RUNNING) || !VWI_EXPECT(to->place == VWI_PLACE_OUT) || !VWI_EXPECT(from->lane < q->lane_count))
        return;
    to->lane = from->lane;
    to->place = VWI_PLACE_RUNNING;
    from->place = VWI_PLACE_OUT;
}

struct vwi_ticket *vwi_queue_expired(struct vwi_queue *q, int64_t now_ms)
{
    struct vwi_heap_node *first = vwi_heap_first(&q->deadlines);
    struct vwi_ticket *t;

    if (!first || first->key > now_ms)
        return NULL;
    t = VWI_CONTAINER(first, struct vwi_ticket, deadline);
    give_up_place(q, &q->lanes[t->lane], t);
    return t;
}

int64_t vwi_queue_next_deadline(const struct vwi_queue *q)
{
    const struct vwi_heap_node *first = vwi_heap_first(&q->deadlines);

    return first ? first->key : -1;
}

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
    counts.waiting = of->line.count;
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
