/*
 * Connections to the model server: made, lent to one lease at a time, kept while idle, closed. Idle ones are bounded by number
 * and by age; the last one given back is the first one taken, so that a quiet worker lets the rest grow old.
 */
#ifndef VWI_IO_POOL_H
#define VWI_IO_POOL_H

#include <event2/event_struct.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "io/dial.h"
#include "io/http1_answer.h"
#include "io/loop.h"

struct vwi_lease;

struct vwi_pool_events { /* never called for an idle connection */
    void (*on_dialed)(struct vwi_lease *lease, bool connected, const char *text);
    void (*on_readable)(struct vwi_lease *lease);
    void (*on_writable)(struct vwi_lease *lease);
    struct vwi_http1_answer_events answer; /* their arg is the connection */
};

struct vwi_pool {
    struct vwi_loop *loop;
    struct vwi_dialer *dialer;
    const struct vwi_pool_events *events;
    struct vwi_list idle; /* oldest first */
    unsigned idle_count, idle_max, active_count;
};

struct vwi_pool_conn {
    struct vwi_pool *pool;
    struct vwi_list node;    /* in idle */
    struct vwi_lease *lease; /* NULL: idle */
    struct vwi_dial dial;
    struct event read_ev, write_ev;
    struct vwi_http1_answer *answer;
    struct vwi_burial burial;
    int fd;
    bool reused, reading, writing;
    int64_t keep_ms;    /* how long it may lie idle */
    int64_t expires_ms; /* while idle */
};

vw_err vwi_pool_init(struct vwi_pool *pool, struct vwi_loop *loop, const struct vwi_model_conf *conf,
                     const struct vwi_pool_events *events, vw_error_t *why);
void vwi_pool_fini(struct vwi_pool *pool); /* closes the idle ones; none may be lent */

/* A live idle one, or NULL. */
struct vwi_pool_conn *vwi_pool_take(struct vwi_pool *pool, struct vwi_lease *lease, int64_t now_ms);
/* A new connection, connecting; on_dialed tells, perhaps before this returns. False: out of memory. */
bool vwi_pool_dial(struct vwi_pool *pool, struct vwi_lease *lease, struct vwi_pool_conn **ret, int64_t deadline_ms);
void vwi_pool_give(struct vwi_pool_conn *conn, int64_t now_ms); /* the answer was read in full and nothing behind it */
void vwi_pool_close(struct vwi_pool_conn *conn);                /* at once; the memory goes after the turn */
void vwi_pool_expire(struct vwi_pool *pool, int64_t now_ms);

bool vwi_pool_watch_read(struct vwi_pool_conn *conn, bool on);
bool vwi_pool_watch_write(struct vwi_pool_conn *conn, bool on);

#define VWI_POOL_KEEP_MS 60000 /* when the model does not say Keep-Alive: timeout= */

#endif
