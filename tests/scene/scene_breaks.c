/*
 * A client that resets its connection, or ends its side of it, in every state that a connection can be in: nothing of it is left,
 * nothing spins, and the client next door is served.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "actors.h"
#include "neighbour.h"
#include "sink.h"

#define HOST "Host: a\r\n"
#define GET "GET /m/x HTTP/1.1\r\n" HOST "\r\n"
#define SERIAL_HANDLER "{'route': '/serial/*', 'targetPath': '/*', 'methods': ['*'], 'auth': 'none'}"

static struct model *m;
static struct worker *w;
static struct neighbour next_door;
static int holder;     /* has the one slot of the serial lane */
static unsigned taken; /* requests in flight, the holder's among them */

static void setup(void)
{
    m = model_start();
    w = worker_start_ready(m, NULL, "{'handlers': [" OPEN_HANDLER ", " SERIAL_HANDLER "]}");
    next_door = neighbour_begin(worker_port(w));
    holder = client_connect(worker_port(w));
    client_send(holder, "GET /serial/hold HTTP/1.1\r\n" HOST "\r\n");
    worker_wait_in_flight(w, taken = 1);
    model_wait_requests(m, 2);
}

static void teardown(void)
{
    client_reset(holder);
    neighbour_wait_alone(&next_door);
    neighbour_serve(&next_door, "afterwards");
    neighbour_end(&next_door);
    worker_wait_in_flight(w, 0);
    ck_assert_int_eq(worker_finish(w), VW_OK);
    model_stop(m);
}

/* ---- states: each leaves the connection in one, and that the worker is there too ---- */

static void wait_taken(void) { worker_wait_in_flight(w, ++taken); }

static void fresh(int fd) { (void)fd; }

static void idle(int fd)
{
    struct answer a;

    client_send(fd, GET);
    a = client_read(fd);
    ck_assert_int_eq(a.status, 200);
    answer_fini(&a);
    worker_wait_in_flight(w, taken);
}

static void in_the_head(int fd) { client_send(fd, "POST /m/x HTTP/1.1\r\nHos"); }
static void in_a_small_body(int fd) { client_send(fd, "POST /m/x HTTP/1.1\r\n" HOST "Content-Length: 10\r\n\r\nhello"); }

static void in_a_streamed_body(int fd)
{
    client_send(fd, "POST /m/echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
    wait_taken();
}

static void asked_for_its_body(int fd)
{
    char seen[200];

    client_send(fd, "POST /m/x HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    client_read_until(fd, "100 Continue\r\n\r\n", seen, sizeof seen);
    wait_taken();
}

static void queued(int fd)
{
    client_send(fd, "GET /serial/x HTTP/1.1\r\n" HOST "\r\n");
    wait_taken();
}

static void queued_with_a_body_unread(int fd)
{
    static char body[100000]; /* less than the kernel keeps: a FIN must get through */

    client_send(fd, "POST /serial/x HTTP/1.1\r\n" HOST "Content-Length: 1000000\r\n\r\n");
    client_send_bytes(fd, body, sizeof body);
    wait_taken();
}

static void running(int fd)
{
    unsigned before = model_requests(m);

    client_send(fd, "GET /m/hold HTTP/1.1\r\n" HOST "\r\n");
    model_wait_requests(m, before + 1);
    wait_taken();
}

static void running_with_more_sent_ahead(int fd)
{
    static char ahead[100000];

    running(fd);
    client_send_bytes(fd, ahead, sizeof ahead);
}

static void streaming(int fd)
{
    char seen[2000];

    client_send(fd, "GET /m/flood HTTP/1.1\r\n" HOST "\r\n");
    client_read_until(fd, "xxxxx", seen, sizeof seen);
    wait_taken();
}

static void streaming_to_a_reader_that_stopped(int fd)
{
    streaming(fd);
    model_wait_flood_stalled(m);
}

static void lingering(int fd)
{
    struct answer a;

    client_send(fd, "nonsense\r\n\r\n");
    a = client_read(fd);
    ck_assert_int_eq(a.status, 501);
    answer_fini(&a);
}

static const struct state {
    const char *name;
    void (*enter)(int fd);
} states[] = {
#define STATE(name) { #name, name }
    STATE(fresh), STATE(idle), STATE(in_the_head), STATE(in_a_small_body), STATE(in_a_streamed_body), STATE(asked_for_its_body), STATE(queued),
    STATE(queued_with_a_body_unread), STATE(running), STATE(running_with_more_sent_ahead), STATE(streaming),
    STATE(streaming_to_a_reader_that_stopped), STATE(lingering),
#undef STATE
};

static void wait_for_two(void)
{
    double give_up = patience();

    while (neighbour_sees(&next_door, "vastworker_client_connections ") > 2) {
        ck_assert_msg(now_s() < give_up, "the connection stays open");
        nap();
    }
}

static void enter(const struct state *state, int fd)
{
    state->enter(fd);
    neighbour_serve(&next_door, state->name);
    worker_wait_in_flight(w, taken);
}

START_TEST(a_reset_is_seen_in_every_state)
{
    const struct state *state = &states[_i];
    int fd = client_connect(worker_port(w));

    enter(state, fd);
    client_reset(fd);
    worker_wait_in_flight(w, 1);
    wait_for_two(); /* the neighbour and the holder */
    ck_assert_uint_eq(worker_status(w).cancelled, taken - 1);
}
END_TEST

/* The end of its sending side means that a client has left, as in nginx: nothing more comes, but the end. */
START_TEST(a_half_closed_connection_is_ended_in_every_state)
{
    const struct state *state = &states[_i];
    int fd = client_connect(worker_port(w));
    static char rest[65536];
    ssize_t n;

    enter(state, fd);
    ck_assert_int_eq(shutdown(fd, SHUT_WR), 0);
    worker_wait_in_flight(w, 1);
    wait_for_two();
    ck_assert_uint_eq(worker_status(w).cancelled, taken - 1);
    while ((n = recv(fd, rest, sizeof rest, 0)) > 0) /* only the flood had anything under way */
        ck_assert_msg(state->enter == streaming || state->enter == streaming_to_a_reader_that_stopped, "%s: got %.*s", state->name, (int)n, rest);
    client_close(fd);
}
END_TEST

/* A level that stays up (unread bytes, room to write, an end) must not turn the loop: all kinds of rest at once, for a second. */
START_TEST(nothing_spins_while_connections_rest_in_every_state)
{
    int fds[sizeof states / sizeof states[0]];
    size_t i, n = 0;
    double turns;

    for (i = 0; i < sizeof states / sizeof states[0]; i++) {
        if (states[i].enter == streaming)
            continue; /* a flood that is read does not rest */
        fds[n] = client_connect(worker_port(w));
        states[i].enter(fds[n++]);
    }
    turns = neighbour_count_turns(&next_door);
    ck_assert_msg(turns < TURNS_AT_REST, "%.0f turns of the loop in a second at rest", turns);
    while (n)
        client_reset(fds[--n]);
}
END_TEST

/* ---- tunnels ---- */

static bool served_or_cancelled(const vw_status_t *status, void *arg)
{
    return status->in_flight == 0 && status->served + status->cancelled + status->errored == *(unsigned *)arg;
}

static int open_tunnel(const char *path)
{
    int fd = client_connect(worker_port(w));
    char head[300], seen[1000];

    snprintf(head, sizeof head, "GET %s HTTP/1.1\r\n" HOST "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n", path);
    client_send(fd, head);
    client_read_until(fd, "\r\n\r\n", seen, sizeof seen);
    ck_assert_msg(strncmp(seen, "HTTP/1.1 101 ", 13) == 0, "%s", seen);
    return fd;
}

/* 0: at rest; 1: the model takes nothing, so the client is not read. Then reset, or half closed. */
START_TEST(a_tunnel_ends_with_its_client)
{
    static char much[256 * 1024];
    struct sink *s = sink_start();
    char config[500];
    unsigned all;
    double turns;
    int fd;

    snprintf(config, sizeof config, "{'modelServerUrl': 'http://127.0.0.1:%u', 'handlers': [{'route': '/m/*', 'targetPath': '/*', 'methods': ['*'], "
             "'auth': 'none', 'allowParallelRequests': true, 'upgrade': ['websocket']}]}", sink_port(s));
    w = worker_start_ready(NULL, NULL, config);
    next_door = neighbour_begin(worker_port(w));
    fd = open_tunnel(_i & 1 ? "/m/ws-deaf" : "/m/ws");
    if (_i & 1)
        send(fd, much, sizeof much, MSG_NOSIGNAL | MSG_DONTWAIT);
    neighbour_serve(&next_door, "beside a tunnel");
    worker_wait_in_flight(w, 1);
    turns = neighbour_count_turns(&next_door);
    ck_assert_msg(turns < TURNS_AT_REST, "%.0f turns of the loop in a second at rest", turns);
    if (_i & 2)
        shutdown(fd, SHUT_WR);
    else
        client_reset(fd);
    all = next_door.served + 1;
    worker_wait(w, served_or_cancelled, &all);
    neighbour_wait_alone(&next_door);
    neighbour_serve(&next_door, "after a tunnel");
    if (_i & 2)
        client_close(fd);
    neighbour_end(&next_door);
    ck_assert_int_eq(worker_finish(w), VW_OK);
    sink_stop(s);
}
END_TEST

Suite *breaks_suite(void);

Suite *breaks_suite(void)
{
    Suite *s = suite_create("breaks");
    TCase *tc = tcase_create("breaks"), *tunnels = tcase_create("tunnels");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, a_reset_is_seen_in_every_state, 0, sizeof states / sizeof states[0]);
    tcase_add_loop_test(tc, a_half_closed_connection_is_ended_in_every_state, 0, sizeof states / sizeof states[0]);
    tcase_add_test(tc, nothing_spins_while_connections_rest_in_every_state);
    suite_add_tcase(s, tc);
    tcase_add_loop_test(tunnels, a_tunnel_ends_with_its_client, 0, 4);
    suite_add_tcase(s, tunnels);
    return s;
}
