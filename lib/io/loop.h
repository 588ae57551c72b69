/* One event base, timers, a door for other threads, and burial of objects after the turn. */
#ifndef VWI_IO_LOOP_H
#define VWI_IO_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include <vastworker/err.h>

struct event_base;
struct event;
struct vwi_loop;

typedef void (*vwi_loop_fn)(void *arg);

vw_err vwi_loop_create(struct vwi_loop **ret, vw_error_t *why);
void vwi_loop_destroy(struct vwi_loop *loop); /* runs outstanding posts and burials */
vw_err vwi_loop_run(struct vwi_loop *loop);   /* until vwi_loop_stop */
bool vwi_loop_turn(struct vwi_loop *loop, bool wait); /* one turn, of what is due or comes; run is made of them */
void vwi_loop_stop(struct vwi_loop *loop);    /* loop thread */
struct event_base *vwi_loop_base(struct vwi_loop *loop);

/* Any thread: run fn on the loop thread soon. False only when out of memory. */
bool vwi_loop_post(struct vwi_loop *loop, vwi_loop_fn fn, void *arg);
/* Async-signal-safe: set a flag bit; on_flags (set once) is called on the loop thread with the bits. */
void vwi_loop_signal(struct vwi_loop *loop, unsigned bits);
void vwi_loop_on_signal(struct vwi_loop *loop, void (*fn)(void *arg, unsigned bits), void *arg);

/* After each turn, with the CPU time it cost this thread and the time it took without the wait. Set before vwi_loop_run. */
void vwi_loop_on_turn(struct vwi_loop *loop, void (*fn)(void *arg, double cpu_s, double wall_s), void *arg);
/* First thing in a callback of an event of one's own: with the first of them a turn stops waiting. Timers do it themselves. */
void vwi_loop_awake(struct vwi_loop *loop);
/* Loop thread: when this turn stopped waiting, on the clock of vwi_mono_ms. For time-outs, whose start may be a turn too early: the
 * clock is read once a turn instead of six times a request. */
int64_t vwi_loop_ms(struct vwi_loop *loop);

/* Loop thread: run fn(arg) after the callbacks of this turn, usually to free arg; in the order of the calls. Cannot fail: the node is the
 * caller's. */
struct vwi_burial {
    struct vwi_burial *next;
    vwi_loop_fn fn;
    void *arg;
};
void vwi_loop_bury(struct vwi_loop *loop, struct vwi_burial *node, vwi_loop_fn fn, void *arg);
void vwi_loop_run_burials(struct vwi_loop *loop); /* teardown: now, not inside a callback of the loop */

struct vwi_timer {
    struct event *ev;
    struct vwi_loop *loop;
    vwi_loop_fn fn;
    void *arg;
};
vw_err vwi_timer_init(struct vwi_timer *t, struct vwi_loop *loop, vwi_loop_fn fn, void *arg);
void vwi_timer_start(struct vwi_timer *t, int64_t ms); /* one shot; restarts when already running */
void vwi_timer_stop(struct vwi_timer *t);
void vwi_timer_fini(struct vwi_timer *t); /* safe on a zeroed struct */

#endif
