/*
 * The listener, one coarse timer for all deadlines, and the counters.
 * The odd thing: each state a connection can be in is a list in order of age, so a tick looks at the heads of a few lists,
 * and a request costs no timer at all. A deadline may be late by one tick.
 */
#include "io/front.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/vwi.h"
#include "io/client.h"

#define ACCEPTS_PER_TURN 64
#define EXTRA_CONNECTIONS 64u /* past the limit, that are told so; more are closed at once */
#define LINGER_MS 2000
#define TICK_MIN_MS 10
#define TICK_MAX_MS 500
#define HEADER_BYTES_DEFAULT (64u * 1024)

static void start_ticking(struct vwi_front *front)
{
    if (front->ticking)
        return;
    front->ticking = true;
    vwi_timer_start(&front->tick, front->tick_ms);
}

/* "203.0.113.7", also for an IPv4 client on an IPv6 socket. */
static void peer_text(const struct sockaddr_storage *from, char *text, size_t size)
{
    const void *any = from;
    const struct sockaddr_in *v4 = any;
    const struct sockaddr_in6 *v6 = any;

    text[0] = '\0';
    if (from->ss_family == AF_INET)
        inet_ntop(AF_INET, &v4->sin_addr, text, (socklen_t)size);
    else if (from->ss_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr))
        inet_ntop(AF_INET, v6->sin6_addr.s6_addr + 12, text, (socklen_t)size);
    else if (from->ss_family == AF_INET6)
        inet_ntop(AF_INET6, &v6->sin6_addr, text, (socklen_t)size);
}

static void take_connection(struct vwi_front *front, int fd, const struct sockaddr_storage *from)
{
    char peer[INET6_ADDRSTRLEN];

    front->stats.accepted++;
    front->accept_warned = false;
    if (front->max_connections && front->stats.connections >= front->max_connections + EXTRA_CONNECTIONS) {
        close(fd);
        return;
    }
    peer_text(from, peer, sizeof peer);
    if (vwi_client_open(front, fd, peer))
        start_ticking(front);
}

/* Out of descriptors or memory: the listener would stay readable, so it is left alone until the next tick. */
static void pause_accepting(struct vwi_front *front, int error)
{
    if (!front->accept_warned)
        vwi_log_warn(front->log, "port %u: cannot accept connections: %s. Remedy: raise the limit of open files (ulimit -n)",
                     (unsigned)front->port, strerror(error));
    front->accept_warned = true;
    event_del(&front->listener);
    front->accept_paused = true;
    start_ticking(front);
}

/* True: there may be more. */
static bool accept_some(struct vwi_front *front, int fd)
{
    int i;

    for (i = 0; i < ACCEPTS_PER_TURN && front->listen_fd >= 0; i++) {
        struct sockaddr_storage from;
        socklen_t len = sizeof from;
        int client = accept4(fd, (struct sockaddr *)&from, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (client >= 0)
            take_connection(front, client, &from);
        else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
            return pause_accepting(front, errno), false;
        else if (errno == EAGAIN || errno == EWOULDBLOCK)
            return false;
    }
    return front->listen_fd >= 0;
}

static void on_accept(evutil_socket_t fd, short what, void *arg)
{
    struct vwi_front *front = arg;

    (void)what;
    vwi_loop_awake(front->loop);
    (void)accept_some(front, fd);
}

/* Connections that are not read: has the client left? */
static void look_at_paused(struct vwi_front *front)
{
    struct vwi_list *node, *next;

    for (node = front->paused.next; node != &front->paused; node = next) {
        struct vwi_client *c = VWI_CONTAINER(node, struct vwi_client, paused_node);
        struct pollfd look = { c->fd, POLLRDHUP, 0 };

        next = node->next;
        if (poll(&look, 1, 0) <= 0)
            continue;
        c->gone = true;
        vwi_client_touch(c);
    }
}

static void expire_old(struct vwi_front *front, enum vwi_client_state state, int64_t now_ms)
{
    while (!vwi_list_empty(&front->states[state])) {
        struct vwi_client *c = VWI_CONTAINER(front->states[state].next, struct vwi_client, node);

        if (now_ms - c->since_ms < front->timeout_ms[state])
            return;
        vwi_client_expire(c);
    }
}

static void on_tick(void *arg)
{
    struct vwi_front *front = arg;
    int64_t now_ms = vwi_loop_ms(front->loop);
    int state;

    front->ticking = false;
    if (front->accept_paused && front->listen_fd >= 0 && event_add(&front->listener, NULL) == 0)
        front->accept_paused = false;
    for (state = 0; state < VWI_CLIENT_STATES; state++) {
        if (front->timeout_ms[state])
            expire_old(front, (enum vwi_client_state)state, now_ms);
    }
    look_at_paused(front);
    if (!front->destroyed && (front->stats.connections || front->accept_paused))
        start_ticking(front);
}

static vw_err refuse_to_listen(const struct vwi_front_conf *conf, int error, vw_error_t *why)
{
    const char *remedy = "check the address and the port";

    if (error == EADDRINUSE)
        remedy = "stop the process that holds the port (ss -ltnp shows it) or choose another port";
    else if (error == EACCES)
        remedy = "choose a port above 1023, or grant the right to bind low ports (CAP_NET_BIND_SERVICE)";
    else if (error == EADDRNOTAVAIL)
        remedy = "no interface here has that address: choose one that `ip address` shows, or leave the address out";
    return vwi_fail(why, VW_E_IO, "cannot listen on %s port %u: %s. Remedy: %s",
                    conf->bind_address ? conf->bind_address : "any address", (unsigned)conf->port, strerror(error), remedy);
}

/* What accepted sockets inherit on Linux is set here, once: no delay, and probes for clients that vanish without a word. */
static int open_listener(const struct sockaddr *addr, socklen_t len)
{
    int on = 1, off = 0, idle_s = 60, interval_s = 15, count = 4, saved;
    int fd = socket(addr->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof idle_s);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval_s, sizeof interval_s);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
    if (addr->sa_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    if (bind(fd, addr, len) == 0 && listen(fd, SOMAXCONN) == 0)
        return fd;
    saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

static int listen_anywhere(uint16_t port)
{
    struct sockaddr_in6 v6;
    struct sockaddr_in v4;
    int fd;

    memset(&v6, 0, sizeof v6);
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port);
    memset(&v4, 0, sizeof v4);
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    fd = open_listener((const struct sockaddr *)(const void *)&v6, sizeof v6);
    if (fd < 0 && errno != EADDRINUSE && errno != EACCES)
        fd = open_listener((const struct sockaddr *)(const void *)&v4, sizeof v4); /* a host without IPv6 */
    return fd;
}

/* -1 with errno; a name that means nothing reads as an address that is not available. */
static int listen_at(const char *address, uint16_t port)
{
    struct addrinfo hints, *list = NULL, *one;
    char service[8];
    int fd = -1, error = EADDRNOTAVAIL;

    memset(&hints, 0, sizeof hints);
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
    snprintf(service, sizeof service, "%u", (unsigned)port);
    if (getaddrinfo(address, service, &hints, &list) == 0) {
        for (one = list; one && fd < 0; one = one->ai_next) {
            fd = open_listener(one->ai_addr, one->ai_addrlen);
            error = fd < 0 ? errno : 0;
        }
        freeaddrinfo(list);
    }
    errno = error;
    return fd;
}

static vw_err start_listening(struct vwi_front *front, const struct vwi_front_conf *conf, vw_error_t *why)
{
    struct event_base *base = vwi_loop_base(front->loop);
    struct sockaddr_storage bound;
    socklen_t len = sizeof bound;
    const void *any = &bound;

    front->listen_fd = conf->bind_address ? listen_at(conf->bind_address, conf->port) : listen_anywhere(conf->port);
    if (front->listen_fd < 0 || getsockname(front->listen_fd, (struct sockaddr *)&bound, &len) != 0)
        return refuse_to_listen(conf, errno, why);
    front->port = ntohs(bound.ss_family == AF_INET6 ? ((const struct sockaddr_in6 *)any)->sin6_port
                                                    : ((const struct sockaddr_in *)any)->sin_port);
    if (event_assign(&front->listener, base, front->listen_fd, EV_READ | EV_PERSIST, on_accept, front) != 0 ||
        event_add(&front->listener, NULL) != 0)
        return vwi_fail(why, VW_E_NOMEM, "listener: out of memory");
    return VW_OK;
}

static void stop_listening(struct vwi_front *front)
{
    if (front->listen_fd < 0)
        return;
    if (event_initialized(&front->listener))
        event_del(&front->listener);
    close(front->listen_fd);
    front->listen_fd = -1;
    front->accept_paused = false;
}

static int64_t to_ms(double seconds)
{
    return seconds > 0 && seconds < 0.001 ? 1 : (int64_t)(seconds * 1000); /* 0 stays: off */
}

static void set_limits(struct vwi_front *front, const struct vwi_front_conf *conf)
{
    int64_t shortest = TICK_MAX_MS * 4;
    int state;

    front->max_connections = conf->max_connections;
    front->budget.max_bytes = conf->max_buffered_bytes;
    front->http.max_body_bytes = conf->max_body_bytes;
    front->http.max_header_bytes = conf->max_header_bytes ? conf->max_header_bytes : HEADER_BYTES_DEFAULT;
    front->http.budget = &front->budget;
    front->timeout_ms[VWI_CLIENT_IDLE] = to_ms(conf->client_idle_s);
    front->timeout_ms[VWI_CLIENT_HEAD] = to_ms(conf->client_header_s);
    front->timeout_ms[VWI_CLIENT_BODY] = to_ms(conf->client_body_s);
    front->timeout_ms[VWI_CLIENT_BLOCKED] = front->timeout_ms[VWI_CLIENT_BODY];
    front->timeout_ms[VWI_CLIENT_LINGER] = LINGER_MS;
    for (state = 0; state < VWI_CLIENT_STATES; state++) {
        if (front->timeout_ms[state] && front->timeout_ms[state] < shortest)
            shortest = front->timeout_ms[state];
    }
    front->tick_ms = shortest / 4 < TICK_MIN_MS ? TICK_MIN_MS : shortest / 4;
}

vw_err vwi_front_create(struct vwi_loop *loop, const struct vwi_front_conf *conf, const struct vwi_front_events *events,
                        void *arg, const struct vwi_log *log, struct vwi_front **ret, vw_error_t *why)
{
    struct vwi_front *front = vwi_zalloc(sizeof *front);
    vw_err err = VW_E_NOMEM;
    int state;

    if (!front)
        return vwi_fail(why, VW_E_NOMEM, "listener: out of memory");
    front->loop = loop;
    front->log = log;
    front->events = *events;
    front->arg = arg;
    front->listen_fd = -1;
    for (state = 0; state < VWI_CLIENT_STATES; state++)
        vwi_list_init(&front->states[state]);
    vwi_list_init(&front->paused);
    vwi_list_init(&front->again);
    set_limits(front, conf);
    front->scratch = vwi_alloc(VWI_CLIENT_SCRATCH_BYTES);
    if (!front->scratch || vwi_timer_init(&front->tick, loop, on_tick, front) != VW_OK) {
        err = vwi_fail(why, VW_E_NOMEM, "listener: out of memory");
        goto out;
    }
    err = start_listening(front, conf, why);
    if (err != VW_OK)
        goto out;
    *ret = front;
    front = NULL;
out:
    vwi_front_destroy(front);
    return err;
}

void vwi_front_hold(struct vwi_front *front)
{
    event_del(&front->listener);
    front->held = true;
}

vw_err vwi_front_use_tls(struct vwi_front *front, struct vwi_tls *tls, vw_error_t *why)
{
    if (!front->next_turn.ev && vwi_timer_init(&front->next_turn, front->loop, vwi_client_next_turn, front) != VW_OK)
        return vwi_fail(why, VW_E_NOMEM, "listener: out of memory");
    front->tls = tls;
    if (front->held && front->listen_fd >= 0 && event_add(&front->listener, NULL) != 0)
        return vwi_fail(why, VW_E_NOMEM, "listener: out of memory");
    front->held = false;
    return VW_OK;
}

uint16_t vwi_front_port(const struct vwi_front *front) { return front->port; }

/* Nobody has an exchange in these states, so nothing here calls the user. */
static void retire_unused(struct vwi_front *front, enum vwi_client_state state)
{
    struct vwi_list *node, *next;

    for (node = front->states[state].next; node != &front->states[state]; node = next) {
        next = node->next;
        vwi_client_retire(VWI_CONTAINER(node, struct vwi_client, node));
    }
}

void vwi_front_drain(struct vwi_front *front)
{
    front->stopping = true;
    retire_unused(front, VWI_CLIENT_IDLE);
}

/* Closing a listener resets those that wait in it, who may have sent a request: they are taken first. */
void vwi_front_stop_accepting(struct vwi_front *front)
{
    if (front->listen_fd >= 0 && !front->held && !front->accept_paused)
        while (accept_some(front, front->listen_fd))
            continue;
    stop_listening(front);
    vwi_front_drain(front);
    retire_unused(front, VWI_CLIENT_HEAD);
}

struct vwi_front_stats vwi_front_stats(const struct vwi_front *front)
{
    struct vwi_front_stats stats = front->stats;

    stats.buffered_bytes = front->budget.used_bytes;
    return stats;
}

static void free_front(void *arg) { vwi_free(arg); }

void vwi_front_destroy(struct vwi_front *front)
{
    int state;

    if (!front)
        return;
    front->destroyed = front->stopping = true;
    stop_listening(front);
    vwi_timer_fini(&front->tick);
    vwi_timer_fini(&front->next_turn);
    for (state = 0; state < VWI_CLIENT_STATES; state++) {
        while (!vwi_list_empty(&front->states[state])) {
            struct vwi_client *c = VWI_CONTAINER(front->states[state].next, struct vwi_client, node);

            vwi_client_end_exchange(c);
            if (c->state != VWI_CLIENT_CLOSED)
                vwi_client_close(c);
        }
    }
    vwi_text_fini(&front->head);
    vwi_free(front->scratch);
    vwi_loop_bury(front->loop, &front->burial, free_front, front); /* a callback of ours may be running */
}
