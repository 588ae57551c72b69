/* WebSockets: judged and counted as any request, then bytes both ways as they are, in a slot that is held while they flow. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "actors.h"
#include "sink.h"

#define ASK "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
#define TUNNEL(more) "{'route': '/m/*', 'targetPath': '/*', 'methods': ['GET'], 'auth': 'none', 'upgrade': ['websocket']" more "}"

static struct sink *s;

static void setup(void) { s = sink_start(); }
static void teardown(void) { sink_stop(s); }

static struct worker *start(const char *handlers, const char *more)
{
    char config[2000];

    snprintf(config, sizeof config, "{'modelServerUrl': 'http://127.0.0.1:%u', %s 'handlers': [%s]}", sink_port(s), more, handlers);
    return worker_start_ready(NULL, NULL, config);
}

static void ask(int fd, const char *path, const char *headers)
{
    char head[700];

    snprintf(head, sizeof head, "GET %s HTTP/1.1\r\nHost: x\r\n%s\r\n", path, headers);
    client_send(fd, head);
}

static int open_tunnel(struct worker *w, const char *path)
{
    int fd = client_connect(worker_port(w));
    char seen[1000];

    ask(fd, path, ASK);
    client_read_until(fd, "\r\n\r\n", seen, sizeof seen);
    ck_assert_msg(strncmp(seen, "HTTP/1.1 101 ", 13) == 0, "%s", seen);
    ck_assert_ptr_nonnull(strstr(seen, "\r\nUpgrade: websocket\r\n"));
    ck_assert_ptr_nonnull(strstr(seen, "\r\nConnection: Upgrade\r\n"));
    ck_assert_ptr_nonnull(strstr(seen, "\r\nSec-WebSocket-Accept: x\r\n"));
    ck_assert_ptr_null(strstr(seen, "Transfer-Encoding"));
    ck_assert_ptr_null(strstr(seen, "Content-Length"));
    return fd;
}

static void expect_bytes(int fd, const char *text)
{
    char got[100] = "";
    size_t len = 0, want = strlen(text);

    while (len < want) {
        ssize_t n = recv(fd, got + len, want - len, 0);

        ck_assert_msg(n > 0, "after \"%s\" the tunnel ended", got);
        len += (size_t)n;
    }
    ck_assert_str_eq(got, text);
}

static bool served_one(const vw_status_t *status, void *arg) { return (void)arg, status->served == 1 && status->in_flight == 0; }
static bool errored_one(const vw_status_t *status, void *arg) { return (void)arg, status->errored == 1 && status->in_flight == 0; }

START_TEST(bytes_pass_both_ways_and_the_slot_is_held_while_they_do)
{
    struct worker *w = start(TUNNEL(""), "");
    int fd = open_tunnel(w, "/m/ws"), second = client_connect(worker_port(w));
    int i;

    for (i = 0; i < 20; i++) {
        client_send(fd, "frame");
        expect_bytes(fd, "frame");
    }
    client_send_bytes(fd, "\0\xff\r\n", 4);
    sink_wait_bytes(s, 104);
    ask(second, "/m/ws", ASK); /* waits: the tunnel has the one slot */
    worker_wait_in_flight(w, 2);
    ck_assert_uint_eq(worker_status(w).queued, 1);
    ck_assert_uint_eq(sink_requests(s), 1);
    client_close(fd);
    sink_wait_requests(s, 2);
    client_close(second);
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

START_TEST(a_model_on_a_unix_socket_may_be_tunnelled_to)
{
    char *dir = temp_dir(), path[300], config[700];
    struct sink *local;
    struct worker *w;
    int fd;

    snprintf(path, sizeof path, "%s/model.sock", dir);
    local = sink_start_unix(path);
    snprintf(config, sizeof config, "{'modelServerUrl': 'unix:%s', 'handlers': [" TUNNEL("") "]}", path);
    w = worker_start_ready(NULL, NULL, config);
    fd = open_tunnel(w, "/m/ws-hello");
    expect_bytes(fd, "hello");
    client_send(fd, "frame");
    expect_bytes(fd, "frame");
    client_close(fd);
    worker_wait(w, served_one, NULL);
    ck_assert_uint_eq(sink_requests(local), 1);
    ck_assert_int_eq(worker_finish(w), VW_OK);
    sink_stop(local);
    unlink(path);
    free(dir);
}
END_TEST

START_TEST(a_tunnel_that_its_client_leaves_may_have_to_be_stopped_at_the_model)
{
    struct worker *w = start(TUNNEL(", 'cancel': {'path': '/sink'}"), "");
    int fd = open_tunnel(w, "/m/ws");

    client_close(fd);
    sink_wait_requests(s, 2);
    worker_wait(w, served_one, NULL);
    fd = open_tunnel(w, "/m/ws-end"); /* the model ends this one itself */
    client_send(fd, "x");
    expect_bytes(fd, "bye");
    ck_assert(client_is_closed(fd));
    client_close(fd);
    ck_assert_int_eq(worker_finish(w), VW_OK);
    ck_assert_uint_eq(sink_requests(s), 3);
}
END_TEST

START_TEST(what_the_model_says_right_behind_its_handshake_is_not_lost)
{
    struct worker *w = start(TUNNEL(""), "");
    int fd = open_tunnel(w, "/m/ws-hello");

    expect_bytes(fd, "hello");
    client_close(fd);
    sink_wait_gone(s, 1);
    worker_wait(w, served_one, NULL);
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

START_TEST(what_the_client_sends_before_the_handshake_is_over_waits_for_it)
{
    struct worker *w = start(TUNNEL(""), "");
    int fd = client_connect(worker_port(w));
    char seen[1000];

    ask(fd, "/m/ws", ASK "\r\nearly"); /* the blank line ends the head */
    client_read_until(fd, "early\r\n", seen, sizeof seen);
    ck_assert_msg(strncmp(seen, "HTTP/1.1 101 ", 13) == 0, "%s", seen);
    client_close(fd);
    worker_wait(w, served_one, NULL);
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

/* A refused handshake, one that did not ask, one that asks for something else, one by HTTP/1.0, one on a handler without upgrade. */
START_TEST(what_is_no_handshake_is_an_ordinary_request)
{
    static const struct {
        const char *path, *headers;
        int status;
    } cases[] = {
        { "/m/ws-no", ASK, 403 },
        { "/m/ws", "", 426 },
        { "/m/ws", "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n", 426 },
        { "/m/ws", "Upgrade: websocket\r\n", 426 },
        { "/ws", ASK, 426 },
    };
    struct worker *w = start(TUNNEL("") ", {'route': '/ws', 'methods': ['GET'], 'auth': 'none'}", "");
    int fd = client_connect(worker_port(w));
    struct answer a;

    ask(fd, cases[_i].path, cases[_i].headers);
    a = client_read(fd);
    ck_assert_int_eq(a.status, cases[_i].status);
    answer_fini(&a);
    ask(fd, cases[_i].path, cases[_i].headers); /* the connection is kept */
    a = client_read(fd);
    ck_assert_int_eq(a.status, cases[_i].status);
    answer_fini(&a);
    client_close(fd);
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

START_TEST(a_tunnel_the_model_ends_is_served)
{
    struct worker *w = start(TUNNEL(""), "");
    int fd = open_tunnel(w, "/m/ws-end");

    client_send(fd, "x");
    expect_bytes(fd, "bye");
    ck_assert(client_is_closed(fd));
    close(fd);
    worker_wait(w, served_one, NULL);
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

START_TEST(a_tunnel_the_model_breaks_is_errored)
{
    struct worker *w = start(TUNNEL(""), "");
    int fd = open_tunnel(w, "/m/ws-break");

    client_send(fd, "x");
    ck_assert(client_is_closed(fd));
    close(fd);
    worker_wait(w, errored_one, NULL);
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

START_TEST(a_tunnel_without_a_byte_for_too_long_is_ended_and_so_is_one_that_lasts_too_long)
{
    struct worker *w = start(_i ? TUNNEL(", 'timeouts': {'total': 0.3}") : TUNNEL(", 'timeouts': {'idle': 0.3}"), "");
    int fd = open_tunnel(w, "/m/ws");

    client_send(fd, "x");
    expect_bytes(fd, "x");
    ck_assert(client_is_closed(fd));
    close(fd);
    sink_wait_gone(s, 1);
    worker_wait(w, errored_one, NULL);
    ck_assert(worker_logged(w, "model_timeout"));
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

/* The model is deaf, or its echo is not read: then the worker reads it no more, and so on to the one who sends. */
START_TEST(a_side_that_does_not_read_stops_the_other_not_the_memory)
{
    struct worker *w = start(TUNNEL(""), "");
    int fd = open_tunnel(w, _i ? "/m/ws-deaf" : "/m/ws");
    struct pollfd look = { fd, POLLOUT, 0 };
    static char piece[65536];
    size_t sent = 0, back = 0;

    while (sent < 64u << 20 && poll(&look, 1, 250) == 1) {
        ssize_t n = send(fd, piece, sizeof piece, MSG_NOSIGNAL | MSG_DONTWAIT);

        ck_assert_int_gt(n, 0);
        sent += (size_t)n;
    }
    ck_assert_msg(sent < 32u << 20, "%zu bytes were taken", sent);
    if (_i)
        sink_permit(s);
    while (back < sent) { /* all of it comes back */
        ssize_t n = recv(fd, piece, sizeof piece, 0);

        ck_assert_int_gt(n, 0);
        back += (size_t)n;
    }
    client_close(fd);
    worker_wait(w, served_one, NULL);
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

/* Credentials in the query, where a browser's WebSocket can put them; "" for the signature: a wrong one. */
static void ask_signed(int fd, const char *signature)
{
    char request[3000], escaped[1100];
    size_t len = 0;

    escaped[0] = '\0';
    for (; *signature; signature++)
        len += (size_t)snprintf(escaped + len, sizeof escaped - len, strchr("+/", *signature) ? "%%%02X" : "%c", *signature);
    snprintf(request, sizeof request, "GET /ws?serverless_cost=1&serverless_endpoint=e&serverless_reqnum=1&serverless_request_idx=7"
             "&serverless_url=http%%3A%%2F%%2F127.0.0.1%%3A41234&serverless_signature=%s HTTP/1.1\r\nHost: x\r\n" ASK "\r\n",
             escaped[0] ? escaped : "AAAA");
    client_send(fd, request);
}

START_TEST(a_tunnel_needs_the_same_credentials_as_any_request)
{
    struct control *c = control_start();
    char config[600], seen[1000], *signature = sign(c, URL);
    struct worker *w;
    struct answer a;
    int fd;

    snprintf(config, sizeof config, "{'modelServerUrl': 'http://127.0.0.1:%u', 'handlers': [{'route': '/ws', 'methods': ['GET'], "
             "'upgrade': ['websocket']}]}", sink_port(s));
    w = worker_start_ready(NULL, c, config);
    fd = client_connect(worker_port(w));
    ask_signed(fd, "");
    a = client_read(fd);
    ck_assert_int_eq(a.status, 401);
    ck_assert_uint_eq(sink_requests(s), 0);
    answer_fini(&a);
    ask_signed(fd, signature);
    client_read_until(fd, "\r\n\r\n", seen, sizeof seen);
    ck_assert_msg(strncmp(seen, "HTTP/1.1 101 ", 13) == 0, "%s", seen);
    client_close(fd);
    control_wait_deletions(c, 1);
    ck_assert_int_eq(worker_finish(w), VW_OK);
    control_stop(c);
    free(signature);
}
END_TEST

START_TEST(a_tunnel_may_be_opened_with_a_key)
{
    struct worker *w;
    char config[600], seen[1000];
    struct answer a;
    int fd;

    worker_setenv("VASTWORKER_BEARER_KEYS", "sesame");
    snprintf(config, sizeof config, "{'modelServerUrl': 'http://127.0.0.1:%u', 'handlers': [{'route': '/ws', 'methods': ['GET'], "
             "'auth': 'bearer', 'upgrade': ['websocket']}]}", sink_port(s));
    w = worker_start_ready(NULL, NULL, config);
    fd = client_connect(worker_port(w));
    ask(fd, "/ws", "Authorization: Bearer something\r\n" ASK);
    a = client_read(fd);
    ck_assert_int_eq(a.status, 401);
    ck_assert_uint_eq(sink_requests(s), 0);
    answer_fini(&a);
    ask(fd, "/ws", "Authorization: Bearer sesame\r\n" ASK);
    client_read_until(fd, "\r\n\r\n", seen, sizeof seen);
    ck_assert_msg(strncmp(seen, "HTTP/1.1 101 ", 13) == 0, "%s", seen);
    client_send(fd, "frame");
    expect_bytes(fd, "frame");
    client_close(fd);
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

START_TEST(a_drain_waits_for_a_tunnel_and_then_cuts_it)
{
    struct worker *w = start(TUNNEL(""), "'drainTimeout': 0.3,");
    int fd = open_tunnel(w, "/m/ws");

    vw_worker_drain(worker_handle(w));
    worker_wait_state(w, VW_STATE_DRAINING);
    client_send(fd, "still");
    expect_bytes(fd, "still");
    ck_assert(client_is_closed(fd));
    close(fd);
    ck_assert_int_eq(worker_join(w), VW_OK);
}
END_TEST

Suite *tunnel_suite(void);
Suite *tunnel_suite(void)
{
    Suite *suite = suite_create("tunnel");
    TCase *t = tcase_create("tunnel");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, bytes_pass_both_ways_and_the_slot_is_held_while_they_do);
    tcase_add_test(t, a_model_on_a_unix_socket_may_be_tunnelled_to);
    tcase_add_test(t, a_tunnel_that_its_client_leaves_may_have_to_be_stopped_at_the_model);
    tcase_add_test(t, what_the_model_says_right_behind_its_handshake_is_not_lost);
    tcase_add_test(t, what_the_client_sends_before_the_handshake_is_over_waits_for_it);
    tcase_add_loop_test(t, what_is_no_handshake_is_an_ordinary_request, 0, 5);
    tcase_add_test(t, a_tunnel_the_model_ends_is_served);
    tcase_add_test(t, a_tunnel_the_model_breaks_is_errored);
    tcase_add_loop_test(t, a_tunnel_without_a_byte_for_too_long_is_ended_and_so_is_one_that_lasts_too_long, 0, 2);
    tcase_add_loop_test(t, a_side_that_does_not_read_stops_the_other_not_the_memory, 0, 2);
    tcase_add_test(t, a_tunnel_needs_the_same_credentials_as_any_request);
    tcase_add_test(t, a_tunnel_may_be_opened_with_a_key);
    tcase_add_test(t, a_drain_waits_for_a_tunnel_and_then_cuts_it);
    suite_add_tcase(suite, t);
    return suite;
}
