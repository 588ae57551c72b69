/*
 * Turns: lanes with slots, in each the order of virtual arrival, deadlines over all. Knows no requests.
 * Virtual arrival is arrival, a second earlier for each point of priority: of equals the first comes first, and whoever has waited
 * longer by more than the difference of priorities goes before, so nobody starves.
 * A ticket is embedded in what waits and must be zeroed before its first use; it may be used again once it is out.
 */
#ifndef VWI_CORE_QUEUE_H
#define VWI_CORE_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vastworker/err.h>

#include "base/conf.h"
#include "core/heap.h"
#include "core/priority.h"

struct vwi_queue;

enum vwi_place { VWI_PLACE_OUT, VWI_PLACE_WAITING, VWI_PLACE_RUNNING };

struct vwi_ticket {
    enum vwi_place place; /* may be read by the owner, is written by the queue alone */
    size_t lane;
    struct vwi_heap_node turn, deadline; /* while waiting */
};

/* What is asked for. */
struct vwi_wish {
    size_t lane;
    int priority;        /* higher goes first */
    int64_t deadline_ms; /* for the wait, not for what follows; < 0: none */
};

enum vwi_turn {
    VWI_TURN_RUN,  /* holds a slot now */
    VWI_TURN_WAIT, /* has a place; comes out of vwi_queue_leave or vwi_queue_expired */
    VWI_TURN_FULL, /* the lane's queue is full, or the deadline is not after now: nothing changed */
    VWI_TURN_NOMEM /* nothing changed */
};

struct vwi_lane_counts {
    const char *name; /* lives as long as the queue */
    size_t running, waiting;
    unsigned max_concurrency, max_queue_length;
};

/* lanes is copied. */
vw_err vwi_queue_create(const struct vwi_lane_conf *lanes, size_t count, struct vwi_queue **ret, vw_error_t *why);
void vwi_queue_destroy(struct vwi_queue *q); /* tickets still inside are forgotten */

bool vwi_queue_would_run(const struct vwi_queue *q, size_t lane);
/* The only call that allocates, and only where t has to wait. */
enum vwi_turn vwi_queue_enter(struct vwi_queue *q, struct vwi_ticket *t, const struct vwi_wish *wish, int64_t now_ms);
/*
 * Gives up the place or the slot. Returns NULL, or the ticket whose turn came through it (it holds the slot now).
 * Safe on a ticket that is out. Take the expired ones first, so that none gets a turn after its deadline.
 */
struct vwi_ticket *vwi_queue_leave(struct vwi_queue *q, struct vwi_ticket *t);
/* The slot that from holds is held by to from now on, which is out; from is out then, and may go. Nobody's turn comes. */
void vwi_queue_hand_over(struct vwi_queue *q, struct vwi_ticket *from, struct vwi_ticket *to);
/* A waiting ticket whose deadline is not after now, earliest first, taken out; call until NULL. */
struct vwi_ticket *vwi_queue_expired(struct vwi_queue *q, int64_t now_ms);
int64_t vwi_queue_next_deadline(const struct vwi_queue *q); /* -1: none */

size_t vwi_queue_lane_count(const struct vwi_queue *q);
struct vwi_lane_counts vwi_queue_lane(const struct vwi_queue *q, size_t lane);
size_t vwi_queue_running(const struct vwi_queue *q); /* all lanes */
size_t vwi_queue_waiting(const struct vwi_queue *q);

/* Seconds until work accepted now would start (one estimate over all lanes); 0 when the capacity is not known. */
double vwi_queue_predicted_wait(double in_flight_load, double capacity);

#endif
