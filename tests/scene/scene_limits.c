/*
 * Too many connections: past the configured number, and past the number of descriptors that the process may have. What is open
 * stays served, nothing spins, and when there is room again new ones are served too.
 */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "actors.h"
#include "neighbour.h"

#define GET "GET /m/x HTTP/1.1\r\nHost: a\r\n\r\n"
#define MORE 64 /* past the limit that are told so, as docs/http.md has it */

static void expect_served(int fd)
{
    struct answer a;

    client_send(fd, GET);
    a = client_read(fd);
    ck_assert_int_eq(a.status, 200);
    answer_fini(&a);
}

/* The refusal comes by itself: nobody waits for a request that will not be read. */
static void expect_no_room(int fd)
{
    struct answer a = client_read(fd);

    ck_assert_int_eq(a.status, 503);
    ck_assert_str_eq(answer_reason(&a), "too_many_connections");
    ck_assert_str_eq(answer_header(&a, "connection"), "close");
    ck_assert_str_eq(answer_header(&a, "retry-after"), "1");
    answer_fini(&a);
    ck_assert(client_is_closed(fd));
}

START_TEST(a_connection_past_the_limit_is_told_so)
{
    struct model *m = model_start();
    struct worker *w = worker_start_ready(m, NULL, "{'limits': {'maxConnections': 3}, 'handlers': [" OPEN_HANDLER "]}");
    struct neighbour next_door = neighbour_begin(worker_port(w));
    int second = client_connect(worker_port(w)), third = client_connect(worker_port(w)), fourth;

    expect_served(second);
    expect_served(third);
    fourth = client_connect(worker_port(w));
    expect_no_room(fourth);
    client_close(fourth);
    fourth = client_connect(worker_port(w));
    neighbour_serve(&next_door, "at the limit");
    client_send(fourth, GET); /* sent or not makes no difference, and the answer is still readable */
    expect_no_room(fourth);
    client_close(fourth);
    client_close(third);
    client_close(second);
    neighbour_wait_alone(&next_door);
    second = client_connect(worker_port(w));
    expect_served(second);
    client_close(second);
    neighbour_end(&next_door);
    ck_assert_int_eq(worker_finish(w), VW_OK);
    ck_assert_uint_eq(model_requests(m), next_door.served + 3);
    model_stop(m);
}
END_TEST

/* They do not listen to the answer, so each takes a descriptor for two more seconds: that has a bound as well. */
START_TEST(a_flood_of_connections_has_a_bound_of_its_own)
{
    struct model *m = model_start();
    struct worker *w = worker_start_ready(m, NULL, "{'limits': {'maxConnections': 1}, 'handlers': [" OPEN_HANDLER "]}");
    struct neighbour next_door = neighbour_begin(worker_port(w));
    int fds[4 * MORE], i, told = 0;
    char seen[4096];

    for (i = 0; i < 4 * MORE; i++)
        fds[i] = client_connect(worker_port(w));
    neighbour_serve(&next_door, "in a flood of connections");
    ck_assert_double_le(neighbour_sees(&next_door, "vastworker_client_connections "), 1 + MORE);
    for (i = 0; i < 4 * MORE; i++) {
        ssize_t n = recv(fds[i], seen, sizeof seen - 1, 0);

        if (n > 0) {
            seen[n] = '\0';
            ck_assert_msg(strncmp(seen, "HTTP/1.1 503 ", 13) == 0, "%s", seen);
            told++;
        }
        client_close(fds[i]);
    }
    ck_assert_int_ge(told, MORE);
    neighbour_wait_alone(&next_door);
    neighbour_end(&next_door);
    ck_assert_int_eq(worker_finish(w), VW_OK);
    model_stop(m);
}
END_TEST

static struct program *start_with(struct model *m, int descriptors)
{
    char config[400], *path, *line = NULL;
    struct program *p;

    snprintf(config, sizeof config, "{'modelServerPort': %u, 'workerPort': 0, 'handlers': [" OPEN_HANDLER "]}", model_port(m));
    path = temp_file("worker.json", config);
    ck_assert_int_gt(asprintf(&line, "ulimit -n %d && exec \"%s\" --config \"%s\"", descriptors, RUN, path), 0);
    p = program_start((const char *const[]){ "/bin/sh", "-c", line, NULL }, NULL);
    free(line);
    free(path);
    return p;
}

#define DESCRIPTORS 40

/* Each answer ends its connection to the model, whose descriptor then goes to a client that waits; sooner or later none is left. */
static void expect_no_descriptor(const struct neighbour *n)
{
    struct answer a;
    int status;

    do {
        client_send(n->fd, "GET /m/until-close HTTP/1.1\r\nHost: a\r\n\r\n");
        a = client_read(n->fd);
        status = a.status;
        if (status != 200)
            ck_assert_str_eq(answer_reason(&a), "model_unreachable");
        answer_fini(&a);
        nap();
    } while (status == 200);
    ck_assert_int_eq(status, 502);
}

static long ticks_of_a_second(struct program *p)
{
    long before = program_cpu_ticks(p);
    double over = now_s() + 1;

    while (now_s() < over)
        nap();
    return program_cpu_ticks(p) - before;
}

/* 0: the connection to the model is kept, so requests go on; 1: it is not, so each needs a descriptor that is not there. */
START_TEST(without_descriptors_left_what_is_open_is_served_and_the_rest_waits)
{
    struct model *m = model_start();
    struct program *p = start_with(m, DESCRIPTORS);
    uint16_t port = program_port(p, "listening on port ");
    struct neighbour next_door;
    int fds[2 * DESCRIPTORS], i;

    program_wait_said(p, " -> ready");
    next_door = neighbour_begin(port);
    for (i = 0; i < 2 * DESCRIPTORS; i++)
        fds[i] = client_connect(port); /* the kernel takes those that the worker cannot */
    program_wait_said(p, "cannot accept connections");
    if (_i)
        expect_no_descriptor(&next_door);
    else
        neighbour_serve(&next_door, "without descriptors");
    ck_assert_int_lt(ticks_of_a_second(p), 50); /* one that spins takes all it can get */
    for (i = 0; i < 2 * DESCRIPTORS - 1; i++)
        client_close(fds[i]);
    expect_served(fds[i]); /* was waiting with the kernel all the time */
    client_close(fds[i]);
    neighbour_wait_alone(&next_door);
    neighbour_serve(&next_door, "afterwards");
    i = client_connect(port);
    expect_served(i);
    client_close(i);
    neighbour_end(&next_door);
    program_signal(p, SIGTERM);
    ck_assert_int_eq(program_wait(p), 0);
    program_free(p);
    model_stop(m);
}
END_TEST

#define COLLECTING "{'route': '/c/*', 'targetPath': '/*', 'auth': 'none', 'allowParallelRequests': true, 'workloadCalculator': {'count': '/x'}}"

static void send_part(int fd, size_t length, size_t part)
{
    char head[200], *body = malloc(part);

    memset(body, ' ', part);
    snprintf(head, sizeof head, "POST /c/x HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\n\r\n", length);
    client_send(fd, head);
    client_send_bytes(fd, body, part);
    free(body);
}

/* What is held is given back when its request is over. */
START_TEST(more_bodies_than_there_is_memory_for_are_refused_and_those_held_are_served)
{
    struct model *m = model_start();
    struct worker *w = worker_start_ready(m, NULL, "{'limits': {'maxBodyBytes': 1000000, 'maxBufferedBytes': 1000000}, 'handlers': ["
                                                   COLLECTING ", " OPEN_HANDLER "]}");
    struct neighbour next_door = neighbour_begin(worker_port(w));
    int held = client_connect(worker_port(w)), late = client_connect(worker_port(w)), i;
    struct answer a;

    send_part(held, 800001, 800000);
    for (i = 0; i < 40; i++)
        neighbour_serve(&next_door, "while it is read");
    send_part(late, 700000, 700000);
    expect_no_room(late);
    client_close(late);
    neighbour_serve(&next_door, "beside the one that is held");
    client_send(held, "1");
    a = client_read(held);
    ck_assert_int_eq(a.status, 200);
    answer_fini(&a);
    late = client_connect(worker_port(w));
    send_part(late, 700000, 700000);
    a = client_read(late);
    ck_assert_int_eq(a.status, 200);
    answer_fini(&a);
    client_close(late);
    client_close(held);
    neighbour_end(&next_door);
    ck_assert_int_eq(worker_finish(w), VW_OK);
    model_stop(m);
}
END_TEST

START_TEST(a_connection_that_is_idle_for_too_long_is_closed_and_others_are_not)
{
    struct model *m = model_start();
    struct worker *w = worker_start_ready(m, NULL, "{'timeouts': {'clientIdle': 0.3}, 'handlers': [" OPEN_HANDLER "]}");
    int idle = client_connect(worker_port(w)), busy = client_connect(worker_port(w));
    struct answer a;

    expect_served(idle);
    client_send(busy, "GET /m/hold HTTP/1.1\r\nHost: a\r\n\r\n");
    model_wait_requests(m, 2);
    ck_assert(client_is_closed(idle)); /* without a word */
    model_permit(m, 1);
    a = client_read(busy);
    ck_assert_int_eq(a.status, 200);
    answer_fini(&a);
    ck_assert(client_is_closed(busy)); /* when its time came */
    client_close(busy);
    client_close(idle);
    ck_assert_int_eq(worker_finish(w), VW_OK);
    model_stop(m);
}
END_TEST

Suite *limits_suite(void);

Suite *limits_suite(void)
{
    Suite *s = suite_create("limits");
    TCase *tc = tcase_create("limits");

    tcase_add_test(tc, a_connection_past_the_limit_is_told_so);
    tcase_add_test(tc, a_flood_of_connections_has_a_bound_of_its_own);
    tcase_add_test(tc, more_bodies_than_there_is_memory_for_are_refused_and_those_held_are_served);
    tcase_add_test(tc, a_connection_that_is_idle_for_too_long_is_closed_and_others_are_not);
    tcase_add_loop_test(tc, without_descriptors_left_what_is_open_is_served_and_the_rest_waits, 0, 2);
    suite_add_tcase(s, tc);
    return s;
}
