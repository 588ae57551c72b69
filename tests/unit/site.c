/* See site.h. Clients never block: when nothing is there to read, the loop gets a turn. */
#include "site.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/text.h"

static void on_drained(void *user) { ((struct site_exchange *)user)->drained++; }

static void on_done(void *user, bool gone)
{
    struct site_exchange *kept = user;

    kept->done++;
    kept->gone = gone;
    kept->ex = NULL;
}

static const struct vwi_exchange_events events = { .on_drained = on_drained, .on_done = on_done };

static void keep(struct site *site, struct vwi_exchange *ex)
{
    struct site_exchange *kept = &site->kept[site->kept_count++];

    ck_assert_int_le(site->kept_count, SITE_EXCHANGES);
    *kept = (struct site_exchange){ ex, 0, 0, false };
    vwi_exchange_bind(ex, &events, kept);
}

static void stream(struct vwi_exchange *ex, int64_t length)
{
    vwi_exchange_head(ex, 200, "X-Streamed: 1\r\n", length);
    vwi_exchange_write(ex, "hello ", 6);
    vwi_exchange_write(ex, "world", 5);
    vwi_exchange_end(ex);
}

static void echo(struct vwi_exchange *ex)
{
    struct vwi_span method = vwi_exchange_method(ex), target = vwi_exchange_target(ex), body = vwi_exchange_body(ex);
    struct vwi_span header = vwi_exchange_header(ex, "x-echo");
    struct vwi_text t = VWI_TEXT_INIT;

    vwi_text_addf(&t, "%.*s %.*s [%.*s] ", (int)method.len, method.p, (int)target.len, target.p, (int)header.len,
                  header.len ? header.p : "");
    vwi_text_add(&t, body.p, body.len);
    vwi_exchange_reply(ex, 200, "Content-Type: text/plain\r\n", t.p, t.len);
    vwi_text_fini(&t);
}

static void on_request(void *arg, struct vwi_exchange *ex)
{
    struct site *site = arg;
    struct vwi_span target = vwi_exchange_target(ex);

    site->requests++;
    if (target.len >= 5 && memcmp(target.p, "/keep", 5) == 0) {
        keep(site, ex);
    } else if (vwi_span_is(target, "/close")) {
        vwi_exchange_close_after(ex);
        vwi_exchange_reply(ex, 200, NULL, "bye", 3);
    } else if (vwi_span_is(target, "/none")) {
        vwi_exchange_reply(ex, 204, NULL, NULL, 0);
    } else if (vwi_span_is(target, "/chunked")) {
        stream(ex, -1);
    } else if (vwi_span_is(target, "/length")) {
        stream(ex, 11);
    } else {
        echo(ex);
    }
}

static void on_refuse(void *arg, int status, const char *reason, const char *message, struct vwi_text *headers,
                      struct vwi_text *body)
{
    (void)arg, (void)status;
    ck_assert_ptr_nonnull(message);
    vwi_text_addf(headers, "X-Reason: %s\r\n", reason);
    vwi_text_adds(body, reason);
}

void site_prepare(struct site *site)
{
    memset(site, 0, sizeof *site);
    site->conf.max_body_bytes = 64 << 20;
    site->conf.max_buffered_bytes = 256 << 20;
    site->conf.max_header_bytes = 16384;
    site->conf.max_connections = 100;
}

void site_open(struct site *site)
{
    static const struct vwi_front_events front_events = { .on_request = on_request, .on_refuse = on_refuse };
    vw_error_t why = { 0 };

    ck_assert_int_eq(vwi_loop_create(&site->loop, &why), VW_OK);
    ck_assert_msg(vwi_front_create(site->loop, &site->conf, &front_events, site, NULL, &site->front, &why) == VW_OK, "%s",
                  why.text);
}

void site_close(struct site *site)
{
    vwi_front_destroy(site->front);
    vwi_loop_destroy(site->loop);
}

void site_turn(struct site *site) { ck_assert(vwi_loop_turn(site->loop, true)); }

void site_turn_until_kept(struct site *site, int count)
{
    while (site->kept_count < count)
        site_turn(site);
}

void site_turn_until_done(struct site *site, int index)
{
    while (!site->kept[index].done)
        site_turn(site);
    ck_assert_int_eq(site->kept[index].done, 1);
}

int site_connect(struct site *site)
{
    struct sockaddr_in to;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    memset(&to, 0, sizeof to);
    to.sin_family = AF_INET;
    to.sin_port = htons(vwi_front_port(site->front));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(connect(fd, (const struct sockaddr *)(const void *)&to, sizeof to), 0);
    return fd;
}

void site_send(struct site *site, int fd, const char *data, size_t len)
{
    while (len) {
        ssize_t n = send(fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);

        ck_assert(n > 0 || errno == EAGAIN);
        if (n < 0) {
            site_turn(site);
            continue;
        }
        data += n;
        len -= (size_t)n;
    }
}

void site_say(struct site *site, int fd, const char *text) { site_send(site, fd, text, strlen(text)); }

/* 0 at the end, -1 for a reset. */
static ssize_t receive(struct site *site, int fd, char *to, size_t len)
{
    for (;;) {
        ssize_t n = recv(fd, to, len, MSG_DONTWAIT);

        if (n >= 0)
            return n;
        if (errno == ECONNRESET)
            return -1;
        ck_assert_int_eq(errno, EAGAIN);
        site_turn(site);
    }
}

static void read_exactly(struct site *site, int fd, struct vwi_text *t, size_t len)
{
    char buffer[65536];

    while (len) {
        ssize_t n = receive(site, fd, buffer, len < sizeof buffer ? len : sizeof buffer);

        ck_assert_int_gt(n, 0);
        vwi_text_add(t, buffer, (size_t)n);
        len -= (size_t)n;
    }
}

static void read_through(struct site *site, int fd, struct vwi_text *t, const char *mark)
{
    size_t len = strlen(mark);

    do {
        read_exactly(site, fd, t, 1);
    } while (t->len < len || memcmp(t->p + t->len - len, mark, len) != 0);
}

static void read_chunks(struct site *site, int fd, struct vwi_text *body)
{
    size_t size;

    do {
        struct vwi_text line = VWI_TEXT_INIT;

        read_through(site, fd, &line, "\r\n");
        size = strtoul(line.p, NULL, 16);
        read_exactly(site, fd, body, size);
        vwi_text_clear(&line);
        read_exactly(site, fd, &line, 2);
        ck_assert_str_eq(line.p, "\r\n");
        vwi_text_fini(&line);
    } while (size);
}

static const char *find(const struct vwi_text *head, const char *name)
{
    const char *at = strcasestr(head->p, name);

    return at ? at + strlen(name) : NULL;
}

static void read_head(struct site *site, int fd, int status, const char *in_head, struct vwi_text *head)
{
    char line[40];

    read_through(site, fd, head, "\r\n\r\n");
    snprintf(line, sizeof line, "HTTP/1.1 %d ", status);
    ck_assert_msg(strncmp(head->p, line, strlen(line)) == 0, "%s", head->p);
    ck_assert_msg(!in_head || strstr(head->p, in_head), "%s", head->p);
    ck_assert_ptr_nonnull(find(head, "\r\nDate: "));
}

void site_expect(struct site *site, int fd, int status, const char *in_head, const char *body)
{
    struct vwi_text head = VWI_TEXT_INIT, got = VWI_TEXT_INIT;

    read_head(site, fd, status, in_head, &head);
    if (find(&head, "\r\nTransfer-Encoding: chunked\r\n"))
        read_chunks(site, fd, &got);
    else if (find(&head, "\r\nContent-Length: "))
        read_exactly(site, fd, &got, strtoul(find(&head, "\r\nContent-Length: "), NULL, 10));
    ck_assert_str_eq(got.p ? got.p : "", body);
    vwi_text_fini(&head);
    vwi_text_fini(&got);
}

void site_expect_head_only(struct site *site, int fd, int status, const char *in_head)
{
    struct vwi_text head = VWI_TEXT_INIT;

    read_head(site, fd, status, in_head, &head);
    vwi_text_fini(&head);
}

void site_expect_text(struct site *site, int fd, const char *text)
{
    struct vwi_text got = VWI_TEXT_INIT;

    read_exactly(site, fd, &got, strlen(text));
    ck_assert_str_eq(got.p, text);
    vwi_text_fini(&got);
}

void site_expect_end(struct site *site, int fd)
{
    char byte;
    ssize_t n = receive(site, fd, &byte, 1);

    ck_assert_msg(n == 0, n < 0 ? "reset" : "got '%c'", byte);
    close(fd);
}

size_t site_drain(struct site *site, int fd)
{
    char buffer[65536];
    size_t total = 0;
    ssize_t n;

    while ((n = receive(site, fd, buffer, sizeof buffer)) > 0)
        total += (size_t)n;
    close(fd);
    return total;
}

void site_reset(int fd)
{
    struct linger now = { 1, 0 };

    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(fd);
}
