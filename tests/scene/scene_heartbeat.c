/* Heartbeats: bytes for a client that waits, and failures that are told behind a 200. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "actors.h"

#define BEATING "'heartbeat': {'after': 0.1, 'every': 0.1}"
#define PARALLEL "{'route': '/m/*', 'targetPath': '/*', 'methods': ['*'], 'auth': 'none', 'allowParallelRequests': true, " BEATING "}"
#define SERIAL "{'route': '/m/*', 'targetPath': '/*', 'methods': ['*'], 'auth': 'none', " BEATING "}"
#define COMMENT ": heartbeat\n\n"
#define EVENTS "Accept: text/event-stream\r\n"

static struct model *m;

static void setup(void) { m = model_start(); }
static void teardown(void) { model_stop(m); }

static struct worker *start(const char *handler)
{
    char config[1000];

    snprintf(config, sizeof config, "{'handlers': [%s]}", handler);
    return worker_start_ready(m, NULL, config);
}

static int begin(struct worker *w, const char *version, const char *path, const char *headers, const char *body)
{
    int fd = client_connect(worker_port(w));
    char *text = NULL;

    ck_assert_int_gt(asprintf(&text, "POST /m%s HTTP/%s\r\nHost: w\r\n%sContent-Length: %zu\r\n\r\n%s", path, version, headers, strlen(body), body), 0);
    client_send(fd, text);
    free(text);
    return fd;
}

/* Chunks of a reply to an HTTP/1.1 client. */
static void wait_beats(int fd, bool events, int n)
{
    char seen[4096];

    while (n--)
        client_read_until(fd, events ? "d\r\n" COMMENT "\r\n" : "1\r\n\n\r\n", seen, sizeof seen);
}

static void wait_head(int fd, const char *type)
{
    char seen[4096];

    client_read_until(fd, "\r\n\r\n", seen, sizeof seen);
    ck_assert_ptr_eq(strstr(seen, "HTTP/1.1 200 OK\r\n"), seen);
    ck_assert_ptr_nonnull(strstr(seen, type));
    ck_assert_ptr_nonnull(strstr(seen, "X-Accel-Buffering: no\r\n"));
}

#define LENGTH(status, type, length) "HTTP/1.1 " status "\r\nContent-Type: " type "\r\nContent-Length: " #length "\r\n"
#define OF_EVENTS "Content-Type: text/event-stream; charset=utf-8\r\n"
#define OF_JSON "Content-Type: application/json\r\n"

static bool served_one(const vw_status_t *status, void *arg) { return (void)arg, status->served == 1; }
static bool served_two(const vw_status_t *status, void *arg) { return (void)arg, status->served == 2; }
static bool errored_one(const vw_status_t *status, void *arg) { return (void)arg, status->errored == 1; }
static bool cancelled_one(const vw_status_t *status, void *arg) { return (void)arg, status->cancelled == 1; }
static bool timed_out_one(const vw_status_t *status, void *arg) { return (void)arg, status->timed_out == 1; }

/* Both ways to ask for a stream, and a wait that goes on from the queue to the model. */
START_TEST(a_stream_that_waits_gets_comments)
{
    struct worker *w = start(SERIAL);
    int first = begin(w, "1.1", "/hold", "", "{}"), second;
    char seen[4096];

    model_wait_requests(m, 1);
    second = begin(w, "1.1", "/raw-held", _i ? "accept: application/json, Text/Event-Stream;q=0.9\r\n" : "",
                   _i ? "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n"
                      : "{\"model\": 1, \"stream\":true}");
    wait_head(second, OF_EVENTS);
    wait_beats(second, true, 2);
    model_permit(m, 1);
    model_wait_requests(m, 2);
    client_close(first);
    wait_beats(second, true, 2);
    model_permit(m, 1);
    client_read_until(second, _i ? "9\r\ndata: 1\n\n\r\n0\r\n\r\n" : "not a valid answer", seen, sizeof seen);
    client_close(second);
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

START_TEST(json_that_waits_has_white_space_before_it)
{
    struct worker *w = start(SERIAL);
    int first = begin(w, "1.1", "/hold", "", "{}"), second, third;
    char seen[4096];

    model_wait_requests(m, 1);
    wait_head(first, OF_JSON); /* at the model */
    wait_beats(first, false, 1);
    second = begin(w, "1.1", "/hold", "", "{\"stream\": false}");
    wait_head(second, OF_JSON); /* in the queue */
    wait_beats(second, false, 3);
    model_permit(m, 2);
    client_read_until(first, "b\r\n{\"held\": 1}\r\n0\r\n\r\n", seen, sizeof seen);
    client_read_until(second, "b\r\n{\"held\": 2}\r\n0\r\n\r\n", seen, sizeof seen);
    worker_wait(w, served_two, NULL);
    third = begin(w, "1.0", "/hold", "Connection: keep-alive\r\n", "{}");
    client_read_until(third, "\r\n\r\n\n\n", seen, sizeof seen); /* ends with the connection */
    ck_assert_ptr_null(strstr(seen, "chunked"));
    model_permit(m, 1);
    client_read_until(third, "{\"held\": 3}", seen, sizeof seen);
    ck_assert(client_is_closed(third));
    client_close(first);
    client_close(second);
    client_close(third);
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

START_TEST(an_answer_that_is_quick_is_left_alone)
{
    struct worker *w = worker_start_ready(m, NULL, "{'handlers': [{'route': '/m/*', 'targetPath': '/*', 'methods': ['*'], 'auth': 'none', "
                                                   "'heartbeat': {}}]}");
    struct answer a = client_call(worker_port(w), "POST", "/m/echo", "Accept-Encoding: gzip, br\r\nX-Mine: 1\r\n", "{}");
    json_t *echo = parse_json(a.body), *headers = json_object_get(echo, "headers");

    ck_assert_str_eq(json_string_value(json_object_get(headers, "accept-encoding")), "identity");
    ck_assert_str_eq(json_string_value(json_object_get(headers, "x-mine")), "1");
    ck_assert_str_eq(answer_header(&a, "transfer-encoding"), "");
    ck_assert_str_ne(answer_header(&a, "content-length"), "");
    json_decref(echo);
    answer_fini(&a);
    a = client_call(worker_port(w), "GET", "/m/status/404", "", NULL);
    ck_assert_int_eq(a.status, 404);
    answer_fini(&a);
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

START_TEST(a_client_that_takes_neither_events_nor_json_waits_in_silence)
{
    struct worker *w = start(PARALLEL);
    int fd = begin(w, "1.1", "/raw-held", "Accept: audio/mpeg\r\n", LENGTH("200 OK", "audio/mpeg", 3) "\r\nmp3");
    int other = begin(w, "1.1", "/hold", "", "{}");
    struct answer a;

    wait_head(other, OF_JSON);
    wait_beats(other, false, 3);
    model_permit(m, 2);
    a = client_read(fd);
    ck_assert_str_eq(answer_header(&a, "content-type"), "audio/mpeg");
    ck_assert_str_eq(a.body, "mp3");
    answer_fini(&a);
    client_close(fd);
    client_close(other);
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

START_TEST(an_envelope_asks_the_model_for_no_coding_either)
{
    struct control *c = control_start();
    struct worker *w = worker_start_ready(m, c, "{'handlers': [{'route': '/echo', 'heartbeat': {}}]}");
    struct answer a = client_envelope(worker_port(w), c, "/echo", 1, "{}");
    json_t *echo = parse_json(a.body);

    ck_assert_str_eq(json_string_value(json_object_get(json_object_get(echo, "headers"), "accept-encoding")), "identity");
    json_decref(echo);
    answer_fini(&a);
    ck_assert_int_eq(worker_finish(w), VW_OK);
    control_stop(c);
}
END_TEST

/* The second one, of /stream/1, has waited behind the first one, of /hold. */
static void expect_events_behind_beats(struct worker *w, int first, int second)
{
    char seen[4096];

    wait_head(second, OF_EVENTS);
    wait_beats(second, true, 2);
    model_permit(m, 2);
    client_read_until(second, "9\r\ndata: 1\n\n\r\n0\r\n\r\n", seen, sizeof seen);
    worker_wait(w, served_two, NULL);
    client_close(first);
    client_close(second);
}

START_TEST(an_envelope_that_asks_for_a_stream_waits_in_one)
{
    struct control *c = control_start();
    struct worker *w = worker_start_ready(m, c, "{'handlers': [{'route': '/m/*', 'targetPath': '/*', 'requestParser': 'unwrap', " BEATING "}]}");
    char *held = envelope(c, 1, "{}"), *stream = envelope(c, 2, "{'input': {'stream': true}}");
    int first = begin(w, "1.1", "/hold", "", held), second;

    model_wait_requests(m, 1);
    second = begin(w, "1.1", "/stream/1", "", stream);
    expect_events_behind_beats(w, first, second);
    free(held);
    free(stream);
    ck_assert_int_eq(worker_finish(w), VW_OK);
    control_stop(c);
}
END_TEST

/* A body of that size would stream to the model from its turn on, and wait unread until then, if nobody had to look into it. */
START_TEST(a_large_body_that_asks_for_a_stream_waits_in_one)
{
    struct worker *w = start(SERIAL);
    int first = begin(w, "1.1", "/hold", "", "{}"), second;
    char *body = NULL;

    ck_assert_int_gt(asprintf(&body, "{\"prompt\": \"%*s\", \"stream\": true}", 200000, ""), 0);
    model_wait_requests(m, 1);
    second = begin(w, "1.1", "/stream/1", "Content-Type: application/json\r\nAccept: application/json\r\n", body);
    expect_events_behind_beats(w, first, second);
    free(body);
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

/* Some servers send the head at once and think then. */
START_TEST(they_go_on_behind_the_models_head_until_its_first_byte)
{
    struct worker *w = start(PARALLEL);
    int fd = begin(w, "1.1", "/stream/2", "", "{}");
    char seen[4096];

    wait_head(fd, OF_EVENTS); /* the model's */
    wait_beats(fd, true, 2);
    model_permit(m, 2);
    client_read_until(fd, "0\r\n\r\n", seen, sizeof seen);
    ck_assert_ptr_nonnull(strstr(seen, "data: 1\n\n"));
    ck_assert_ptr_nonnull(strstr(seen, "data: 2\n\n"));
    client_close(fd);
    worker_wait(w, served_one, NULL);
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

#define JSON_ERROR(code) "{\"error\": {\"code\": \"" code "\", \"message\": "

/* What the model says once the client waits behind a 200, and what the client then gets. */
static const struct {
    const char *headers, *answer, *wanted;
    bool served;
} ends[] = {
    { "", "", JSON_ERROR("model_reset"), false },
    { EVENTS, "", "event: error\ndata: " JSON_ERROR("model_reset"), false },
    { "", LENGTH("500 Oops", "application/json", 12) "\r\n{\"bad\":\ntrue}", "{\"bad\":\ntrue", false },
    { "", LENGTH("404 No", "application/problem+json", 2) "\r\n{}", "{}", true },
    { EVENTS, LENGTH("503 Busy", "application/json", 13) "\r\n{\"bad\":\ntrue}", "event: error\ndata: {\"bad\": true}\r\n2\r\n\n\n", false },
    { EVENTS, LENGTH("200 OK", "application/json", 14) "\r\n{\"good\":\ntrue}", "data: {\"good\": true}\r\n2\r\n\n\n", true },
    { "", LENGTH("502 Bad Gateway", "text/html", 6) "\r\n<html>", JSON_ERROR("not_json"), false },
    { EVENTS, LENGTH("502 Bad Gateway", "text/html", 6) "\r\n<html>", "event: error\ndata: " JSON_ERROR("not_json"), false },
    { "", LENGTH("200 OK", "image/png", 3) "\r\npng", JSON_ERROR("not_json"), false },
    { "", LENGTH("200 OK", "application/json", 3) "Content-Encoding: gzip\r\n\r\nzip", JSON_ERROR("not_json"), false },
    { "", "HTTP/1.1 204 No Content\r\n\r\n", JSON_ERROR("not_json"), false },
    { "", "HTTP/1.1 200 OK\r\n" OF_JSON "\r\n", JSON_ERROR("model_reset"), false },
    { "", LENGTH("200 OK", "text/event-stream", 9) "\r\ndata: 1\n\n", JSON_ERROR("not_json"), false },
    { EVENTS, LENGTH("200 OK", "text/event-stream", 100) "\r\ndata: 1\n\n", "\n\nevent: error\ndata: {\"error\":{\"code\":\"model_reset\"", false },
    { EVENTS, LENGTH("200 OK", "application/json", 100) "\r\n{", "data: {\r\n", false },
};

START_TEST(what_comes_behind_a_heartbeat_fits_it)
{
    struct worker *w = start(PARALLEL);
    bool events = ends[_i].headers[0];
    int fd = begin(w, "1.1", "/raw-held", ends[_i].headers, ends[_i].answer);
    char seen[4096], *error;

    wait_head(fd, events ? OF_EVENTS : OF_JSON);
    wait_beats(fd, events, 1);
    model_permit(m, 1);
    client_read_until(fd, "\r\n0\r\n", seen, sizeof seen); /* a proper end in each case */
    ck_assert_msg(strstr(seen, ends[_i].wanted) != NULL, "%s", seen);
    error = strstr(seen, "\"error\": ");
    if (error) {
        char trailer[200];

        client_read_until(fd, "\r\n\r\n", trailer, sizeof trailer);
        ck_assert_ptr_nonnull(strstr(trailer, "X-Vastworker-Reason: "));
    }
    worker_wait(w, ends[_i].served ? served_one : errored_one, NULL);
    client_close(fd);
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

START_TEST(half_a_json_answer_behind_a_heartbeat_is_a_cut)
{
    struct worker *w = start(PARALLEL);
    int fd = begin(w, "1.1", "/raw-held", "", LENGTH("200 OK", "application/json", 100) "\r\n{");
    char seen[4096];
    size_t len = 0;
    ssize_t n;

    wait_head(fd, OF_JSON);
    model_permit(m, 1);
    while ((n = recv(fd, seen + len, sizeof seen - 1 - len, 0)) > 0)
        len += (size_t)n;
    seen[len] = '\0';
    ck_assert_ptr_nonnull(strstr(seen, "1\r\n{\r\n"));
    ck_assert_ptr_null(strstr(seen, "\r\n0\r\n"));
    worker_wait(w, errored_one, NULL);
    client_close(fd);
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

START_TEST(limits_of_time_hold_behind_a_heartbeat)
{
    struct worker *w = start("{'route': '/m/*', 'targetPath': '/*', 'auth': 'none', 'maxQueueTime': 1, 'timeouts': {'firstByte': 3}, " BEATING "}");
    int first = begin(w, "1.1", "/hold", "", "{}"), second;
    char seen[4096];

    model_wait_requests(m, 1);
    second = begin(w, "1.1", "/hold", EVENTS, "{}");
    wait_head(second, OF_EVENTS);
    client_read_until(second, "\r\n0\r\nX-Vastworker-Reason: queue_timeout\r\n\r\n", seen, sizeof seen);
    ck_assert_ptr_nonnull(strstr(seen, "event: error\ndata: " JSON_ERROR("queue_timeout")));
    worker_wait(w, timed_out_one, NULL); /* the platform hears of a rejection, as ever */
    wait_head(first, OF_JSON);
    client_read_until(first, "\r\n0\r\nX-Vastworker-Reason: model_timeout\r\n\r\n", seen, sizeof seen);
    ck_assert_ptr_nonnull(strstr(seen, JSON_ERROR("model_timeout")));
    worker_wait(w, errored_one, NULL);
    client_close(first);
    client_close(second);
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

START_TEST(a_drain_that_cuts_tells_those_who_wait)
{
    struct worker *w = worker_start_ready(m, NULL, "{'drainTimeout': 0.2, 'handlers': [" SERIAL "]}");
    int first = begin(w, "1.1", "/hold", "", "{}"), second;
    char seen[4096];

    model_wait_requests(m, 1);
    second = begin(w, "1.1", "/hold", EVENTS, "{}");
    wait_head(first, OF_JSON);
    wait_head(second, OF_EVENTS);
    vw_worker_drain(worker_handle(w));
    client_read_until(first, "X-Vastworker-Reason: draining\r\n\r\n", seen, sizeof seen);
    ck_assert_ptr_nonnull(strstr(seen, JSON_ERROR("draining")));
    client_read_until(second, "X-Vastworker-Reason: draining\r\n\r\n", seen, sizeof seen);
    ck_assert_ptr_nonnull(strstr(seen, "event: error\ndata: " JSON_ERROR("draining")));
    client_close(first);
    client_close(second);
    ck_assert_int_eq(worker_join(w), VW_OK);
}
END_TEST

START_TEST(a_client_that_leaves_between_heartbeats_cancels)
{
    bool queued = _i & 1, reset = _i & 2;
    struct worker *w = start(SERIAL);
    int first = begin(w, "1.1", "/hold", "", "{}"), second = -1, leaver = first;

    model_wait_requests(m, 1);
    if (queued)
        leaver = second = begin(w, "1.1", "/hold", "", "{}");
    wait_head(leaver, OF_JSON);
    wait_beats(leaver, false, 1);
    if (reset)
        client_reset(leaver);
    else
        client_close(leaver);
    worker_wait(w, cancelled_one, NULL);
    if (queued) {
        model_permit(m, 1);
        worker_wait(w, served_one, NULL);
        client_close(first);
    } else {
        model_wait_gone(m, 1); /* the model may stop */
    }
    ck_assert_uint_eq(model_requests(m), 1);
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

/* A reply before its body would tell the client to keep the body. */
START_TEST(a_client_that_holds_its_body_back_is_asked_for_it_first)
{
    struct worker *w = start(SERIAL);
    int first = begin(w, "1.1", "/hold", "", "{}"), second = client_connect(worker_port(w));
    char seen[4096];

    model_wait_requests(m, 1);
    client_send(second, "POST /m/echo HTTP/1.1\r\nHost: w\r\nContent-Type: image/png\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
    worker_wait_in_flight(w, 2);
    wait_head(first, OF_JSON);
    wait_beats(first, false, 5); /* the second one has waited for as long as two of them */
    model_permit(m, 1);
    client_read_until(second, "\r\n\r\n", seen, sizeof seen);
    ck_assert_str_eq(seen, "HTTP/1.1 100 Continue\r\n\r\n");
    client_send(second, "png");
    client_read_until(second, "\r\n\r\n", seen, sizeof seen);
    ck_assert_ptr_eq(strstr(seen, "HTTP/1.1 200 OK\r\n"), seen);
    client_close(first);
    client_close(second);
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

Suite *heartbeat_suite(void);

Suite *heartbeat_suite(void)
{
    Suite *s = suite_create("heartbeat");
    TCase *tc = tcase_create("heartbeat");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, a_stream_that_waits_gets_comments, 0, 2);
    tcase_add_test(tc, json_that_waits_has_white_space_before_it);
    tcase_add_test(tc, an_answer_that_is_quick_is_left_alone);
    tcase_add_test(tc, a_client_that_takes_neither_events_nor_json_waits_in_silence);
    tcase_add_test(tc, an_envelope_asks_the_model_for_no_coding_either);
    tcase_add_test(tc, an_envelope_that_asks_for_a_stream_waits_in_one);
    tcase_add_test(tc, a_large_body_that_asks_for_a_stream_waits_in_one);
    tcase_add_test(tc, they_go_on_behind_the_models_head_until_its_first_byte);
    tcase_add_loop_test(tc, what_comes_behind_a_heartbeat_fits_it, 0, (int)(sizeof ends / sizeof ends[0]));
    tcase_add_test(tc, half_a_json_answer_behind_a_heartbeat_is_a_cut);
    tcase_add_test(tc, limits_of_time_hold_behind_a_heartbeat);
    tcase_add_test(tc, a_drain_that_cuts_tells_those_who_wait);
    tcase_add_loop_test(tc, a_client_that_leaves_between_heartbeats_cancels, 0, 4);
    tcase_add_test(tc, a_client_that_holds_its_body_back_is_asked_for_it_first);
    suite_add_tcase(s, tc);
    return s;
}
