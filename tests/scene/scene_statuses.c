/* Every refusal a client can meet: status, reason, body, and that the model never heard of it. */
#include <stdlib.h>
#include <string.h>

#include "actors.h"

#define ANY "{'handlers': [{'route': '/echo', 'allowParallelRequests': true}, {'route': '/hold', 'maxQueueTime': 30}, \
              {'route': '/parsed', 'requestParser': 'unwrap', 'allowParallelRequests': true}]}"
#define OPEN "{'handlers': [{'route': '/m/*', 'targetPath': '/*', 'methods': ['*'], 'auth': 'none', 'allowParallelRequests': true}]%s}"

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

static void expect(struct answer a, int status, const char *reason, const char *body)
{
    ck_assert_msg(a.status == status, "expected %d, got %d: %s%s", status, a.status, a.head, a.body);
    ck_assert_str_eq(answer_reason(&a), reason);
    if (body)
        ck_assert_str_eq(a.body, body);
    answer_fini(&a);
}

static void expect_our_json(struct answer a, int status, const char *code)
{
    json_t *json = parse_json(a.body);
    const char *said = json_string_value(json_object_get(json_object_get(json, "error"), "code"));

    ck_assert_int_eq(a.status, status);
    ck_assert_str_eq(said, code);
    ck_assert(json_is_string(json_object_get(json_object_get(json, "error"), "message")));
    ck_assert(json_is_string(json_object_get(json_object_get(json, "error"), "type")));
    ck_assert_str_eq(answer_reason(&a), code);
    if (status == 429 || status == 503)
        ck_assert_int_ge(strtol(answer_header(&a, "retry-after"), NULL, 10), 1);
    if (status == 401)
        ck_assert_str_ne(answer_header(&a, "www-authenticate"), "");
    json_decref(json);
    answer_fini(&a);
}

START_TEST(an_unknown_path_is_404)
{
    struct worker *w = worker_start_ready(m, c, ANY);

    expect_our_json(client_post(worker_port(w), "/nowhere", "{}"), 404, "no_route");
    expect_our_json(client_post(worker_port(w), "/echo/", "{}"), 404, "no_route");
    ck_assert_int_eq(worker_finish(w), VW_OK);
    ck_assert_uint_eq(model_requests(m), 0);
}
END_TEST

START_TEST(a_wrong_method_is_405_and_names_the_right_ones)
{
    struct worker *w = worker_start_ready(m, c, ANY);
    struct answer a = client_call(worker_port(w), "GET", "/echo", "", NULL);

    ck_assert_str_eq(answer_header(&a, "allow"), "POST");
    expect_our_json(a, 405, "method_not_allowed");
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

static const struct {
    const char *body, *reason, *answer;
} malformed[] = {
    { "", "invalid_json", "{\"error\": \"invalid JSON\"}" },
    { "{", "invalid_json", "{\"error\": \"invalid JSON\"}" },
    { "{\"payload\": \"\xff\"}", "invalid_json", "{\"error\": \"invalid JSON\"}" },
    { "[]", "invalid_envelope", "{\"auth_data\": \"field missing\", \"payload\": \"field missing\"}" },
    { "5", "invalid_envelope", "{\"auth_data\": \"field missing\", \"payload\": \"field missing\"}" },
    { "{\"payload\": {}}", "invalid_envelope", "{\"auth_data\": \"field missing\"}" },
    { "{\"auth_data\": null, \"payload\": {}}", "invalid_envelope",
      "{\"auth_data\": {\"cost\": \"missing parameter\", \"endpoint\": \"missing parameter\", \"reqnum\": \"missing parameter\", "
      "\"request_idx\": \"missing parameter\", \"signature\": \"missing parameter\", \"url\": \"missing parameter\"}}" },
    { "{\"auth_data\": {\"cost\": 1, \"endpoint\": \"e\", \"reqnum\": 1, \"request_idx\": 1, \"signature\": \"s\", \"url\": \"u\"}, "
      "\"payload\": 5}",
      "invalid_envelope", "{\"payload\": {\"data\": \"payload must be a dictionary\"}}" },
    { "{\"auth_data\": {\"cost\": 1, \"endpoint\": \"e\", \"reqnum\": 1, \"request_idx\": 1, \"signature\": \"s\", \"url\": \"u\"}, "
      "\"session_id\": [], \"payload\": {}}",
      "invalid_envelope", "{\"session_id\": \"wrong type\"}" },
};

START_TEST(a_malformed_envelope_is_422_as_the_platform_words_it)
{
    struct worker *w = worker_start_ready(m, c, ANY);
    size_t i;

    for (i = 0; i < sizeof malformed / sizeof malformed[0]; i++)
        expect(client_post(worker_port(w), "/echo", malformed[i].body), 422, malformed[i].reason, malformed[i].answer);
    ck_assert_int_eq(worker_finish(w), VW_OK);
    ck_assert_uint_eq(model_requests(m), 0);
    ck_assert_double_eq(control_sum(c, "rej_load"), 0);
}
END_TEST

START_TEST(a_forged_signature_is_401)
{
    struct worker *w = worker_start_ready(m, c, ANY);

    expect_our_json(client_envelope(worker_port(w), NULL, "/echo", 1, "{}"), 401, "bad_signature");
    ck_assert_int_eq(worker_finish(w), VW_OK);
    ck_assert_uint_eq(model_requests(m), 0);
}
END_TEST

START_TEST(a_signature_for_another_worker_is_401_foreign_url)
{
    struct worker *w = worker_start_ready(m, c, ANY);
    char *signature = sign(c, "http://127.0.0.1:5"), *body = NULL;

    ck_assert_int_gt(asprintf(&body,
                              "{\"auth_data\": {\"cost\": 1, \"endpoint\": \"e\", \"reqnum\": 1, \"request_idx\": 1, \"signature\": \"%s\", "
                              "\"url\": \"http://127.0.0.1:5\"}, \"payload\": {}}",
                              signature),
                     0);
    expect_our_json(client_post(worker_port(w), "/echo", body), 401, "foreign_url");
    free(signature);
    free(body);
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

START_TEST(without_a_key_it_is_503_key_unavailable_and_not_ready)
{
    struct worker *w;
    json_t *report;

    control_withhold_key(c, true);
    w = worker_start(m, c, ANY);
    report = control_wait_state(c, false);
    json_decref(report);
    expect_our_json(client_envelope(worker_port(w), c, "/echo", 1, "{}"), 503, "key_unavailable");
    control_withhold_key(c, false);
    worker_wait_state(w, VW_STATE_READY); /* asked again until it came */
    expect(client_envelope(worker_port(w), c, "/echo", 1, "{}"), 200, "", NULL);
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

START_TEST(an_unknown_session_is_410)
{
    struct worker *w = worker_start_ready(m, c, ANY);
    char *body = envelope(c, 1, "{}"), *null = strstr(body, "\"session_id\": null");

    memcpy(null + 14, "\"ab\"", 4);
    expect(client_post(worker_port(w), "/echo", body), 410, "invalid_session", "{\"error\": \"invalid session\"}");
    free(body);
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

START_TEST(while_the_model_loads_it_is_503_not_ready_and_booked_rejected)
{
    char *dir = temp_dir(), *config = NULL;
    struct worker *w;
    json_t *deletions;

    ck_assert_int_gt(asprintf(&config, "{'modelLogFile': '%s/model.log', 'logActionConfig': {'onLoad': ['is up']}, "
                                       "'handlers': [{'route': '/echo', 'workloadCalculator': 7}]}", dir), 0);
    w = worker_start(m, c, config);
    worker_wait_logged(w, "public key fetched");
    expect_our_json(client_envelope(worker_port(w), c, "/echo", 3, "{}"), 503, "not_ready");
    control_wait_deletions(c, 1);
    deletions = control_deletions(c);
    ck_assert_str_eq(json_string_value(json_object_get(json_array_get(deletions, 0), "status")), "Rejected");
    json_decref(deletions);
    ck_assert_int_eq(worker_finish(w), VW_OK);
    ck_assert_double_eq(control_sum(c, "rej_load"), 7);
    free(config);
    free(dir);
}
END_TEST

START_TEST(a_model_that_is_down_is_502_model_unreachable)
{
    struct worker *w = worker_start_ready(m, c, ANY);
    struct model *down = m;

    m = model_start();
    model_stop(down);
    expect_our_json(client_envelope(worker_port(w), c, "/echo", 1, "{}"), 502, "model_unreachable");
    control_wait_deletions(c, 1);
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

START_TEST(a_model_that_does_not_answer_in_time_is_504)
{
    struct worker *w = worker_start_ready(m, c, "{'timeouts': {'firstByte': 0.2}, 'handlers': [{'route': '/hold'}]}");

    expect_our_json(client_envelope(worker_port(w), c, "/hold", 1, "{}"), 504, "model_timeout");
    model_wait_gone(m, 1);
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

START_TEST(a_model_that_hangs_up_is_502_model_reset)
{
    struct worker *w = worker_start_ready(m, c, "{'handlers': [{'route': '/vanish'}]}");

    expect_our_json(client_envelope(worker_port(w), c, "/vanish", 1, "{}"), 502, "model_reset");
    ck_assert_int_eq(worker_finish(w), VW_OK);
    ck_assert_uint_eq(model_requests(m), 1); /* a job never goes out twice */
}
END_TEST

START_TEST(an_answer_that_is_not_json_is_502_where_json_is_required)
{
    struct worker *w = worker_start_ready(m, c, "{'handlers': [{'route': '/text', 'requireJson': true}, {'route': '/t', 'targetPath': '/text'}]}");

    expect_our_json(client_envelope(worker_port(w), c, "/text", 1, "{}"), 502, "not_json");
    expect(client_envelope(worker_port(w), c, "/t", 1, "{}"), 200, "", "plain words");
    ck_assert(worker_logged(w, "requireJson"));
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

START_TEST(headers_beyond_the_limit_are_431_and_a_target_beyond_it_414)
{
    char *config = NULL, *text = malloc(100000);
    struct worker *w;
    int fd;

    ck_assert_int_gt(asprintf(&config, OPEN, ""), 0);
    w = worker_start_ready(m, NULL, config);
    fd = client_connect(worker_port(w));
    memset(text, 'a', 99999);
    text[99999] = '\0';
    memcpy(text, "GET /m/x HTTP/1.1\r\nHost: a\r\nX: ", 31);
    client_send(fd, text);
    expect_our_json(client_read(fd), 431, "header_too_large");
    client_close(fd);
    fd = client_connect(worker_port(w));
    memset(text, 'a', 32);
    memcpy(text, "GET /m/", 7);
    client_send(fd, text);
    expect_our_json(client_read(fd), 414, "uri_too_long");
    client_close(fd);
    ck_assert_int_eq(worker_finish(w), VW_OK);
    free(text);
    free(config);
}
END_TEST

START_TEST(a_path_that_climbs_out_of_its_prefix_is_400)
{
    char *config = NULL;
    struct worker *w;

    ck_assert_int_gt(asprintf(&config, OPEN, ""), 0);
    w = worker_start_ready(m, NULL, config);
    expect_our_json(client_call(worker_port(w), "GET", "/m/../health", "", NULL), 400, "bad_request");
    expect_our_json(client_call(worker_port(w), "GET", "/m/%2e%2e/health", "", NULL), 400, "bad_request");
    ck_assert_int_eq(worker_finish(w), VW_OK);
    free(config);
}
END_TEST

START_TEST(built_in_paths_tell_state_and_figures_without_secrets)
{
    struct worker *w = worker_start_ready(m, c, ANY);
    struct answer a = client_envelope(worker_port(w), c, "/echo", 1, "{'prompt': 'hush-hush'}");
    json_t *json;

    answer_fini(&a);
    a = client_call(worker_port(w), "GET", "/health", "", NULL);
    ck_assert_int_eq(a.status, 200);
    json = parse_json(a.body);
    ck_assert_str_eq(json_string_value(json_object_get(json, "status")), "ready");
    ck_assert(json_is_number(json_object_get(json, "since")));
    ck_assert_int_eq(json_integer_value(json_object_get(json, "in_flight")), 0);
    json_decref(json);
    answer_fini(&a);
    a = client_call(worker_port(w), "HEAD", "/health/live", "", NULL);
    ck_assert_int_eq(a.status, 200);
    answer_fini(&a);
    a = client_call(worker_port(w), "GET", "/metrics", "", NULL);
    ck_assert_int_eq(a.status, 200);
    ck_assert_ptr_nonnull(strstr(a.body, "vastworker_requests_total{route=\"/echo\",outcome=\"served\"} 1\n"));
    ck_assert_ptr_null(strstr(a.body, "hush-hush"));
    ck_assert_ptr_null(strstr(a.body, "mtoken-secret"));
    answer_fini(&a);
    a = client_call(worker_port(w), "GET", "/metrics", "Accept: application/json\r\n", NULL);
    json = parse_json(a.body);
    ck_assert(json_is_object(json));
    json_decref(json);
    answer_fini(&a);
    ck_assert(!worker_logged(w, "hush-hush"));
    ck_assert(!worker_logged(w, "mtoken-secret"));
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

Suite *statuses_suite(void);

Suite *statuses_suite(void)
{
    Suite *s = suite_create("statuses");
    TCase *tc = tcase_create("statuses");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, an_unknown_path_is_404);
    tcase_add_test(tc, a_wrong_method_is_405_and_names_the_right_ones);
    tcase_add_test(tc, a_malformed_envelope_is_422_as_the_platform_words_it);
    tcase_add_test(tc, a_forged_signature_is_401);
    tcase_add_test(tc, a_signature_for_another_worker_is_401_foreign_url);
    tcase_add_test(tc, without_a_key_it_is_503_key_unavailable_and_not_ready);
    tcase_add_test(tc, an_unknown_session_is_410);
    tcase_add_test(tc, while_the_model_loads_it_is_503_not_ready_and_booked_rejected);
    tcase_add_test(tc, a_model_that_is_down_is_502_model_unreachable);
    tcase_add_test(tc, a_model_that_does_not_answer_in_time_is_504);
    tcase_add_test(tc, a_model_that_hangs_up_is_502_model_reset);
    tcase_add_test(tc, an_answer_that_is_not_json_is_502_where_json_is_required);
    tcase_add_test(tc, headers_beyond_the_limit_are_431_and_a_target_beyond_it_414);
    tcase_add_test(tc, a_path_that_climbs_out_of_its_prefix_is_400);
    tcase_add_test(tc, built_in_paths_tell_state_and_figures_without_secrets);
    suite_add_tcase(s, tc);
    return s;
}
