/* The model's time and the job's number of tries: what each limit ends, how a client sees it, and that no job runs twice. */
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "actors.h"
#include "neighbour.h"
#include "wire.h"

/* "/m/" as the neighbour needs it; "/t/" with limits of its own, or other things. */
#define HANDLERS(own) "'handlers': [" OPEN_HANDLER ", {'route': '/t/*', 'targetPath': '/*', 'methods': ['*'], 'auth': 'none', " own \
                      "'allowParallelRequests': true}]}"

static struct wire *x;
static struct worker *w;
static struct neighbour next_door;

static void begin(const char *model, const char *more, const char *own)
{
    char config[900];

    snprintf(config, sizeof config, "{'modelServerUrl': '%s', %s " HANDLERS("%s"), model, more, own);
    w = worker_start_ready(NULL, NULL, config);
    next_door = neighbour_begin(worker_port(w));
}

static void begin_wire(const char *more, const char *own)
{
    char url[64];

    x = wire_start();
    snprintf(url, sizeof url, "http://127.0.0.1:%u", wire_port(x));
    begin(url, more, own);
}

static void end(void)
{
    neighbour_serve(&next_door, "afterwards");
    neighbour_wait_alone(&next_door);
    neighbour_end(&next_door);
    ck_assert_int_eq(worker_finish(w), VW_OK);
    wire_stop(x);
}

static const struct limit {
    const char *own, *path;
    int status;
    const char *says; /* in the answer; with 504 in the log, since it is no matter of the client's */
    bool cut;
} limits[] = {
    { "'timeouts': {'firstByte': 0.2},", "/t/silent", 504, "no first byte within 0.2 s", false },
    { "'timeouts': {'idle': 0.2},", "/t/stall-head", 504, "no byte for 0.2 s", false },
    { "'timeouts': {'idle': 0.2},", "/t/stall-body", 200, "{\"half\":", true },
    { "'timeouts': {'idle': 0.2},", "/t/stall-events", 200, "data: 1\n\n\n\nevent: error\ndata: {\"error\":{\"code\":\"model_timeout\"", false },
    { "'timeouts': {'total': 0.2},", "/t/silent", 504, "not finished within 0.2 s", false },
    { "'timeouts': {'total': 0.2},", "/t/stall-body", 200, "{\"half\":", true },
    { "'timeouts': {'total': 0.2},", "/t/stall-events", 200, "data: 1\n\n\n\nevent: error\ndata: {\"error\":{\"code\":\"model_timeout\"", false },
};

static bool errored_one(const vw_status_t *status, void *arg) { return (void)arg, status->errored == 1; }

START_TEST(a_limit_of_a_handler_ends_its_requests_and_no_others)
{
    const struct limit *row = &limits[_i];
    struct answer a;
    int other;

    begin_wire("", row->own);
    other = client_connect(worker_port(w));
    client_send(other, "GET /m/silent HTTP/1.1\r\nHost: a\r\n\r\n");
    wire_wait_requests(x, 2);
    a = client_call(worker_port(w), "POST", row->path, "", "{}");
    ck_assert_int_eq(a.status, row->status);
    ck_assert_str_eq(answer_reason(&a), row->status == 504 ? "model_timeout" : "");
    if (row->status == 504)
        worker_wait_logged(w, row->says);
    else
        ck_assert_msg(strstr(a.body, row->says) != NULL, "%s", a.body);
    ck_assert_int_eq(a.cut, row->cut);
    answer_fini(&a);
    worker_wait(w, errored_one, NULL);
    ck_assert_uint_eq(worker_status(w).in_flight, 1); /* that of the handler without limits */
    client_close(other);
    end();
}
END_TEST

/* A handler's 0 is its own as well: no limit, whatever the worker's is. */
START_TEST(a_handler_may_do_without_the_workers_limit)
{
    struct answer a;
    int unlimited;

    begin_wire("'timeouts': {'firstByte': 0.2},", "'timeouts': {'firstByte': 0},");
    unlimited = client_connect(worker_port(w));
    client_send(unlimited, "GET /t/silent HTTP/1.1\r\nHost: a\r\n\r\n");
    wire_wait_requests(x, 2);
    a = client_call(worker_port(w), "GET", "/m/silent", "", NULL); /* sent later, ended earlier */
    ck_assert_int_eq(a.status, 504);
    answer_fini(&a);
    worker_wait(w, errored_one, NULL);
    ck_assert_uint_eq(worker_status(w).in_flight, 1);
    client_close(unlimited);
    end();
}
END_TEST

/* Its queue of connections is full, so the kernel answers none. */
START_TEST(a_model_that_does_not_take_the_connection_is_504)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), fds[8], count = 0;
    char config[600];
    struct answer a;

    ck_assert_int_eq(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    ck_assert_int_eq(listen(fd, 0), 0);
    snprintf(config, sizeof config, "{'modelServerUrl': 'http://127.0.0.1:%u', " HANDLERS("'timeouts': {'connect': 0.2},"), ntohs(at.sin_port));
    w = worker_start_ready(NULL, NULL, config);
    do
        fds[count] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    while (connect(fds[count++], (struct sockaddr *)&at, sizeof at) == 0 && count < 8);
    a = client_call(worker_port(w), "POST", "/t/x", "", "{}");
    ck_assert_int_eq(a.status, 504);
    ck_assert_str_eq(answer_reason(&a), "model_timeout");
    worker_wait_logged(w, "not connected within 0.2 s");
    answer_fini(&a);
    while (count)
        close(fds[--count]);
    close(fd);
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

static const struct attempt {
    const char *method, *own, *headers;
    bool kept;      /* there is a kept connection, so a break may mean no more than that it was old */
    unsigned times; /* that the model gets the request */
} attempts[] = {
    { "GET", "", "", true, 2 },
    { "HEAD", "", "", true, 2 },
    { "OPTIONS", "", "", true, 2 },
    { "PUT", "", "", true, 2 },
    { "DELETE", "", "", true, 2 },
    { "POST", "", "", true, 1 },
    { "PATCH", "", "", true, 1 },
    { "POST", "'retry': true,", "", true, 2 },
    { "PATCH", "'retry': true,", "", true, 2 },
    { "GET", "", "", false, 1 },
    { "POST", "'retry': true,", "", false, 1 },
    { "PUT", "'retry': true,", "Transfer-Encoding: chunked\r\n", true, 1 }, /* streamed: gone */
};

START_TEST(a_request_goes_out_again_once_at_most_and_only_where_it_may)
{
    const struct attempt *row = &attempts[_i];
    char request[300];
    struct answer a;
    int fd;

    begin_wire("", row->own);
    if (!row->kept) {
        a = client_call(worker_port(w), "GET", "/m/once", "", NULL);
        ck_assert_int_eq(a.status, 200);
        answer_fini(&a);
        while (neighbour_sees(&next_door, "vastworker_model_connections{state=\"idle\"} ") > 0)
            nap();
    }
    wire_wait_requests(x, row->kept ? 1 : 2);
    free(wire_take(x));
    fd = client_connect(worker_port(w));
    snprintf(request, sizeof request, "%s /t/vanish HTTP/1.1\r\nHost: a\r\n%s\r\n%s", row->method, row->headers,
             row->headers[0] ? "5\r\nhello\r\n" : "");
    client_send(fd, request);
    if (row->headers[0]) { /* its end comes apart, so that it is streamed */
        worker_wait_in_flight(w, 1);
        client_send(fd, "0\r\n\r\n");
    }
    a = strcmp(row->method, "HEAD") == 0 ? client_read_to_head(fd) : client_read(fd);
    ck_assert_int_eq(a.status, 502);
    ck_assert_str_eq(answer_reason(&a), "model_reset");
    ck_assert_uint_eq(wire_requests(x), (row->kept ? 1 : 2) + row->times);
    answer_fini(&a);
    client_close(fd);
    end();
}
END_TEST

/* Closed by the model while it was idle, without a word before: nobody notices. */
START_TEST(a_kept_connection_that_the_model_closed_costs_no_job)
{
    unsigned i;

    begin_wire("", "");
    for (i = 0; i < 5; i++) {
        struct answer a = client_call(worker_port(w), "POST", "/t/once", "", "{}");

        ck_assert_int_eq(a.status, 200);
        answer_fini(&a);
        while (neighbour_sees(&next_door, "vastworker_model_connections{state=\"idle\"} ") > 0)
            nap();
    }
    ck_assert_uint_eq(wire_requests(x), 1 + 5);
    end();
}
END_TEST

/* It serves, goes away, and comes back as another process would: with another socket under the same name. */
START_TEST(a_model_on_a_unix_socket_may_restart)
{
    char *dir = temp_dir(), path[300], url[320], *body = malloc(1000001);
    struct answer a;

    snprintf(path, sizeof path, "%s/model.sock", dir);
    snprintf(url, sizeof url, "unix:%s", path);
    memset(body, 'b', 1000000);
    body[1000000] = '\0';
    x = wire_start_unix(path);
    begin(url, "", "");
    a = client_call(worker_port(w), "POST", "/t/x", "", body);
    ck_assert_int_eq(a.status, 200);
    answer_fini(&a);
    wire_stop(x);
    ck_assert_int_eq(unlink(path), 0);
    a = client_call(worker_port(w), "POST", "/t/x", "", "{}");
    ck_assert_int_eq(a.status, 502);
    ck_assert_str_eq(answer_reason(&a), "model_unreachable");
    ck_assert_msg(strstr(a.body, dir) == NULL, "%s", a.body);
    answer_fini(&a);
    x = wire_start_unix(path);
    a = client_call(worker_port(w), "POST", "/t/x", "", "{}");
    ck_assert_int_eq(a.status, 200);
    answer_fini(&a);
    end();
    unlink(path);
    free(body);
    free(dir);
}
END_TEST

Suite *deadlines_suite(void);

Suite *deadlines_suite(void)
{
    Suite *s = suite_create("deadlines");
    TCase *tc = tcase_create("deadlines");

    tcase_add_loop_test(tc, a_limit_of_a_handler_ends_its_requests_and_no_others, 0, sizeof limits / sizeof limits[0]);
    tcase_add_test(tc, a_handler_may_do_without_the_workers_limit);
    tcase_add_test(tc, a_model_that_does_not_take_the_connection_is_504);
    tcase_add_loop_test(tc, a_request_goes_out_again_once_at_most_and_only_where_it_may, 0, sizeof attempts / sizeof attempts[0]);
    tcase_add_test(tc, a_kept_connection_that_the_model_closed_costs_no_job);
    tcase_add_test(tc, a_model_on_a_unix_socket_may_restart);
    suite_add_tcase(s, tc);
    return s;
}
