/* A blocking client that reads answers as a careful one would: exact framing, and it says when a connection was cut. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "actors.h"

bool port_is_open(uint16_t port)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool open = connect(fd, (struct sockaddr *)&at, sizeof at) == 0;

    close(fd);
    return open;
}

int client_connect(uint16_t port)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct timeval patience = { PATIENCE_S, 0 };
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    ck_assert_msg(connect(fd, (struct sockaddr *)&at, sizeof at) == 0, "connect: %s", strerror(errno));
    return fd;
}

void client_send_bytes(int fd, const char *data, size_t len)
{
    while (len) {
        ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

        ck_assert_msg(n > 0, "send: %s", strerror(errno));
        data += n;
        len -= (size_t)n;
    }
}

void client_send(int fd, const char *text) { client_send_bytes(fd, text, strlen(text)); }

/* 1: a byte; 0: closed. */
static bool get(int fd, char *c)
{
    ssize_t n = recv(fd, c, 1, 0);

    ck_assert_msg(n >= 0 || errno == ECONNRESET, "the client waited for an answer: %s", strerror(errno));
    return n == 1;
}

static bool read_head(int fd, struct answer *a)
{
    size_t len = 0, cap = 64 * 1024;

    a->head = malloc(cap);
    a->head[0] = '\0';
    while (len < cap - 1) {
        if (!get(fd, a->head + len))
            return false;
        a->head[++len] = '\0';
        if (len >= 4 && memcmp(a->head + len - 4, "\r\n\r\n", 4) == 0)
            return true;
    }
    return false;
}

static bool read_bytes(int fd, struct answer *a, size_t count)
{
    a->body = realloc(a->body, a->len + count + 1);
    while (count) {
        ssize_t n = recv(fd, a->body + a->len, count, 0);

        ck_assert_msg(n >= 0 || errno == ECONNRESET, "the client waited for a body: %s", strerror(errno));
        if (n <= 0)
            return false;
        a->len += (size_t)n;
        count -= (size_t)n;
    }
    return true;
}

static bool read_chunks(int fd, struct answer *a)
{
    for (;;) {
        char line[64];
        size_t at = 0, size;

        for (;;) {
            if (at >= sizeof line - 1 || !get(fd, line + at))
                return false;
            if (line[at] == '\n')
                break;
            at++;
        }
        line[at] = '\0';
        size = strtoul(line, NULL, 16);
        if (!read_bytes(fd, a, size + 2))
            return false;
        a->len -= 2;
        if (!size)
            return true;
    }
}

static void read_rest(int fd, struct answer *a)
{
    char buffer[4096];
    ssize_t n;

    while ((n = recv(fd, buffer, sizeof buffer, 0)) > 0) {
        a->body = realloc(a->body, a->len + (size_t)n + 1);
        memcpy(a->body + a->len, buffer, (size_t)n);
        a->len += (size_t)n;
    }
}

const char *answer_header(const struct answer *a, const char *name)
{
    static char value[4096];
    char needle[128], *at, *end;
    size_t len;

    snprintf(needle, sizeof needle, "\r\n%s:", name);
    at = strcasestr(a->head, needle);
    if (!at)
        return "";
    at += strlen(needle);
    at += strspn(at, " ");
    end = strstr(at, "\r\n");
    len = (size_t)(end - at) < sizeof value - 1 ? (size_t)(end - at) : sizeof value - 1;
    memcpy(value, at, len);
    value[len] = '\0';
    return value;
}

const char *answer_reason(const struct answer *a) { return answer_header(a, "x-vastworker-reason"); }

static struct answer read_answer(int fd, bool head_only)
{
    struct answer a = { 0, NULL, NULL, 0, false };

    do {
        free(a.head);
        if (!read_head(fd, &a)) {
            a.cut = true;
            a.body = strdup("");
            return a;
        }
        a.status = (int)strtol(a.head + 9, NULL, 10);
    } while (a.status == 100);
    if (head_only || a.status == 204 || a.status == 304)
        ;
    else if (strcasecmp(answer_header(&a, "transfer-encoding"), "chunked") == 0)
        a.cut = !read_chunks(fd, &a);
    else if (answer_header(&a, "content-length")[0])
        a.cut = !read_bytes(fd, &a, strtoul(answer_header(&a, "content-length"), NULL, 10));
    else
        read_rest(fd, &a);
    if (!a.body)
        a.body = malloc(1);
    a.body[a.len] = '\0';
    return a;
}

struct answer client_read(int fd) { return read_answer(fd, false); }
struct answer client_read_to_head(int fd) { return read_answer(fd, true); }

void client_read_until(int fd, const char *text, char *buffer, size_t size)
{
    size_t len = 0;

    buffer[0] = '\0';
    while (!strstr(buffer, text)) {
        ck_assert_msg(len < size - 1 && get(fd, buffer + len), "\"%s\" never came; got \"%s\"", text, buffer);
        buffer[++len] = '\0';
    }
}

void client_close(int fd) { close(fd); }

void client_reset(int fd)
{
    struct linger now = { 1, 0 };

    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(fd);
}

bool client_is_closed(int fd)
{
    char c;
    ssize_t n = recv(fd, &c, 1, 0);

    return n == 0 || (n < 0 && errno != EAGAIN);
}

void answer_fini(struct answer *a)
{
    free(a->head);
    free(a->body);
    memset(a, 0, sizeof *a);
}

static void send_request(int fd, const char *method, const char *path, const char *headers, const char *body)
{
    char *head = NULL;

    if (body)
        ck_assert_int_gt(asprintf(&head, "%s %s HTTP/1.1\r\nHost: worker\r\n%sContent-Length: %zu\r\n\r\n", method, path, headers, strlen(body)), 0);
    else
        ck_assert_int_gt(asprintf(&head, "%s %s HTTP/1.1\r\nHost: worker\r\n%s\r\n", method, path, headers), 0);
    client_send(fd, head);
    if (body)
        client_send(fd, body);
    free(head);
}

void client_send_post(int fd, const char *path, const char *body) { send_request(fd, "POST", path, "Content-Type: application/json\r\n", body); }

struct answer client_call(uint16_t port, const char *method, const char *path, const char *headers, const char *body)
{
    int fd = client_connect(port);
    struct answer a;

    send_request(fd, method, path, headers, body);
    a = read_answer(fd, strcmp(method, "HEAD") == 0);
    close(fd);
    return a;
}

struct answer client_post(uint16_t port, const char *path, const char *body)
{
    return client_call(port, "POST", path, "Content-Type: application/json\r\n", body);
}

struct answer client_envelope(uint16_t port, struct control *c, const char *path, long request_idx, const char *payload)
{
    char *body = envelope(c, request_idx, payload);
    struct answer a = client_post(port, path, body);

    free(body);
    return a;
}

void client_expect_held(int fd, int nth)
{
    struct answer a = client_read(fd);
    char body[32];

    snprintf(body, sizeof body, "{\"held\": %d}", nth);
    ck_assert_int_eq(a.status, 200);
    ck_assert_str_eq(a.body, body);
    answer_fini(&a);
    client_close(fd);
}

long client_expect_limited(int fd, const char *reason)
{
    struct answer a = client_read(fd);
    long after = strtol(answer_header(&a, "retry-after"), NULL, 10);

    ck_assert_int_eq(a.status, 429);
    ck_assert_str_eq(answer_reason(&a), reason);
    ck_assert_int_ge(after, 1);
    answer_fini(&a);
    client_close(fd);
    return after;
}

double client_metric(uint16_t port, const char *name)
{
    struct answer a = client_call(port, "GET", "/metrics", "", NULL);
    char wanted[100];
    const char *at;
    double value;

    snprintf(wanted, sizeof wanted, "\n%s ", name); /* not its HELP */
    at = strstr(a.body, wanted);
    ck_assert_msg(at != NULL, "there is no %s in /metrics", name);
    value = strtod(at + strlen(wanted), NULL);
    answer_fini(&a);
    return value;
}

json_t *client_health(uint16_t port)
{
    struct answer a = client_call(port, "GET", "/health", "", NULL);
    json_t *json = parse_json(a.body);

    answer_fini(&a);
    return json;
}
