/* The forms a request may have, which verdict comes first, and what of it the model gets to see. */
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "actors.h"

#define BOTH "'methods': ['GET', 'POST', 'HEAD'], 'allowParallelRequests': true"
#define SIGNED "{'handlers': [{'route': '/echo', " BOTH "}, {'route': '/s/*', 'targetPath': '/*', " BOTH "}]}"
#define NAMES20 "a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q,r,s,t,"

static struct model *m;
static struct control *c;

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

static char *auth_json(const char *url)
{
    char *signature = sign(c, url), *text = NULL;

    ck_assert_int_gt(asprintf(&text, "{\"cost\": 3.0, \"endpoint\": \"ep\", \"reqnum\": 7, \"request_idx\": 8, \"signature\": \"%s\", \"url\": \"%s\"}",
                              signature, url), 0);
    free(signature);
    return text;
}

static char *base64(const char *text, bool url)
{
    char *out = malloc(strlen(text) * 2 + 8), *at;

    EVP_EncodeBlock((unsigned char *)out, (const unsigned char *)text, (int)strlen(text));
    for (at = out; url && *at; at++)
        *at = *at == '+' ? '-' : *at == '/' ? '_' : *at;
    if (url && (at = strchr(out, '=')))
        *at = '\0';
    return out;
}

/* Headers with auth_data, and more lines. */
static char *auth_header(const char *json, bool url, const char *more)
{
    char *encoded = base64(json, url), *headers = NULL;

    ck_assert_int_gt(asprintf(&headers, "X-Vast-Auth: %s\r\n%s", encoded, more), 0);
    free(encoded);
    return headers;
}

static char *percent(const char *text)
{
    char *out = malloc(strlen(text) * 3 + 1), *at = out;

    for (*at = '\0'; *text; text++, at += 3)
        snprintf(at, 4, "%%%02X", (unsigned char)*text);
    return out;
}

static char *auth_query(const char *path, const char *url, const char *more)
{
    char *signature = sign(c, url), *escaped = percent(signature), *where = percent(url), *target = NULL;

    ck_assert_int_gt(asprintf(&target, "%s?x=1&serverless_cost=3.5&serverless_endpoint=my%%20ep&serverless_reqnum=7&serverless_request_idx=8"
                                       "&serverless_signature=%s&serverless_url=%s%s", path, escaped, where, more), 0);
    free(signature);
    free(escaped);
    free(where);
    return target;
}

static void expect(struct answer a, int status, const char *reason)
{
    ck_assert_msg(a.status == status, "expected %d, got %d: %s%s", status, a.status, a.head, a.body);
    ck_assert_str_eq(answer_reason(&a), reason);
    answer_fini(&a);
}

static const char *text_of(const json_t *json, const char *key) { return json_string_value(json_object_get(json, key)); }

static void expect_echo(struct answer a, const char *method, const char *target, const char *body)
{
    json_t *echo, *headers;
    const char *hidden[] = { "x-vast-auth", "x-vast-session", "authorization" };
    size_t i;

    ck_assert_msg(a.status == 200, "expected 200, got %d: %s", a.status, a.body);
    echo = parse_json(a.body);
    headers = json_object_get(echo, "headers");
    ck_assert_str_eq(text_of(echo, "method"), method);
    ck_assert_str_eq(text_of(echo, "target"), target);
    ck_assert_str_eq(text_of(echo, "body"), body);
    for (i = 0; i < sizeof hidden / sizeof hidden[0]; i++)
        ck_assert_msg(!json_object_get(headers, hidden[i]), "the model saw %s", hidden[i]);
    json_decref(echo);
    answer_fini(&a);
}

/* The only deletion there is. */
static void expect_deletion(long idx, const char *status)
{
    json_t *deletions;

    control_wait_deletions(c, 1);
    deletions = control_deletions(c);
    ck_assert_uint_eq(json_array_size(deletions), 1);
    ck_assert_int_eq(json_integer_value(json_object_get(json_array_get(deletions, 0), "request_idx")), idx);
    ck_assert_str_eq(text_of(json_array_get(deletions, 0), "status"), status);
    json_decref(deletions);
}

/* ---- signed, but not an envelope ---- */

START_TEST(a_signed_header_makes_any_request_a_plain_one)
{
    struct worker *w = worker_start_ready(m, c, SIGNED);
    char *json = auth_json(URL), *headers = auth_header(json, _i, "Authorization: Bearer hush\r\nX-Mine: yes\r\n");

    expect_echo(client_call(worker_port(w), "GET", "/echo?a=1&api_key=hush", headers, NULL), "GET", "/echo?a=1", "");
    expect_deletion(8, "Success");
    expect_echo(client_call(worker_port(w), "POST", "/echo", headers, "no JSON at all"), "POST", "/echo", "no JSON at all");
    expect_echo(client_call(worker_port(w), "POST", "/echo", headers, "{\"auth_data\": 5}"), "POST", "/echo", "{\"auth_data\": 5}");
    expect_echo(client_call(worker_port(w), "POST", "/echo", headers, ""), "POST", "/echo", "");
    ck_assert_int_eq(worker_finish(w), VW_OK);
    free(headers);
    free(json);
}
END_TEST

START_TEST(a_signed_header_is_judged_as_an_envelope_is)
{
    struct worker *w = worker_start_ready(m, c, SIGNED);
    char *json = auth_json(URL), *foreign = auth_json("http://127.0.0.1:5"), *forged = strdup(json), *headers;

    expect(client_call(worker_port(w), "GET", "/echo", "X-Vast-Auth: ?!\r\n", NULL), 422, "invalid_envelope");
    expect(client_call(worker_port(w), "GET", "/echo", "X-Vast-Auth: \r\n", NULL), 422, "invalid_json");
    headers = auth_header("{\"cost\": 1}", false, "");
    expect(client_call(worker_port(w), "GET", "/echo", headers, NULL), 422, "invalid_envelope");
    free(headers);
    headers = auth_header(foreign, false, "");
    expect(client_call(worker_port(w), "GET", "/echo", headers, NULL), 401, "foreign_url");
    free(headers);
    memcpy(strstr(forged, "\"signature\": \"") + 14, "AAAA", 4);
    headers = auth_header(forged, false, "X-Vast-Session: abc\r\n");
    expect(client_call(worker_port(w), "GET", "/echo", headers, NULL), 401, "bad_signature"); /* before the session is looked up */
    free(headers);
    headers = auth_header(json, false, "X-Vast-Session: abc\r\n");
    expect(client_call(worker_port(w), "GET", "/echo", headers, NULL), 410, "invalid_session");
    free(headers);
    ck_assert_int_eq(worker_finish(w), VW_OK);
    ck_assert_uint_eq(model_requests(m), 0);
    ck_assert_double_eq(control_sum(c, "rej_load"), 0);
    free(json);
    free(foreign);
    free(forged);
}
END_TEST

START_TEST(a_signed_query_makes_a_request_plain_and_is_taken_out)
{
    struct worker *w = worker_start_ready(m, c, SIGNED);
    char *target = auth_query("/echo", URL, "&y=%202&api_key=hush");

    expect_echo(client_call(worker_port(w), "GET", target, "", NULL), "GET", "/echo?x=1&y=%202", "");
    expect_deletion(8, "Success");
    expect_echo(client_call(worker_port(w), "POST", target, "", "bytes"), "POST", "/echo?x=1&y=%202", "bytes");
    expect(client_call(worker_port(w), "GET", target, "X-Vast-Session: abc\r\n", NULL), 410, "invalid_session");
    free(target);
    target = auth_query("/echo", "http://127.0.0.1:5", "");
    expect(client_call(worker_port(w), "GET", target, "", NULL), 401, "foreign_url");
    free(target);
    expect(client_call(worker_port(w), "GET", "/echo?serverless_cost=1", "", NULL), 422, "invalid_envelope");
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

/* ---- unsecured ---- */

#define LOOSE "{'unsecured': true, 'handlers': [{'route': '/echo', " BOTH ", 'workloadCalculator': {'field': '/n', 'default': 4}}]}"

START_TEST(unsecured_takes_a_partial_envelope_or_none)
{
    static const struct {
        const char *body, *sent;
    } bodies[] = {
        { "{\"payload\": {\"n\": 2}}", "{\"n\": 2}" },
        { "{\"auth_data\": null, \"payload\": {}}", "{}" },
        { "{\"auth_data\": {\"url\": \"u\", \"request_idx\": 1}, \"payload\": {}}", "{}" },
        { "{\"prompt\": \"hi\"}", "{\"prompt\": \"hi\"}" },
        { "[1, 2]", "[1, 2]" },
        { "{\"payload\": {}", "{\"payload\": {}" },
        { "", "" },
    };
    struct worker *w = worker_start_ready(m, NULL, LOOSE);
    size_t i;

    for (i = 0; i < sizeof bodies / sizeof bodies[0]; i++)
        expect_echo(client_post(worker_port(w), "/echo", bodies[i].body), "POST", "/echo", bodies[i].sent);
    expect(client_post(worker_port(w), "/echo", "{\"payload\": 5}"), 422, "invalid_envelope");
    expect(client_post(worker_port(w), "/echo", "{\"session_id\": \"a\", \"payload\": {}}"), 410, "invalid_session");
    expect(client_post(worker_port(w), "/echo", "{\"auth_data\": {\"reqnum\": \"x\"}, \"payload\": {}}"), 422, "invalid_envelope");
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

/* ---- calculators and parsers meet bodies that are none of theirs ---- */

#define CALCULATED "{'unsecured': true, 'pluginPath': ['" VWT_BUILD "/tests/plugins'], 'handlers': [" \
                   "{'route': '/a/echo', 'targetPath': '/echo', " BOTH ", 'workloadCalculator': 'embeddings'}, " \
                   "{'route': '/b/echo', 'targetPath': '/echo', " BOTH ", 'workloadCalculator': 'completions', 'requestParser': 'unwrap'}, " \
                   "{'route': '/c/echo', 'targetPath': '/echo', " BOTH ", 'workloadCalculator': {'bytes': 2}}, " \
                   "{'route': '/d/echo', 'targetPath': '/echo', " BOTH ", 'workloadCalculator': {'count': '/x'}}, " \
                   "{'route': '/e/echo', 'targetPath': '/echo', " BOTH ", 'workloadCalculator': 'misbehaves', 'requestParser': 'misbehaves'}]}"

START_TEST(a_body_that_is_no_json_passes_calculators_and_parsers)
{
    static const char *const bodies[] = { NULL, "", "plain words", "{", "\"open", "{\"input\":", "nul", "-" };
    struct worker *w = worker_start_ready(m, NULL, CALCULATED);
    size_t i;
    char route[16];

    for (i = 0; i < 5 * sizeof bodies / sizeof bodies[0]; i++) {
        const char *body = bodies[i / 5];

        snprintf(route, sizeof route, "/%c/echo", (char)('a' + i % 5));
        expect_echo(client_call(worker_port(w), body ? "POST" : "GET", route, "", body), body ? "POST" : "GET", "/echo", body ? body : "");
    }
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

START_TEST(a_parser_that_refuses_is_422_and_a_calculator_that_fails_counts_100)
{
    struct worker *w = worker_start_ready(m, NULL, CALCULATED);
    struct answer a;

    expect(client_post(worker_port(w), "/e/echo", "\"silent\""), 422, "parser_refused");
    expect(client_post(worker_port(w), "/e/echo", "\"before\""), 422, "parser_refused");
    a = client_call(worker_port(w), "GET", "/metrics", "", NULL);
    ck_assert_ptr_nonnull(strstr(a.body, "vastworker_requests_total{route=\"/e/echo\",outcome=\"refused\"} 2\n"));
    answer_fini(&a);
    a = client_post(worker_port(w), "/d/echo", "{}"); /* nothing to count */
    ck_assert_int_eq(a.status, 200);
    answer_fini(&a);
    a = client_call(worker_port(w), "GET", "/metrics", "", NULL);
    ck_assert_ptr_nonnull(strstr(a.body, "vastworker_workload_total{kind=\"served\"} 100\n"));
    ck_assert_ptr_nonnull(strstr(a.body, "vastworker_plugin_fallbacks_total 1\n"));
    answer_fini(&a);
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

/* ---- the order of verdicts ---- */

START_TEST(the_first_thing_that_is_wrong_is_the_answer)
{
    char *log = temp_file("model.log", NULL), *config = NULL, *foreign = NULL, *signature = sign(c, "http://127.0.0.1:5"), *good, *null;
    struct worker *w;

    ck_assert_int_gt(asprintf(&config, "{'modelLogFile': '%s', 'logActionConfig': {'onLoad': ['is up']}, 'handlers': [{'route': '/echo'}]}", log), 0);
    control_withhold_key(c, true);
    w = worker_start(m, c, config); /* loading: the last of all verdicts */
    expect(client_post(worker_port(w), "/nowhere", ""), 404, "no_route");
    expect(client_call(worker_port(w), "PUT", "/echo", "", ""), 405, "method_not_allowed");
    expect(client_post(worker_port(w), "/echo", "{"), 422, "invalid_json");
    ck_assert_int_gt(asprintf(&foreign, "{\"auth_data\": {\"cost\": 1, \"endpoint\": \"e\", \"reqnum\": 1, \"request_idx\": 1, \"signature\": \"%s\", "
                                        "\"url\": \"http://127.0.0.1:5\"}, \"session_id\": \"ab\", \"payload\": {}}", signature), 0);
    expect(client_post(worker_port(w), "/echo", foreign), 503, "key_unavailable");
    control_withhold_key(c, false);
    worker_wait_logged(w, "public key fetched");
    expect(client_post(worker_port(w), "/echo", foreign), 401, "foreign_url");
    good = envelope(c, 1, "{}");
    null = strstr(good, "\"session_id\": null");
    memcpy(null + 14, "\"ab\"", 4);
    expect(client_post(worker_port(w), "/echo", good), 410, "invalid_session");
    memcpy(null + 14, "null", 4);
    expect(client_post(worker_port(w), "/echo", good), 503, "not_ready");
    ck_assert_int_eq(worker_finish(w), VW_OK);
    ck_assert_uint_eq(model_requests(m), 0);
    free(good);
    free(foreign);
    free(signature);
    free(config);
    free(log);
}
END_TEST

/* ---- what comes back ---- */

static unsigned counted(struct worker *w, const char *line)
{
    struct answer a = client_call(worker_port(w), "GET", "/metrics", "", NULL);
    char *at = strstr(a.body, line);
    unsigned n = at ? (unsigned)strtoul(at + strlen(line), NULL, 10) : 0;

    answer_fini(&a);
    return n;
}

START_TEST(an_answer_that_clients_resend_without_end_is_counted_and_said_once)
{
    struct worker *w = worker_start_ready(m, c, "{'handlers': [{'route': '/text'}]}");
    int i;

    for (i = 0; i < 3; i++)
        expect(client_envelope(worker_port(w), c, "/text", i, "{}"), 200, "");
    ck_assert_uint_eq(counted(w, "vastworker_refusals_total{route=\"/text\",reason=\"not_json\"} "), 3);
    ck_assert_uint_eq(worker_count_logged(w, "requireJson"), 1);
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

START_TEST(what_counts_as_json_or_a_stream_is_read_from_the_type_alone)
{
    static const struct {
        const char *path;
        int status;
    } types[] = {
        { "/type/application/json;charset=utf-8", 200 }, { "/type/APPLICATION/JSON", 200 }, { "/type/application/problem+json", 200 },
        { "/type/application/jsonl", 200 },              { "/type/text/event-stream", 200 }, { "/type/application/jsonx", 502 },
        { "/type/text/html", 502 },                      { "/type/+json", 502 },
    };
    struct worker *w = worker_start_ready(m, c, "{'handlers': [{'route': '/type/*', 'requireJson': true}]}");
    size_t i;

    for (i = 0; i < sizeof types / sizeof types[0]; i++)
        expect(client_envelope(worker_port(w), c, types[i].path, (long)i, "{}"), types[i].status, types[i].status == 200 ? "" : "not_json");
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

START_TEST(an_empty_answer_is_json_enough)
{
    struct worker *w = worker_start_ready(m, c, "{'handlers': [{'route': '/status/*', 'requireJson': true}, {'route': '/empty', 'requireJson': true}, "
                                            "{'route': '/e', 'targetPath': '/empty'}]}");

    expect(client_envelope(worker_port(w), c, "/empty", 4, "{}"), 204, "");
    expect(client_envelope(worker_port(w), c, "/e", 5, "{}"), 204, "");
    expect(client_envelope(worker_port(w), c, "/status/204", 1, "{}"), 204, "");
    expect(client_envelope(worker_port(w), c, "/status/500", 2, "{}"), 500, "");
    expect(client_envelope(worker_port(w), c, "/status/404", 3, "{}"), 404, "");
    ck_assert_uint_eq(worker_count_logged(w, "requireJson"), 0);
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

#define OPEN "{'handlers': [{'route': '/m/*', 'targetPath': '/*', 'methods': ['*'], 'auth': 'none', 'allowParallelRequests': true%s}]}"

START_TEST(an_answer_without_a_body_keeps_both_connections_in_step)
{
    static const int statuses[] = { 204, 304 };
    char *config = NULL;
    struct worker *w;
    int fd, i;

    ck_assert_int_gt(asprintf(&config, OPEN, ""), 0);
    w = worker_start_ready(m, NULL, config);
    fd = client_connect(worker_port(w));
    for (i = 0; i < 4; i++) {
        char text[100];
        struct answer a;

        snprintf(text, sizeof text, "%s /m/status/%d HTTP/1.1\r\nHost: w\r\nIf-None-Match: \"a\"\r\n\r\n", i < 2 ? "GET" : "HEAD", statuses[i % 2]);
        client_send(fd, text);
        a = i < 2 ? client_read(fd) : client_read_to_head(fd);
        ck_assert_int_eq(a.status, statuses[i % 2]);
        answer_fini(&a);
        client_send(fd, "GET /m/x HTTP/1.1\r\nHost: w\r\n\r\n");
        a = client_read(fd);
        ck_assert_str_eq(a.body, "{\"ok\": true}");
        answer_fini(&a);
    }
    client_close(fd);
    ck_assert_int_eq(worker_finish(w), VW_OK);
    free(config);
}
END_TEST

START_TEST(what_any_connection_header_names_ends_here)
{
    char *config = NULL;
    struct worker *w;
    struct answer a;
    json_t *echo, *headers;

    ck_assert_int_gt(asprintf(&config, OPEN, ""), 0);
    w = worker_start_ready(m, NULL, config);
    a = client_call(worker_port(w), "GET", "/m/echo", "Connection: " NAMES20 NAMES20 NAMES20 "X-One\r\nX-One: 1\r\nX-Two: 2\r\n"
                    "Connection: keep-alive , x-two\r\nX-Three: 3\r\n", NULL);
    echo = parse_json(a.body);
    headers = json_object_get(echo, "headers");
    ck_assert_ptr_null(json_object_get(headers, "x-one"));
    ck_assert_ptr_null(json_object_get(headers, "x-two"));
    ck_assert_str_eq(text_of(headers, "x-three"), "3");
    json_decref(echo);
    answer_fini(&a);
    ck_assert_int_eq(worker_finish(w), VW_OK);
    free(config);
}
END_TEST

START_TEST(a_job_goes_out_twice_only_where_retry_says_so)
{
    char *config = NULL;
    struct worker *w;

    ck_assert_int_gt(asprintf(&config, OPEN, _i ? ", 'retry': true" : ""), 0);
    w = worker_start_ready(m, NULL, config);
    expect(client_post(worker_port(w), "/m/x", "{}"), 200, ""); /* leaves a pooled connection */
    expect(client_post(worker_port(w), "/m/vanish", "{}"), 502, "model_reset");
    ck_assert_uint_eq(model_requests(m), _i ? 3 : 2);
    ck_assert_int_eq(worker_finish(w), VW_OK);
    free(config);
}
END_TEST

Suite *forms_suite(void);

Suite *forms_suite(void)
{
    Suite *s = suite_create("forms");
    TCase *tc = tcase_create("forms");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, a_signed_header_makes_any_request_a_plain_one, 0, 2);
    tcase_add_test(tc, a_signed_header_is_judged_as_an_envelope_is);
    tcase_add_test(tc, a_signed_query_makes_a_request_plain_and_is_taken_out);
    tcase_add_test(tc, unsecured_takes_a_partial_envelope_or_none);
    tcase_add_test(tc, a_body_that_is_no_json_passes_calculators_and_parsers);
    tcase_add_test(tc, a_parser_that_refuses_is_422_and_a_calculator_that_fails_counts_100);
    tcase_add_test(tc, the_first_thing_that_is_wrong_is_the_answer);
    tcase_add_test(tc, an_answer_that_clients_resend_without_end_is_counted_and_said_once);
    tcase_add_test(tc, what_counts_as_json_or_a_stream_is_read_from_the_type_alone);
    tcase_add_test(tc, an_empty_answer_is_json_enough);
    tcase_add_test(tc, an_answer_without_a_body_keeps_both_connections_in_step);
    tcase_add_test(tc, what_any_connection_header_names_ends_here);
    tcase_add_loop_test(tc, a_job_goes_out_twice_only_where_retry_says_so, 0, 2);
    suite_add_tcase(s, tc);
    return s;
}
