/* Bodies that go to the model as they come: from their turn on, no faster than the model takes them, and never twice. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "actors.h"
#include "sink.h"

#define MIB (1024u * 1024)
#define PIECE 65536u
#define SMALL 65536u /* of which a single read may bring all */
#define STALL_MS 250 /* what cannot be sent for so long is not being read; nothing is asserted of the time itself */

static struct sink *s;

static void setup(void) { s = sink_start(); }
static void teardown(void) { sink_stop(s); }

static struct worker *start(const char *handlers)
{
    char config[2000];

    snprintf(config, sizeof config, "{'modelServerUrl': 'http://127.0.0.1:%u', 'timeouts': {'clientBody': 5}, 'handlers': [%s]}",
             sink_port(s), handlers);
    return worker_start_ready(NULL, NULL, config);
}

#define PARALLEL "{'route': '/m/*', 'targetPath': '/*', 'methods': ['*'], 'auth': 'none', 'allowParallelRequests': true}"
#define SERIAL "{'route': '/m/*', 'targetPath': '/*', 'methods': ['*'], 'auth': 'none', 'maxQueueTime': 30}"

struct pour {
    uint64_t sent, total;
    uint32_t sum;
    bool chunked;
};

static char piece_bytes[PIECE];

static void fill_piece(uint64_t at)
{
    size_t i;

    for (i = 0; i < PIECE; i++)
        piece_bytes[i] = (char)((at + i) * 2654435761u >> 13);
}

static void begin(int fd, const char *path, struct pour *p, uint64_t total, bool chunked, const char *headers)
{
    char head[500];

    *p = (struct pour){ .total = total, .chunked = chunked };
    if (chunked)
        snprintf(head, sizeof head, "POST %s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n%s\r\n", path, headers);
    else
        snprintf(head, sizeof head, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %llu\r\n%s\r\n", path, (unsigned long long)total, headers);
    client_send(fd, head);
}

/* The next piece, whole; its framing with it. */
static void pour_piece(int fd, struct pour *p)
{
    size_t len = p->total - p->sent < PIECE ? (size_t)(p->total - p->sent) : PIECE;
    char size[32];

    fill_piece(p->sent);
    p->sum = sink_sum(p->sum, piece_bytes, len);
    if (p->chunked) {
        snprintf(size, sizeof size, "%zx\r\n", len);
        client_send(fd, size);
    }
    client_send_bytes(fd, piece_bytes, len);
    if (p->chunked)
        client_send(fd, "\r\n");
    p->sent += len;
}

static bool can_send(int fd)
{
    struct pollfd look = { fd, POLLOUT, 0 };

    return poll(&look, 1, STALL_MS) == 1 && (look.revents & POLLOUT);
}

/* Sends while somebody reads; the receiver's window is what stops it. */
static void pour_until_stalled(int fd, struct pour *p)
{
    while (p->sent < p->total && can_send(fd))
        pour_piece(fd, p);
}

static void pour_rest(int fd, struct pour *p)
{
    while (p->sent < p->total)
        pour_piece(fd, p);
    if (p->chunked)
        client_send(fd, "0\r\n\r\n");
}

static void expect_taken(int fd, const struct pour *p)
{
    struct answer a = client_read(fd);
    json_t *said;
    bool chunked;

    ck_assert_int_eq(a.status, 200);
    said = parse_json(a.body);
    ck_assert_int_eq(json_integer_value(json_object_get(said, "bytes")), (json_int_t)p->total);
    ck_assert_int_eq(json_integer_value(json_object_get(said, "sum")), (json_int_t)p->sum);
    chunked = strcmp(json_string_value(json_object_get(said, "framing")), "chunked") == 0;
    ck_assert(chunked == p->chunked || (!chunked && p->total < SMALL)); /* one that is there in whole has a length */
    json_decref(said);
    answer_fini(&a);
}

static bool cancelled_one(const vw_status_t *status, void *arg) { return (void)arg, status->cancelled == 1 && status->in_flight == 0; }

START_TEST(an_upload_of_any_framing_reaches_the_model_byte_for_byte)
{
    static const uint64_t sizes[] = { 1, 65535, 65537, 3 * MIB + 7, 64 * MIB };
    struct worker *w = start(PARALLEL);
    int fd = client_connect(worker_port(w)), chunked;
    struct pour p;
    size_t i;

    for (i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (chunked = 0; chunked <= (sizes[i] < 64 * MIB); chunked++) {
            begin(fd, "/m/sink", &p, sizes[i], chunked, "");
            pour_rest(fd, &p);
            expect_taken(fd, &p); /* small ones with a length are collected; the connection stays for the next */
        }
    client_close(fd);
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

START_TEST(an_upload_that_waits_for_its_turn_is_not_read)
{
    struct worker *w = start(SERIAL);
    int first = client_connect(worker_port(w)), second = client_connect(worker_port(w));
    struct pour held, waits;

    begin(first, "/m/held", &held, 10, false, "");
    pour_rest(first, &held);
    sink_wait_requests(s, 1);
    begin(second, "/m/sink", &waits, 64 * MIB, false, "");
    pour_until_stalled(second, &waits);
    ck_assert_msg(waits.sent < 16 * MIB, "%llu bytes were taken", (unsigned long long)waits.sent); /* what two sockets hold */
    ck_assert_uint_eq(sink_requests(s), 1);
    sink_permit(s);
    expect_taken(first, &held);
    pour_rest(second, &waits);
    expect_taken(second, &waits);
    client_close(first);
    client_close(second);
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

START_TEST(an_upload_goes_no_faster_than_the_model_takes_it)
{
    struct worker *w = start(PARALLEL);
    int fd = client_connect(worker_port(w)), chunked;
    struct pour p;

    for (chunked = 0; chunked < 2; chunked++) {
        begin(fd, "/m/held", &p, 64 * MIB, chunked, "");
        pour_until_stalled(fd, &p);
        ck_assert_msg(p.sent < 32 * MIB, "%llu bytes were taken", (unsigned long long)p.sent); /* what four sockets hold */
        sink_permit(s);
        pour_rest(fd, &p);
        expect_taken(fd, &p);
    }
    client_close(fd);
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

/* A FIN behind unread bytes is seen all the same, and so is a reset: both while nothing is read. */
START_TEST(a_client_that_leaves_its_waiting_upload_is_noticed)
{
    struct worker *w = start(SERIAL);
    int first = client_connect(worker_port(w)), second = client_connect(worker_port(w));
    struct pour held, waits;

    begin(first, "/m/held", &held, 10, false, "");
    pour_rest(first, &held);
    sink_wait_requests(s, 1);
    begin(second, "/m/sink", &waits, 64 * MIB, false, "");
    pour_piece(second, &waits);
    worker_wait_in_flight(w, 2);
    if (_i)
        client_reset(second);
    else
        client_close(second);
    worker_wait_in_flight(w, 1);
    sink_permit(s);
    expect_taken(first, &held);
    ck_assert_uint_eq(worker_status(w).cancelled, 1);
    ck_assert_uint_eq(sink_requests(s), 1);
    client_close(first);
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

START_TEST(a_client_that_leaves_in_the_middle_ends_the_models_work)
{
    struct worker *w = start(PARALLEL);
    int fd = client_connect(worker_port(w));
    struct pour p;

    begin(fd, "/m/sink", &p, 64 * MIB, _i, "");
    pour_piece(fd, &p);
    sink_wait_bytes(s, 1);
    client_close(fd);
    sink_wait_gone(s, 1);
    worker_wait(w, cancelled_one, NULL);
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

START_TEST(a_body_that_breaks_a_rule_on_its_way_is_refused_and_the_model_sees_a_cut)
{
    struct worker *w = start(PARALLEL);
    int fd = client_connect(worker_port(w));
    struct answer a;
    struct pour p;

    begin(fd, "/m/sink", &p, 64 * MIB, true, "");
    pour_piece(fd, &p);
    sink_wait_bytes(s, PIECE);
    client_send(fd, "no size\r\n");
    a = client_read(fd);
    ck_assert_int_eq(a.status, 400);
    ck_assert_str_eq(answer_reason(&a), "bad_request");
    ck_assert_str_eq(answer_header(&a, "connection"), "close");
    answer_fini(&a);
    client_close(fd);
    sink_wait_gone(s, 1);
    worker_wait(w, cancelled_one, NULL);
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

START_TEST(a_body_that_stops_coming_is_given_up)
{
    char config[500];
    struct worker *w;
    struct answer a;
    struct pour p;
    int fd;

    snprintf(config, sizeof config, "{'modelServerUrl': 'http://127.0.0.1:%u', 'timeouts': {'clientBody': 0.2}, 'handlers': [" PARALLEL "]}",
             sink_port(s));
    w = worker_start_ready(NULL, NULL, config);
    fd = client_connect(worker_port(w));
    begin(fd, "/m/sink", &p, 64 * MIB, false, "");
    pour_piece(fd, &p);
    sink_wait_bytes(s, 1);
    a = client_read(fd);
    ck_assert_int_eq(a.status, 408);
    ck_assert_str_eq(answer_reason(&a), "request_timeout");
    answer_fini(&a);
    client_close(fd);
    sink_wait_gone(s, 1);
    worker_wait(w, cancelled_one, NULL);
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

START_TEST(a_model_that_answers_before_it_read_the_body_is_heard)
{
    struct worker *w = start(PARALLEL);
    int fd = client_connect(worker_port(w));
    struct answer a;
    struct pour p;

    begin(fd, "/m/early", &p, 64 * MIB, _i, "");
    a = client_read(fd);
    ck_assert_int_eq(a.status, 413);
    ck_assert_str_eq(a.body, "{\"too\": \"much\"}");
    ck_assert_str_eq(answer_header(&a, "connection"), "close"); /* the rest of the body is in the way */
    answer_fini(&a);
    client_close(fd);
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

START_TEST(a_refusal_does_not_wait_for_the_body)
{
    struct worker *w = start(PARALLEL ", {'route': '/post', 'auth': 'none'}");
    static const struct {
        const char *method, *path;
        int status;
    } cases[] = { { "POST", "/none", 404 }, { "PUT", "/post", 405 }, { "POST", "/m/../x", 400 } };
    int fd = client_connect(worker_port(w));
    struct answer a;
    char head[300];

    snprintf(head, sizeof head, "%s %s HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n%s\r\n", cases[_i].method, cases[_i].path,
             _i ? "" : "Expect: 100-continue\r\n");
    client_send(fd, head);
    a = client_read(fd); /* and not 100 */
    ck_assert_int_eq(a.status, cases[_i].status);
    ck_assert_str_eq(answer_header(&a, "connection"), "close");
    answer_fini(&a);
    client_close(fd);
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

START_TEST(a_body_held_back_is_asked_for_when_its_turn_has_come)
{
    struct worker *w = start(SERIAL);
    int first = client_connect(worker_port(w)), second = client_connect(worker_port(w));
    struct pour held, waits;
    char seen[100];

    begin(first, "/m/held", &held, 10, false, "");
    pour_rest(first, &held);
    sink_wait_requests(s, 1);
    begin(second, "/m/sink", &waits, MIB, false, "Expect: 100-continue\r\n");
    worker_wait_in_flight(w, 2);
    sink_permit(s);
    expect_taken(first, &held);
    sink_wait_requests(s, 2);
    client_read_until(second, "HTTP/1.1 100 Continue\r\n\r\n", seen, sizeof seen);
    ck_assert_uint_eq(sink_bytes(s), 10);
    pour_rest(second, &waits);
    expect_taken(second, &waits);
    client_close(first);
    client_close(second);
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

/* What a calculator reads is collected, however it is framed and whatever it is called, unless it cannot be JSON. */
START_TEST(a_body_is_collected_only_where_something_here_reads_it)
{
    static const struct {
        const char *type, *framing;
    } cases[] = { { "Content-Type: application/json\r\n", "70004" }, { "", "70004" }, { "Content-Type: image/png\r\n", "chunked" } };
    struct worker *w = start("{'route': '/sink', 'auth': 'none', 'allowParallelRequests': true, 'workloadCalculator': {'count': '/input'}}");
    int fd = client_connect(worker_port(w));
    char *body = malloc(70005), head[300];
    struct answer a;
    json_t *said;

    memset(body, ' ', 70004);
    memcpy(body, "[1]", 3);
    body[70004] = '\0';
    snprintf(head, sizeof head, "POST /sink HTTP/1.1\r\nHost: x\r\n%sTransfer-Encoding: chunked\r\n\r\n%x\r\n", cases[_i].type, 70004);
    client_send(fd, head);
    client_send(fd, body);
    client_send(fd, "\r\n0\r\n\r\n");
    a = client_read(fd);
    ck_assert_int_eq(a.status, 200);
    said = parse_json(a.body);
    ck_assert_str_eq(json_string_value(json_object_get(said, "framing")), cases[_i].framing);
    ck_assert_int_eq(json_integer_value(json_object_get(said, "bytes")), 70004);
    json_decref(said);
    answer_fini(&a);
    free(body);
    client_close(fd);
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

Suite *upload_suite(void);
Suite *upload_suite(void)
{
    Suite *suite = suite_create("upload");
    TCase *t = tcase_create("upload");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, an_upload_of_any_framing_reaches_the_model_byte_for_byte);
    tcase_add_test(t, an_upload_that_waits_for_its_turn_is_not_read);
    tcase_add_test(t, an_upload_goes_no_faster_than_the_model_takes_it);
    tcase_add_loop_test(t, a_client_that_leaves_its_waiting_upload_is_noticed, 0, 2);
    tcase_add_loop_test(t, a_client_that_leaves_in_the_middle_ends_the_models_work, 0, 2);
    tcase_add_test(t, a_body_that_breaks_a_rule_on_its_way_is_refused_and_the_model_sees_a_cut);
    tcase_add_test(t, a_body_that_stops_coming_is_given_up);
    tcase_add_loop_test(t, a_model_that_answers_before_it_read_the_body_is_heard, 0, 2);
    tcase_add_loop_test(t, a_refusal_does_not_wait_for_the_body, 0, 3);
    tcase_add_test(t, a_body_held_back_is_asked_for_when_its_turn_has_come);
    tcase_add_loop_test(t, a_body_is_collected_only_where_something_here_reads_it, 0, 3);
    suite_add_tcase(suite, t);
    return suite;
}
