#include "server.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "actors.h"

struct connection {
    struct connection *next;
    struct server *server;
    pthread_t thread;
    int fd;
    bool over;
};

/* What is over stays open for a while: to close at once what was not read would be a reset, which takes answers back. */
#define OVER_KEPT 256

struct server {
    int fd;
    uint16_t port;
    serve_fn fn;
    void *arg;
    bool raw;
    pthread_t thread;
    pthread_mutex_t lock;
    struct connection *connections;
    unsigned accepted, over;
    bool stopping;
};

bool send_all(int fd, const char *data, size_t len)
{
    while (len) {
        ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

        if (n <= 0)
            return false;
        data += n;
        len -= (size_t)n;
    }
    return true;
}

bool send_text(int fd, const char *text) { return send_all(fd, text, strlen(text)); }

bool send_answer(const struct served *request, int status, const char *type, const char *body)
{
    bool bodyless = strcmp(request->method, "HEAD") == 0 || status == 204 || status == 304;
    char head[256], length[48] = "";

    if (status != 204) /* RFC 9110 8.6 */
        snprintf(length, sizeof length, "Content-Length: %zu\r\n", strlen(body));
    snprintf(head, sizeof head, "HTTP/1.1 %d X\r\nContent-Type: %s\r\n%s\r\n", status, type, length);
    return send_text(request->fd, head) && (bodyless || send_text(request->fd, body));
}

bool peer_is_gone(int fd)
{
    char c;
    ssize_t n = recv(fd, &c, 1, MSG_PEEK | MSG_DONTWAIT);

    return n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
}

/* Reads until len bytes are in the buffer, which grows. */
static bool fill(int fd, char **buffer, size_t *have, size_t need)
{
    *buffer = realloc(*buffer, need + 1);
    while (*have < need) {
        ssize_t n = recv(fd, *buffer + *have, need - *have, 0);

        if (n <= 0)
            return false;
        *have += (size_t)n;
    }
    return true;
}

static bool read_head(int fd, char **head)
{
    size_t len = 0;
    char c;

    *head = malloc(128 * 1024);
    while (len < 128 * 1024 - 1) {
        if (recv(fd, &c, 1, 0) != 1)
            return false;
        (*head)[len++] = c;
        (*head)[len] = '\0';
        if (len >= 4 && memcmp(*head + len - 4, "\r\n\r\n", 4) == 0)
            return true;
    }
    return false;
}

static bool read_chunks(int fd, struct served *request)
{
    for (;;) {
        char line[64];
        size_t at = 0, size;

        while (at < sizeof line - 1 && recv(fd, line + at, 1, 0) == 1 && line[at] != '\n')
            at++;
        line[at] = '\0';
        size = strtoul(line, NULL, 16);
        if (!fill(fd, &request->body, &request->len, request->len + size + 2))
            return false;
        request->len -= 2;
        request->body[request->len] = '\0';
        if (!size)
            return true;
    }
}

static bool read_head_of(struct served *request)
{
    return read_head(request->fd, &request->head) && sscanf(request->head, "%15s %1023s", request->method, request->target) == 2;
}

static bool read_request(struct served *request)
{
    char *length;

    if (!read_head_of(request))
        return false;
    if (strcasestr(request->head, "\r\ntransfer-encoding: chunked"))
        return read_chunks(request->fd, request);
    length = strcasestr(request->head, "\r\ncontent-length:");
    if (!fill(request->fd, &request->body, &request->len, length ? strtoul(length + 17, NULL, 10) : 0))
        return false;
    request->body[request->len] = '\0';
    return true;
}

static void *converse(void *arg)
{
    struct connection *connection = arg;
    bool more = true;

    while (more && !server_stopping(connection->server)) {
        struct served request = { .fd = connection->fd };

        more = (connection->server->raw ? read_head_of(&request) : read_request(&request)) && connection->server->fn(connection->server->arg, &request);
        free(request.head);
        free(request.body);
    }
    shutdown(connection->fd, SHUT_RDWR);
    pthread_mutex_lock(&connection->server->lock);
    connection->over = true;
    connection->server->over++;
    pthread_mutex_unlock(&connection->server->lock);
    return NULL;
}

static void finish(struct connection *connection)
{
    pthread_join(connection->thread, NULL);
    close(connection->fd);
    free(connection);
}

/* The list begins with the youngest: the older half of what is over goes. With the lock held. */
static void bury_some(struct server *s)
{
    struct connection **at = &s->connections;
    unsigned seen = 0;

    while (*at) {
        struct connection *connection = *at;

        if (!connection->over || ++seen <= OVER_KEPT / 2) {
            at = &connection->next;
            continue;
        }
        *at = connection->next;
        s->over--;
        finish(connection);
    }
}

static void *accept_all(void *arg)
{
    struct server *s = arg;
    int fd, one = 1;

    while ((fd = accept(s->fd, NULL, NULL)) >= 0) {
        struct connection *connection = calloc(1, sizeof *connection);

        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        connection->server = s;
        connection->fd = fd;
        pthread_mutex_lock(&s->lock);
        s->accepted++;
        if (s->over > OVER_KEPT)
            bury_some(s);
        connection->next = s->connections;
        s->connections = connection;
        ck_assert_int_eq(pthread_create(&connection->thread, NULL, converse, connection), 0);
        pthread_mutex_unlock(&s->lock);
    }
    return NULL;
}

static struct server *start(int fd, serve_fn fn, void *arg, bool raw)
{
    struct server *s = calloc(1, sizeof *s);

    s->fn = fn;
    s->raw = raw;
    s->arg = arg;
    s->fd = fd;
    pthread_mutex_init(&s->lock, NULL);
    ck_assert_int_eq(listen(s->fd, 1024), 0);
    ck_assert_int_eq(pthread_create(&s->thread, NULL, accept_all, s), 0);
    return s;
}

static struct server *start_at(uint16_t port, serve_fn fn, void *arg, bool raw)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct server *s;
    bool bound;

    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    do {
        at.sin_port = htons(port ? port : free_port());
        bound = bind(fd, (struct sockaddr *)&at, sizeof at) == 0;
        ck_assert_msg(bound || (!port && errno == EADDRINUSE), "port %u: %s", (unsigned)ntohs(at.sin_port), strerror(errno));
    } while (!bound); /* somebody was quicker */
    s = start(fd, fn, arg, raw);
    s->port = ntohs(at.sin_port);
    return s;
}

struct server *server_start(uint16_t port, serve_fn fn, void *arg) { return start_at(port, fn, arg, false); }
struct server *server_start_raw(uint16_t port, serve_fn fn, void *arg) { return start_at(port, fn, arg, true); }

struct server *server_start_unix(const char *path, serve_fn fn, void *arg)
{
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    ck_assert_uint_lt(strlen(path), sizeof at.sun_path);
    memcpy(at.sun_path, path, strlen(path) + 1);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    return start(fd, fn, arg, true);
}

uint16_t server_port(const struct server *s) { return s->port; }

unsigned server_connections(struct server *s)
{
    unsigned n;

    pthread_mutex_lock(&s->lock);
    n = s->accepted;
    pthread_mutex_unlock(&s->lock);
    return n;
}

bool server_stopping(struct server *s)
{
    bool stopping;

    pthread_mutex_lock(&s->lock);
    stopping = s->stopping;
    pthread_mutex_unlock(&s->lock);
    return stopping;
}

void server_stop(struct server *s)
{
    struct connection *connection, *next;

    pthread_mutex_lock(&s->lock);
    s->stopping = true;
    pthread_mutex_unlock(&s->lock);
    shutdown(s->fd, SHUT_RDWR);
    pthread_join(s->thread, NULL);
    close(s->fd);
    for (connection = s->connections; connection; connection = connection->next)
        shutdown(connection->fd, SHUT_RDWR);
    for (connection = s->connections; connection; connection = next) {
        next = connection->next;
        finish(connection);
    }
    pthread_mutex_destroy(&s->lock);
    free(s);
}
