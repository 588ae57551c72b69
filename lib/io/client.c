/*
 * The life of a client connection: what arrives, when the exchange begins and ends, and how the connection is left.
 * The odd thing: reading goes on while the user has the request, because a read is how a leaving client is noticed (waiting
 * for a hang-up alone misses a reset). Only a client that sends far ahead is left unread, and is then looked at by the tick.
 */
#include "io/client.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/vwi.h"
#include "io/send.h"

#define AHEAD_BYTES (64u * 1024)       /* kept of later requests before reading stops */
#define DISCARD_BYTES (4u * 1024 * 1024) /* read and dropped after a refusal */
#define REQUESTS_PER_TURN 32

static const struct row {
    const char *name;
    unsigned next; /* bit set of successors */
} rows[] = {
#define TO(state) VWI_BIT(VWI_CLIENT_##state)
    [VWI_CLIENT_IDLE] = { "idle", TO(HEAD) | TO(LINGER) | TO(CLOSED) },
    [VWI_CLIENT_HEAD] = { "head", TO(BODY) | TO(BUSY) | TO(LINGER) | TO(CLOSED) },
    [VWI_CLIENT_BODY] = { "body", TO(BODY) | TO(BUSY) | TO(BLOCKED) | TO(LINGER) | TO(CLOSED) },
    [VWI_CLIENT_BUSY] = { "busy", TO(BODY) | TO(BLOCKED) | TO(IDLE) | TO(HEAD) | TO(LINGER) | TO(CLOSED) },
    [VWI_CLIENT_BLOCKED] = { "blocked", TO(BLOCKED) | TO(BUSY) | TO(IDLE) | TO(HEAD) | TO(LINGER) | TO(CLOSED) },
    [VWI_CLIENT_LINGER] = { "linger", TO(CLOSED) },
    [VWI_CLIENT_CLOSED] = { "closed", 0 },
#undef TO
};

void vwi_client_go(struct vwi_client *c, enum vwi_client_state to)
{
    struct vwi_front *front = c->front;

    if (!VWI_EXPECT(rows[c->state].next & VWI_BIT(to)))
        return;
    vwi_log_debug(front->log, "client %s fd %d: %s -> %s", c->peer, c->fd, rows[c->state].name, rows[to].name);
    vwi_list_del(&c->node);
    vwi_list_add(&front->states[to], &c->node);
    c->state = to;
    if (front->timeout_ms[to])
        c->since_ms = vwi_loop_ms(front->loop);
}

static void on_later(void *arg)
{
    struct vwi_client *c = arg;

    c->later_pending = false;
    if (c->state == VWI_CLIENT_CLOSED)
        vwi_free(c);
    else
        vwi_client_settle(c);
}

static void ask_later(struct vwi_client *c)
{
    if (c->later_pending)
        return;
    c->later_pending = true;
    vwi_loop_bury(c->front->loop, &c->later, on_later, c);
}

void vwi_client_touch(struct vwi_client *c)
{
    if (!c->inside)
        ask_later(c);
}

static void stop_reading(struct vwi_client *c)
{
    if (!vwi_list_empty(&c->paused_node))
        return;
    event_del(&c->rd);
    vwi_list_add(&c->front->paused, &c->paused_node);
}

/* Nothing is to be read now: too much was sent ahead, or nobody has asked for (more of) the body. */
static bool is_held_back(const struct vwi_client *c)
{
    if (c->tls && vwi_tls_link_owes(c->tls))
        return true;
    if (c->http.state == VWI_HTTP1_DONE)
        return vwi_http1_ahead(&c->http) >= AHEAD_BYTES;
    return c->http.state == VWI_HTTP1_BODY && c->ex.phase != VWI_EXCHANGE_NONE &&
           (!c->ex.reading || (c->http.streamed && vwi_http1_body(&c->http).len));
}

static void resume_reading(struct vwi_client *c)
{
    if (vwi_list_empty(&c->paused_node) || is_held_back(c))
        return;
    vwi_list_del(&c->paused_node);
    if (event_add(&c->rd, NULL) != 0)
        c->lost = true;
    if (c->tls)
        vwi_client_look_again(c);
}

/* Bytes of ours are waiting for the client to take some: there is a deadline for that. */
static bool waits_for_the_kernel(const struct vwi_client *c) { return c->armed && vwi_client_backlog(c); }

/* The deadline for a body runs only while it is being read. */
void vwi_client_read_body(struct vwi_client *c)
{
    bool receiving = c->http.state == VWI_HTTP1_BODY && !is_held_back(c);

    if (c->state == VWI_CLIENT_CLOSED || c->state == VWI_CLIENT_LINGER || c->ex.phase == VWI_EXCHANGE_NONE)
        return;
    if (receiving)
        resume_reading(c);
    else if (is_held_back(c))
        stop_reading(c);
    if (receiving && c->state == VWI_CLIENT_BUSY && !c->http.tunnel)
        vwi_client_go(c, VWI_CLIENT_BODY);
    else if (!receiving && c->state == VWI_CLIENT_BODY)
        vwi_client_go(c, waits_for_the_kernel(c) ? VWI_CLIENT_BLOCKED : VWI_CLIENT_BUSY);
    if (receiving && c->http.expects_continue)
        vwi_client_touch(c);
}

void vwi_client_close(struct vwi_client *c)
{
    event_del(&c->rd);
    event_del(&c->wr);
    if (c->tls)
        vwi_client_end_tls(c);
    close(c->fd);
    c->fd = -1;
    vwi_list_del(&c->paused_node);
    vwi_http1_fini(&c->http);
    vwi_free(c->out);
    c->out = NULL;
    c->front->stats.connections--;
    vwi_client_go(c, VWI_CLIENT_CLOSED);
    vwi_list_del(&c->node);
    ask_later(c);
}

/* Our side is done; give the client a while to read the reply before a close could reset it away. */
static void linger(struct vwi_client *c)
{
    c->id = (struct vwi_span){ NULL, 0 };
    vwi_http1_fini(&c->http); /* leaves nothing ahead */
    resume_reading(c);
    vwi_client_go(c, VWI_CLIENT_LINGER);
}

void vwi_client_name_request(struct vwi_client *c)
{
    struct vwi_span said = { NULL, 0 };

    if (c->id.len)
        return;
    if (c->http.head_done)
        said = vwi_http1_header(&c->http, "x-request-id");
    if (vwi_request_id_is_good(said))
        c->id = said;
    else if (vwi_request_id_make(&c->front->ids, c->made_id))
        c->id = (struct vwi_span){ c->made_id, sizeof c->made_id };
}

void vwi_client_refuse(struct vwi_client *c, int status, const char *reason, const char *message)
{
    struct vwi_text headers = VWI_TEXT_INIT, body = VWI_TEXT_INIT;
    struct vwi_span head;
    struct iovec parts[2];

    vwi_client_name_request(c);
    c->front->events.on_refuse(c->front->arg, status, reason, message, &headers, &body);
    head = vwi_client_build_head(c, status, headers.failed ? NULL : headers.p, (int64_t)body.len, false);
    parts[0] = vwi_part(head.p, head.len);
    parts[1] = vwi_part(body.p, body.len);
    vwi_client_send(c, parts, body.len && !vwi_http1_is_head(&c->http) ? 2 : 1);
    vwi_text_fini(&headers);
    vwi_text_fini(&body);
    if (c->front->events.on_refused)
        c->front->events.on_refused(c->front->arg, &c->ex, reason);
    linger(c);
}

void vwi_client_end_exchange(struct vwi_client *c)
{
    struct vwi_exchange ex = c->ex;
    bool whole = ex.phase == VWI_EXCHANGE_ENDED && !c->lost && vwi_client_backlog(c) == 0;

    memset(&c->ex, 0, sizeof c->ex);
    c->figures.cut = (!whole || ex.cut) && c->figures.status;
    if (ex.phase != VWI_EXCHANGE_NONE && ex.events)
        ex.events->on_done(ex.user, !whole && !ex.cut);
    if (!c->figures.refused)
        c->figures = (struct vwi_exchange_figures){ .bytes_in = c->http.state == VWI_HTTP1_DONE ? vwi_http1_ahead(&c->http) : 0 };
}

/* A head that is held back still goes out, else silence would be all there is; and a close would look like the end of a reply that ends
 * by closing. */
static void cut_visibly(struct vwi_client *c)
{
    bool ends_by_closing = c->ex.phase >= VWI_EXCHANGE_BEGUN && c->ex.left < 0 && !c->ex.chunked && !c->ex.mute;
    bool whole = c->ex.phase == VWI_EXCHANGE_ENDED && !vwi_client_backlog(c);
    struct linger now = { 1, 0 };

    if (!c->gone && (c->ex.cut || c->ex.phase == VWI_EXCHANGE_BEGUN))
        vwi_client_flush(c);
    if (c->ex.cut ? c->ex.left < 0 && !c->ex.chunked : ends_by_closing && !whole && !c->http.tunnel)
        setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

/* The rest of the body will not come. What the user has done so far is void, unless its reply is under way: then it is cut. */
static void break_body(struct vwi_client *c, int status, const char *reason, const char *message)
{
    bool begun = c->ex.phase != VWI_EXCHANGE_OPEN;

    cut_visibly(c);
    c->lost = c->lost || begun;
    c->figures.refused = !begun;
    vwi_client_end_exchange(c);
    if (c->state == VWI_CLIENT_CLOSED)
        return;
    if (begun)
        vwi_client_close(c);
    else
        vwi_client_refuse(c, status, reason, message);
}

/* The connection broke, or the user cut it. */
static void break_off(struct vwi_client *c)
{
    cut_visibly(c);
    vwi_client_end_exchange(c);
    c->lost = true; /* no farewell of TLS: it would make a part look like the whole (RFC 8446 6.1) */
    if (c->state != VWI_CLIENT_CLOSED)
        vwi_client_close(c);
}

/* The whole reply is with the kernel. */
static void finish_exchange(struct vwi_client *c)
{
    bool keep = c->ex.keep_alive;

    vwi_client_end_exchange(c);
    if (c->state == VWI_CLIENT_CLOSED)
        return;
    if (keep) { /* also while the front is leaving: the client was not told, so what it sent ahead is answered */
        c->id = (struct vwi_span){ NULL, 0 };
        vwi_http1_next(&c->http);
        resume_reading(c);
        vwi_client_go(c, vwi_http1_started(&c->http) || c->http.state == VWI_HTTP1_REFUSED ? VWI_CLIENT_HEAD : VWI_CLIENT_IDLE);
    } else if (c->http.keep_alive || !c->http.whole || vwi_http1_ahead(&c->http) || c->tls) {
        linger(c);
    } else {
        vwi_client_close(c);
    }
}

/* Once, before the first byte of a body. True: go on. */
static bool say_continue(struct vwi_client *c)
{
    static const char answer[] = "HTTP/1.1 100 Continue\r\n\r\n";

    c->http.expects_continue = false;
    if (!vwi_http1_body_begun(&c->http) && c->ex.phase <= VWI_EXCHANGE_OPEN) {
        vwi_client_hold(c, answer, sizeof answer - 1);
        vwi_client_flush(c);
    }
    return true;
}

/* One thing that is due while the user has the request. False: nothing is. */
static bool step_exchange(struct vwi_client *c)
{
    if (c->gone || c->lost || c->ex.cut) {
        break_off(c);
        return false;
    }
    if (c->http.state == VWI_HTTP1_REFUSED && !c->http.whole) {
        break_body(c, c->http.refusal.status, c->http.refusal.reason, c->http.refusal.message);
        return true;
    }
    if (c->http.expects_continue && c->http.state == VWI_HTTP1_BODY && c->ex.reading)
        return say_continue(c);
    if (vwi_client_backlog(c) && !c->armed) {
        vwi_client_flush(c);
        return true;
    }
    if (c->ex.fresh) {
        c->ex.fresh = false;
        if (c->ex.events && c->ex.events->on_body && c->ex.phase != VWI_EXCHANGE_ENDED)
            c->ex.events->on_body(c->ex.user);
        vwi_client_read_body(c); /* behind it: what was passed on at once makes room, and reading never stopped */
        return true;
    }
    if (c->ex.drained) {
        c->ex.drained = false;
        c->ex.events->on_drained(c->ex.user);
        return true;
    }
    if (c->ex.phase != VWI_EXCHANGE_ENDED || vwi_client_backlog(c))
        return false;
    finish_exchange(c);
    return true;
}

static void hand_out(struct vwi_client *c)
{
    vwi_client_go(c, VWI_CLIENT_BUSY);
    if (waits_for_the_kernel(c)) /* with what was said before */
        vwi_client_go(c, VWI_CLIENT_BLOCKED);
    c->ex.phase = VWI_EXCHANGE_OPEN;
    c->ex.keep_alive = c->http.keep_alive;
    vwi_client_name_request(c);
    (c->http.whole ? c->front->events.on_request : c->front->events.on_early)(c->front->arg, &c->ex);
    if (c->state != VWI_CLIENT_CLOSED && !c->ex.events && !VWI_EXPECT(c->ex.phase == VWI_EXCHANGE_ENDED))
        vwi_exchange_abort(&c->ex);
    vwi_client_read_body(c);
}

/* Worth a word with the user before the body is read: it may be large, of unknown size, or not wanted at all. */
static bool is_early(const struct vwi_client *c)
{
    if (!c->front->events.on_early)
        return false;
    return c->http.chunked || c->http.content_length > VWI_EXCHANGE_SMALL_BYTES ||
           (c->http.expects_continue && !vwi_http1_body_begun(&c->http));
}

/* Bytes that came before we close are a request that wants its answer. */
static bool has_input(const struct vwi_client *c)
{
    struct pollfd look = { c->fd, POLLIN, 0 };

    return (c->tls && vwi_tls_link_more(c->tls)) || poll(&look, 1, 0) > 0;
}

/* The front is leaving, and this connection has no part in that. One that was never used stays as long as others are accepted. */
static bool is_to_retire(const struct vwi_client *c)
{
    bool unused = c->state == VWI_CLIENT_IDLE || (c->state == VWI_CLIENT_HEAD && c->front->listen_fd < 0);

    return c->front->stopping && unused && c->http.state == VWI_HTTP1_HEAD && !vwi_http1_started(&c->http) &&
           (!c->tls || c->secure) && !has_input(c);
}

/* One thing that is due between exchanges. False: nothing is. */
static bool step_request(struct vwi_client *c, unsigned *served)
{
    if (is_to_retire(c)) {
        linger(c);
        return true;
    }
    if (c->state == VWI_CLIENT_IDLE && vwi_http1_started(&c->http))
        vwi_client_go(c, VWI_CLIENT_HEAD);
    switch (c->http.state) {
    case VWI_HTTP1_HEAD:
        return false;
    case VWI_HTTP1_BODY:
        if (is_early(c)) {
            hand_out(c);
            return true;
        }
        if (c->state != VWI_CLIENT_BODY)
            vwi_client_go(c, VWI_CLIENT_BODY);
        return c->http.expects_continue && say_continue(c);
    case VWI_HTTP1_DONE:
        if (++*served <= REQUESTS_PER_TURN)
            hand_out(c);
        else if (!c->armed && event_add(&c->wr, NULL) == 0)
            c->armed = true; /* the rest is for the next turn */
        return *served <= REQUESTS_PER_TURN;
    case VWI_HTTP1_REFUSED:
        vwi_client_refuse(c, c->http.refusal.status, c->http.refusal.reason, c->http.refusal.message);
        return true;
    }
    return false;
}

static bool step(struct vwi_client *c, unsigned *served)
{
    if (c->state == VWI_CLIENT_CLOSED)
        return false;
    if (c->ex.phase != VWI_EXCHANGE_NONE)
        return step_exchange(c);
    if (c->gone || c->lost) {
        vwi_client_close(c);
        return false;
    }
    if (c->state != VWI_CLIENT_LINGER)
        return step_request(c, served);
    if (!c->shut && !vwi_client_backlog(c))
        c->shut = vwi_client_shutdown(c);
    return false;
}

void vwi_client_settle(struct vwi_client *c)
{
    unsigned served = 0;

    c->inside = true;
    while (step(c, &served))
        continue;
    c->inside = false;
}

void vwi_client_retire(struct vwi_client *c)
{
    if (is_to_retire(c))
        vwi_client_settle(c);
}

void vwi_client_expire(struct vwi_client *c)
{
    switch (c->state) {
    case VWI_CLIENT_HEAD:
        if (vwi_http1_started(&c->http))
            vwi_client_refuse(c, 408, "request_timeout", "the head of the request did not arrive in time");
        else
            c->gone = true;
        break;
    case VWI_CLIENT_BODY:
        if (c->ex.phase != VWI_EXCHANGE_NONE)
            break_body(c, 408, "request_timeout", "the body of the request did not arrive in time");
        else
            vwi_client_refuse(c, 408, "request_timeout", "the body of the request did not arrive in time");
        break;
    default:
        c->gone = true;
        break;
    }
    vwi_client_settle(c);
}

static void discard(struct vwi_client *c)
{
    ssize_t n = vwi_client_recv(c, c->front->scratch, VWI_CLIENT_SCRATCH_BYTES);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n > 0) {
        c->front->stats.bytes_in += (uint64_t)n;
        c->discarded += (size_t)n;
    }
    c->gone = n <= 0 || c->discarded > DISCARD_BYTES;
}

static void receive(struct vwi_client *c)
{
    size_t room = 0;
    char *body = vwi_http1_room(&c->http, &room), *to = body ? body : c->front->scratch;
    ssize_t n = vwi_client_recv(c, to, body && room < VWI_CLIENT_SCRATCH_BYTES ? room : VWI_CLIENT_SCRATCH_BYTES);
    bool within = c->http.state == VWI_HTTP1_BODY && c->ex.phase != VWI_EXCHANGE_NONE;

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        c->gone = true;
        return;
    }
    c->front->stats.bytes_in += (uint64_t)n;
    c->figures.bytes_in += (uint64_t)n;
    if (c->state == VWI_CLIENT_BODY)
        vwi_client_go(c, VWI_CLIENT_BODY); /* its time begins anew */
    if (body)
        vwi_http1_filled(&c->http, (size_t)n);
    else
        vwi_http1_feed(&c->http, to, (size_t)n);
    c->ex.fresh = c->ex.fresh || within;
    if (!c->ex.fresh && is_held_back(c))
        stop_reading(c);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct vwi_client *c = arg;

    (void)fd, (void)what;
    vwi_loop_awake(c->front->loop);
    if (c->tls && !c->secure && !vwi_client_handshake(c))
        ; /* not yet */
    else if (c->tls && vwi_tls_link_owes(c->tls))
        stop_reading(c); /* OpenSSL may want to answer what it reads, in the middle of the record that it owes */
    else if (c->state == VWI_CLIENT_LINGER)
        discard(c);
    else
        receive(c);
    vwi_client_settle(c);
    if (c->tls)
        vwi_client_look_again(c);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    struct vwi_client *c = arg;
    size_t before = vwi_client_backlog(c);

    (void)fd, (void)what;
    vwi_loop_awake(c->front->loop);
    if (c->tls && vwi_client_handshake_write(c))
        return;
    vwi_client_flush(c);
    if (!vwi_client_backlog(c)) {
        event_del(&c->wr);
        c->armed = false;
    }
    if (c->state == VWI_CLIENT_BLOCKED && (!c->armed || vwi_client_backlog(c) < before))
        vwi_client_go(c, c->armed ? VWI_CLIENT_BLOCKED : VWI_CLIENT_BUSY);
    if (c->state == VWI_CLIENT_BUSY)
        vwi_client_read_body(c);
    if (c->tls)
        resume_reading(c);
    if (c->ex.was_high && vwi_client_backlog(c) <= VWI_EXCHANGE_LOW_BYTES) {
        c->ex.was_high = false;
        c->ex.drained = c->ex.events && c->ex.events->on_drained && c->ex.phase == VWI_EXCHANGE_BEGUN;
    }
    vwi_client_settle(c);
}

bool vwi_client_open(struct vwi_front *front, int fd, const char *peer)
{
    struct vwi_client *c = vwi_zalloc(sizeof *c);
    struct event_base *base = vwi_loop_base(front->loop);

    if (!c)
        goto fail;
    c->front = front;
    c->fd = fd;
    snprintf(c->peer, sizeof c->peer, "%s", peer);
    vwi_list_init(&c->node);
    vwi_list_init(&c->paused_node);
    vwi_list_init(&c->again_node);
    vwi_http1_init(&c->http, &front->http);
    if (front->tls && !(c->tls = vwi_tls_link_create(front->tls, fd)))
        goto fail;
    if (event_assign(&c->rd, base, fd, EV_READ | EV_PERSIST, on_readable, c) != 0 ||
        event_assign(&c->wr, base, fd, EV_WRITE | EV_PERSIST, on_writable, c) != 0 || event_add(&c->rd, NULL) != 0)
        goto fail;
    front->stats.connections++;
    c->state = VWI_CLIENT_HEAD;
    c->since_ms = vwi_loop_ms(front->loop);
    vwi_list_add(&front->states[VWI_CLIENT_HEAD], &c->node);
    if (front->max_connections && front->stats.connections > front->max_connections) {
        vwi_client_refuse(c, 503, "too_many_connections", "the worker has no room for another connection");
        vwi_client_settle(c);
    }
    return true;
fail:
    vwi_tls_link_destroy(c ? c->tls : NULL);
    vwi_free(c);
    close(fd);
    return false;
}
