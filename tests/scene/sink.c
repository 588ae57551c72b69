#include "sink.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "actors.h"
#include "server.h"

#define SWITCH "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\n"

struct sink {
    struct server *server;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned requests, permits, gone;
    uint64_t bytes;
    bool stopping;
};

uint32_t sink_sum(uint32_t sum, const char *data, size_t len)
{
    size_t i;

    for (i = 0; i < len; i++)
        sum = (sum * 31 + (unsigned char)data[i]) & 0xffffffff;
    return sum;
}

static void note(struct sink *s, unsigned *counter, uint64_t bytes)
{
    pthread_mutex_lock(&s->lock);
    if (counter)
        (*counter)++;
    s->bytes += bytes;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
}

/* One piece of a body, its framing undone. */
struct body {
    int fd;
    bool chunked;
    uint64_t left; /* of the length, or of the present chunk */
};

static bool read_line(int fd, char *line, size_t size)
{
    size_t at = 0;

    while (at < size - 1 && recv(fd, line + at, 1, 0) == 1)
        if (line[at++] == '\n') {
            line[at] = '\0';
            return true;
        }
    return false;
}

/* Bytes read; 0 at the end; -1: the other side left. */
static ssize_t body_read(struct body *b, char *to, size_t size)
{
    char line[64];
    ssize_t n;

    if (b->chunked && !b->left) {
        if (!read_line(b->fd, line, sizeof line))
            return -1;
        if (line[0] == '\r' && !read_line(b->fd, line, sizeof line)) /* behind the chunk before */
            return -1;
        b->left = strtoull(line, NULL, 16);
        if (!b->left)
            return read_line(b->fd, line, sizeof line) ? 0 : -1;
    }
    if (!b->left)
        return 0;
    n = recv(b->fd, to, size < b->left ? size : (size_t)b->left, 0);
    if (n <= 0)
        return -1;
    b->left -= (uint64_t)n;
    return n;
}

static bool take_body(struct sink *s, struct served *rq)
{
    char *length = strcasestr(rq->head, "\r\ncontent-length:");
    struct body body = { rq->fd, strcasestr(rq->head, "\r\ntransfer-encoding: chunked") != NULL, 0 };
    char piece[16384], answer[200];
    uint64_t total = 0;
    uint32_t sum = 0;
    ssize_t n;

    body.left = length ? strtoull(length + 17, NULL, 10) : 0;
    while ((n = body_read(&body, piece, sizeof piece)) > 0) {
        total += (uint64_t)n;
        sum = sink_sum(sum, piece, (size_t)n);
        note(s, NULL, (uint64_t)n);
    }
    if (n < 0) {
        note(s, &s->gone, 0);
        return false;
    }
    snprintf(answer, sizeof answer, "{\"bytes\": %llu, \"sum\": %u, \"framing\": \"%s%.*s\"}", (unsigned long long)total, sum,
             body.chunked ? "chunked" : "", length ? (int)strcspn(length + 18, "\r") : 0, length ? length + 18 : "");
    return send_answer(rq, 200, "application/json", answer);
}

static bool wait_permit(struct sink *s)
{
    bool granted;

    pthread_mutex_lock(&s->lock);
    while (!s->permits && !s->stopping)
        pthread_cond_wait(&s->changed, &s->lock);
    granted = s->permits > 0;
    if (granted)
        s->permits--;
    pthread_mutex_unlock(&s->lock);
    return granted;
}

static void echo(struct sink *s, int fd)
{
    char piece[16384];
    ssize_t n;

    while ((n = recv(fd, piece, sizeof piece, 0)) > 0) {
        note(s, NULL, (uint64_t)n);
        if (!send_all(fd, piece, (size_t)n))
            break;
    }
    note(s, &s->gone, 0);
}

/* On Linux a connection that is dissolved like this is reset at once. */
static void reset(int fd)
{
    struct sockaddr nobody = { .sa_family = AF_UNSPEC };

    connect(fd, &nobody, sizeof nobody);
}

static bool tunnel(struct sink *s, struct served *rq)
{
    const char *kind = rq->target + 3;
    char piece[4096];
    ssize_t n;

    if (strncmp(kind, "-no", 3) == 0)
        return send_answer(rq, 403, "text/plain", "no");
    if (!strcasestr(rq->head, "\r\nUpgrade: websocket\r\n") || !strcasestr(rq->head, "\r\nConnection: Upgrade\r\n"))
        return send_answer(rq, 426, "text/plain", "not an upgrade");
    send_text(rq->fd, strncmp(kind, "-hello", 6) == 0 ? SWITCH "hello" : SWITCH);
    if (strncmp(kind, "-end", 4) == 0 || strncmp(kind, "-break", 6) == 0) {
        n = recv(rq->fd, piece, sizeof piece, 0);
        note(s, NULL, n > 0 ? (uint64_t)n : 0);
        if (kind[1] == 'e')
            return send_text(rq->fd, "bye") && false;
        reset(rq->fd);
    } else if (strncmp(kind, "-deaf", 5) != 0 || wait_permit(s)) {
        echo(s, rq->fd);
    }
    return false;
}

static bool serve(void *arg, struct served *rq)
{
    struct sink *s = arg;

    note(s, &s->requests, 0);
    if (strncmp(rq->target, "/ws", 3) == 0)
        return tunnel(s, rq);
    if (strncmp(rq->target, "/early", 6) == 0) {
        send_answer(rq, 413, "application/json", "{\"too\": \"much\"}");
        return false;
    }
    if (strncmp(rq->target, "/held", 5) == 0 && !wait_permit(s))
        return false;
    return take_body(s, rq);
}

static struct sink *create(void)
{
    struct sink *s = calloc(1, sizeof *s);

    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->changed, NULL);
    return s;
}

struct sink *sink_start(void)
{
    struct sink *s = create();

    s->server = server_start_raw(0, serve, s);
    return s;
}

struct sink *sink_start_unix(const char *path)
{
    struct sink *s = create();

    s->server = server_start_unix(path, serve, s);
    return s;
}

uint16_t sink_port(const struct sink *s) { return server_port(s->server); }

void sink_stop(struct sink *s)
{
    pthread_mutex_lock(&s->lock);
    s->stopping = true;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
    server_stop(s->server);
    pthread_cond_destroy(&s->changed);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

void sink_permit(struct sink *s) { note(s, &s->permits, 0); }

static uint64_t look(struct sink *s, const void *what, size_t size)
{
    uint64_t n;

    pthread_mutex_lock(&s->lock);
    n = size == sizeof(uint64_t) ? *(const uint64_t *)what : *(const unsigned *)what;
    pthread_mutex_unlock(&s->lock);
    return n;
}

static void wait_for(struct sink *s, const void *what, size_t size, uint64_t n)
{
    double give_up = patience();

    while (look(s, what, size) < n) {
        ck_assert_msg(now_s() < give_up, "the model saw %llu of %llu", (unsigned long long)look(s, what, size), (unsigned long long)n);
        nap();
    }
}

unsigned sink_requests(struct sink *s) { return (unsigned)look(s, &s->requests, sizeof s->requests); }
void sink_wait_requests(struct sink *s, unsigned n) { wait_for(s, &s->requests, sizeof s->requests, n); }
uint64_t sink_bytes(struct sink *s) { return look(s, &s->bytes, sizeof s->bytes); }
void sink_wait_bytes(struct sink *s, uint64_t n) { wait_for(s, &s->bytes, sizeof s->bytes, n); }
void sink_wait_gone(struct sink *s, unsigned n) { wait_for(s, &s->gone, sizeof s->gone, n); }
