#include "wire.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "actors.h"
#include "server.h"

struct wire {
    struct server *server;
    pthread_mutex_t lock;
    unsigned requests;
    char *bytes;
    size_t len;
};

static void keep(struct wire *x, const char *data, size_t len)
{
    pthread_mutex_lock(&x->lock);
    x->bytes = realloc(x->bytes, x->len + len + 1);
    memcpy(x->bytes + x->len, data, len);
    x->len += len;
    x->bytes[x->len] = '\0';
    pthread_mutex_unlock(&x->lock);
}

static bool keep_bytes(struct wire *x, int fd, size_t count)
{
    char piece[4096];

    while (count) {
        ssize_t n = recv(fd, piece, count < sizeof piece ? count : sizeof piece, 0);

        if (n <= 0)
            return false;
        keep(x, piece, (size_t)n);
        count -= (size_t)n;
    }
    return true;
}

static bool keep_line(struct wire *x, int fd, char *line, size_t size)
{
    size_t at = 0;

    while (at < size - 1 && recv(fd, line + at, 1, 0) == 1)
        if (line[at++] == '\n') {
            keep(x, line, at);
            line[at] = '\0';
            return true;
        }
    return false;
}

static bool keep_chunks(struct wire *x, int fd)
{
    char line[4096];
    size_t size;

    do {
        if (!keep_line(x, fd, line, sizeof line))
            return false;
        size = strtoul(line, NULL, 16);
        if (!keep_bytes(x, fd, size ? size + 2 : 0))
            return false;
    } while (size);
    do /* trailers, of which there should be none */
        if (!keep_line(x, fd, line, sizeof line))
            return false;
    while (strcmp(line, "\r\n") != 0);
    return true;
}

static bool answer(struct served *rq)
{
    static const struct {
        const char *path, *text;
    } stalls[] = {
        { "/silent", "" },
        { "/stall-head", "HTTP/1.1 200 OK\r\nContent-" },
        { "/stall-body", "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{\"half\":" },
        { "/stall-events", "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n" },
    };
    size_t i;
    char c;

    for (i = 0; i < sizeof stalls / sizeof stalls[0]; i++)
        if (strcmp(rq->target, stalls[i].path) == 0) {
            send_text(rq->fd, stalls[i].text);
            return recv(rq->fd, &c, 1, 0) > 0 && false;
        }
    if (strcmp(rq->target, "/vanish") == 0)
        return false;
    return send_answer(rq, 200, "application/json", "{}") && strcmp(rq->target, "/once") != 0;
}

static bool serve(void *arg, struct served *rq)
{
    struct wire *x = arg;
    char *length = strcasestr(rq->head, "\r\ncontent-length:");

    keep(x, rq->head, strlen(rq->head));
    if (strcasestr(rq->head, "\r\ntransfer-encoding:") ? !keep_chunks(x, rq->fd) : !keep_bytes(x, rq->fd, length ? strtoul(length + 17, NULL, 10) : 0))
        return false;
    pthread_mutex_lock(&x->lock);
    x->requests++;
    pthread_mutex_unlock(&x->lock);
    return answer(rq);
}

static struct wire *create(void)
{
    struct wire *x = calloc(1, sizeof *x);

    pthread_mutex_init(&x->lock, NULL);
    return x;
}

struct wire *wire_start(void)
{
    struct wire *x = create();

    x->server = server_start_raw(0, serve, x);
    return x;
}

struct wire *wire_start_unix(const char *path)
{
    struct wire *x = create();

    x->server = server_start_unix(path, serve, x);
    return x;
}

uint16_t wire_port(const struct wire *x) { return server_port(x->server); }

void wire_stop(struct wire *x)
{
    server_stop(x->server);
    pthread_mutex_destroy(&x->lock);
    free(x->bytes);
    free(x);
}

unsigned wire_requests(struct wire *x)
{
    unsigned n;

    pthread_mutex_lock(&x->lock);
    n = x->requests;
    pthread_mutex_unlock(&x->lock);
    return n;
}

void wire_wait_requests(struct wire *x, unsigned n)
{
    double give_up = patience();

    while (wire_requests(x) < n) {
        ck_assert_msg(now_s() < give_up, "the model got %u of %u requests", wire_requests(x), n);
        nap();
    }
}

char *wire_take(struct wire *x)
{
    char *bytes;

    pthread_mutex_lock(&x->lock);
    bytes = x->bytes ? x->bytes : strdup("");
    x->bytes = NULL;
    x->len = 0;
    pthread_mutex_unlock(&x->lock);
    return bytes;
}
