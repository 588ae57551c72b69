/*
 * The model server of the benchmark's streams and bulk: makes what nothing has to be read for. Every event of a stream carries the time
 * at which it was made, so that its reader (reader.c) knows how long it was under way.
 * GET /stream/COUNT/MS   COUNT server-sent events, one every MS milliseconds, chunked
 * GET /bytes/COUNT       COUNT bytes with a Content-Length
 * usage: source          prints the port it listens on, on the loopback address
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define HEAD_BYTES 8192
#define EVENTS 256
#define MAX_CONNS 20000
#define PAD "the quick brown fox jumps over the lazy dog and then over the next one"

struct conn {
    int fd;
    size_t head_len, index;
    long events_left, ms;
    long long due_ns;
    unsigned long long bytes_left;
    char head[HEAD_BYTES];
};

static struct conn *conns[MAX_CONNS];
static size_t conn_count;
static int ep;

static long long now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

static void drop(struct conn *c)
{
    conns[c->index] = conns[--conn_count];
    conns[c->index]->index = c->index;
    close(c->fd);
    free(c);
}

/* Small answers always fit into a socket's buffer unless its reader sleeps; then the stream is broken, and its reader tells. */
static int put(const struct conn *c, const char *p, size_t len) { return send(c->fd, p, len, MSG_NOSIGNAL) == (ssize_t)len; }

static int put_event(struct conn *c)
{
    char event[300], chunk[400];
    int len = snprintf(event, sizeof event, "data: {\"t\": %019lld, \"text\": \"" PAD "\"}\n\n", now_ns());

    c->events_left--;
    len = snprintf(chunk, sizeof chunk, "%x\r\n%s\r\n%s", (unsigned)len, event, c->events_left ? "" : "0\r\n\r\n");
    c->due_ns += c->ms * 1000000LL;
    return put(c, chunk, (size_t)len);
}

static int put_bytes(struct conn *c)
{
    static char zeros[262144];
    struct epoll_event ev = { .events = EPOLLIN, .data.ptr = c };

    while (c->bytes_left) {
        size_t max = c->bytes_left < sizeof zeros ? (size_t)c->bytes_left : sizeof zeros;
        ssize_t n = send(c->fd, zeros, max, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return 0;
        if (n < 0)
            break;
        c->bytes_left -= (unsigned long long)n;
    }
    if (c->bytes_left)
        ev.events |= EPOLLOUT;
    return epoll_ctl(ep, EPOLL_CTL_MOD, c->fd, &ev) == 0;
}

static int answer(struct conn *c)
{
    static const char stream_head[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
    char head[300];
    int len;

    if (sscanf(c->head, "GET /stream/%ld/%ld ", &c->events_left, &c->ms) == 2 && c->events_left > 0) {
        c->due_ns = now_ns();
        return put(c, stream_head, sizeof stream_head - 1);
    }
    if (sscanf(c->head, "GET /bytes/%llu ", &c->bytes_left) != 1)
        c->bytes_left = 2;
    len = snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: %llu\r\n\r\n", c->bytes_left);
    return put(c, head, (size_t)len) && put_bytes(c);
}

static int serve(struct conn *c)
{
    ssize_t n = recv(c->fd, c->head + c->head_len, HEAD_BYTES - 1 - c->head_len, MSG_DONTWAIT);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 1;
    if (n <= 0)
        return 0;
    c->head_len += (size_t)n;
    c->head[c->head_len] = '\0';
    if (!strstr(c->head, "\r\n\r\n"))
        return c->head_len < HEAD_BYTES - 1;
    c->head_len = 0;
    return answer(c);
}

static void welcome(int listener)
{
    struct epoll_event ev = { .events = EPOLLIN };
    int one = 1, fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    struct conn *c = fd >= 0 && conn_count < MAX_CONNS ? calloc(1, sizeof *c) : NULL;

    if (!c) {
        if (fd >= 0)
            close(fd);
        return;
    }
    c->fd = fd;
    c->index = conn_count;
    conns[conn_count++] = c;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    ev.data.ptr = c;
    epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
}

static void play(void)
{
    long long now = now_ns();
    size_t i;

    for (i = 0; i < conn_count; i++)
        if (conns[i]->events_left && conns[i]->due_ns <= now && !put_event(conns[i]))
            drop(conns[i--]);
}

int main(void)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof at;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct epoll_event ev = { .events = EPOLLIN }, evs[EVENTS];

    ep = epoll_create1(EPOLL_CLOEXEC);
    if (listener < 0 || ep < 0 || bind(listener, (struct sockaddr *)&at, sizeof at) != 0 || listen(listener, 4096) != 0 ||
        getsockname(listener, (struct sockaddr *)&at, &len) != 0 || epoll_ctl(ep, EPOLL_CTL_ADD, listener, &ev) != 0) {
        perror("source");
        return 1;
    }
    printf("%d\n", ntohs(at.sin_port));
    fflush(stdout);
    for (;;) {
        int i, n = epoll_wait(ep, evs, EVENTS, 1);

        for (i = 0; i < n; i++) {
            struct conn *c = evs[i].data.ptr;

            if (!c)
                welcome(listener);
            else if ((evs[i].events & EPOLLOUT && !put_bytes(c)) || (evs[i].events & ~(unsigned)EPOLLOUT && !serve(c)))
                drop(c);
        }
        play();
    }
}
