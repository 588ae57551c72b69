/* The model server of vastworker-sim and the two servers together, run as the programs they are. */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/vwi.h"
#include "sim_client.h"

#define MODEL_ARGS "model", "--load-after-ms", "0"

/* Starts a model and waits until it says that it is loaded. */
static void start_model(struct sim_proc *proc, const char *const *more)
{
    const char *args[SIM_ARGS_MAX] = { MODEL_ARGS };
    size_t i;

    for (i = 0; more && more[i]; i++)
        args[3 + i] = more[i];
    sim_proc_start(proc, args);
    sim_proc_wait_line(proc, "model loaded");
}

static long long state_number(int port, const char *name)
{
    json_t *state = NULL;
    long long n;

    ck_assert_int_eq(sim_get(port, "/sim/state", &state), 200);
    n = json_integer_value(json_object_get(state, name));
    json_decref(state);
    return n;
}

/* Asks again until it is so; each turn is a request, and the test's own time limit bounds it. */
static void await_state(int port, const char *name, long long expected)
{
    while (state_number(port, name) != expected)
        ;
}

static json_t *post_json(int port, const char *target, const char *body)
{
    json_t *answer = NULL;

    ck_assert_int_eq(sim_post(port, target, body, &answer), 200);
    ck_assert_ptr_nonnull(answer);
    return answer;
}

START_TEST(model_answers_503_until_loaded)
{
    static const char *const args[] = { "model", "--quiet", "--load-after-ms", "3600000", NULL };
    struct sim_proc model;

    sim_proc_start(&model, args);
    ck_assert_int_eq(sim_get(model.port, "/health", NULL), 503);
    ck_assert_int_eq(sim_get(model.port, "/v1/models", NULL), 503);
    ck_assert_int_eq(sim_post(model.port, "/v1/completions", "{\"prompt\":\"a\"}", NULL), 503);
    ck_assert_int_eq(sim_proc_stop(&model), 0);
}
END_TEST

START_TEST(model_log_says_when_it_is_loaded)
{
    struct sim_proc model;
    char name[sizeof model.line], text[1024];
    size_t n;
    FILE *log;

    {
        static const char *const args[] = { MODEL_ARGS, NULL };

        sim_proc_start(&model, args);
    }
    sim_proc_wait_line(&model, "log /");
    snprintf(name, sizeof name, "%s", model.line + 4);
    sim_proc_wait_line(&model, "model loaded");
    ck_assert_int_eq(sim_get(model.port, "/health", NULL), 200);
    ck_assert_int_eq(sim_post(model.port, "/sim/behave", "{\"log\":\"RuntimeError: out of memory\",\"health\":500}", NULL), 200);
    ck_assert_int_eq(sim_get(model.port, "/health", NULL), 500);
    ck_assert_int_eq(sim_post(model.port, "/sim/behave", "{\"log\":\"two\\nlines\"}", NULL), 400);
    ck_assert_int_eq(sim_post(model.port, "/sim/behave", "{\"health\":200}", NULL), 200);
    ck_assert_int_eq(sim_get(model.port, "/health", NULL), 200);
    log = fopen(name, "r");
    ck_assert_ptr_nonnull(log);
    n = fread(text, 1, sizeof text - 1, log);
    fclose(log);
    text[n] = '\0';
    ck_assert_ptr_nonnull(strstr(text, "\nINFO:     Application startup complete.\nRuntimeError: out of memory\n"));
    ck_assert_int_eq(sim_proc_stop(&model), 0);
    ck_assert_int_ne(access(name, F_OK), 0);
}
END_TEST

START_TEST(embeddings_depend_on_the_text_alone)
{
    struct sim_proc model;
    json_t *one, *two, *data, *first, *second;

    start_model(&model, NULL);
    one = post_json(model.port, "/v1/embeddings", "{\"input\":\"a quiet mill\",\"model\":\"x\"}");
    two = post_json(model.port, "/v1/embeddings", "{\"input\":[\"another\",\"a quiet mill\"]}");
    data = json_object_get(two, "data");
    ck_assert_uint_eq(json_array_size(data), 2);
    first = json_object_get(json_array_get(json_object_get(one, "data"), 0), "embedding");
    second = json_object_get(json_array_get(data, 1), "embedding");
    ck_assert_uint_eq(json_array_size(first), 8);
    ck_assert(json_equal(first, second));
    ck_assert(!json_equal(first, json_object_get(json_array_get(data, 0), "embedding")));
    ck_assert_int_eq((int)json_integer_value(json_object_get(json_object_get(one, "usage"), "prompt_tokens")), 3);
    json_decref(one);
    json_decref(two);
    ck_assert_int_eq(sim_proc_stop(&model), 0);
}
END_TEST

static const struct {
    const char *target, *body, *says;
} bad_asks[] = {
    { "/v1/embeddings", "{nope", "not JSON" },
    { "/v1/embeddings", "{\"input\":[]}", "input: expected a string or a list" },
    { "/v1/embeddings", "{\"input\":[\"a\",{}]}", "input[1]: expected a string" },
    { "/v1/embeddings", "[]", "expected a JSON object" },
    { "/v1/completions", "{}", "prompt: expected a string" },
    { "/v1/completions", "{\"prompt\":\"a\",\"max_tokens\":0}", "max_tokens: expected a whole number from 1" },
    { "/v1/completions", "{\"prompt\":\"a\",\"stream\":1}", "stream: expected true or false" },
    { "/v1/chat/completions", "{\"messages\":\"hi\"}", "messages: expected a list" },
    { "/rerank", "{\"query\":\"q\"}", "documents: expected a list" },
    { "/v1/rerank", "{\"query\":\"q\",\"documents\":[1]}", "documents[0]: expected a string" },
};

START_TEST(model_refuses_what_it_does_not_understand)
{
    struct sim_proc model;
    json_t *answer = NULL, *error;

    start_model(&model, NULL);
    ck_assert_int_eq(sim_post(model.port, bad_asks[_i].target, bad_asks[_i].body, &answer), 400);
    error = json_object_get(answer, "error");
    ck_assert_str_eq(json_string_value(json_object_get(error, "type")), "invalid_request_error");
    ck_assert_ptr_nonnull(strstr(json_string_value(json_object_get(error, "message")), bad_asks[_i].says));
    json_decref(answer);
    ck_assert_int_eq(sim_post(model.port, "/v1/audio", "{}", NULL), 404);
    ck_assert_int_eq(sim_get(model.port, "/v1/embeddings", NULL), 405);
    ck_assert_int_eq(sim_proc_stop(&model), 0);
}
END_TEST

START_TEST(completions_have_as_many_tokens_as_asked)
{
    static const char *const more[] = { "--token-ms", "0", NULL };
    struct sim_proc model;
    json_t *plain, *chat, *choice;

    start_model(&model, more);
    plain = post_json(model.port, "/v1/completions", "{\"prompt\":\"one two\",\"max_tokens\":3}");
    choice = json_array_get(json_object_get(plain, "choices"), 0);
    ck_assert_str_eq(json_string_value(json_object_get(choice, "finish_reason")), "length");
    ck_assert_int_eq((int)json_integer_value(json_object_get(json_object_get(plain, "usage"), "total_tokens")), 5);
    chat = post_json(model.port, "/v1/chat/completions", "{\"messages\":[{\"role\":\"user\",\"content\":\"one two\"}]}");
    choice = json_object_get(json_array_get(json_object_get(chat, "choices"), 0), "message");
    ck_assert_str_eq(json_string_value(json_object_get(choice, "role")), "assistant");
    ck_assert_int_eq((int)json_integer_value(json_object_get(json_object_get(chat, "usage"), "completion_tokens")), 16);
    ck_assert_int_eq((int)json_integer_value(json_object_get(json_object_get(chat, "usage"), "prompt_tokens")), 2);
    json_decref(plain);
    json_decref(chat);
    ck_assert_int_eq(sim_proc_stop(&model), 0);
}
END_TEST

static unsigned count(const char *text, const char *part)
{
    unsigned n = 0;

    for (; (text = strstr(text, part)) != NULL; text += strlen(part))
        n++;
    return n;
}

START_TEST(streams_send_one_event_for_each_token)
{
    static const char *const token_ms[] = { "0", "1" };
    const char *more[] = { "--token-ms", token_ms[_i], NULL };
    struct sim_proc model;
    struct sim_reply reply;

    start_model(&model, more);
    sim_http(model.port, "POST", "/v1/chat/completions", NULL,
             "{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],\"max_tokens\":100,\"stream\":true,\"stream_options\":{"
             "\"include_usage\":true}}",
             &reply);
    ck_assert_int_eq(reply.status, 200);
    ck_assert(reply.whole);
    ck_assert_ptr_nonnull(strstr(reply.head.p, "text/event-stream"));
    ck_assert_uint_eq(count(reply.body.p, "data: {"), 101);
    ck_assert_uint_eq(count(reply.body.p, "\"role\":\"assistant\""), 1);
    ck_assert_uint_eq(count(reply.body.p, "\"finish_reason\":\"length\""), 1);
    ck_assert_uint_eq(count(reply.body.p, "\"completion_tokens\":100"), 1);
    ck_assert_str_eq(reply.body.p + reply.body.len - strlen("data: [DONE]\n\n"), "data: [DONE]\n\n");
    sim_reply_fini(&reply);
    ck_assert_int_eq((int)state_number(model.port, "tokens"), 100);
    ck_assert_int_eq(sim_proc_stop(&model), 0);
}
END_TEST

START_TEST(client_that_leaves_stops_the_generation)
{
    struct sim_proc model;
    long long tokens;
    int fd;

    start_model(&model, NULL);
    fd = sim_http_send(model.port, "POST", "/v1/completions", NULL, "{\"prompt\":\"a\",\"max_tokens\":1000000,\"stream\":true}");
    ck_assert(sim_read_until(fd, "data: "));
    ck_assert_int_eq((int)state_number(model.port, "in_flight"), 1);
    close(fd);
    await_state(model.port, "cancelled", 1);
    ck_assert_int_eq((int)state_number(model.port, "in_flight"), 0);
    tokens = state_number(model.port, "tokens");
    ck_assert_int_eq(sim_post(model.port, "/v1/embeddings", "{\"input\":\"a\"}", NULL), 200);
    ck_assert_int_eq((int)state_number(model.port, "tokens"), (int)tokens);
    ck_assert_int_eq(sim_proc_stop(&model), 0);
}
END_TEST

START_TEST(requests_beyond_the_concurrency_wait_their_turn)
{
    static const char *const more[] = { "--concurrency", "1", "--token-ms", "5", NULL };
    static const char *const body = "{\"prompt\":\"a\",\"max_tokens\":1000000,\"stream\":true}";
    struct sim_proc model;
    int first, second, third;

    start_model(&model, more);
    first = sim_http_send(model.port, "POST", "/v1/completions", NULL, body);
    ck_assert(sim_read_until(first, "data: "));
    second = sim_http_send(model.port, "POST", "/v1/completions", NULL, body);
    third = sim_http_send(model.port, "POST", "/v1/completions", NULL, body);
    await_state(model.port, "waiting", 2);
    ck_assert_int_eq((int)state_number(model.port, "max_in_flight"), 3);
    close(second); /* leaves from the queue or, if the third overtook it, from there all the same */
    await_state(model.port, "waiting", 1);
    close(first);
    ck_assert(sim_read_until(third, "data: "));
    await_state(model.port, "waiting", 0);
    close(third);
    await_state(model.port, "cancelled", 3);
    ck_assert_int_eq(sim_proc_stop(&model), 0);
}
END_TEST

START_TEST(rerank_sorts_by_score)
{
    struct sim_proc model;
    json_t *answer, *results;
    double last = 2;
    size_t i;

    start_model(&model, NULL);
    answer =
        post_json(model.port, "/v1/rerank",
                  "{\"query\":\"slow river\",\"documents\":[\"a mill\",{\"text\":\"the slow river\"},\"a river\"],\"top_n\":2}");
    results = json_object_get(answer, "results");
    ck_assert_uint_eq(json_array_size(results), 2);
    ck_assert_int_eq((int)json_integer_value(json_object_get(json_array_get(results, 0), "index")), 1);
    ck_assert_int_eq((int)json_integer_value(json_object_get(json_array_get(results, 1), "index")), 2);
    for (i = 0; i < json_array_size(results); i++) {
        double score = json_real_value(json_object_get(json_array_get(results, i), "relevance_score"));

        ck_assert(score <= last && score >= 0);
        last = score;
    }
    json_decref(answer);
    ck_assert_int_eq(sim_proc_stop(&model), 0);
}
END_TEST

START_TEST(faults_come_when_asked_for_and_are_counted)
{
    struct sim_proc model;
    struct sim_reply reply;

    start_model(&model, NULL);
    ck_assert_int_eq(sim_post(model.port, "/sim/behave", "{\"fail_status\":503,\"times\":1}", NULL), 200);
    ck_assert_int_eq(sim_get(model.port, "/health", NULL), 200);
    ck_assert_int_eq(sim_post(model.port, "/rerank", "{}", NULL), 503);
    ck_assert_int_eq(sim_post(model.port, "/sim/behave", "{\"reset\":true,\"times\":1}", NULL), 200);
    ck_assert_int_eq(sim_post(model.port, "/rerank", "{}", NULL), 0);
    ck_assert_int_eq(sim_post(model.port, "/sim/behave", "{\"reset\":true,\"after_tokens\":2,\"times\":1}", NULL), 200);
    sim_http(model.port, "POST", "/v1/completions", NULL, "{\"prompt\":\"a\",\"stream\":true}", &reply);
    ck_assert_int_eq(reply.status, 200);
    ck_assert(!reply.whole);
    ck_assert_uint_eq(count(reply.body.p, "data: {"), 2);
    sim_reply_fini(&reply);
    ck_assert_int_eq((int)state_number(model.port, "failed"), 1);
    ck_assert_int_eq((int)state_number(model.port, "cut"), 2);
    ck_assert_int_eq((int)state_number(model.port, "served"), 0);
    ck_assert_int_eq(sim_proc_stop(&model), 0);
}
END_TEST

START_TEST(stalled_request_ends_when_its_client_leaves)
{
    struct sim_proc model;
    int fd;

    start_model(&model, NULL);
    ck_assert_int_eq(sim_post(model.port, "/sim/behave", "{\"stall\":true,\"times\":1}", NULL), 200);
    fd = sim_http_send(model.port, "POST", "/rerank", NULL, "{}");
    await_state(model.port, "in_flight", 1);
    close(fd);
    await_state(model.port, "cancelled", 1);
    ck_assert_int_eq(sim_proc_stop(&model), 0);
}
END_TEST

START_TEST(fail_rate_spreads_evenly)
{
    static const char *const more[] = { "--fail-rate", "0.25", "--fail-status", "502", NULL };
    struct sim_proc model;
    unsigned i, failed = 0;

    start_model(&model, more);
    for (i = 0; i < 8; i++)
        failed += sim_post(model.port, "/v1/embeddings", "{\"input\":\"a\"}", NULL) == 502;
    ck_assert_uint_eq(failed, 2);
    ck_assert_int_eq(sim_proc_stop(&model), 0);
}
END_TEST

START_TEST(state_shows_the_last_request)
{
    struct sim_proc model;
    struct sim_reply reply;
    json_t *state = NULL, *last, *route;

    start_model(&model, NULL);
    sim_http(model.port, "POST", "/v1/embeddings?x=1", "X-Test: one\r\nx-test: two\r\n", "{\"input\":  \"a\"}", &reply);
    sim_reply_fini(&reply);
    ck_assert_int_eq(sim_get(model.port, "/sim/state", &state), 200);
    last = json_object_get(state, "last");
    ck_assert_str_eq(json_string_value(json_object_get(last, "request")), "POST /v1/embeddings?x=1");
    ck_assert_str_eq(json_string_value(json_object_get(json_object_get(last, "headers"), "x-test")), "one, two");
    ck_assert_str_eq(json_string_value(json_object_get(last, "body")), "{\"input\":  \"a\"}");
    ck_assert_int_eq((int)json_integer_value(json_object_get(last, "body_bytes")), 15);
    route = json_object_get(json_object_get(state, "by_route"), "/v1/embeddings");
    ck_assert_int_eq((int)json_integer_value(json_object_get(route, "served")), 1);
    json_decref(state);
    ck_assert_int_eq(sim_proc_stop(&model), 0);
}
END_TEST

START_TEST(all_runs_a_command_in_its_environment_and_takes_its_status)
{
    static const char *const args[] = {
        "all", "--quiet", "--worker-port", "0", "--worker-id", "42", "--load-after-ms", "0", "--", "sh", "-c",
        "test \"$CONTAINER_ID\" = 42 && test \"$USE_SSL\" = false && test \"$PUBLIC_IPADDR\" = 127.0.0.1 && "
        "test -n \"$MASTER_TOKEN\" && test -s \"$MODEL_LOG\" && "
        "eval test \"\\$VAST_TCP_PORT_$WORKER_PORT\" = \"$WORKER_PORT\" && "
        "echo \"seen $REPORT_ADDR $MODEL_SERVER_URL\"; exit 7",
        NULL
    };
    struct vwi_text out = VWI_TEXT_INIT;

    ck_assert_int_eq(sim_proc_run(args, NULL, &out), 7);
    ck_assert_ptr_nonnull(strstr(out.p, "seen http://127.0.0.1:"));
    vwi_text_fini(&out);
}
END_TEST

START_TEST(all_stops_its_command_and_takes_its_status)
{
    /* `wait` lets the trap run at once; the sleeper goes with its group. */
    static const char *const args[] = {
        "all", "--quiet", "--", "sh", "-c", "trap 'exit 5' TERM; echo up; sleep 1000 & wait", NULL
    };
    struct sim_proc all;

    sim_proc_start(&all, args);
    sim_proc_wait_line(&all, "up");
    ck_assert_int_eq(sim_proc_stop(&all), 5);
}
END_TEST

START_TEST(all_prints_what_to_export_and_stops_cleanly)
{
    static const char *const args[] = { "all", "--worker-port", "3111", NULL };
    struct sim_proc all;

    sim_proc_start(&all, args);
    sim_proc_wait_line(&all, "model http://127.0.0.1:");
    sim_proc_wait_line(&all, "log /");
    sim_proc_wait_line(&all, "export CONTAINER_ID='1'");
    sim_proc_wait_line(&all, "export REPORT_ADDR='http://127.0.0.1:");
    sim_proc_wait_line(&all, "export VAST_TCP_PORT_3111='3111'");
    ck_assert_int_eq(sim_proc_stop(&all), 0);
}
END_TEST

START_TEST(all_says_what_command_it_cannot_run)
{
    static const char *const args[] = { "all", "--quiet", "--", "/nonexistent/worker", NULL };
    struct vwi_text out = VWI_TEXT_INIT;

    ck_assert_int_eq(sim_proc_run(args, NULL, &out), 1);
    ck_assert_ptr_nonnull(strstr(out.p, "/nonexistent/worker: No such file"));
    vwi_text_fini(&out);
}
END_TEST

START_TEST(config_hint_is_json)
{
    static const char *const args[] = { "all", "--config-hint", NULL };
    struct vwi_text out = VWI_TEXT_INIT;
    json_t *hint;

    ck_assert_int_eq(sim_proc_run(args, NULL, &out), 0);
    hint = json_loads(out.p, 0, NULL);
    ck_assert_uint_eq(json_array_size(json_object_get(hint, "handlers")), 4);
    json_decref(hint);
    vwi_text_fini(&out);
}
END_TEST

Suite *sim_model_suite(void);

Suite *sim_model_suite(void)
{
    Suite *s = suite_create("sim_model");
    TCase *model = tcase_create("model"), *all = tcase_create("all");

    tcase_add_test(model, model_answers_503_until_loaded);
    tcase_add_test(model, model_log_says_when_it_is_loaded);
    tcase_add_test(model, embeddings_depend_on_the_text_alone);
    tcase_add_loop_test(model, model_refuses_what_it_does_not_understand, 0, (int)VWI_ARRAY_LEN(bad_asks));
    tcase_add_test(model, completions_have_as_many_tokens_as_asked);
    tcase_add_loop_test(model, streams_send_one_event_for_each_token, 0, 2);
    tcase_add_test(model, client_that_leaves_stops_the_generation);
    tcase_add_test(model, requests_beyond_the_concurrency_wait_their_turn);
    tcase_add_test(model, rerank_sorts_by_score);
    tcase_add_test(model, faults_come_when_asked_for_and_are_counted);
    tcase_add_test(model, stalled_request_ends_when_its_client_leaves);
    tcase_add_test(model, fail_rate_spreads_evenly);
    tcase_add_test(model, state_shows_the_last_request);
    tcase_add_test(all, all_runs_a_command_in_its_environment_and_takes_its_status);
    tcase_add_test(all, all_stops_its_command_and_takes_its_status);
    tcase_add_test(all, all_prints_what_to_export_and_stops_cleanly);
    tcase_add_test(all, all_says_what_command_it_cannot_run);
    tcase_add_test(all, config_hint_is_json);
    suite_add_tcase(s, model);
    suite_add_tcase(s, all);
    return s;
}
