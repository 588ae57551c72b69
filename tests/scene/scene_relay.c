/* What reaches the model and what comes back: bytes as they are, chunk by chunk, never more in memory than the reader allows. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "actors.h"

#define OPEN "{'handlers': [{'route': '/m/*', 'targetPath': '/*', 'methods': ['*'], 'auth': 'none', 'allowParallelRequests': true}]}"

static struct model *m;

static void setup(void) { m = model_start(); }
static void teardown(void) { model_stop(m); }

START_TEST(an_envelope_reaches_the_model_as_its_payload_untouched)
{
    struct control *c = control_start();
    struct worker *w = worker_start_ready(m, c, "{'handlers': [{'route': '/echo'}]}");
    struct answer a = client_envelope(worker_port(w), c, "/echo?api_key=hush", 1, "{'b': 1e999,  'a': [1, 2.50], 'a': '\\u00e9'}");
    json_t *echo = parse_json(a.body), *headers = json_object_get(echo, "headers");

    ck_assert_int_eq(a.status, 200);
    ck_assert_str_eq(json_string_value(json_object_get(echo, "body")), "{\"b\": 1e999,  \"a\": [1, 2.50], \"a\": \"\\u00e9\"}");
    ck_assert_str_eq(json_string_value(json_object_get(echo, "method")), "POST");
    ck_assert_str_eq(json_string_value(json_object_get(echo, "target")), "/echo");
    ck_assert_str_eq(json_string_value(json_object_get(headers, "content-type")), "application/json");
    ck_assert_str_eq(answer_header(&a, "content-type"), "application/json; charset=utf-8");
    json_decref(echo);
    answer_fini(&a);
    ck_assert_int_eq(worker_finish(w), VW_OK);
    control_stop(c);
}
END_TEST

START_TEST(a_plain_request_keeps_method_query_and_headers_but_no_hop_by_hop_ones)
{
    struct worker *w = worker_start_ready(m, NULL, OPEN);
    struct answer a = client_call(worker_port(w), "PUT", "/m/echo?a=1&api_key=hush&serverless_cost=3&b=%20",
                                  "X-Mine: yes\r\nConnection: keep-alive, X-Hop\r\nX-Hop: no\r\nTE: trailers\r\n", "raw \x01 bytes");
    json_t *echo = parse_json(a.body), *headers = json_object_get(echo, "headers");

    ck_assert_str_eq(json_string_value(json_object_get(echo, "method")), "PUT");
    ck_assert_str_eq(json_string_value(json_object_get(echo, "target")), "/echo?a=1&b=%20");
    ck_assert_str_eq(json_string_value(json_object_get(echo, "body")), "raw \x01 bytes");
    ck_assert_str_eq(json_string_value(json_object_get(headers, "x-mine")), "yes");
    ck_assert_ptr_null(json_object_get(headers, "x-hop"));
    ck_assert_ptr_null(json_object_get(headers, "te"));
    json_decref(echo);
    answer_fini(&a);
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

START_TEST(statuses_of_the_model_come_back_as_they_are)
{
    static const int statuses[] = { 200, 201, 302, 404, 418, 429, 500, 503 };
    struct worker *w = worker_start_ready(m, NULL, OPEN);
    size_t i;

    for (i = 0; i < sizeof statuses / sizeof statuses[0]; i++) {
        char path[64];
        struct answer a;

        snprintf(path, sizeof path, "/m/status/%d", statuses[i]);
        a = client_call(worker_port(w), "GET", path, "", NULL);
        ck_assert_int_eq(a.status, statuses[i]);
        ck_assert_str_eq(answer_reason(&a), "");
        answer_fini(&a);
    }
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

START_TEST(one_client_connection_carries_many_requests_over_one_model_connection)
{
    struct worker *w = worker_start_ready(m, NULL, OPEN);
    int fd = client_connect(worker_port(w)), i;
    double until = patience();
    unsigned before;

    while ((before = model_connections(m)) == 0 && now_s() < until)
        nap(); /* it has not taken the connection yet that asked whether it listens */
    for (i = 0; i < 20; i++) {
        struct answer a;

        client_send(fd, "GET /m/x HTTP/1.1\r\nHost: w\r\n\r\n");
        a = client_read(fd);
        ck_assert_int_eq(a.status, 200);
        ck_assert_str_eq(a.body, "{\"ok\": true}");
        answer_fini(&a);
    }
    ck_assert_uint_eq(model_connections(m) - before, 1);
    client_close(fd);
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

START_TEST(a_chunked_request_body_reaches_the_model_whole)
{
    struct worker *w = worker_start_ready(m, NULL, OPEN);
    int fd = client_connect(worker_port(w));
    struct answer a;
    json_t *echo;

    client_send(fd, "POST /m/echo HTTP/1.1\r\nHost: w\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
    client_send(fd, "6;ext=1\r\n world\r\n0\r\nTrailer: x\r\n\r\n");
    a = client_read(fd);
    echo = parse_json(a.body);
    ck_assert_str_eq(json_string_value(json_object_get(echo, "body")), "hello world");
    json_decref(echo);
    answer_fini(&a);
    client_close(fd);
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

START_TEST(a_stream_is_passed_chunk_by_chunk)
{
    struct worker *w = worker_start_ready(m, NULL, OPEN);
    int fd = client_connect(worker_port(w)), i;
    char buffer[4096], event[32];

    client_send(fd, "POST /m/stream/5 HTTP/1.1\r\nHost: w\r\nContent-Length: 0\r\n\r\n");
    client_read_until(fd, "\r\n\r\n", buffer, sizeof buffer); /* the head comes before any event */
    ck_assert_ptr_nonnull(strstr(buffer, "text/event-stream; charset=utf-8"));
    for (i = 1; i <= 5; i++) {
        model_permit(m, 1); /* the next event exists only now */
        snprintf(event, sizeof event, "data: %d\n\n", i);
        client_read_until(fd, event, buffer, sizeof buffer);
    }
    client_read_until(fd, "0\r\n\r\n", buffer, sizeof buffer);
    client_close(fd);
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

START_TEST(big_bodies_pass_both_ways)
{
    struct worker *w = worker_start_ready(m, NULL, OPEN);
    size_t size = 8 * 1024 * 1024, i;
    char *body = malloc(size + 1);
    struct answer a;
    json_t *echo;

    for (i = 0; i < size; i++)
        body[i] = (char)('A' + i % 23);
    body[size] = '\0';
    a = client_call(worker_port(w), "POST", "/m/echo", "", body);
    echo = parse_json(a.body);
    ck_assert_int_eq(json_string_length(json_object_get(echo, "body")), size);
    ck_assert_str_eq(json_string_value(json_object_get(echo, "body")), body);
    json_decref(echo);
    answer_fini(&a);
    a = client_call(worker_port(w), "GET", "/m/size/8388608", "", NULL);
    ck_assert_uint_eq(a.len, size);
    ck_assert(!a.cut);
    for (i = 0; i < size; i++)
        if (a.body[i] != (char)('a' + i % 26))
            ck_abort_msg("byte %zu is wrong", i);
    answer_fini(&a);
    free(body);
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

START_TEST(head_brings_the_length_and_no_body)
{
    struct worker *w = worker_start_ready(m, NULL, OPEN);
    int fd = client_connect(worker_port(w));
    struct answer a;

    client_send(fd, "HEAD /m/size/1000 HTTP/1.1\r\nHost: w\r\n\r\n");
    a = client_read_to_head(fd);
    ck_assert_int_eq(a.status, 200);
    ck_assert_str_eq(answer_header(&a, "content-length"), "1000");
    answer_fini(&a);
    client_send(fd, "GET /m/x HTTP/1.1\r\nHost: w\r\n\r\n"); /* the connection is still in step */
    a = client_read(fd);
    ck_assert_str_eq(a.body, "{\"ok\": true}");
    answer_fini(&a);
    client_close(fd);
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

START_TEST(an_answer_that_ends_with_the_connection_is_relayed_whole)
{
    struct worker *w = worker_start_ready(m, NULL, OPEN);
    struct answer a = client_call(worker_port(w), "GET", "/m/until-close", "", NULL);

    ck_assert_int_eq(a.status, 200);
    ck_assert_str_eq(a.body, "{\"until\": \"close\"}");
    ck_assert(!a.cut);
    answer_fini(&a);
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

START_TEST(a_model_that_dies_in_its_answer_is_seen_as_a_cut)
{
    struct worker *w = worker_start_ready(m, NULL, OPEN);
    struct answer a = client_call(worker_port(w), "GET", "/m/cut", "", NULL);

    ck_assert(a.cut || a.status == 502); /* never a whole answer */
    answer_fini(&a);
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

START_TEST(an_event_stream_whose_model_dies_ends_with_an_error_event)
{
    struct worker *w = worker_start_ready(m, NULL, OPEN);
    struct answer a = client_call(worker_port(w), "GET", "/m/cut-stream", "", NULL);

    ck_assert_int_eq(a.status, 200);
    ck_assert(!a.cut);
    ck_assert_ptr_nonnull(strstr(a.body, "data: 1\n\n"));
    ck_assert_ptr_nonnull(strstr(a.body, "event: error\n"));
    ck_assert_ptr_nonnull(strstr(a.body, "model_reset"));
    ck_assert_int_eq(a.body[a.len - 1], '\n');
    answer_fini(&a);
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

static size_t resident_bytes(void)
{
    unsigned long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");

    ck_assert_int_eq(fscanf(f, "%*s %lu", &pages), 1);
    fclose(f);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

START_TEST(a_reader_that_stops_holds_the_model_back_and_memory_stays_flat)
{
    struct worker *w = worker_start_ready(m, NULL, OPEN);
    int fd = client_connect(worker_port(w));
    char *sink = malloc(1024 * 1024);
    uint64_t held_at;
    size_t before, read_bytes = 0;
    struct answer a;

    before = resident_bytes();
    client_send(fd, "GET /m/flood HTTP/1.1\r\nHost: w\r\n\r\n");
    model_wait_flood_stalled(m);
    held_at = model_flooded(m);
    ck_assert_uint_lt(held_at, 32u * 1024 * 1024); /* what kernels hold for two connections, and our water mark */
    ck_assert_uint_lt(resident_bytes(), before + 16u * 1024 * 1024);
    a = client_call(worker_port(w), "GET", "/m/x", "", NULL); /* others are served meanwhile */
    ck_assert_int_eq(a.status, 200);
    answer_fini(&a);
    while (read_bytes < held_at + 8u * 1024 * 1024) { /* reading on lets it flow again */
        ssize_t n = read(fd, sink, 1024 * 1024);

        ck_assert_int_gt(n, 0);
        read_bytes += (size_t)n;
    }
    ck_assert_uint_gt(model_flooded(m), held_at);
    client_close(fd);
    model_wait_gone(m, 1);
    free(sink);
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

Suite *relay_suite(void);

Suite *relay_suite(void)
{
    Suite *s = suite_create("relay");
    TCase *tc = tcase_create("relay");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, an_envelope_reaches_the_model_as_its_payload_untouched);
    tcase_add_test(tc, a_plain_request_keeps_method_query_and_headers_but_no_hop_by_hop_ones);
    tcase_add_test(tc, statuses_of_the_model_come_back_as_they_are);
    tcase_add_test(tc, one_client_connection_carries_many_requests_over_one_model_connection);
    tcase_add_test(tc, a_chunked_request_body_reaches_the_model_whole);
    tcase_add_test(tc, a_stream_is_passed_chunk_by_chunk);
    tcase_add_test(tc, big_bodies_pass_both_ways);
    tcase_add_test(tc, head_brings_the_length_and_no_body);
    tcase_add_test(tc, an_answer_that_ends_with_the_connection_is_relayed_whole);
    tcase_add_test(tc, a_model_that_dies_in_its_answer_is_seen_as_a_cut);
    tcase_add_test(tc, an_event_stream_whose_model_dies_ends_with_an_error_event);
    tcase_add_test(tc, a_reader_that_stops_holds_the_model_back_and_memory_stays_flat);
    suite_add_tcase(s, tc);
    return s;
}
