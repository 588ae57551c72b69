/* The model server: its answer is named by the path; permits let a test decide when it goes on. */
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>

#include "actors.h"
#include "server.h"

#define MAX_SEEN 8192

struct model {
    struct server *server;
    pthread_mutex_t lock;
    pthread_cond_t news;
    unsigned permits, requests, probes, gone, at_once, most_at_once, held;
    uint64_t flooded;
    bool stalled, stopping;
    int health;
    char *seen[MAX_SEEN], *bodies[MAX_SEEN];
};

static void deadline(struct timespec *ts)
{
    clock_gettime(CLOCK_REALTIME, ts);
    ts->tv_sec += PATIENCE_S;
}

/* Waits in slices so that a client that leaves is seen. False: it left, or the scene is over. */
static bool wait_permit(struct model *m, int fd)
{
    bool ok = false;

    pthread_mutex_lock(&m->lock);
    while (!m->stopping) {
        struct timespec ts;

        if (m->permits) {
            m->permits--;
            ok = true;
            break;
        }
        if (peer_is_gone(fd)) {
            m->gone++;
            pthread_cond_broadcast(&m->news);
            break;
        }
        clock_gettime(CLOCK_REALTIME, &ts);
        ts.tv_nsec += 2000000;
        if (ts.tv_nsec >= 1000000000) {
            ts.tv_nsec -= 1000000000;
            ts.tv_sec++;
        }
        pthread_cond_timedwait(&m->news, &m->lock, &ts);
    }
    pthread_mutex_unlock(&m->lock);
    return ok;
}

static void count_gone(struct model *m)
{
    pthread_mutex_lock(&m->lock);
    m->gone++;
    pthread_cond_broadcast(&m->news);
    pthread_mutex_unlock(&m->lock);
}

static bool answer_echo(struct served *rq)
{
    json_t *headers = json_object(), *echo;
    char *text, *line, *save = NULL, *copy = strdup(rq->head);
    bool ok;

    strtok_r(copy, "\r\n", &save);
    while ((line = strtok_r(NULL, "\r\n", &save))) {
        char *colon = strchr(line, ':');
        char *p;

        if (!colon)
            continue;
        *colon++ = '\0';
        for (p = line; *p; p++)
            *p = (char)(*p >= 'A' && *p <= 'Z' ? *p + 32 : *p);
        json_object_set_new(headers, line, json_string(colon + strspn(colon, " ")));
    }
    echo = json_pack("{s:s, s:s, s:o, s:s#}", "method", rq->method, "target", rq->target, "headers", headers, "body", rq->body, rq->len);
    text = json_dumps(echo, JSON_COMPACT);
    ok = send_answer(rq, 200, "application/json; charset=utf-8", text);
    free(text);
    free(copy);
    json_decref(echo);
    return ok;
}

/* A line of the request's head with its line end, "" when absent; to be freed. */
static char *line_of(const struct served *rq, const char *name)
{
    char *needle = NULL, *at, *line;

    ck_assert_int_gt(asprintf(&needle, "\r\n%s: ", name), 0);
    at = strcasestr(rq->head, needle);
    line = at ? strndup(at + 2, strcspn(at + 2, "\r") + 2) : strdup("");
    free(needle);
    return line;
}

/* What came goes back: bytes, type and coding. With If-None-Match it was seen before. */
static bool answer_mirror(const struct served *rq)
{
    static const char own[] = "ETag: \"v1\"\r\nX-Request-Id: the-models-own\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n";
    char *type = line_of(rq, "Content-Type"), *coding = line_of(rq, "Content-Encoding"), *seen = line_of(rq, "If-None-Match"), *head = NULL;
    bool ok;

    if (*seen)
        ck_assert_int_gt(asprintf(&head, "HTTP/1.1 304 Not Modified\r\n%s\r\n", own), 0);
    else
        ck_assert_int_gt(asprintf(&head, "HTTP/1.1 200 OK\r\n%s%s%sContent-Length: %zu\r\n\r\n", own, type, coding, rq->len), 0);
    ok = send_text(rq->fd, head) && (*seen || strcmp(rq->method, "HEAD") == 0 || send_all(rq->fd, rq->body, rq->len));
    free(head);
    free(type);
    free(coding);
    free(seen);
    return ok;
}

static bool answer_hold(struct model *m, struct served *rq)
{
    char body[64];

    if (!wait_permit(m, rq->fd))
        return false;
    pthread_mutex_lock(&m->lock);
    snprintf(body, sizeof body, "{\"held\": %u}", ++m->held);
    pthread_mutex_unlock(&m->lock);
    return send_answer(rq, 200, "application/json", body);
}

static bool answer_stream(struct model *m, struct served *rq, unsigned events)
{
    char chunk[128], data[64];
    unsigned i;

    if (!send_text(rq->fd, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n"))
        return false;
    for (i = 1; i <= events; i++) {
        if (!wait_permit(m, rq->fd))
            return false;
        snprintf(data, sizeof data, "data: %u\n\n", i);
        snprintf(chunk, sizeof chunk, "%zx\r\n%s\r\n", strlen(data), data);
        if (!send_text(rq->fd, chunk)) {
            count_gone(m);
            return false;
        }
    }
    return send_text(rq->fd, "0\r\n\r\n");
}

static void set_stalled(struct model *m, bool stalled, size_t more)
{
    pthread_mutex_lock(&m->lock);
    m->stalled = stalled;
    m->flooded += more;
    pthread_cond_broadcast(&m->news);
    pthread_mutex_unlock(&m->lock);
}

static bool answer_flood(struct model *m, struct served *rq)
{
    static const char head[] = "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
    static const char size[] = "4000\r\n";
    char chunk[sizeof size - 1 + 0x4000 + 2];
    size_t at = 0;

    memset(chunk, 'x', sizeof chunk);
    memcpy(chunk, size, sizeof size - 1);
    memcpy(chunk + sizeof chunk - 2, "\r\n", 2);
    send_text(rq->fd, head);
    while (!server_stopping(m->server)) {
        struct pollfd p = { rq->fd, POLLOUT, 0 };
        ssize_t n;

        if (poll(&p, 1, 500) == 0) {
            set_stalled(m, true, 0);
            continue;
        }
        n = send(rq->fd, chunk + at, sizeof chunk - at, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n <= 0)
            break;
        set_stalled(m, false, (size_t)n);
        at = (at + (size_t)n) % sizeof chunk;
    }
    count_gone(m);
    return false;
}

static bool answer_size(struct served *rq, size_t size)
{
    static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz";
    const size_t letters = sizeof alphabet - 1;
    char head[128], *body = malloc(size + letters);
    size_t at;
    bool ok;

    for (at = 0; at < size; at += letters)
        memcpy(body + at, alphabet, letters);
    snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n", size);
    ok = send_text(rq->fd, head) && (strcmp(rq->method, "HEAD") == 0 || send_all(rq->fd, body, size));
    free(body);
    return ok;
}

/* To disconnect is to send RST: the other side's next read is an error, not an end. */
static bool answer_reset(const struct served *rq)
{
    struct sockaddr none = { .sa_family = AF_UNSPEC };

    connect(rq->fd, &none, sizeof none);
    return false;
}

static bool answer_tunnel(const struct served *rq)
{
    char buffer[4096];
    ssize_t n;
    bool ok = send_text(rq->fd, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                                "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n");

    while (ok && (n = recv(rq->fd, buffer, sizeof buffer, 0)) > 0)
        ok = send_all(rq->fd, buffer, (size_t)n);
    return false;
}

static bool is_path(const struct served *rq, const char *path)
{
    size_t len = strlen(path);

    return strncmp(rq->target, path, len) == 0 && (rq->target[len] == '\0' || rq->target[len] == '?' || path[len - 1] == '/');
}

static bool answer(struct model *m, struct served *rq)
{
    if (is_path(rq, "/echo"))
        return answer_echo(rq);
    if (is_path(rq, "/head"))
        return send_answer(rq, 200, "text/plain", rq->head);
    if (is_path(rq, "/mirror"))
        return answer_mirror(rq);
    if (is_path(rq, "/status/")) {
        char body[64];

        snprintf(body, sizeof body, "{\"status\": %d}", (int)strtol(rq->target + 8, NULL, 10));
        return send_answer(rq, (int)strtol(rq->target + 8, NULL, 10), "application/json", body);
    }
    if (is_path(rq, "/hold"))
        return answer_hold(m, rq);
    if (is_path(rq, "/stream/"))
        return answer_stream(m, rq, (unsigned)strtoul(rq->target + 8, NULL, 10));
    if (is_path(rq, "/flood"))
        return answer_flood(m, rq);
    if (is_path(rq, "/size/"))
        return answer_size(rq, strtoul(rq->target + 6, NULL, 10));
    if (is_path(rq, "/cut"))
        return send_text(rq->fd, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{\"half\":") && false;
    if (is_path(rq, "/cut-stream"))
        return send_text(rq->fd, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n") &&
               false;
    if (is_path(rq, "/vanish"))
        return false;
    if (is_path(rq, "/reset"))
        return answer_reset(rq);
    if (is_path(rq, "/tunnel"))
        return answer_tunnel(rq);
    if (is_path(rq, "/type/"))
        return send_answer(rq, 200, rq->target + 6, "{}");
    if (is_path(rq, "/text"))
        return send_answer(rq, 200, "text/plain", "plain words");
    if (is_path(rq, "/empty"))
        return send_text(rq->fd, "HTTP/1.1 204 No Content\r\n\r\n");
    if (is_path(rq, "/until-close"))
        return send_text(rq->fd, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n{\"until\": \"close\"}") && false;
    if (is_path(rq, "/raw"))
        return send_all(rq->fd, rq->body, rq->len) && false;
    if (is_path(rq, "/raw-held"))
        return wait_permit(m, rq->fd) && send_all(rq->fd, rq->body, rq->len) && false;
    if (is_path(rq, "/health")) {
        int status;

        pthread_mutex_lock(&m->lock);
        status = m->health;
        pthread_mutex_unlock(&m->lock);
        return send_answer(rq, status, "application/json", "{}");
    }
    return send_answer(rq, 200, "application/json", "{\"ok\": true}");
}

#define MAX_BODY_SEEN 4096

static void keep_seen(struct model *m, const struct served *rq)
{
    m->seen[m->requests] = strdup(rq->target);
    if (rq->len <= MAX_BODY_SEEN)
        m->bodies[m->requests] = strndup(rq->body, rq->len);
}

static bool on_request(void *arg, struct served *rq)
{
    struct model *m = arg;
    bool more;

    pthread_mutex_lock(&m->lock);
    if (is_path(rq, "/health")) {
        m->probes++;
    } else {
        if (m->requests < MAX_SEEN)
            keep_seen(m, rq);
        m->requests++;
    }
    if (++m->at_once > m->most_at_once)
        m->most_at_once = m->at_once;
    pthread_cond_broadcast(&m->news);
    pthread_mutex_unlock(&m->lock);
    more = answer(m, rq);
    pthread_mutex_lock(&m->lock);
    m->at_once--;
    pthread_mutex_unlock(&m->lock);
    return more;
}

struct model *model_start_at(uint16_t port)
{
    struct model *m = calloc(1, sizeof *m);

    pthread_mutex_init(&m->lock, NULL);
    pthread_cond_init(&m->news, NULL);
    m->health = 200;
    m->server = server_start(port, on_request, m);
    return m;
}

struct model *model_start(void) { return model_start_at(0); }
uint16_t model_port(const struct model *m) { return server_port(m->server); }
unsigned model_connections(struct model *m) { return server_connections(m->server); }

void model_stop(struct model *m)
{
    unsigned i;

    pthread_mutex_lock(&m->lock);
    m->stopping = true;
    pthread_cond_broadcast(&m->news);
    pthread_mutex_unlock(&m->lock);
    server_stop(m->server);
    for (i = 0; i < MAX_SEEN; i++)
        free(m->seen[i]), free(m->bodies[i]);
    pthread_cond_destroy(&m->news);
    pthread_mutex_destroy(&m->lock);
    free(m);
}

void model_permit(struct model *m, unsigned n)
{
    pthread_mutex_lock(&m->lock);
    m->permits += n;
    pthread_cond_broadcast(&m->news);
    pthread_mutex_unlock(&m->lock);
}

void model_health(struct model *m, int status)
{
    pthread_mutex_lock(&m->lock);
    m->health = status;
    pthread_mutex_unlock(&m->lock);
}

static void wait_count(struct model *m, const unsigned *what, unsigned n, const char *name)
{
    struct timespec ts;

    deadline(&ts);
    pthread_mutex_lock(&m->lock);
    while (*what < n)
        if (pthread_cond_timedwait(&m->news, &m->lock, &ts) != 0)
            ck_abort_msg("the model waited for %u %s and saw %u", n, name, *what);
    pthread_mutex_unlock(&m->lock);
}

void model_wait_requests(struct model *m, unsigned n) { wait_count(m, &m->requests, n, "requests"); }
void model_wait_probes(struct model *m, unsigned n) { wait_count(m, &m->probes, n, "probes"); }
void model_wait_gone(struct model *m, unsigned n) { wait_count(m, &m->gone, n, "clients that left"); }

void model_wait_flood_stalled(struct model *m)
{
    struct timespec ts;

    deadline(&ts);
    pthread_mutex_lock(&m->lock);
    while (!m->stalled)
        if (pthread_cond_timedwait(&m->news, &m->lock, &ts) != 0)
            ck_abort_msg("the flood was never held back");
    pthread_mutex_unlock(&m->lock);
}

static unsigned get(struct model *m, const unsigned *what)
{
    unsigned n;

    pthread_mutex_lock(&m->lock);
    n = *what;
    pthread_mutex_unlock(&m->lock);
    return n;
}

unsigned model_probes(struct model *m) { return get(m, &m->probes); }
unsigned model_requests(struct model *m) { return get(m, &m->requests); }
unsigned model_most_at_once(struct model *m) { return get(m, &m->most_at_once); }

uint64_t model_flooded(struct model *m)
{
    uint64_t n;

    pthread_mutex_lock(&m->lock);
    n = m->flooded;
    pthread_mutex_unlock(&m->lock);
    return n;
}

char *model_body(struct model *m, unsigned nth)
{
    char *body;

    pthread_mutex_lock(&m->lock);
    ck_assert(nth < m->requests && m->bodies[nth]);
    body = strdup(m->bodies[nth]);
    pthread_mutex_unlock(&m->lock);
    return body;
}

char *model_seen(struct model *m, unsigned nth)
{
    char *target;

    pthread_mutex_lock(&m->lock);
    ck_assert_uint_lt(nth, m->requests);
    target = strdup(m->seen[nth]);
    pthread_mutex_unlock(&m->lock);
    return target;
}
