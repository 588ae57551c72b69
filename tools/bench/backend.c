/*
 * The model server of the benchmark: answers every request at once with 4 KB of JSON, keep-alive, so that what is measured is
 * the proxy in front of it. Understands Content-Length alone and no pipelining, which is all that both proxies send.
 * usage: backend     prints the port it listens on, on the loopback address
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define BODY_BYTES 4096
#define HEAD_BYTES 16384
#define EVENTS 256

struct conn {
    int fd;
    size_t head_len;
    size_t body_left; /* of the request that is being read */
    char head[HEAD_BYTES];
};

static char answer[BODY_BYTES + 512];
static size_t answer_len;

static void make_answer(void)
{
    static char body[BODY_BYTES + 1];
    static const char begin[] = "{\"object\":\"list\",\"data\":[", end[] = "0.5]}";
    size_t len = sizeof begin - 1;

    memcpy(body, begin, len);
    while (len + 6 + sizeof end - 1 <= BODY_BYTES) {
        memcpy(body + len, "0.125,", 6);
        len += 6;
    }
    memset(body + len, ' ', BODY_BYTES - (sizeof end - 1) - len);
    memcpy(body + BODY_BYTES - (sizeof end - 1), end, sizeof end);
    answer_len = (size_t)snprintf(answer, sizeof answer,
                                  "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", BODY_BYTES, body);
}

static size_t content_length(const char *head, const char *end)
{
    const char *line = head, *next;

    for (; line < end; line = next + 2) {
        next = memmem(line, (size_t)(end - line) + 2, "\r\n", 2);
        if (!next)
            break;
        if (next - line > 15 && strncasecmp(line, "content-length:", 15) == 0)
            return strtoull(line + 15, NULL, 10);
    }
    return 0;
}

/* False: the connection is over. An answer of 4 KB always fits into an empty socket buffer. */
static int reply(const struct conn *c) { return send(c->fd, answer, answer_len, MSG_NOSIGNAL) == (ssize_t)answer_len; }

static int take(struct conn *c, const char *p, size_t len)
{
    while (len) {
        if (c->body_left) {
            size_t n = len < c->body_left ? len : c->body_left;

            p += n, len -= n;
            c->body_left -= n;
            if (!c->body_left && !reply(c))
                return 0;
        } else {
            size_t before = c->head_len, n = len < HEAD_BYTES - before ? len : HEAD_BYTES - before;
            char *end;

            if (!n)
                return 0;
            memcpy(c->head + before, p, n);
            c->head_len += n;
            end = memmem(c->head, c->head_len, "\r\n\r\n", 4);
            if (!end)
                return n == len;
            n = (size_t)(end + 4 - c->head) - before;
            p += n, len -= n;
            c->body_left = content_length(c->head, end);
            c->head_len = 0;
            if (!c->body_left && !reply(c))
                return 0;
        }
    }
    return 1;
}

static void serve(int ep, struct conn *c)
{
    static char buf[262144];
    ssize_t n = recv(c->fd, buf, sizeof buf, 0);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n > 0 && take(c, buf, (size_t)n))
        return;
    epoll_ctl(ep, EPOLL_CTL_DEL, c->fd, NULL);
    close(c->fd);
    free(c);
}

static void welcome(int ep, int listener)
{
    struct epoll_event ev = { .events = EPOLLIN };
    int one = 1, fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    struct conn *c = fd >= 0 ? calloc(1, sizeof *c) : NULL;

    if (!c) {
        if (fd >= 0)
            close(fd);
        return;
    }
    c->fd = fd;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    ev.data.ptr = c;
    epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
}

int main(void)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof at;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), ep = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event ev = { .events = EPOLLIN }, evs[EVENTS];

    make_answer();
    if (listener < 0 || ep < 0 || bind(listener, (struct sockaddr *)&at, sizeof at) != 0 || listen(listener, 1024) != 0 ||
        getsockname(listener, (struct sockaddr *)&at, &len) != 0 || epoll_ctl(ep, EPOLL_CTL_ADD, listener, &ev) != 0) {
        perror("backend");
        return 1;
    }
    printf("%d\n", ntohs(at.sin_port));
    fflush(stdout);
    for (;;) {
        int i, n = epoll_wait(ep, evs, EVENTS, -1);

        for (i = 0; i < n; i++) {
            if (evs[i].data.ptr)
                serve(ep, evs[i].data.ptr);
            else
                welcome(ep, listener);
        }
    }
}
