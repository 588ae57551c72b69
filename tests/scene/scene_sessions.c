/* Sessions as clients, the model server and the control plane meet them. The model's /close is where ends are told. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "actors.h"

#define HANDLERS "'handlers': [{'route': '/ok', 'allowParallelRequests': true, 'workloadCalculator': {'field': '/units'}}, " \
                 "{'route': '/hold', 'workloadCalculator': {'field': '/units'}}, " \
                 "{'route': '/stream/*', 'allowParallelRequests': true}, " \
                 "{'route': '/open', 'targetPath': '/head', 'methods': ['GET', 'POST'], 'auth': 'none', 'allowParallelRequests': true}]"

static struct model *m;
static struct control *c;
static struct worker *w;

static void setup(void)
{
    m = model_start();
    c = control_start();
}

static void teardown(void)
{
    control_stop(c);
    model_stop(m);
}

static void begin(const char *more)
{
    char *config = NULL;

    ck_assert_int_gt(asprintf(&config, "{'maxPerf': 1000, %s" HANDLERS "}", more), 0);
    w = worker_start_ready(m, c, config);
    free(config);
}

static void end(void) { ck_assert_int_eq(worker_finish(w), VW_OK); }

/* auth_data that the control plane signed, with ' for " in what is put before. */
static char *auth(long idx, double cost)
{
    char *signature = sign(c, URL), *text = NULL;

    ck_assert_int_gt(asprintf(&text, "{\"cost\": %.1f, \"endpoint\": \"ep\", \"reqnum\": %ld, \"request_idx\": %ld, \"signature\": \"%s\", "
                                     "\"url\": \"" URL "\"}", cost, idx, idx, signature), 0);
    free(signature);
    return text;
}

static struct answer call(const char *path, const char *auth_data, const char *payload)
{
    char *json = quoted(payload), *body = NULL;
    struct answer a;

    ck_assert_int_gt(asprintf(&body, "{\"auth_data\": %s, \"session_id\": null, \"payload\": %s}", auth_data, json), 0);
    a = client_post(worker_port(w), path, body);
    free(body);
    free(json);
    return a;
}

static char *id_of(const struct answer *a)
{
    json_t *json = parse_json(a->body);
    char *id = strdup(json_string_value(json_object_get(json, "session_id")));

    json_decref(json);
    return id;
}

static char *create(const char *auth_data, const char *payload)
{
    struct answer a = call("/session/create", auth_data, payload);
    char *id;

    ck_assert_msg(a.status == 201, "%d %s", a.status, a.body);
    id = id_of(&a);
    answer_fini(&a);
    return id;
}

static char *about_text(const char *id, const char *auth_data)
{
    char *body = NULL;

    ck_assert_int_gt(asprintf(&body, "{\"session_id\": \"%s\", \"session_auth\": %s}", id, auth_data), 0);
    return body;
}

static struct answer about(uint16_t port, const char *path, const char *id, const char *auth_data)
{
    char *body = about_text(id, auth_data);
    struct answer a = client_post(port, path, body);

    free(body);
    return a;
}

/* Of a session whose on_close_route is /hold: the model server has been asked, and the answer is still owed. */
static int begin_end(const char *id, const char *auth_data)
{
    char *body = about_text(id, auth_data);
    int fd = client_connect(worker_port(w));

    client_send_post(fd, "/session/end", body);
    free(body);
    model_wait_requests(m, 1);
    return fd;
}

static void expect(struct answer a, int status, const char *body)
{
    json_t *got, *expected;

    ck_assert_msg(a.status == status, "%d, not %d: %s", a.status, status, a.body);
    if (body) {
        char *text = quoted(body);

        got = parse_json(a.body);
        expected = parse_json(text);
        ck_assert_msg(json_equal(got, expected), "%s", a.body);
        json_decref(got);
        json_decref(expected);
        free(text);
    }
    answer_fini(&a);
}

static void expect_reason(struct answer a, int status, const char *reason)
{
    ck_assert_msg(a.status == status, "%d, not %d: %s", a.status, status, a.body);
    ck_assert_str_eq(answer_reason(&a), reason);
    answer_fini(&a);
}

static char *inside(const char *auth_data, const char *id, const char *payload)
{
    char *json = quoted(payload), *body = NULL;

    ck_assert_int_gt(asprintf(&body, "{\"auth_data\": %s, \"session_id\": \"%s\", \"payload\": %s}", auth_data, id, json), 0);
    free(json);
    return body;
}

static struct answer ask_inside(const char *path, const char *auth_data, const char *id, const char *payload)
{
    char *body = inside(auth_data, id, payload);
    struct answer a = client_post(worker_port(w), path, body);

    free(body);
    return a;
}

static int begin_inside(const char *path, const char *auth_data, const char *id, const char *payload)
{
    char *body = inside(auth_data, id, payload);
    int fd = client_connect(worker_port(w));

    client_send_post(fd, path, body);
    free(body);
    return fd;
}

static json_int_t health_at(uint16_t port, const char *name)
{
    json_t *json = client_health(port);
    json_int_t value = json_integer_value(json_object_get(json, name));

    json_decref(json);
    return value;
}

static json_int_t health(const char *name) { return health_at(worker_port(w), name); }

static void wait_health(const char *name, json_int_t value)
{
    double until = patience();

    while (health(name) != value) {
        ck_assert_msg(now_s() < until, "%s never became %d", name, (int)value);
        nap();
    }
}

/* ---- the calls ---- */

START_TEST(a_session_is_created_shown_and_ended)
{
    char *a1 = auth(5, 50), *id, *expected = NULL;
    struct answer a;
    json_t *json;
    size_t i;

    begin("");
    a = call("/session/create", a1, "{'lifetime': 30, 'on_close_route': '/close', 'on_close_payload': {'a': 1}}");
    ck_assert_int_eq(a.status, 201);
    id = id_of(&a);
    ck_assert_uint_eq(strlen(id), 13);
    for (i = 0; i < 13; i++)
        ck_assert(strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", id[i]) != NULL);
    answer_fini(&a);
    a = about(worker_port(w), "/session/get", id, a1);
    ck_assert_int_eq(a.status, 200);
    json = parse_json(a.body);
    ck_assert_str_eq(json_string_value(json_object_get(json, "session_id")), id);
    ck_assert_double_eq(json_number_value(json_object_get(json, "lifetime")), 30);
    ck_assert_double_eq_tol(json_number_value(json_object_get(json, "expiration")) - json_number_value(json_object_get(json, "created_at")), 30, 0.01);
    ck_assert_str_eq(json_string_value(json_object_get(json, "on_close_route")), "/close");
    ck_assert_int_eq(json_integer_value(json_object_get(json_object_get(json, "on_close_payload"), "a")), 1);
    ck_assert_int_eq(json_integer_value(json_object_get(json_object_get(json, "auth_data"), "request_idx")), 5);
    json_decref(json);
    answer_fini(&a);
    expect(about(worker_port(w), "/session/health", id, a1), 200, "{'ok': true}");
    ck_assert_int_eq(health("sessions"), 1);
    ck_assert_int_gt(asprintf(&expected, "{'ended': true, 'removed_session': '%s'}", id), 0);
    expect(about(worker_port(w), "/session/end", id, a1), 200, expected);
    ck_assert_uint_eq(model_requests(m), 1); /* the answer came after the model server had heard */
    ck_assert_int_eq(health("sessions"), 0);
    expect(about(worker_port(w), "/session/health", id, a1), 200, "{'ok': false}");
    expect(about(worker_port(w), "/session/get", id, a1), 400, "{'error': 'session does not exist'}");
    end();
    free(expected);
    free(id);
    free(a1);
}
END_TEST

START_TEST(auth_is_compared_by_its_meaning)
{
    char *a1 = auth(5, 50), *id, *same = NULL, *other = auth(6, 50), *signature = sign(c, URL);

    begin("");
    id = create(a1, "{}");
    ck_assert_int_gt(asprintf(&same, "{\"url\": \"" URL "\", \"signature\": \"%s\", \"request_idx\": 5, \"reqnum\": 5.0, \"endpoint\": \"e\\u0070\", "
                                     "\"cost\": 50}", signature), 0);
    expect(about(worker_port(w), "/session/health", id, same), 200, "{'ok': true}");
    expect(about(worker_port(w), "/session/health", id, other), 401, "{'error': 'session_auth is not valid'}");
    expect(about(worker_port(w), "/session/get", id, "null"), 401, "{'error': 'session_auth is not valid'}");
    expect(about(worker_port(w), "/session/end", id, "{}"), 401, "{'error': 'session_auth is not valid'}");
    ck_assert_int_eq(health("sessions"), 1);
    end();
    free(signature);
    free(other);
    free(same);
    free(id);
    free(a1);
}
END_TEST

static const struct malformed {
    const char *path, *body;
    int status;
    const char *answer;
} malformed[] = {
    { "/session/create", "{", 422, "{'error': 'invalid JSON'}" },
    { "/session/create", "[]", 422, "{'auth_data': 'field missing', 'payload': 'field missing'}" },
    { "/session/create", "{'payload': {}}", 422, "{'auth_data': 'field missing'}" },
    { "/session/create", "{'auth_data': null, 'payload': {}}", 422, NULL },
    { "/session/get", "", 422, "{'error': 'invalid JSON'}" },
    { "/session/get", "{}", 422, "{'error': 'missing session_id'}" },
    { "/session/get", "[1]", 422, "{'error': 'missing session_id'}" },
    { "/session/get", "{'session_id': 5}", 422, "{'error': 'missing session_id'}" },
    { "/session/get", "{'session_id': 'abc'}", 400, "{'error': 'session does not exist'}" },
    { "/session/health", "{", 422, "{'error': 'invalid JSON'}" },
    { "/session/health", "{}", 422, "{'error': 'missing session_id'}" },
    { "/session/health", "{'session_id': 'abc'}", 200, "{'ok': false}" },
    { "/session/end", "{", 422, "{'error': 'invalid JSON'}" },
    { "/session/end", "{'session_id': null}", 422, "{'error': 'missing session_id'}" },
    { "/session/end", "{'session_id': 'abc'}", 400, "{'error': 'session with id abc not found'}" },
};

START_TEST(malformed_calls_get_the_platforms_words_and_never_a_5xx)
{
    size_t i;

    begin("");
    for (i = 0; i < sizeof malformed / sizeof malformed[0]; i++) {
        char *body = quoted(malformed[i].body);

        expect(client_post(worker_port(w), malformed[i].path, body), malformed[i].status, malformed[i].answer);
        free(body);
    }
    expect_reason(client_call(worker_port(w), "GET", "/session/get", "", NULL), 404, "no_route");
    end();
}
END_TEST

START_TEST(a_call_with_a_huge_body_is_refused_while_it_comes)
{
    char *body = malloc(2 * 1024 * 1024 + 1);
    int fd;
    struct answer a;

    begin("");
    memset(body, ' ', 2 * 1024 * 1024);
    body[2 * 1024 * 1024] = '\0';
    fd = client_connect(worker_port(w));
    client_send(fd, "POST /session/get HTTP/1.1\r\nHost: w\r\nContent-Length: 2097152\r\n\r\n");
    a = client_read(fd);
    expect_reason(a, 413, "body_too_large");
    client_close(fd);
    end();
    free(body);
}
END_TEST

START_TEST(creating_needs_a_signature_for_this_worker)
{
    static const char unsigned_auth[] = "{\"cost\": 1.0, \"endpoint\": \"e\", \"reqnum\": 1, \"request_idx\": 1, \"signature\": \"bm9ib2R5\", \"url\": \"" URL "\"}";
    char *foreign = NULL, *signature = sign(c, "http://203.0.113.9:1");

    begin("");
    expect_reason(call("/session/create", unsigned_auth, "{}"), 401, "bad_signature");
    ck_assert_int_gt(asprintf(&foreign, "{\"cost\": 1.0, \"endpoint\": \"e\", \"reqnum\": 1, \"request_idx\": 1, \"signature\": \"%s\", "
                                        "\"url\": \"http://203.0.113.9:1\"}", signature), 0);
    expect_reason(call("/session/create", foreign, "{}"), 401, "foreign_url");
    ck_assert_int_eq(health("sessions"), 0);
    end();
    ck_assert_double_eq(control_sum(c, "new_load") + control_sum(c, "rej_load"), 0); /* the control plane hears nothing of them */
    free(signature);
    free(foreign);
}
END_TEST

static const char *const refused_payloads[] = {
    "{'lifetime': 0}", "{'lifetime': -1}", "{'lifetime': '60'}", "{'lifetime': true}", "{'on_close_route': 'http://evil/x'}",
    "{'on_close_route': '//evil/x'}", "{'on_close_route': 5}", "{'on_close_route': '/../etc'}", "{'on_close_route': '/a\\r\\nX: y'}",
};

START_TEST(a_session_that_cannot_be_meant_is_refused)
{
    char *a1 = auth(5, 50);
    size_t i;

    begin("");
    for (i = 0; i < sizeof refused_payloads / sizeof refused_payloads[0]; i++)
        expect_reason(call("/session/create", a1, refused_payloads[i]), 422, "invalid_envelope");
    ck_assert_int_eq(health("sessions"), 0);
    end();
    free(a1);
}
END_TEST

START_TEST(an_unsecured_worker_takes_partial_auth_or_none)
{
    char *id;
    struct answer a;

    begin("'unsecured': true, ");
    a = client_post(worker_port(w), "/session/create", "{\"payload\": {}}");
    ck_assert_int_eq(a.status, 201);
    id = id_of(&a);
    answer_fini(&a);
    expect(about(worker_port(w), "/session/health", id, "{}"), 200, "{'ok': true}");
    expect(client_post(worker_port(w), "/session/create", "{}"), 422, "{'payload': 'field missing'}");
    expect(about(worker_port(w), "/session/end", id, "{}"), 200, NULL);
    end();
    free(id);
}
END_TEST

START_TEST(beyond_the_limit_creating_is_rejected_and_told)
{
    char *a1 = auth(1, 10), *a2 = auth(2, 20), *id;
    json_t *deletions;
    struct answer a;

    begin("'maxSessions': 1, ");
    id = create(a1, "{'lifetime': 1000}");
    a = call("/session/create", a2, "{}");
    ck_assert_int_gt((int)strtol(answer_header(&a, "retry-after"), NULL, 10), 1); /* not before the first one ends */
    expect_reason(a, 429, "session_limit");
    expect(about(worker_port(w), "/session/end", id, a1), 200, NULL);
    free(id);
    id = create(a2, "{}");
    end();
    ck_assert_double_eq(control_sum(c, "rej_load"), 20);
    deletions = control_deletions(c);
    ck_assert_uint_eq(json_array_size(deletions), 3);
    ck_assert_str_eq(json_string_value(json_object_get(json_array_get(deletions, 0), "status")), "Rejected");
    json_decref(deletions);
    free(id);
    free(a1);
    free(a2);
}
END_TEST

/* ---- requests inside ---- */

START_TEST(requests_inside_are_booked_as_the_protocol_says)
{
    char *a1 = auth(7, 50), *a2 = auth(8, 1), *id;
    json_t *report, *idxs, *deletions;

    begin("");
    id = create(a1, "{}");
    expect(ask_inside("/ok", a2, id, "{'units': 3}"), 200, NULL);
    wait_health("in_flight", 1); /* the session itself */
    {
        double until = patience();

        while (control_sum(c, "new_load") < 53) {
            ck_assert(now_s() < until);
            nap();
        }
    }
    report = control_last_report(c);
    ck_assert_double_eq(json_number_value(json_object_get(report, "cur_load")), 50);
    ck_assert_double_eq(control_sum(c, "new_load"), 53);
    idxs = json_object_get(report, "working_request_idxs");
    ck_assert_uint_eq(json_array_size(idxs), 1);
    ck_assert_int_eq(json_integer_value(json_array_get(idxs, 0)), 7);
    json_decref(report);
    expect(about(worker_port(w), "/session/end", id, a1), 200, NULL);
    end();
    ck_assert_double_eq(control_sum(c, "cur_perf"), 53);
    deletions = control_deletions(c);
    ck_assert_uint_eq(json_array_size(deletions), 1);
    ck_assert_int_eq(json_integer_value(json_object_get(json_array_get(deletions, 0), "request_idx")), 7);
    ck_assert_str_eq(json_string_value(json_object_get(json_array_get(deletions, 0), "status")), "Success");
    ck_assert_double_eq(json_number_value(json_object_get(json_array_get(deletions, 0), "entered_queue_at")),
                        json_number_value(json_object_get(json_array_get(deletions, 0), "work_started_at")));
    json_decref(deletions);
    free(id);
    free(a1);
    free(a2);
}
END_TEST

START_TEST(an_admitted_request_adds_a_lifetime_up_to_the_limit)
{
    char *a1 = auth(1, 1), *a2 = auth(2, 1), *id;
    struct answer a;
    json_t *json;
    double left;

    begin("'maxSessionLifetime': 100, ");
    id = create(a1, "{'lifetime': 40}");
    expect(ask_inside("/ok", a2, id, "{'units': 1}"), 200, NULL);
    a = about(worker_port(w), "/session/get", id, a1);
    json = parse_json(a.body);
    left = json_number_value(json_object_get(json, "expiration")) - json_number_value(json_object_get(json, "created_at"));
    ck_assert_double_eq_tol(left, 80, 0.01);
    json_decref(json);
    answer_fini(&a);
    expect_reason(ask_inside("/ok", "{\"cost\": 1, \"endpoint\": \"e\", \"reqnum\": 1, \"request_idx\": 1, \"signature\": \"eA==\", \"url\": \"" URL "\"}", id, "{}"),
                  401, "bad_signature"); /* which adds nothing */
    a = about(worker_port(w), "/session/get", id, a1);
    json = parse_json(a.body);
    ck_assert_double_eq_tol(json_number_value(json_object_get(json, "expiration")) - json_number_value(json_object_get(json, "created_at")), left, 0.01);
    json_decref(json);
    answer_fini(&a);
    expect(ask_inside("/ok", a2, id, "{'units': 1}"), 200, NULL);
    a = about(worker_port(w), "/session/get", id, a1);
    json = parse_json(a.body);
    left = json_number_value(json_object_get(json, "expiration")) - json_number_value(json_object_get(json, "created_at"));
    ck_assert(left >= 100 && left < 100 + PATIENCE_S);
    json_decref(json);
    answer_fini(&a);
    end();
    free(id);
    free(a1);
    free(a2);
}
END_TEST

START_TEST(plain_requests_name_their_session_in_a_header)
{
    char *a1 = auth(1, 1), *id, *header = NULL;
    struct answer a;

    begin("");
    id = create(a1, "{}");
    ck_assert_int_gt(asprintf(&header, "X-Vast-Session: %s\r\n", id), 0);
    a = client_call(worker_port(w), "GET", "/open", header, NULL);
    ck_assert_int_eq(a.status, 200);
    ck_assert(!strcasestr(a.body, "x-vast-session")); /* the model hears nothing of it */
    answer_fini(&a);
    expect(about(worker_port(w), "/session/end", id, a1), 200, NULL);
    expect(client_call(worker_port(w), "GET", "/open", header, NULL), 410, "{'error': 'invalid session'}");
    end();
    free(header);
    free(id);
    free(a1);
}
END_TEST

START_TEST(ending_a_session_ends_its_running_and_its_waiting_requests)
{
    char *a1 = auth(1, 10), *a2 = auth(2, 1), *a3 = auth(3, 1), *id;
    int running, waiting, streamed, other;
    struct answer a;

    begin("");
    id = create(a1, "{}");
    running = begin_inside("/hold", a2, id, "{'units': 5}");
    model_wait_requests(m, 1);
    waiting = begin_inside("/hold", a2, id, "{'units': 7}");
    wait_health("queued", 1);
    streamed = begin_inside("/stream/3", a2, id, "{}");
    model_wait_requests(m, 2);
    other = begin_inside("/hold", a3, "null", "{'units': 2}");
    a = client_read(other);
    expect_reason(a, 410, "invalid_session");
    client_close(other);
    expect(about(worker_port(w), "/session/end", id, a1), 200, NULL);
    expect_reason(client_read(running), 410, "invalid_session");
    expect_reason(client_read(waiting), 410, "invalid_session");
    a = client_read(streamed);
    ck_assert(a.cut); /* its head had gone out */
    answer_fini(&a);
    model_wait_gone(m, 2);
    wait_health("in_flight", 0);
    ck_assert_int_eq(health("load"), 0);
    client_close(running);
    client_close(waiting);
    client_close(streamed);
    end();
    ck_assert_double_eq(control_sum(c, "cur_perf"), 10);
    free(id);
    free(a1);
    free(a2);
    free(a3);
}
END_TEST

/* With connections to the model at hand, over which a request would be with it at once. */
START_TEST(what_waits_in_a_session_that_ends_never_reaches_the_model)
{
    enum { WARM = 4, WAITING = 6 };
    char *a1 = auth(1, 10), *a2 = auth(2, 1), *id;
    int fds[WARM + WAITING], i;

    begin("");
    id = create(a1, "{}");
    for (i = 0; i < WARM; i++)
        fds[i] = begin_inside("/stream/1", a2, id, "{}");
    model_wait_requests(m, WARM);
    model_permit(m, WARM);
    for (i = 0; i < WARM; i++) {
        expect(client_read(fds[i]), 200, NULL);
        client_close(fds[i]);
    }
    for (i = 0; i < WAITING; i++)
        fds[i] = begin_inside("/hold", a2, id, "{'units': 1}");
    model_wait_requests(m, WARM + 1);
    wait_health("queued", WAITING - 1);
    expect(about(worker_port(w), "/session/end", id, a1), 200, NULL);
    for (i = 0; i < WAITING; i++) {
        expect_reason(client_read(fds[i]), 410, "invalid_session");
        client_close(fds[i]);
    }
    for (i = 0; i < WARM; i++) /* what went before them has been seen */
        expect(client_envelope(worker_port(w), c, "/ok", 3, "{'units': 1}"), 200, NULL);
    end();
    ck_assert_uint_eq(model_requests(m), WARM + 1 + WARM);
    free(id);
    free(a1);
    free(a2);
}
END_TEST

/* ---- ends ---- */

static const struct told {
    const char *payload, *body; /* body: what the model gets before the id */
} told[] = {
    { "{'lifetime': 0.05, 'on_close_route': '/mirror'}", "{" },
    { "{'lifetime': 0.05, 'on_close_route': '/mirror', 'on_close_payload': {'a': [1, 2.5]}}", "{'a': [1, 2.5], " },
    { "{'lifetime': 0.05, 'on_close_route': '/mirror', 'on_close_payload': 'bye'}", "{'payload': 'bye', " },
};

START_TEST(an_expired_session_is_closed_and_its_end_told)
{
    char *a1 = auth(1, 10), *id, *expected = NULL;

    begin("");
    id = create(a1, told[_i].payload);
    model_wait_requests(m, 1);
    ck_assert_int_gt(asprintf(&expected, "%s'session_id': '%s'}", told[_i].body, id), 0);
    {
        char *body = model_body(m, 0), *text = quoted(expected);
        json_t *got = parse_json(body), *wanted = parse_json(text);

        ck_assert_msg(json_equal(got, wanted), "%s", body);
        json_decref(got);
        json_decref(wanted);
        free(text);
        free(body);
    }
    wait_health("sessions", 0);
    control_wait_deletions(c, 1);
    end();
    ck_assert_double_eq(control_sum(c, "cur_perf"), 10);
    free(expected);
    free(id);
    free(a1);
}
END_TEST

START_TEST(a_payload_without_a_route_is_not_kept)
{
    char *a1 = auth(1, 10), *id;
    struct answer a;
    json_t *json;

    begin("");
    id = create(a1, "{'on_close_payload': {'a': 1}}");
    a = about(worker_port(w), "/session/get", id, a1);
    json = parse_json(a.body);
    ck_assert(json_is_null(json_object_get(json, "on_close_payload")) && json_is_null(json_object_get(json, "on_close_route")));
    json_decref(json);
    answer_fini(&a);
    end();
    ck_assert_uint_eq(model_requests(m), 0);
    free(id);
    free(a1);
}
END_TEST

START_TEST(one_end_that_hangs_does_not_hold_up_the_others_and_a_second_end_is_told_so)
{
    char *a1 = auth(1, 1), *a2 = auth(2, 1), *slow, *quick;
    int fd;
    struct answer a;

    begin("");
    slow = create(a1, "{'on_close_route': '/hold'}");
    quick = create(a2, "{'on_close_route': '/ok'}");
    fd = begin_end(slow, a1);
    expect(about(worker_port(w), "/session/end", quick, a2), 200, NULL);
    expect(about(worker_port(w), "/session/end", slow, a1), 410, "{'error': 'session already closed'}");
    expect(about(worker_port(w), "/session/end", slow, a2), 401, "{'error': 'session_auth is not valid'}");
    model_permit(m, 1);
    a = client_read(fd);
    expect(a, 200, NULL);
    client_close(fd);
    end();
    free(slow);
    free(quick);
    free(a1);
    free(a2);
}
END_TEST

START_TEST(an_end_that_fails_is_said_once_and_the_session_is_over)
{
    char *a1 = auth(1, 1), *id;

    begin("");
    id = create(a1, "{'on_close_route': '/status/500?secret=1'}");
    expect(about(worker_port(w), "/session/end", id, a1), 200, NULL);
    free(id);
    id = create(a1, "{'on_close_route': '/vanish'}");
    expect(about(worker_port(w), "/session/end", id, a1), 200, NULL);
    ck_assert_uint_eq(worker_count_logged(w, "its on_close_route answered 500"), 1);
    ck_assert_uint_eq(worker_count_logged(w, "its on_close_route was not reached"), 1);
    ck_assert(!worker_logged(w, "secret") && !worker_logged(w, "/status/500") && !worker_logged(w, id));
    end();
    free(id);
    free(a1);
}
END_TEST

START_TEST(whoever_asked_for_the_end_may_leave_before_it_is_told)
{
    char *a1 = auth(1, 1), *id;
    int fd;

    begin("");
    id = create(a1, "{'on_close_route': '/hold'}");
    fd = begin_end(id, a1);
    client_reset(fd);
    model_permit(m, 1);
    end();
    free(id);
    free(a1);
}
END_TEST

START_TEST(many_ends_go_out_together_with_a_limit)
{
    enum { MANY = 20 };
    char *a1 = auth(1, 1);
    int i;

    begin("'maxSessions': 0, ");
    for (i = 0; i < MANY; i++)
        free(create(a1, "{'lifetime': 0.2, 'on_close_route': '/hold'}"));
    model_wait_requests(m, 8);
    wait_health("sessions", 0);
    ck_assert_uint_le(model_most_at_once(m), 8);
    model_permit(m, MANY);
    model_wait_requests(m, MANY);
    ck_assert_uint_le(model_most_at_once(m), 8);
    end();
    free(a1);
}
END_TEST

/* A model server that takes no ends does not make them pile up here. */
START_TEST(ends_that_wait_to_be_told_have_a_limit)
{
    enum { MOST = 256 };
    char *a1 = auth(1, 1);
    int i;

    begin("");
    for (i = 0; i < MOST; i++) {
        free(create(a1, "{'lifetime': 0.001, 'on_close_route': '/hold'}"));
        wait_health("sessions", 0);
    }
    expect_reason(call("/session/create", a1, "{}"), 429, "session_limit");
    model_permit(m, MOST);
    model_wait_requests(m, MOST);
    free(create(a1, "{}"));
    end();
    free(a1);
}
END_TEST

/* ---- the model server's port ---- */

static uint16_t local_port(void)
{
    const char *mark = "sessions can be ended at 127.0.0.1:";

    worker_wait_logged(w, mark);
    return (uint16_t)worker_logged_number(w, mark);
}

START_TEST(the_model_server_ends_a_session_on_a_port_of_its_own)
{
    char *a1 = auth(1, 1), *id;
    uint16_t port;

    begin("");
    port = local_port();
    id = create(a1, "{}");
    expect(about(port, "/session/end", id, "{}"), 401, "{'error': 'session_auth is not valid'}");
    expect_reason(about(port, "/session/get", id, a1), 404, "no_route");
    expect_reason(client_call(port, "GET", "/health", "", NULL), 404, "no_route");
    expect_reason(client_post(port, "/ok", "{}"), 404, "no_route");
    expect(about(port, "/session/end", id, a1), 200, NULL);
    ck_assert_int_eq(health("sessions"), 0);
    end();
    free(id);
    free(a1);
}
END_TEST

START_TEST(a_port_that_was_asked_for_and_is_busy_ends_the_start)
{
    char *path = NULL, *config = NULL;
    struct program *p;

    ck_assert_int_gt(asprintf(&config, "{'workerPort': 0, 'sessionPort': %u, 'unsecured': true}", control_port(c)), 0);
    path = temp_file("busy.json", config);
    p = program_start((const char *const[]){ RUN, "--config", path, NULL }, (const char *const[]){ NULL });
    ck_assert_int_eq(program_wait(p), 1);
    ck_assert_ptr_nonnull(strstr(program_err(p), "sessionPort: "));
    program_free(p);
    free(config);
    free(path);
}
END_TEST

/* The first of two that follow each other. */
static uint16_t two_free_ports(void)
{
    uint16_t port = free_port();

    while (!port_is_free((uint16_t)(port + 1)))
        port = free_port();
    return port;
}

START_TEST(a_port_that_nobody_asked_for_and_is_busy_is_a_warning)
{
    uint16_t free_one = two_free_ports();
    struct model *busy = model_start_at((uint16_t)(free_one + 1));
    char *path = NULL, *config = NULL;
    struct program *p;

    ck_assert_int_gt(asprintf(&config, "{'workerPort': %u, 'unsecured': true}", free_one), 0);
    path = temp_file("beside.json", config);
    p = program_start((const char *const[]){ RUN, "--config", path, NULL }, (const char *const[]){ NULL });
    program_wait_said(p, "sessions");
    program_wait_said(p, "listening on port ");
    program_signal(p, SIGTERM);
    ck_assert_int_eq(program_wait(p), 0);
    ck_assert_ptr_nonnull(strstr(program_err(p), "the model server cannot end sessions"));
    program_free(p);
    model_stop(busy);
    free(config);
    free(path);
}
END_TEST

START_TEST(port_zero_is_none)
{
    begin("'sessionPort': 0, ");
    ck_assert(!worker_logged(w, "sessions can be ended at"));
    end();
}
END_TEST

/* ---- leaving ---- */

static int hold_inside(uint16_t port, const char *id)
{
    char *head = NULL;
    int fd = client_connect(port);

    ck_assert_int_gt(asprintf(&head, "POST /hold HTTP/1.1\r\nHost: w\r\nX-Vast-Session: %s\r\nContent-Length: 0\r\n\r\n", id), 0);
    client_send(fd, head);
    free(head);
    return fd;
}

/* The program sleeps over the end of the session and then of the wait, and finds both due in one turn. */
START_TEST(a_drain_in_which_a_session_and_a_wait_in_it_end_at_once)
{
    char *path = NULL, *config = NULL, *id;
    int running, waiting;
    struct program *p;
    struct answer a;
    uint16_t port;

    ck_assert_int_gt(asprintf(&config, "{'modelServerUrl': 'http://127.0.0.1:%u', 'workerPort': 0, 'sessionPort': 0, 'unsecured': true, "
                                       "'maxSessionLifetime': 1, 'handlers': [{'route': '/hold', 'auth': 'none', 'maxQueueTime': 1.2}]}",
                              model_port(m)), 0);
    path = temp_file("at_once.json", config);
    p = program_start((const char *const[]){ RUN, "--config", path, NULL }, (const char *const[]){ NULL });
    port = program_port(p, "listening on port ");
    program_wait_said(p, "-> ready");
    a = client_post(port, "/session/create", "{\"payload\": {}}");
    ck_assert_msg(a.status == 201, "%d %s", a.status, a.body);
    id = id_of(&a);
    answer_fini(&a);
    running = hold_inside(port, id);
    model_wait_requests(m, 1);
    waiting = hold_inside(port, id);
    while (health_at(port, "queued") == 0 && health_at(port, "sessions") == 1) /* on a slow machine it may be over by then */
        nap();
    program_signal(p, SIGTERM);
    program_wait_said(p, "-> draining");
    program_signal(p, SIGSTOP);
    usleep(1400 * 1000);
    program_signal(p, SIGCONT);
    ck_assert_int_eq(program_wait(p), 0);
    client_close(running);
    client_close(waiting);
    program_free(p);
    free(id);
    free(config);
    free(path);
}
END_TEST

START_TEST(a_drain_closes_sessions_and_waits_for_their_ends)
{
    char *a1 = auth(1, 10), *a2 = auth(2, 1), *idle, *busy;
    int fd;
    struct answer a;

    begin("");
    idle = create(a1, "{'on_close_route': '/hold'}");
    busy = create(a1, "{'on_close_route': '/ok'}");
    fd = begin_inside("/stream/1", a2, busy, "{}");
    model_wait_requests(m, 1);
    vw_worker_drain(worker_handle(w));
    model_wait_requests(m, 2); /* the idle one's end */
    expect_reason(call("/session/create", a1, "{}"), 503, "draining");
    model_permit(m, 2);
    a = client_read(fd);
    ck_assert(a.status == 200 && !a.cut); /* what was accepted is finished, and then its session ends */
    answer_fini(&a);
    client_close(fd);
    ck_assert_int_eq(worker_join(w), VW_OK);
    ck_assert_uint_eq(model_requests(m), 3);
    ck_assert_double_eq(control_sum(c, "cur_perf"), 10 + 10 + 100);
    free(idle);
    free(busy);
    free(a1);
    free(a2);
}
END_TEST

/* Nothing else is left, so the cut itself is the end; what it settles is told all the same. */
START_TEST(a_stop_tells_of_a_session_that_it_cut)
{
    char *a1 = auth(7, 10), *id;
    json_t *deletions;

    begin("");
    id = create(a1, "{}");
    vw_worker_stop(worker_handle(w));
    ck_assert_int_eq(worker_join(w), VW_OK);
    deletions = control_deletions(c);
    ck_assert_uint_eq(json_array_size(deletions), 1);
    json_decref(deletions);
    ck_assert_double_eq(control_sum(c, "cur_perf"), 10);
    free(id);
    free(a1);
}
END_TEST

START_TEST(a_drain_that_ends_in_a_cut_still_tells_the_model_server)
{
    char *a1 = auth(1, 10), *a2 = auth(2, 1), *id;
    int fd;

    begin("'drainTimeout': 0.1, ");
    id = create(a1, "{'on_close_route': '/close'}");
    fd = begin_inside("/hold", a2, id, "{'units': 1}");
    model_wait_requests(m, 1);
    vw_worker_drain(worker_handle(w));
    expect_reason(client_read(fd), 503, "draining");
    client_close(fd);
    ck_assert_int_eq(worker_join(w), VW_OK);
    ck_assert_uint_eq(model_requests(m), 2);
    free(id);
    free(a1);
    free(a2);
}
END_TEST

START_TEST(who_asked_for_an_end_is_answered_when_a_drain_gives_it_up)
{
    char *a1 = auth(1, 1), *id;
    int fd;

    begin("'drainTimeout': 0.1, ");
    id = create(a1, "{'on_close_route': '/hold'}");
    fd = begin_end(id, a1);
    vw_worker_drain(worker_handle(w));
    expect(client_read(fd), 200, NULL);
    client_close(fd);
    ck_assert_int_eq(worker_join(w), VW_OK);
    free(id);
    free(a1);
}
END_TEST

Suite *sessions_suite(void);

Suite *sessions_suite(void)
{
    Suite *s = suite_create("sessions");
    TCase *tc = tcase_create("sessions");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, a_session_is_created_shown_and_ended);
    tcase_add_test(tc, auth_is_compared_by_its_meaning);
    tcase_add_test(tc, malformed_calls_get_the_platforms_words_and_never_a_5xx);
    tcase_add_test(tc, a_call_with_a_huge_body_is_refused_while_it_comes);
    tcase_add_test(tc, creating_needs_a_signature_for_this_worker);
    tcase_add_test(tc, a_session_that_cannot_be_meant_is_refused);
    tcase_add_test(tc, an_unsecured_worker_takes_partial_auth_or_none);
    tcase_add_test(tc, beyond_the_limit_creating_is_rejected_and_told);
    tcase_add_test(tc, requests_inside_are_booked_as_the_protocol_says);
    tcase_add_test(tc, an_admitted_request_adds_a_lifetime_up_to_the_limit);
    tcase_add_test(tc, plain_requests_name_their_session_in_a_header);
    tcase_add_test(tc, ending_a_session_ends_its_running_and_its_waiting_requests);
    tcase_add_test(tc, what_waits_in_a_session_that_ends_never_reaches_the_model);
    tcase_add_loop_test(tc, an_expired_session_is_closed_and_its_end_told, 0, (int)(sizeof told / sizeof told[0]));
    tcase_add_test(tc, a_payload_without_a_route_is_not_kept);
    tcase_add_test(tc, one_end_that_hangs_does_not_hold_up_the_others_and_a_second_end_is_told_so);
    tcase_add_test(tc, an_end_that_fails_is_said_once_and_the_session_is_over);
    tcase_add_test(tc, whoever_asked_for_the_end_may_leave_before_it_is_told);
    tcase_add_test(tc, many_ends_go_out_together_with_a_limit);
    tcase_add_test(tc, ends_that_wait_to_be_told_have_a_limit);
    tcase_add_test(tc, the_model_server_ends_a_session_on_a_port_of_its_own);
    tcase_add_test(tc, a_port_that_was_asked_for_and_is_busy_ends_the_start);
    tcase_add_test(tc, a_port_that_nobody_asked_for_and_is_busy_is_a_warning);
    tcase_add_test(tc, port_zero_is_none);
    tcase_add_test(tc, a_drain_closes_sessions_and_waits_for_their_ends);
    tcase_add_test(tc, a_drain_in_which_a_session_and_a_wait_in_it_end_at_once);
    tcase_add_test(tc, a_stop_tells_of_a_session_that_it_cut);
    tcase_add_test(tc, a_drain_that_ends_in_a_cut_still_tells_the_model_server);
    tcase_add_test(tc, who_asked_for_an_end_is_answered_when_a_drain_gives_it_up);
    suite_add_tcase(s, tc);
    return s;
}
