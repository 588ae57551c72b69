/*
 * The platform's own client against vastworker-sim and a worker: asks for a route, calls the worker with what it got, reads JSON
 * or a stream by that client's rules, asks for another route after a retryable answer. Then the simulator's accounts must add up.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "actors.h"

#define KEY "endpoint-key"
#define AUTHORIZATION "Content-Type: application/json\r\nAuthorization: Bearer " KEY "\r\n"

static struct model *m;
static struct program *sim;
static uint16_t sim_port;

static void setup(void)
{
    static const char *const arguments[] = { SIM, "control", "--quiet", "--api-key", KEY, "--token", "mtoken-secret", NULL };

    m = model_start();
    sim = program_start(arguments, NULL);
    sim_port = program_port(sim, "control http://127.0.0.1:");
}

static void teardown(void)
{
    program_signal(sim, SIGTERM);
    ck_assert_int_eq(program_wait(sim), 0);
    program_free(sim);
    model_stop(m);
}

static long integer_of(const json_t *object, const char *key)
{
    ck_assert_msg(json_is_integer(json_object_get(object, key)), "%s", key);
    return (long)json_integer_value(json_object_get(object, key));
}

static const char *text_of(const json_t *object, const char *key)
{
    ck_assert_msg(json_is_string(json_object_get(object, key)), "%s", key);
    return json_string_value(json_object_get(object, key));
}

/* A worker of the platform, reachable where it says. */
static struct worker *start_worker(const char *id, const char *config)
{
    char port[16], name[32], address[64];

    snprintf(port, sizeof port, "%u", free_port());
    snprintf(name, sizeof name, "VAST_TCP_PORT_%s", port);
    snprintf(address, sizeof address, "http://127.0.0.1:%u", sim_port);
    setenv("CONTAINER_ID", id, 1);
    setenv("MASTER_TOKEN", "mtoken-secret", 1);
    setenv("PUBLIC_IPADDR", "127.0.0.1", 1);
    setenv("WORKER_PORT", port, 1);
    setenv(name, port, 1);
    setenv("REPORT_ADDR", address, 1);
    return worker_start(m, NULL, config);
}

/* ---- the client ---- */

struct outcome {
    int status;
    char *body;
    long request_idx;
    unsigned calls, waits; /* calls of a worker; answers WAITING */
};

/* One POST /route/; request_idx 0: a new request. */
static json_t *ask_route(double cost, long request_idx)
{
    struct answer a;
    char *body = NULL;
    json_t *json;

    ck_assert_int_gt(asprintf(&body, "{\"endpoint\": \"my-ep\", \"api_key\": \"" KEY "\", \"cost\": %g, \"request_idx\": %ld, "
                                     "\"replay_timeout\": 60.0}", cost, request_idx), 0);
    a = client_call(sim_port, "POST", "/route/?api_key=" KEY, AUTHORIZATION, body);
    ck_assert_msg(a.status == 200, "/route/ answered %d: %s", a.status, a.body);
    json = parse_json(a.body);
    answer_fini(&a);
    free(body);
    return json;
}

/* The auth_data of a READY answer; polls through WAITING with the same request_idx. */
static json_t *route(double cost, struct outcome *o)
{
    double until = patience();

    for (;;) {
        json_t *json = ask_route(cost, o->request_idx);
        long idx = integer_of(json, "request_idx");

        ck_assert_int_gt(idx, 0);
        ck_assert(o->request_idx == 0 || idx == o->request_idx);
        o->request_idx = idx;
        text_of(json, "__request_id");
        ck_assert_str_eq(text_of(json, "endpoint"), "my-ep");
        if (json_object_get(json, "url")) {
            ck_assert_uint_eq(json_object_size(json), 7);
            ck_assert_double_eq(json_number_value(json_object_get(json, "cost")), cost);
            ck_assert_uint_eq(strlen(text_of(json, "signature")), 344);
            integer_of(json, "reqnum");
            return json;
        }
        ck_assert_uint_eq(json_object_size(json), 4);
        text_of(json, "status");
        json_decref(json);
        o->waits++;
        ck_assert_msg(now_s() < until, "no route came");
        nap();
    }
}

static uint16_t port_of(const json_t *auth_data)
{
    const char *url = text_of(auth_data, "url");

    ck_assert_int_eq(strncmp(url, "http://127.0.0.1:", 17), 0);
    return (uint16_t)strtoul(url + 17, NULL, 10);
}

static struct answer call_worker(uint16_t port, const char *path, json_t *auth_data, json_t *payload)
{
    json_t *json = json_pack("{s:O, s:n, s:O}", "auth_data", auth_data, "session_id", "payload", payload);
    char *body = json_dumps(json, 0), *target = NULL;
    struct answer a;

    ck_assert_int_gt(asprintf(&target, "%s?api_key=" KEY, path), 0);
    a = client_call(port, "POST", target, AUTHORIZATION, body);
    free(target);
    free(body);
    json_decref(json);
    return a;
}

static bool is_retryable(int status) { return status == 408 || status == 429 || status >= 500; }

typedef void (*between_fn)(unsigned calls, void *arg);

/* The whole of a client's call. between: what happens in the world before it tries again. */
static struct outcome request(double cost, const char *path, const char *payload, between_fn between, void *arg)
{
    struct outcome o = { 0, NULL, 0, 0, 0 };
    char *text = quoted(payload);
    json_t *json = parse_json(text);

    for (;;) {
        json_t *auth_data = route(cost, &o);
        struct answer a = call_worker(port_of(auth_data), path, auth_data, json);

        json_decref(auth_data);
        ck_assert(!a.cut);
        o.calls++;
        o.status = a.status;
        o.body = strdup(a.body);
        answer_fini(&a);
        if (!is_retryable(o.status))
            break;
        free(o.body);
        ck_assert_uint_lt(o.calls, 50);
        ck_assert_msg(between != NULL, "the worker answered %d", o.status);
        between(o.calls, arg);
    }
    json_decref(json);
    free(text);
    return o;
}

/* Its rules for a stream: lines by LF, trimmed, "data:" dropped (not in a last line without LF), what is no JSON skipped. */
static json_t *parse_stream(const char *body)
{
    json_t *events = json_array();

    while (*body) {
        const char *end = strchr(body, '\n');
        size_t len = end ? (size_t)(end - body) : strlen(body);
        json_t *event;

        while (len && strchr(" \t\r", body[len - 1]))
            len--;
        if (end && len >= 5 && strncmp(body, "data:", 5) == 0)
            body += 5, len -= 5;
        event = json_loadb(body, len, JSON_DECODE_ANY, NULL);
        if (event)
            json_array_append_new(events, event);
        if (!end)
            break;
        body = end + 1;
    }
    return events;
}

/* ---- what the simulator knows ---- */

static json_t *sim_state(void)
{
    struct answer a = client_call(sim_port, "GET", "/sim/state", "", NULL);
    json_t *json;

    ck_assert_int_eq(a.status, 200);
    json = parse_json(a.body);
    answer_fini(&a);
    return json;
}

static json_t *worker_in(const json_t *state, long id)
{
    json_t *workers = json_object_get(state, "workers"), *worker;
    size_t i;

    json_array_foreach(workers, i, worker)
        if (integer_of(worker, "id") == id)
            return worker;
    ck_abort_msg("the simulator does not know worker %ld", id);
    return NULL;
}

static long count_status(const json_t *worker, const char *status)
{
    return integer_of(json_object_get(json_object_get(worker, "deletions"), "by_status"), status);
}

/* How many deletions name the request, with this status. */
static unsigned told(const json_t *worker, long request_idx, const char *status)
{
    json_t *list = json_object_get(json_object_get(worker, "deletions"), "list"), *entry;
    unsigned n = 0;
    size_t i;

    json_array_foreach(list, i, entry)
        n += integer_of(entry, "request_idx") == request_idx && strcmp(text_of(entry, "status"), status) == 0;
    return n;
}

/* The state once the accounts of the worker are settled, which a drained worker's are; they must add up. */
static json_t *settled_state(long id, long requests)
{
    json_t *state = sim_state(), *worker = worker_in(state, id), *balance = json_object_get(worker, "balance");

    ck_assert_msg(strcmp(text_of(balance, "verdict"), "adds up") == 0, "%s", text_of(balance, "text"));
    ck_assert_int_eq(integer_of(json_object_get(worker, "deletions"), "count"), requests);
    ck_assert_int_eq(integer_of(json_object_get(worker, "last"), "num_requests_recieved"), requests);
    ck_assert_int_eq(integer_of(json_object_get(worker, "last"), "num_requests_working"), 0);
    ck_assert_int_eq(integer_of(json_object_get(state, "refused"), "bodies"), 0);
    ck_assert_int_eq(integer_of(json_object_get(state, "refused"), "keys"), 0);
    ck_assert_int_eq(integer_of(json_object_get(state, "refused"), "tokens"), 0);
    return state;
}

/* ---- scenes ---- */

#define PARALLEL(path) "{'route': '" path "', 'allowParallelRequests': true, 'workloadCalculator': {'field': '/max_tokens'}}"

START_TEST(a_client_waits_for_a_worker_and_gets_its_json)
{
    struct outcome o = { 0, NULL, 0, 0, 0 };
    struct worker *w;
    json_t *state, *first = ask_route(128, 0), *echo;

    ck_assert_ptr_null(json_object_get(first, "url")); /* WAITING: there is nobody yet */
    json_decref(first);
    w = start_worker("901", "{'maxPerf': 1000, 'handlers': [" PARALLEL("/echo") "]}");
    o = request(128, "/echo", "{'prompt': 'hi', 'max_tokens': 128}", NULL, NULL);
    ck_assert_int_eq(o.status, 200);
    echo = parse_json(o.body);
    ck_assert_str_eq(text_of(echo, "body"), "{\"prompt\": \"hi\", \"max_tokens\": 128}");
    ck_assert_str_eq(text_of(echo, "target"), "/echo"); /* the client's key went no further */
    ck_assert_ptr_null(json_object_get(json_object_get(echo, "headers"), "authorization"));
    json_decref(echo);
    ck_assert_int_eq(worker_finish(w), VW_OK);
    state = settled_state(901, 1);
    ck_assert_uint_eq(told(worker_in(state, 901), o.request_idx, "Success"), 1);
    ck_assert_double_eq(json_number_value(json_object_get(json_object_get(worker_in(state, 901), "sums"), "cur_perf")), 128);
    ck_assert_double_eq(json_number_value(json_object_get(json_object_get(worker_in(state, 901), "routed"), "cost")), 128);
    json_decref(state);
    free(o.body);
}
END_TEST

START_TEST(a_stream_arrives_whole_by_the_clients_rules)
{
    struct worker *w = start_worker("901", "{'maxPerf': 1000, 'handlers': [" PARALLEL("/stream/3") "]}");
    struct outcome o;
    json_t *events, *state;
    size_t i;

    model_permit(m, 3);
    o = request(10, "/stream/3", "{'stream': true, 'max_tokens': 10}", NULL, NULL);
    ck_assert_int_eq(o.status, 200);
    events = parse_stream(o.body);
    ck_assert_uint_eq(json_array_size(events), 3); /* also the last one: it ended with a newline */
    for (i = 0; i < 3; i++)
        ck_assert_int_eq(json_integer_value(json_array_get(events, i)), (json_int_t)i + 1);
    ck_assert_int_eq(worker_finish(w), VW_OK);
    state = settled_state(901, 1);
    ck_assert_int_eq(count_status(worker_in(state, 901), "Success"), 1);
    json_decref(state);
    json_decref(events);
    free(o.body);
}
END_TEST

START_TEST(a_stream_that_breaks_ends_with_an_event_the_client_can_read)
{
    struct worker *w = start_worker("901", "{'maxPerf': 1000, 'handlers': [" PARALLEL("/cut-stream") "]}");
    struct outcome o = request(10, "/cut-stream", "{'stream': true, 'max_tokens': 10}", NULL, NULL);
    json_t *events = parse_stream(o.body), *state;

    ck_assert_int_eq(o.status, 200);
    ck_assert_uint_eq(json_array_size(events), 2);
    ck_assert_str_eq(text_of(json_object_get(json_array_get(events, 1), "error"), "code"), "model_reset");
    ck_assert_int_eq(worker_finish(w), VW_OK);
    state = settled_state(901, 1);
    ck_assert_uint_eq(told(worker_in(state, 901), o.request_idx, "Error"), 1);
    json_decref(state);
    json_decref(events);
    free(o.body);
}
END_TEST

static void let_two_go(unsigned calls, void *arg)
{
    if (calls == 1)
        model_permit(m, 2);
    worker_wait_in_flight(arg, 0);
}

START_TEST(after_429_it_comes_again_by_another_route_with_the_same_request_idx)
{
    struct worker *w = start_worker("901", "{'maxPerf': 1000, 'handlers': [{'route': '/hold', 'maxQueueLength': 0, "
                                           "'workloadCalculator': 5}]}");
    struct outcome first = { 0, NULL, 0, 0, 0 }, o;
    json_t *auth_data = route(5, &first), *state;
    char *body = NULL, *auth = json_dumps(auth_data, 0);
    struct answer a;
    int fd;

    ck_assert_int_gt(asprintf(&body, "{\"auth_data\": %s, \"session_id\": null, \"payload\": {}}", auth), 0);
    fd = client_connect(port_of(auth_data));
    client_send_post(fd, "/hold", body);
    model_wait_requests(m, 1);
    o = request(5, "/hold", "{}", let_two_go, w);
    ck_assert_int_eq(o.status, 200);
    ck_assert_uint_eq(o.calls, 2);
    a = client_read(fd);
    ck_assert_int_eq(a.status, 200);
    answer_fini(&a);
    client_close(fd);
    ck_assert_int_eq(worker_finish(w), VW_OK);
    state = settled_state(901, 3);
    ck_assert_uint_eq(told(worker_in(state, 901), first.request_idx, "Success"), 1);
    ck_assert_uint_eq(told(worker_in(state, 901), o.request_idx, "Rejected"), 1);
    ck_assert_uint_eq(told(worker_in(state, 901), o.request_idx, "Success"), 1);
    ck_assert_double_eq(json_number_value(json_object_get(json_object_get(worker_in(state, 901), "sums"), "rej_load")), 5);
    json_decref(state);
    json_decref(auth_data);
    free(auth);
    free(body);
    free(o.body);
}
END_TEST

/* Waits until the simulator has heard of a state of worker 901. */
static void wait_sim_state(const char *name)
{
    double until = patience();
    bool there;

    do {
        json_t *state = sim_state();

        there = strcmp(text_of(worker_in(state, 901), "state"), name) == 0;
        json_decref(state);
        ck_assert_msg(now_s() < until, "worker 901 never became %s for the simulator", name);
        nap();
    } while (!there);
}

static void heal(unsigned calls, void *arg)
{
    (void)calls, (void)arg;
    wait_sim_state("error");
    model_health(m, 200);
}

START_TEST(after_503_it_waits_until_the_worker_has_recovered)
{
    char *log = temp_file("model.log", "is up\n"), *config = NULL;
    struct outcome first = { 0, NULL, 0, 0, 0 }, o;
    struct worker *w;
    json_t *auth_data, *state, *payload = json_object();
    struct answer a;

    ck_assert_int_gt(asprintf(&config, "{'maxPerf': 1000, 'modelLogFile': '%s', 'modelHealthcheckPath': '/health', "
                                       "'logActionConfig': {'onLoad': ['is up'], 'onError': ['broke']}, "
                                       "'handlers': [" PARALLEL("/echo") "]}", log), 0);
    w = start_worker("901", config);
    auth_data = route(100, &first);
    model_health(m, 500);
    append_file(log, "it broke\n");
    worker_wait_state(w, VW_STATE_ERROR);
    a = call_worker(port_of(auth_data), "/echo", auth_data, payload); /* by a route from before */
    ck_assert_int_eq(a.status, 503);
    ck_assert(is_retryable(a.status));
    answer_fini(&a);
    heal(1, NULL);
    o = request(100, "/echo", "{'max_tokens': 100}", NULL, NULL);
    ck_assert_int_eq(o.status, 200);
    ck_assert_int_eq(worker_finish(w), VW_OK);
    state = settled_state(901, 2);
    ck_assert_uint_eq(told(worker_in(state, 901), first.request_idx, "Rejected"), 1);
    ck_assert_uint_eq(told(worker_in(state, 901), o.request_idx, "Success"), 1);
    json_decref(state);
    json_decref(auth_data);
    json_decref(payload);
    free(config);
    free(log);
    free(o.body);
}
END_TEST

static void start_model(unsigned calls, void *arg)
{
    if (calls == 1)
        m = model_start_at(*(uint16_t *)arg);
}

START_TEST(after_502_the_same_request_idx_is_served_in_the_end)
{
    struct worker *w = start_worker("901", "{'maxPerf': 1000, 'handlers': [" PARALLEL("/echo") "]}");
    uint16_t port = model_port(m);
    struct outcome o;
    json_t *state;

    worker_wait_state(w, VW_STATE_READY);
    model_stop(m);
    o = request(30, "/echo", "{'max_tokens': 30}", start_model, &port);
    ck_assert_int_eq(o.status, 200);
    ck_assert_uint_eq(o.calls, 2);
    ck_assert_int_eq(worker_finish(w), VW_OK);
    state = settled_state(901, 2);
    ck_assert_uint_eq(told(worker_in(state, 901), o.request_idx, "Error"), 1);
    ck_assert_uint_eq(told(worker_in(state, 901), o.request_idx, "Success"), 1);
    json_decref(state);
    free(o.body);
}
END_TEST

START_TEST(a_client_error_of_the_model_goes_back_and_is_not_tried_again)
{
    struct worker *w = start_worker("901", "{'maxPerf': 1000, 'handlers': [" PARALLEL("/status/400") "]}");
    struct outcome o = request(30, "/status/400", "{'max_tokens': 30}", NULL, NULL);
    json_t *state;

    ck_assert_int_eq(o.status, 400);
    ck_assert_uint_eq(o.calls, 1);
    ck_assert_str_eq(o.body, "{\"status\": 400}");
    ck_assert_int_eq(worker_finish(w), VW_OK);
    state = settled_state(901, 1);
    ck_assert_int_eq(count_status(worker_in(state, 901), "Success"), 1);
    json_decref(state);
    free(o.body);
}
END_TEST

START_TEST(a_route_to_one_worker_is_401_at_another)
{
    struct worker *here = start_worker("901", "{'maxPerf': 1000, 'handlers': [" PARALLEL("/echo") "]}"), *there;
    struct outcome first = { 0, NULL, 0, 0, 0 };
    json_t *auth_data = route(10, &first), *payload = json_object(), *state, *worker;
    struct answer a;

    there = start_worker("902", "{'maxPerf': 1000, 'handlers': [" PARALLEL("/echo") "]}");
    worker_wait_state(there, VW_STATE_READY);
    ck_assert_uint_ne(worker_port(there), port_of(auth_data));
    a = call_worker(worker_port(there), "/echo", auth_data, payload);
    ck_assert_int_eq(a.status, 401); /* final for the client */
    ck_assert_str_eq(answer_reason(&a), "foreign_url");
    answer_fini(&a);
    a = call_worker(port_of(auth_data), "/echo", auth_data, payload);
    ck_assert_int_eq(a.status, 200);
    answer_fini(&a);
    ck_assert_int_eq(worker_finish(there), VW_OK);
    ck_assert_int_eq(worker_finish(here), VW_OK);
    state = settled_state(902, 0);
    worker = worker_in(state, 902);
    ck_assert_double_eq(json_number_value(json_object_get(json_object_get(worker, "sums"), "rej_load")), 0);
    ck_assert_uint_eq(told(worker_in(state, 901), first.request_idx, "Success"), 1);
    json_decref(state);
    json_decref(auth_data);
    json_decref(payload);
}
END_TEST

/* The client's VAST_DEBUG_WORKER_URL: no route is asked for, auth_data says little or nothing. */
START_TEST(an_unsecured_worker_takes_partial_auth_data)
{
    struct worker *w = start_worker("901", "{'unsecured': true, 'maxPerf': 1000, 'handlers': [" PARALLEL("/echo") "]}");
    json_t *auth_data, *payload = json_pack("{s:i}", "max_tokens", 20), *state, *echo;
    struct answer a;
    char url[64];

    worker_wait_state(w, VW_STATE_READY);
    snprintf(url, sizeof url, "http://127.0.0.1:%u", worker_port(w));
    auth_data = json_pack("{s:i, s:s}", "request_idx", 1, "url", url);
    a = call_worker(worker_port(w), "/echo", auth_data, payload);
    ck_assert_int_eq(a.status, 200);
    echo = parse_json(a.body);
    ck_assert_str_eq(text_of(echo, "body"), "{\"max_tokens\": 20}");
    json_decref(echo);
    answer_fini(&a);
    a = client_post(worker_port(w), "/echo", "{\"payload\": {\"max_tokens\": 3}}"); /* nothing at all */
    ck_assert_int_eq(a.status, 200);
    answer_fini(&a);
    ck_assert_int_eq(worker_finish(w), VW_OK);
    state = sim_state();
    ck_assert_uint_eq(told(worker_in(state, 901), 1, "Success"), 1);
    ck_assert_double_eq(json_number_value(json_object_get(json_object_get(worker_in(state, 901), "sums"), "cur_perf")), 23);
    json_decref(state);
    json_decref(auth_data);
    json_decref(payload);
}
END_TEST

Suite *platform_suite(void);

Suite *platform_suite(void)
{
    Suite *s = suite_create("platform");
    TCase *tc = tcase_create("platform");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, a_client_waits_for_a_worker_and_gets_its_json);
    tcase_add_test(tc, a_stream_arrives_whole_by_the_clients_rules);
    tcase_add_test(tc, a_stream_that_breaks_ends_with_an_event_the_client_can_read);
    tcase_add_test(tc, after_429_it_comes_again_by_another_route_with_the_same_request_idx);
    tcase_add_test(tc, after_503_it_waits_until_the_worker_has_recovered);
    tcase_add_test(tc, after_502_the_same_request_idx_is_served_in_the_end);
    tcase_add_test(tc, a_client_error_of_the_model_goes_back_and_is_not_tried_again);
    tcase_add_test(tc, a_route_to_one_worker_is_401_at_another);
    tcase_add_test(tc, an_unsecured_worker_takes_partial_auth_data);
    suite_add_tcase(s, tc);
    return s;
}
