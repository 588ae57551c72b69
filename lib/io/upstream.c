/*
 * The life of a lease: a pooled connection or a dial, the request in one writev, the answer through the parser, the end.
 * Success is told from the read event; every failure is told after the turn, so that none comes from inside a call of ours.
 * The odd thing: requests are written after the other callbacks of the turn, one behind the other. A write wakes the model server and
 * runs half of the kernel's network; between two of them little else has to come back into the caches, the model server stays awake,
 * and by then the turn has found out which kept connections are dead.
 */
#include "io/upstream.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/err.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/vwi.h"
#include "io/http1_ask.h"
#include "io/pool.h"
#include "io/send.h"

#define READ_BYTES (64u * 1024)
#define WRITE_BYTES (64u * 1024) /* of one long body, per turn: the kernel would take megabytes at once, and others wait meanwhile */
#define READS_A_TURN 4   /* then the other connections get theirs */
#define ASKED_MAX 32     /* requests that wait for the end of a turn; it may be a long one */
#define TICK_MS 100      /* while a lease has a deadline */
#define SLOW_TICK_MS 1000 /* while there are only idle connections */

enum state { ASKED, DIALING, TALKING, FAILED, OVER }; /* ASKED: to be written after the turn */

struct limits {
    int64_t connect, first_byte, idle, total; /* milliseconds, 0 = off */
};

struct vwi_upstream {
    const struct vwi_model_conf *conf;
    const struct vwi_log *log;
    struct vwi_pool pool;
    struct vwi_list leases;
    struct vwi_list asked; /* by their asked_node, oldest first */
    unsigned asked_count;
    struct vwi_burial ask; /* in the loop's hands while asked_count is not 0, and until the end of that turn */
    bool asking;
    struct vwi_timer tick;
    int64_t tick_ms; /* 0: not running */
    uint64_t received;
    struct vwi_burial burial;
    char buffer[READ_BYTES]; /* one for all: what is read is used up before the next read */
};

struct vwi_lease {
    struct vwi_upstream *up;
    struct vwi_list node, asked_node;
    struct vwi_burial burial;
    struct vwi_pool_conn *conn; /* while DIALING and TALKING */
    struct vwi_lease_events events;
    void *arg;
    enum state state;
    bool head_request, may_resend, resent, paused;
    bool heard;   /* any byte of an answer */
    bool spoken;  /* on_head or on_body was called in this read */
    bool streamed, chunked;  /* the body comes by vwi_lease_write */
    bool upgrade, tunnel;    /* a 101 is asked for; has come */
    bool finished;           /* no more of the body will come */
    bool owed;               /* the user waits for on_writable */
    bool left;               /* by us, while the model may have been at work */
    bool unwanted;           /* the model answered early with a refusal: the rest of the body stays here */
    struct limits limits;
    int64_t began_ms, dialed_ms, written_ms, moved_ms; /* moved: the last byte in either direction */
    struct vwi_span body;
    uint64_t written; /* bytes of head and body that the kernel took */
    struct vwi_text out; /* streamed: what waits to be sent, from out_at on */
    size_t out_at;
    enum vwi_upstream_result result; /* FAILED */
    size_t head_len;
    char text[192]; /* FAILED */
    char head[];
};

static struct vwi_lease *at(struct vwi_list *node) { return VWI_CONTAINER(node, struct vwi_lease, node); }
static size_t unsent(const struct vwi_lease *l) { return l->head_len + l->body.len - (size_t)l->written + l->out.len - l->out_at; }
static bool written_in_full(const struct vwi_lease *l) { return unsent(l) == 0 && l->finished; }

/* ---- ends ---- */

static void free_lease(void *arg)
{
    struct vwi_lease *l = arg;

    vwi_text_fini(&l->out);
    vwi_free(l);
}

static void deliver_failure(void *arg)
{
    struct vwi_lease *l = arg;

    if (l->state == FAILED) {
        l->state = OVER;
        vwi_list_del(&l->node);
        l->events.on_end(l->arg, l->result, l->text);
    }
    free_lease(l);
}

static int64_t now_ms(const struct vwi_upstream *up) { return vwi_loop_ms(up->pool.loop); }

static void unask(struct vwi_lease *l)
{
    if (vwi_list_empty(&l->asked_node))
        return;
    vwi_list_del(&l->asked_node);
    l->up->asked_count--;
}

static void drop_conn(struct vwi_lease *l)
{
    unask(l);
    if (l->conn)
        vwi_pool_close(l->conn);
    l->conn = NULL;
}

static void fail(struct vwi_lease *l, enum vwi_upstream_result result, const char *fmt, ...) VW_PRINTF(3, 4);

static void fail(struct vwi_lease *l, enum vwi_upstream_result result, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(l->text, sizeof l->text, fmt, ap);
    va_end(ap);
    l->left = vwi_lease_at_work(l);
    l->state = FAILED;
    l->result = result;
    drop_conn(l);
    vwi_loop_bury(l->up->pool.loop, &l->burial, deliver_failure, l);
}

static void tick_at_least(struct vwi_upstream *up, int64_t ms)
{
    if (up->tick_ms && up->tick_ms <= ms)
        return;
    up->tick_ms = ms;
    vwi_timer_start(&up->tick, ms);
}

/* The connection goes back first, so that on_end may send the next request over it. */
static void succeed(struct vwi_lease *l, bool reusable)
{
    struct vwi_upstream *up = l->up;

    if (reusable && !l->unwanted && written_in_full(l)) { /* else the model may still wait for the rest of the body */
        vwi_pool_give(l->conn, now_ms(up));
        l->conn = NULL;
        tick_at_least(up, SLOW_TICK_MS);
    }
    drop_conn(l);
    l->state = OVER;
    vwi_list_del(&l->node);
    vwi_loop_bury(up->pool.loop, &l->burial, free_lease, l);
    l->events.on_end(l->arg, VWI_UPSTREAM_OK, "answered");
}

void vwi_lease_cancel(struct vwi_lease *l)
{
    if (!l || l->state == OVER)
        return;
    drop_conn(l);
    vwi_list_del(&l->node);
    if (l->state != FAILED) /* else deliver_failure is on its way and frees it */
        vwi_loop_bury(l->up->pool.loop, &l->burial, free_lease, l);
    l->state = OVER;
}

/* ---- request out ---- */

static void add_part(struct iovec *parts, int *count, const char *p, size_t len)
{
    if (len)
        parts[(*count)++] = vwi_part(p, len);
}

/* The kernel took n more bytes: of the head, then of the body or of what was streamed. */
static void advance(struct vwi_lease *l, size_t n)
{
    size_t left = l->head_len + l->body.len - (size_t)l->written, fixed = n < left ? n : left;

    l->written += fixed;
    l->out_at += n - fixed;
    if (l->out_at < l->out.len)
        return;
    l->out_at = 0;
    if (l->finished)
        vwi_text_fini(&l->out);
    else
        vwi_text_clear(&l->out);
}

/* False: the connection was dead before the first byte was written. */
static bool write_request(struct vwi_lease *l)
{
    struct vwi_pool_conn *conn = l->conn;
    size_t body_done = l->written > l->head_len ? (size_t)l->written - l->head_len : 0, body_left = l->body.len - body_done;
    struct iovec parts[3] = { { NULL, 0 } };
    int count = 0;
    bool broken;
    ssize_t n;

    if (l->written < l->head_len)
        add_part(parts, &count, l->head + l->written, l->head_len - (size_t)l->written);
    add_part(parts, &count, l->body.p + body_done, body_left < WRITE_BYTES ? body_left : WRITE_BYTES); /* a streamed one has none here */
    add_part(parts, &count, l->out.p + l->out_at, l->out.len - l->out_at);
    n = vwi_send_parts(conn->fd, parts, count);
    broken = n < 0 && errno != EAGAIN;
    if (broken && !l->written && conn->reused)
        return false;
    if ((l->limits.idle || l->limits.first_byte) && (n > 0 || !l->written))
        l->moved_ms = l->written_ms = now_ms(l->up);
    if (n > 0)
        advance(l, (size_t)n);
    if (broken)
        vwi_pool_watch_write(conn, false); /* an answer may lie there still: reading finds out */
    else if (!vwi_pool_watch_write(conn, unsent(l) > 0))
        fail(l, VWI_UPSTREAM_UNREACHABLE, "out of memory");
    l->unwanted = l->unwanted || broken;
    return true;
}

static void talk(struct vwi_lease *l)
{
    l->state = TALKING;
    l->conn->keep_ms = VWI_POOL_KEEP_MS;
    vwi_http1_answer_begin(l->conn->answer, l->head_request, l->upgrade);
}

static void dial(struct vwi_lease *l)
{
    l->state = DIALING;
    l->dialed_ms = now_ms(l->up);
    tick_at_least(l->up, TICK_MS);
    if (!vwi_pool_dial(&l->up->pool, l, &l->conn, l->limits.connect ? l->dialed_ms + l->limits.connect : 0))
        fail(l, VWI_UPSTREAM_UNREACHABLE, "out of memory");
}

/* From the loop: the user may be waiting for room. */
static bool write_on(struct vwi_lease *l)
{
    bool alive = write_request(l);

    if (alive && l->state == TALKING && l->owed && !l->unwanted && unsent(l) == 0) {
        l->owed = false;
        if (l->events.on_writable)
            l->events.on_writable(l->arg);
    }
    return alive;
}

static void on_dialed(struct vwi_lease *l, bool connected, const char *text)
{
    if (!connected) {
        fail(l, VWI_UPSTREAM_UNREACHABLE, "%s", text);
        return;
    }
    talk(l);
    if (!l->paused && !vwi_pool_watch_read(l->conn, true))
        fail(l, VWI_UPSTREAM_UNREACHABLE, "out of memory");
    else
        write_on(l);
}

static void begin(struct vwi_lease *l)
{
    struct vwi_pool *pool = &l->up->pool;

    unask(l);
    while (!l->streamed && (l->conn = vwi_pool_take(pool, l, l->began_ms))) {
        talk(l);
        if (write_request(l))
            return;
        drop_conn(l);
    }
    dial(l);
}

static void begin_asked(struct vwi_upstream *up)
{
    while (!vwi_list_empty(&up->asked))
        begin(VWI_CONTAINER(up->asked.next, struct vwi_lease, asked_node));
}

static void after_turn(void *arg)
{
    struct vwi_upstream *up = arg;

    up->asking = false;
    begin_asked(up);
}

static void ask(struct vwi_lease *l)
{
    struct vwi_upstream *up = l->up;

    l->state = ASKED;
    vwi_list_add(&up->asked, &l->asked_node);
    if (++up->asked_count >= ASKED_MAX) {
        begin_asked(up);
    } else if (!up->asking) {
        up->asking = true;
        vwi_loop_bury(up->pool.loop, &up->ask, after_turn, up);
    }
}

static void on_writable(struct vwi_lease *l)
{
    if (!write_on(l)) {
        drop_conn(l);
        dial(l);
    }
}

/* ---- answer in ---- */

static void on_broken(struct vwi_lease *l, const char *text)
{
    if (l->conn->reused && !l->resent && !l->heard && (l->may_resend || !l->written)) {
        vwi_log_debug(l->up->log, "model: request goes out again, %s", text);
        l->resent = true;
        l->written = 0;
        drop_conn(l);
        dial(l);
        return;
    }
    fail(l, VWI_UPSTREAM_RESET, "%s", text);
    l->left = false; /* it was the model that ended it */
}

/* Keep-Alive: timeout=5 means gone after five seconds: let go of it a second earlier. */
static void note_keep_alive(struct vwi_pool_conn *conn, struct vwi_span value)
{
    static const char key[] = "timeout=";
    int64_t seconds = 0;
    size_t i = 0;

    while (i + sizeof key <= value.len && memcmp(value.p + i, key, sizeof key - 1) != 0)
        i++;
    if (i + sizeof key > value.len)
        return;
    for (i += sizeof key - 1; i < value.len && value.p[i] >= '0' && value.p[i] <= '9' && seconds < 3600; i++)
        seconds = seconds * 10 + (value.p[i] - '0');
    if ((seconds - 1) * 1000 < conn->keep_ms)
        conn->keep_ms = (seconds - 1) * 1000;
}

static bool on_answer_head(void *arg, const struct vwi_answer *answer)
{
    struct vwi_pool_conn *conn = arg;
    struct vwi_lease *l = conn->lease;
    size_t i;

    for (i = 0; i < answer->header_count; i++)
        if (vwi_span_is_nocase(answer->names[i], "Keep-Alive"))
            note_keep_alive(conn, answer->values[i]);
    if (answer->status >= 400 && !written_in_full(l)) {
        vwi_pool_watch_write(conn, false); /* refused early: the rest is not wanted */
        l->unwanted = true;
    }
    l->tunnel = answer->status == 101;
    l->spoken = true;
    if (l->events.on_head)
        l->events.on_head(l->arg, answer);
    return l->state == TALKING;
}

static bool on_answer_body(void *arg, const char *data, size_t len)
{
    struct vwi_lease *l = ((struct vwi_pool_conn *)arg)->lease;

    l->spoken = true;
    if (l->events.on_body)
        l->events.on_body(l->arg, data, len);
    return l->state == TALKING;
}

static bool on_answer_interim(void *arg, const struct vwi_answer *answer)
{
    struct vwi_lease *l = ((struct vwi_pool_conn *)arg)->lease;

    if (l->events.on_interim)
        l->events.on_interim(l->arg, answer);
    return l->state == TALKING;
}

static bool on_answer_trailers(void *arg, const struct vwi_answer *trailers)
{
    struct vwi_lease *l = ((struct vwi_pool_conn *)arg)->lease;

    if (l->events.on_trailers)
        l->events.on_trailers(l->arg, trailers);
    return l->state == TALKING;
}

/* True: read on. */
static bool take(struct vwi_lease *l, char *data, size_t len)
{
    struct vwi_http1_answer *answer = l->conn->answer;
    const char *reason;
    size_t used;

    l->heard = true;
    if (l->limits.idle)
        l->moved_ms = now_ms(l->up);
    switch (vwi_http1_answer_feed(answer, data, len, &used, &reason)) {
    case VWI_ANSWER_MORE:
        return !l->paused;
    case VWI_ANSWER_DONE:
        succeed(l, used == len && vwi_http1_answer_keep_alive(answer));
        return false;
    case VWI_ANSWER_BROKEN:
        fail(l, VWI_UPSTREAM_RESET, "not a valid answer: %s", reason);
        return false;
    case VWI_ANSWER_STOPPED:
        break;
    }
    return false;
}

static void take_eof(struct vwi_lease *l)
{
    const char *reason;

    if (vwi_http1_answer_eof(l->conn->answer, &reason) == VWI_ANSWER_DONE)
        succeed(l, false);
    else
        on_broken(l, reason);
}

static void on_readable(struct vwi_lease *l)
{
    struct vwi_upstream *up = l->up;
    ssize_t n = READ_BYTES;
    int reads;

    l->spoken = false;
    for (reads = 0; reads < READS_A_TURN && n == READ_BYTES; reads++) {
        do
            n = recv(l->conn->fd, up->buffer, READ_BYTES, 0);
        while (n < 0 && errno == EINTR);
        if (n == 0) {
            take_eof(l);
            return;
        }
        if (n < 0 && errno == EAGAIN)
            break;
        if (n < 0) {
            on_broken(l, l->heard ? "connection reset before the end of the answer" : "connection reset before an answer");
            return;
        }
        up->received += (uint64_t)n;
        if (!take(l, up->buffer, (size_t)n))
            break;
    }
    if (l->state == TALKING && l->spoken && l->events.on_lull)
        l->events.on_lull(l->arg);
}

void vwi_lease_pause(struct vwi_lease *l)
{
    l->paused = true;
    if (l->state == TALKING)
        vwi_pool_watch_read(l->conn, false);
}

void vwi_lease_resume(struct vwi_lease *l)
{
    l->paused = false;
    if (l->state != TALKING)
        return;
    l->moved_ms = now_ms(l->up);
    if (!vwi_pool_watch_read(l->conn, true))
        fail(l, VWI_UPSTREAM_RESET, "out of memory");
}

/* ---- a body that is streamed ---- */

/* A chunk has its size before it and a line end behind it; a tunnel and a body of known length are as they are. */
static void queue(struct vwi_lease *l, const char *data, size_t len)
{
    char line[VWI_CHUNK_LINE];

    if (l->chunked && !l->tunnel)
        vwi_text_add(&l->out, line, vwi_chunk_line(line, len));
    vwi_text_add(&l->out, data, len);
    if (l->chunked && !l->tunnel)
        vwi_text_add(&l->out, "\r\n", 2);
}

/* At once, unless earlier bytes wait already. */
static size_t push(struct vwi_lease *l, bool idle)
{
    if (l->out.failed)
        fail(l, VWI_UPSTREAM_RESET, "out of memory");
    else if (l->state == TALKING && idle)
        write_request(l);
    l->owed = unsent(l) > 0;
    return l->owed;
}

size_t vwi_lease_write(struct vwi_lease *l, const char *data, size_t len)
{
    bool idle = unsent(l) == 0;

    if (!len || l->state == FAILED || l->state == OVER || l->unwanted || (l->finished && !l->tunnel))
        return 0;
    queue(l, data, len);
    return push(l, idle);
}

void vwi_lease_finish(struct vwi_lease *l)
{
    bool idle = unsent(l) == 0;

    if (l->finished || l->state == FAILED || l->state == OVER)
        return;
    l->finished = true;
    if (!l->chunked || l->unwanted) /* what was left out must not look like the whole */
        return;
    vwi_text_add(&l->out, "0\r\n\r\n", 5);
    push(l, idle);
}

bool vwi_lease_complete(const struct vwi_lease *l) { return l->conn && vwi_http1_answer_complete(l->conn->answer); }

bool vwi_lease_at_work(const struct vwi_lease *l) { return l->left || (l->state == TALKING && l->written); }

/* ---- deadlines ---- */

static bool has_deadline(const struct vwi_lease *l)
{
    return l->state == DIALING || l->limits.first_byte || l->limits.idle || l->limits.total;
}

static bool passed(int64_t since, int64_t limit, int64_t now) { return limit && now - since >= limit; }

static void check_deadlines(struct vwi_lease *l, int64_t now)
{
    const struct limits *limits = &l->limits;
    bool waits;

    if (passed(l->began_ms, limits->total, now)) {
        fail(l, VWI_UPSTREAM_TIMEOUT, "not finished within %g s", (double)limits->total / 1000);
    } else if (l->state == DIALING) {
        if (passed(l->dialed_ms, limits->connect, now))
            fail(l, VWI_UPSTREAM_TIMEOUT, "not connected within %g s", (double)limits->connect / 1000);
        else
            vwi_dial_tick(&l->conn->dial, now);
    } else if (l->state == TALKING && !l->paused) {
        waits = !l->heard || vwi_http1_answer_interim(l->conn->answer);
        if (waits && written_in_full(l) && passed(l->written_ms, limits->first_byte, now))
            fail(l, VWI_UPSTREAM_TIMEOUT, "no first byte within %g s", (double)limits->first_byte / 1000);
        else if ((written_in_full(l) ? !waits : unsent(l) > 0) && passed(l->moved_ms, limits->idle, now))
            fail(l, VWI_UPSTREAM_TIMEOUT, "no byte for %g s", (double)limits->idle / 1000);
    }
}

/* No event is delivered from here (fail waits for the end of the turn), so the lists stay as they are. */
static void on_tick(void *arg)
{
    struct vwi_upstream *up = arg;
    int64_t now = now_ms(up);
    struct vwi_list *node;
    bool fast = false;

    for (node = up->leases.next; node != &up->leases; node = node->next) {
        if (at(node)->state != FAILED)
            check_deadlines(at(node), now);
        fast = fast || has_deadline(at(node));
    }
    vwi_pool_expire(&up->pool, now);
    up->tick_ms = 0;
    if (fast || up->pool.idle_count)
        tick_at_least(up, fast ? TICK_MS : SLOW_TICK_MS);
}

/* ---- from outside ---- */

static const struct vwi_pool_events pool_events = {
    .on_dialed = on_dialed,
    .on_readable = on_readable,
    .on_writable = on_writable,
    .answer = { on_answer_head, on_answer_interim, on_answer_trailers, on_answer_body },
};

vw_err vwi_upstream_create(struct vwi_loop *loop, const struct vwi_model_conf *conf, const struct vwi_log *log,
                           struct vwi_upstream **ret, vw_error_t *why)
{
    struct vwi_upstream *up = vwi_alloc(sizeof *up);
    vw_err err;

    if (!up)
        return vwi_fail(why, VW_E_NOMEM, "model server: out of memory");
    memset(up, 0, offsetof(struct vwi_upstream, buffer));
    up->conf = conf;
    up->log = log;
    vwi_list_init(&up->leases);
    vwi_list_init(&up->asked);
    err = vwi_pool_init(&up->pool, loop, conf, &pool_events, why);
    if (err == VW_OK && vwi_timer_init(&up->tick, loop, on_tick, up) != VW_OK)
        err = vwi_fail(why, VW_E_NOMEM, "model server: out of memory");
    if (err != VW_OK) {
        vwi_pool_fini(&up->pool);
        vwi_free(up);
        return err;
    }
    *ret = up;
    return VW_OK;
}

void vwi_upstream_destroy(struct vwi_upstream *up)
{
    if (!up)
        return;
    (void)VWI_EXPECT(vwi_list_empty(&up->leases));
    while (!vwi_list_empty(&up->leases))
        vwi_lease_cancel(at(up->leases.next));
    vwi_timer_fini(&up->tick);
    vwi_pool_fini(&up->pool);
    vwi_loop_bury(up->pool.loop, &up->burial, vwi_free, up);
}

struct vwi_loop *vwi_upstream_loop(const struct vwi_upstream *up) { return up->pool.loop; }

uint64_t vwi_upstream_received(const struct vwi_upstream *up) { return up->received; }

void vwi_upstream_counts(const struct vwi_upstream *up, unsigned *ret_active, unsigned *ret_idle)
{
    *ret_active = up->pool.active_count + up->asked_count;
    *ret_idle = up->pool.idle_count;
}

static int64_t ms(double seconds)
{
    if (!(seconds > 0))
        return 0;
    return seconds > 1e9 ? (int64_t)1e12 : (int64_t)(seconds * 1000 + 0.999);
}

struct vwi_lease *vwi_upstream_send(struct vwi_upstream *up, const struct vwi_upstream_request *rq,
                                    const struct vwi_lease_events *events, void *arg)
{
    const struct vwi_timeouts_conf *t = rq->timeouts ? rq->timeouts : &up->conf->timeouts;
    struct vwi_lease *l = vwi_alloc(sizeof *l + vwi_http1_ask_bound(up->conf->authority, rq));

    if (!l)
        return NULL;
    memset(l, 0, offsetof(struct vwi_lease, text));
    l->head_len = vwi_http1_ask_write(up->conf->authority, rq, l->head);
    l->up = up;
    l->events = *events;
    l->arg = arg;
    l->body = rq->body;
    l->head_request = vwi_span_is(rq->method, "HEAD");
    l->streamed = rq->streamed || rq->upgrade;
    l->chunked = rq->streamed && rq->streamed_length < 0;
    l->upgrade = rq->upgrade != NULL;
    l->finished = !rq->streamed;
    l->may_resend = (rq->retry || vwi_http1_ask_is_idempotent(rq)) && !l->streamed;
    l->limits = (struct limits){ ms(t->connect_s), ms(t->first_byte_s), ms(t->idle_s), ms(t->total_s) };
    l->began_ms = now_ms(l->up);
    vwi_list_add(&up->leases, &l->node);
    vwi_list_init(&l->asked_node);
    if (vwi_http1_ask_fits(rq))
        ask(l);
    else
        fail(l, VWI_UPSTREAM_RESET, "method or target not fit for a request line");
    if (has_deadline(l))
        tick_at_least(up, TICK_MS);
    return l;
}
