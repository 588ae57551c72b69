/*
 * Reads many streams of source.c at once and tells how long their events were under way.
 * usage: reader PORT STREAMS COUNT MS     one line of JSON; delays in microseconds
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define EVENTS 256
#define KEPT 32 /* of what was read before: a time may come in two pieces */
#define PATIENCE_MS 15000

struct stream {
    int fd;
    long seen;
    size_t kept;
    int ended;
    char last[KEPT];
};

static struct stream *streams;
static unsigned *delays;
static size_t delay_count, delay_max;
static long per_stream, complete, open_count;

static long long now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

static void note(struct stream *s, long long made_ns, long long now)
{
    s->seen++;
    if (delay_count < delay_max)
        delays[delay_count++] = (unsigned)((now - made_ns) / 1000);
}

static void read_times(struct stream *s, char *p, size_t len, long long now)
{
    static const char mark[] = "\"t\": ";
    char *end = p + len, *at = p, *found;

    while ((found = memmem(at, (size_t)(end - at), mark, sizeof mark - 1)) != NULL && end - found >= 25) {
        note(s, strtoll(found + sizeof mark - 1, NULL, 10), now);
        at = found + 25;
    }
    s->kept = (size_t)(end - at) < KEPT - 1 ? (size_t)(end - at) : KEPT - 1;
    memcpy(s->last, end - s->kept, s->kept);
}

static void over(struct stream *s)
{
    if (s->seen == per_stream)
        complete++;
    s->ended = 1;
    open_count--;
    close(s->fd);
}

static void take(struct stream *s)
{
    static char buf[KEPT + 65536 + 1];
    ssize_t n;

    memcpy(buf, s->last, s->kept);
    n = recv(s->fd, buf + s->kept, sizeof buf - 1 - s->kept, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        over(s);
        return;
    }
    buf[s->kept + (size_t)n] = '\0';
    read_times(s, buf, s->kept + (size_t)n, now_ns());
    if (s->seen == per_stream && s->kept >= 5 && memcmp(s->last + s->kept - 5, "0\r\n\r\n", 5) == 0)
        over(s);
}

static int by_size(const void *a, const void *b)
{
    unsigned x = *(const unsigned *)a, y = *(const unsigned *)b;

    return (x > y) - (x < y);
}

static int open_one(int ep, struct stream *s, const struct sockaddr_in *at, long ms)
{
    struct epoll_event ev = { .events = EPOLLIN, .data.ptr = s };
    char head[200];
    int len = snprintf(head, sizeof head, "GET /stream/%ld/%ld HTTP/1.1\r\nHost: bench\r\nAccept: text/event-stream\r\n\r\n", per_stream, ms);

    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (s->fd < 0 || connect(s->fd, (const struct sockaddr *)at, sizeof *at) != 0 || send(s->fd, head, (size_t)len, MSG_NOSIGNAL) != len)
        return 0;
    open_count++;
    return epoll_ctl(ep, EPOLL_CTL_ADD, s->fd, &ev) == 0;
}

/* One reader after the other within one interval, so that the events of all streams are spread over it. */
static int run(int ep, const struct sockaddr_in *at, long count, long ms)
{
    struct epoll_event evs[EVENTS];
    long long start = now_ns();
    long opened = 0;

    while (opened < count || open_count) {
        int i, n;

        for (; opened < count && start + opened * 1000000000LL / count <= now_ns(); opened++)
            if (!open_one(ep, &streams[opened], at, ms))
                return 0;
        n = epoll_wait(ep, evs, EVENTS, opened < count ? 1 : PATIENCE_MS);
        if (n == 0 && opened == count)
            return 1; /* what is still open is not complete */
        for (i = 0; i < n; i++)
            take(evs[i].data.ptr);
    }
    return 1;
}

int main(int argc, char **argv)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int ep = epoll_create1(EPOLL_CLOEXEC);
    long count, ms;

    if (argc != 5)
        return fprintf(stderr, "usage: reader PORT STREAMS COUNT MS\n"), 2;
    at.sin_port = htons((unsigned short)strtoul(argv[1], NULL, 10));
    count = strtol(argv[2], NULL, 10);
    per_stream = strtol(argv[3], NULL, 10);
    ms = strtol(argv[4], NULL, 10);
    delay_max = (size_t)(count * per_stream);
    streams = calloc((size_t)count, sizeof *streams);
    delays = calloc(delay_max, sizeof *delays);
    if (!streams || !delays || ep < 0 || !run(ep, &at, count, ms)) {
        perror("reader");
        return 1;
    }
    if (!delay_count)
        return fprintf(stderr, "reader: no event came\n"), 1;
    qsort(delays, delay_count, sizeof *delays, by_size);
    printf("{\"streams\": %ld, \"complete\": %ld, \"events\": %zu, \"p50\": %u, \"p99\": %u, \"max\": %u}\n", count, complete, delay_count,
           delays[delay_count / 2], delays[delay_count * 99 / 100], delays[delay_count - 1]);
    return 0;
}
