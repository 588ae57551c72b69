/*
 * The odd thing: an idle connection keeps its read event, so that a model that closes it is noticed without asking; what
 * happened since the last turn of the loop is found by the look before reuse.
 */
#include "io/pool.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/vwi.h"

vw_err vwi_pool_init(struct vwi_pool *pool, struct vwi_loop *loop, const struct vwi_model_conf *conf,
                     const struct vwi_pool_events *events, vw_error_t *why)
{
    pool->loop = loop;
    pool->events = events;
    pool->idle_max = conf->idle_connections > 0 ? (unsigned)conf->idle_connections : 0;
    vwi_list_init(&pool->idle);
    return vwi_dialer_create(loop, conf, &pool->dialer, why);
}

static struct vwi_pool_conn *at(struct vwi_list *node) { return VWI_CONTAINER(node, struct vwi_pool_conn, node); }

void vwi_pool_fini(struct vwi_pool *pool)
{
    while (pool->idle.next && !vwi_list_empty(&pool->idle))
        vwi_pool_close(at(pool->idle.next));
    vwi_dialer_destroy(pool->dialer);
    pool->dialer = NULL;
}

static void free_conn(void *arg)
{
    struct vwi_pool_conn *conn = arg;

    vwi_http1_answer_destroy(conn->answer);
    vwi_free(conn);
}

void vwi_pool_close(struct vwi_pool_conn *conn)
{
    struct vwi_pool *pool = conn->pool;

    vwi_dial_stop(&conn->dial);
    if (conn->fd >= 0) {
        event_del(&conn->read_ev);
        event_del(&conn->write_ev);
        close(conn->fd);
        conn->fd = -1;
    }
    if (conn->lease) {
        conn->lease = NULL;
        pool->active_count--;
    } else {
        vwi_list_del(&conn->node);
        pool->idle_count--;
    }
    vwi_loop_bury(pool->loop, &conn->burial, free_conn, conn);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct vwi_pool_conn *conn = arg;

    (void)fd, (void)what;
    if (conn->fd < 0)
        return;
    vwi_loop_awake(conn->pool->loop);
    if (conn->lease)
        conn->pool->events->on_readable(conn->lease);
    else
        vwi_pool_close(conn); /* closed by the model, or bytes nobody asked for */
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    struct vwi_pool_conn *conn = arg;

    (void)fd, (void)what;
    vwi_loop_awake(conn->pool->loop);
    if (conn->fd >= 0 && conn->lease)
        conn->pool->events->on_writable(conn->lease);
}

static bool watch(struct event *ev, bool *state, bool on)
{
    if (*state == on)
        return true;
    if ((on ? event_add(ev, NULL) : event_del(ev)) != 0)
        return false;
    *state = on;
    return true;
}

bool vwi_pool_watch_read(struct vwi_pool_conn *conn, bool on) { return watch(&conn->read_ev, &conn->reading, on); }
bool vwi_pool_watch_write(struct vwi_pool_conn *conn, bool on) { return watch(&conn->write_ev, &conn->writing, on); }

/* A connection with nothing to say is alive; end of file, an error or stray bytes mean dead. */
static bool looks_alive(const struct vwi_pool_conn *conn)
{
    char byte;

    return recv(conn->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

static void lend(struct vwi_pool_conn *conn, struct vwi_lease *lease)
{
    conn->lease = lease;
    conn->pool->active_count++;
}

struct vwi_pool_conn *vwi_pool_take(struct vwi_pool *pool, struct vwi_lease *lease, int64_t now_ms)
{
    while (!vwi_list_empty(&pool->idle)) {
        struct vwi_pool_conn *conn = at(pool->idle.prev);

        if (now_ms < conn->expires_ms && looks_alive(conn)) {
            vwi_list_del(&conn->node);
            pool->idle_count--;
            conn->reused = true;
            lend(conn, lease);
            return conn;
        }
        vwi_pool_close(conn);
    }
    return NULL;
}

static void on_dialed(void *arg, int fd, const char *text)
{
    struct vwi_pool_conn *conn = arg;
    struct event_base *base = vwi_loop_base(conn->pool->loop);

    if (fd >= 0) {
        conn->fd = fd;
        event_assign(&conn->read_ev, base, fd, EV_READ | EV_PERSIST, on_readable, conn);
        event_assign(&conn->write_ev, base, fd, EV_WRITE | EV_PERSIST, on_writable, conn);
    }
    conn->pool->events->on_dialed(conn->lease, fd >= 0, text);
}

bool vwi_pool_dial(struct vwi_pool *pool, struct vwi_lease *lease, struct vwi_pool_conn **ret, int64_t deadline_ms)
{
    struct vwi_pool_conn *conn = vwi_zalloc(sizeof *conn);

    if (!conn)
        return false;
    conn->answer = vwi_http1_answer_create(&pool->events->answer, conn);
    if (!conn->answer) {
        vwi_free(conn);
        return false;
    }
    conn->pool = pool;
    conn->fd = -1;
    vwi_list_init(&conn->node);
    lend(conn, lease);
    *ret = conn;
    vwi_dial_start(&conn->dial, pool->dialer, deadline_ms, on_dialed, conn);
    return true;
}

void vwi_pool_give(struct vwi_pool_conn *conn, int64_t now_ms)
{
    struct vwi_pool *pool = conn->pool;

    conn->lease = NULL;
    pool->active_count--;
    vwi_list_add(&pool->idle, &conn->node);
    pool->idle_count++;
    conn->expires_ms = now_ms + conn->keep_ms;
    if (conn->keep_ms <= 0 || !vwi_pool_watch_read(conn, true) || !vwi_pool_watch_write(conn, false))
        vwi_pool_close(conn);
    else if (pool->idle_count > pool->idle_max)
        vwi_pool_close(at(pool->idle.next));
}

void vwi_pool_expire(struct vwi_pool *pool, int64_t now_ms)
{
    struct vwi_list *node = pool->idle.next, *next;

    for (; node != &pool->idle; node = next) {
        next = node->next;
        if (now_ms >= at(node)->expires_ms)
            vwi_pool_close(at(node));
    }
}
