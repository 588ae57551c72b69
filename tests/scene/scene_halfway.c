/*
 * Replies that begin before their request is over, and clients that then do what they should not. The model here does not read the
 * body before it speaks:
 * /refuse    413 with half its body at once; the rest after a permit; then takes what comes, as the rest of the request
 * /flood     200 without a length, as much as is taken
 * /hints     interim answers, more than any socket holds; then the body is taken, and nothing said
 * /die       200 in chunks, one of them, then closed
 */
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/ssl.h>

#include "actors.h"
#include "certs.h"
#include "neighbour.h"
#include "server.h"

#define STALL_MS 250
#define STREAMED 200000 /* longer than what is read before a request is judged */

static struct server *s;
static struct worker *w;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bool permitted, stalled, hinted;

static bool is(const bool *what)
{
    bool now;

    pthread_mutex_lock(&lock);
    now = *what;
    pthread_mutex_unlock(&lock);
    return now;
}

static void set(bool *what)
{
    pthread_mutex_lock(&lock);
    *what = true;
    pthread_mutex_unlock(&lock);
}

static void wait_until(const bool *what)
{
    double give_up = patience();

    while (!is(what)) {
        ck_assert_msg(now_s() < give_up, "the model never came so far");
        nap();
    }
}

static void take_all(int fd)
{
    char piece[65536];

    while (recv(fd, piece, sizeof piece, 0) > 0)
        continue;
}

static void flood(int fd)
{
    static const char piece[65536];
    struct pollfd look = { fd, POLLOUT, 0 };

    while (poll(&look, 1, STALL_MS) == 1 && send(fd, piece, sizeof piece, MSG_NOSIGNAL | MSG_DONTWAIT) > 0)
        continue;
    set(&stalled);
    while (send(fd, piece, sizeof piece, MSG_NOSIGNAL) > 0)
        continue;
}

static void hint(int fd)
{
    char *line = malloc(60001);
    unsigned i;

    memset(line, 'x', 60000);
    line[60000] = '\0';
    for (i = 0; i < 200 && send_text(fd, "HTTP/1.1 103 Early Hints\r\nLink: ") && send_text(fd, line) && send_text(fd, "\r\n\r\n"); i++)
        continue;
    free(line);
    set(&hinted);
}

static bool serve(void *arg, struct served *rq)
{
    (void)arg;
    if (strcmp(rq->target, "/refuse") == 0) {
        send_text(rq->fd, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 4\r\n\r\n{}");
        while (!is(&permitted) && !server_stopping(s))
            nap();
        send_text(rq->fd, "  ");
        take_all(rq->fd);
    } else if (strcmp(rq->target, "/flood") == 0) {
        send_text(rq->fd, "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n\r\n");
        flood(rq->fd);
    } else if (strcmp(rq->target, "/hints") == 0) {
        while (!is(&permitted) && !server_stopping(s)) /* first the upload is to stand still */
            nap();
        hint(rq->fd);
        take_all(rq->fd);
    } else if (strcmp(rq->target, "/die") == 0) {
        send_text(rq->fd, "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhalf a li\r\n");
        while (!is(&permitted) && !server_stopping(s))
            nap();
    } else {
        return send_answer(rq, 200, "text/plain", "ok");
    }
    return false;
}

static void start(const char *more)
{
    char config[1000];

    snprintf(config, sizeof config, "{'modelServerUrl': 'http://127.0.0.1:%u', %s 'timeouts': {'clientBody': 1}, 'handlers': [" OPEN_HANDLER "]}",
             server_port(s), more);
    w = worker_start_ready(NULL, NULL, config);
}

static void setup(void)
{
    permitted = stalled = hinted = false;
    worker_setenv("USE_SSL", NULL);
    s = server_start_raw(0, serve, NULL);
}

static void teardown(void)
{
    ck_assert_int_eq(worker_finish(w), VW_OK);
    server_stop(s);
}

static void send_body(int fd, size_t len)
{
    char *body = calloc(1, len);

    client_send_bytes(fd, body, len);
    free(body);
}

static int begin(const char *path, const char *version)
{
    int fd = client_connect(worker_port(w));
    char head[200];

    snprintf(head, sizeof head, "POST /m%s HTTP/%s\r\nHost: x\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n", path, version,
             STREAMED);
    client_send(fd, head);
    return fd;
}

/* The model would read the next request on that connection as the rest of this one. */
START_TEST(a_model_that_refused_half_way_gets_no_other_request_over_that_connection)
{
    struct neighbour next_door;
    char seen[1000];
    int fd;

    start("");
    next_door = neighbour_begin(worker_port(w));
    fd = begin("/refuse", "1.1");
    client_read_until(fd, "{}", seen, sizeof seen);
    ck_assert_ptr_nonnull(strstr(seen, "HTTP/1.1 413 "));
    send_body(fd, STREAMED); /* all of it comes, and none of it goes on */
    neighbour_serve(&next_door, "while the refusal is under way");
    set(&permitted);
    client_read_until(fd, "  ", seen, sizeof seen);
    client_close(fd);
    neighbour_wait_alone(&next_door);
    for (fd = 0; fd < 3; fd++)
        neighbour_serve(&next_door, "after the refusal");
    neighbour_end(&next_door);
}
END_TEST

static bool cancelled_one(const vw_status_t *status, void *arg) { return (void)arg, status->cancelled == 1 && status->in_flight == 0; }

/* 0: the last byte of the request comes when the reply stands still already; 1: HTTP/1.0, whose reader must see that it was cut. */
START_TEST(a_client_that_takes_none_of_its_reply_is_left_after_a_while)
{
    char piece[65536];
    ssize_t n;
    int fd;

    start("");
    fd = begin("/flood", _i ? "1.0" : "1.1");
    send_body(fd, STREAMED - 3000);
    if (_i) {
        send_body(fd, 3000);
        wait_until(&stalled);
    } else {
        size_t left = 3000;

        for (; !is(&stalled) && left > 1; left--) { /* the body must go on, or that would be the end of it */
            send_body(fd, 1);
            nap();
        }
        send_body(fd, left);
    }
    worker_wait(w, cancelled_one, NULL);
    while ((n = recv(fd, piece, sizeof piece, 0)) > 0)
        continue;
    if (_i)
        ck_assert_int_lt(n, 0); /* a FIN would be the end of the reply */
    client_close(fd);
}
END_TEST

/* The client's socket is full of hints that it does not read when the request turns out to be none. */
START_TEST(a_body_that_breaks_a_rule_behind_untaken_hints_is_refused)
{
    char *chunk = malloc(40000), piece[65536], tail[400] = "";
    struct neighbour next_door;
    struct pollfd look;
    size_t len, at = 0;
    ssize_t n;
    int fd;

    start("");
    next_door = neighbour_begin(worker_port(w));
    fd = client_connect(worker_port(w));
    look = (struct pollfd){ fd, POLLOUT, 0 };
    client_send(fd, "POST /m/hints HTTP/1.1\r\nHost: x\r\nContent-Type: application/octet-stream\r\nTransfer-Encoding: chunked\r\n\r\n");
    len = (size_t)snprintf(chunk, 40000, "7530\r\n%030000d\r\n", 0);
    while (poll(&look, 1, STALL_MS) == 1 && (n = send(fd, chunk + at, len - at, MSG_NOSIGNAL | MSG_DONTWAIT)) > 0)
        at = (at + (size_t)n) % len;
    set(&permitted); /* the hints come, and then the upload goes on */
    wait_until(&hinted);
    client_send_bytes(fd, chunk + at, len - at);
    client_send(fd, "no number\r\n");
    while ((n = recv(fd, piece, sizeof piece - 1, 0)) > 0) {
        size_t keep = (size_t)n < sizeof tail - 1 ? (size_t)n : sizeof tail - 1;

        memcpy(tail, piece + n - keep, keep);
        tail[keep] = '\0';
    }
    ck_assert_msg(strstr(tail, "bad_request") != NULL, "the last that came: %s", tail);
    client_close(fd);
    neighbour_wait_alone(&next_door);
    neighbour_serve(&next_door, "afterwards");
    neighbour_end(&next_door);
    free(chunk);
}
END_TEST

/* RFC 8446 6.1: without close_notify a client knows that something is missing. */
START_TEST(a_reply_that_breaks_under_its_upload_has_no_farewell_in_tls)
{
    char config[700], cert[300], key[300], piece[4000], *dir = temp_dir();
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    SSL *ssl = SSL_new(ctx);
    int fd, n;

    snprintf(cert, sizeof cert, "%s/a.crt", dir);
    snprintf(key, sizeof key, "%s/a.key", dir);
    cert_write_pair(cert, key, "a", 30);
    snprintf(config, sizeof config, "'tls': {'enabled': true, 'certFile': '%s', 'keyFile': '%s'},", cert, key);
    start(config);
    fd = client_connect(worker_port(w));
    SSL_set_fd(ssl, fd);
    ck_assert_int_eq(SSL_connect(ssl), 1);
    snprintf(piece, sizeof piece, "POST /m/die HTTP/1.0\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n", STREAMED);
    ck_assert_int_gt(SSL_write(ssl, piece, (int)strlen(piece)), 0);
    ck_assert_int_gt(SSL_read(ssl, piece, sizeof piece), 0);
    set(&permitted);
    while ((n = SSL_read(ssl, piece, sizeof piece)) > 0)
        continue;
    ck_assert_int_ne(SSL_get_error(ssl, n), SSL_ERROR_ZERO_RETURN);
    SSL_free(ssl);
    SSL_CTX_free(ctx);
    close(fd);
    free(dir);
}
END_TEST

Suite *halfway_suite(void);

Suite *halfway_suite(void)
{
    Suite *suite = suite_create("halfway");
    TCase *t = tcase_create("halfway");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, a_model_that_refused_half_way_gets_no_other_request_over_that_connection);
    tcase_add_loop_test(t, a_client_that_takes_none_of_its_reply_is_left_after_a_while, 0, 2);
    tcase_add_test(t, a_body_that_breaks_a_rule_behind_untaken_hints_is_refused);
    tcase_add_test(t, a_reply_that_breaks_under_its_upload_has_no_farewell_in_tls);
    suite_add_tcase(suite, t);
    return suite;
}
