/* The access log: what a line says about each kind of end, that it says nothing else, and its two formats. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "actors.h"

#define OPEN "'methods': ['*'], 'auth': 'none', 'allowParallelRequests': true, 'workloadCalculator': {'field': '/units', 'default': 1}"
#define CONFIG "{'maxPerf': 10, 'drainTimeout': 0.1, 'handlers': [{'route': '/m/*', 'targetPath': '/*', " OPEN "}, " \
               "{'route': '/one', 'targetPath': '/hold', 'methods': ['POST'], 'auth': 'none', 'workloadCalculator': 0.1, 'maxQueueTime': 0.1}, " \
               "{'route': '/full', 'targetPath': '/hold', 'lane': 'f', 'methods': ['POST'], 'auth': 'none', 'workloadCalculator': 0.1, 'maxQueueLength': 0, 'maxQueueTime': null}, " \
               "{'route': '/signed', 'methods': ['POST']}]}"

static struct model *m;
static struct control *c;
static struct worker *w;

static void setup(void)
{
    m = model_start();
    c = control_start();
    w = worker_start_ready(m, c, CONFIG);
}

static void teardown(void)
{
    control_stop(c);
    model_stop(m);
}

/* One whole line whose part behind the level is this extended regular expression. */
static void wait_line(const char *expression)
{
    double until = patience();
    regex_t regex;
    char *whole = NULL;

    ck_assert_int_gt(asprintf(&whole, "(^|\n)[^ \n]+ info  %s(\n|$)", expression), 0);
    ck_assert_int_eq(regcomp(&regex, whole, REG_EXTENDED | REG_NOSUB), 0);
    while (!worker_log_matches(w, &regex)) {
        ck_assert_msg(now_s() < until, "no line is like this: %s", expression);
        nap();
    }
    regfree(&regex);
    free(whole);
}

#define ID "request id=[0-9a-f]+ method=POST "
#define SECONDS "[0-9]+\\.[0-9]{6}"
#define WAITED " queue_s=" SECONDS
#define TOTAL " total_s=" SECONDS
#define ANSWERED " first_byte_s=" SECONDS TOTAL
#define TRAFFIC " bytes_in=[1-9][0-9]* bytes_out=[1-9][0-9]* peer=127\\.0\\.0\\.1"

static void post(const char *path, const char *body)
{
    struct answer a = client_post(worker_port(w), path, body);

    answer_fini(&a);
}

static const struct {
    const char *path, *body, *line;
} rows[] = {
    { "/m/x?key=hush-hush", "{\"units\": 2.5, \"secret\": \"hush-hush\"}",
      ID "route=/m/\\* status=200 outcome=served workload=2.5" WAITED ANSWERED TRAFFIC },
    { "/m/status/404", "{}", ID "route=/m/\\* status=404 outcome=served workload=1" WAITED ANSWERED TRAFFIC },
    { "/m/status/500", "{}", ID "route=/m/\\* status=500 outcome=errored workload=1" WAITED ANSWERED TRAFFIC },
    { "/m/vanish", "{}", ID "route=/m/\\* status=502 outcome=errored reason=model_reset workload=1" WAITED TOTAL TRAFFIC },
    { "/m/cut", "{}", ID "route=/m/\\* status=200 outcome=errored reason=model_reset workload=1" WAITED ANSWERED TRAFFIC " cut" },
    { "/m/cut-stream", "{}", ID "route=/m/\\* status=200 outcome=errored reason=model_reset workload=1" WAITED ANSWERED TRAFFIC },
    { "/nowhere", "{}", ID "status=404 outcome=refused reason=no_route" TRAFFIC },
    { "/m/x/../y", "{}", ID "status=400 outcome=refused reason=bad_request" TRAFFIC },
    { "/signed", "{}", ID "route=/signed status=422 outcome=refused reason=invalid_envelope" TOTAL TRAFFIC },
    { "/drain", "{}", ID "route=/drain status=401 outcome=built_in" TRAFFIC },
    { "/session/get", "{}", ID "route=/session/get status=[0-9]+ outcome=.*" },
};

START_TEST(a_line_says_what_became_of_a_request)
{
    post(rows[_i].path, rows[_i].body);
    wait_line(rows[_i].line);
    ck_assert(!worker_logged(w, "hush-hush"));
    ck_assert_uint_eq(worker_count_logged(w, " request id="), 1);
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

START_TEST(a_line_says_who_was_turned_away_or_left)
{
    int one = client_connect(worker_port(w)), two, full = client_connect(worker_port(w)), left;

    client_send_post(one, "/one", "{}");
    client_send_post(full, "/full", "{}");
    model_wait_requests(m, 2);
    two = client_connect(worker_port(w));
    client_send_post(two, "/one", "{}");
    wait_line(ID "route=/one status=429 outcome=queue_timeout reason=queue_timeout workload=0.1" WAITED TOTAL TRAFFIC);
    post("/full", "{}");
    wait_line(ID "route=/full status=429 outcome=rejected reason=queue_full" TOTAL TRAFFIC);
    left = client_connect(worker_port(w));
    client_send_post(left, "/m/hold", "{}");
    model_wait_requests(m, 3);
    client_close(left);
    wait_line(ID "route=/m/\\* status=499 outcome=cancelled reason=client_gone workload=1" WAITED TOTAL
              " bytes_in=[1-9][0-9]* bytes_out=0 peer=127\\.0\\.0\\.1");
    ck_assert_int_eq(worker_finish(w), VW_OK);
    client_close(one);
    client_close(two);
    client_close(full);
}
END_TEST

START_TEST(a_client_that_leaves_within_its_answer_or_its_body_has_one_line)
{
    int fd = client_connect(worker_port(w)), half = client_connect(worker_port(w));
    char seen[2000];

    client_send_post(fd, "/m/stream/9", "{}");
    model_permit(m, 1);
    client_read_until(fd, "data: 1", seen, sizeof seen);
    client_close(fd);
    wait_line(ID "route=/m/\\* status=200 outcome=cancelled reason=client_gone workload=1" WAITED ANSWERED TRAFFIC " cut");
    client_send(half, "POST /signed HTTP/1.1\r\nHost: w\r\nExpect: 100-continue\r\nContent-Length: 100000\r\n\r\n");
    client_read_until(half, "100 Continue\r\n\r\n", seen, sizeof seen);
    client_close(half);
    wait_line(ID "route=/signed status=499 outcome=refused reason=client_gone" TOTAL " bytes_in=.*");
    ck_assert_uint_eq(worker_count_logged(w, " request id="), 2);
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

/* No route, and no method where it is not known. */
START_TEST(broken_http_has_a_line_as_well)
{
    int fd = client_connect(worker_port(w));
    struct answer a;

    client_send(fd, "GARBAGE hush-hush\r\n\r\n");
    a = client_read(fd);
    ck_assert_int_eq(a.status, 501);
    answer_fini(&a);
    client_close(fd);
    wait_line("request id=[0-9a-f]+ status=501 outcome=refused reason=not_implemented" TRAFFIC);
    ck_assert(!worker_logged(w, "hush-hush"));
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

/* Chunks that break off into nonsense, of a body that is being collected: its handler is known, its refusal is the front's. */
START_TEST(a_body_that_breaks_a_rule_has_one_line)
{
    int fd = client_connect(worker_port(w));
    struct answer a;

    client_send(fd, "POST /signed HTTP/1.1\r\nHost: w\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"aut\r\nnonsense\r\n");
    a = client_read(fd);
    ck_assert_int_eq(a.status, 400);
    answer_fini(&a);
    client_close(fd);
    wait_line(ID "status=400 outcome=refused reason=bad_request" TRAFFIC);
    ck_assert_uint_eq(worker_count_logged(w, " request id="), 1);
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

START_TEST(looking_in_is_debug_and_a_drain_names_what_it_cuts)
{
    int fd = client_connect(worker_port(w));
    struct answer a = client_call(worker_port(w), "GET", "/health?x=hush-hush", "", NULL);

    answer_fini(&a);
    worker_wait_logged(w, " debug request id=");
    ck_assert(worker_logged(w, "method=GET route=/health status=200 outcome=built_in"));
    ck_assert(!worker_logged(w, "hush-hush"));
    client_send_post(fd, "/m/hold", "{}");
    model_wait_requests(m, 1);
    vw_worker_drain(worker_handle(w));
    wait_line(ID "route=/m/\\* status=503 outcome=errored reason=draining workload=1" WAITED TOTAL TRAFFIC);
    client_close(fd);
    ck_assert_int_eq(worker_join(w), VW_OK);
}
END_TEST

/* ---- as a program ---- */

static struct program *serve(const char *format)
{
    char *path = temp_file("worker.json", "{'workerPort': 0, 'handlers': [{'route': '/m/*', 'targetPath': '/*', " OPEN "}]}"), url[64];
    struct program *p;

    ck_assert_int_eq(worker_finish(w), VW_OK);
    snprintf(url, sizeof url, "MODEL_SERVER_URL=http://127.0.0.1:%u", model_port(m));
    p = program_start((const char *const[]){ RUN, "--config", path, "--log-format", format, NULL }, (const char *const[]){ url, NULL });
    program_wait_said(p, " -> ready");
    free(path);
    return p;
}

static json_t *find_request(const char *lines)
{
    json_t *json, *found = NULL;
    const char *end;

    for (; *lines; lines = end + 1) {
        char *line;

        end = strchr(lines, '\n');
        line = strndup(lines, (size_t)(end - lines));
        json = parse_json(line);
        free(line);
        if (!found && strcmp(json_string_value(json_object_get(json, "message")), "request") == 0)
            found = json_incref(json);
        json_decref(json);
    }
    ck_assert_ptr_nonnull(found);
    return found;
}

START_TEST(in_json_each_field_is_one)
{
    static const char *const numbers[] = { "workload", "queue_s", "first_byte_s", "total_s", "bytes_in", "bytes_out", "status" };
    static const struct {
        const char *name, *value;
    } texts[] = { { "level", "info" }, { "id", "mine-1" }, { "method", "POST" }, { "route", "/m/*" }, { "outcome", "errored" },
                  { "reason", "model_reset" }, { "peer", "127.0.0.1" } };
    struct program *p = serve("json");
    struct answer a = client_call(program_port(p, "listening on port "), "POST", "/m/cut", "X-Request-Id: mine-1\r\n", "{\"units\": 3}");
    json_t *line;
    size_t i;

    answer_fini(&a);
    program_signal(p, SIGTERM);
    ck_assert_int_eq(program_wait(p), 0);
    line = find_request(program_err(p));
    for (i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        ck_assert_msg(json_is_number(json_object_get(line, numbers[i])), "%s", numbers[i]);
    for (i = 0; i < sizeof texts / sizeof texts[0]; i++)
        ck_assert_str_eq(json_string_value(json_object_get(line, texts[i].name)), texts[i].value);
    ck_assert_double_eq(json_number_value(json_object_get(line, "workload")), 3);
    ck_assert(json_is_true(json_object_get(line, "cut")));
    json_decref(line);
    program_free(p);
}
END_TEST

START_TEST(every_request_of_many_has_its_line)
{
    enum { MANY = 500 };
    struct program *p = serve("text");
    int fd = client_connect(program_port(p, "listening on port ")), i;
    const char *at;
    unsigned lines = 0;

    for (i = 0; i < MANY; i++) {
        struct answer a;

        client_send_post(fd, "/m/x", "{}");
        a = client_read(fd);
        ck_assert_int_eq(a.status, 200);
        answer_fini(&a);
    }
    client_close(fd);
    program_signal(p, SIGTERM);
    ck_assert_int_eq(program_wait(p), 0);
    for (at = program_err(p); (at = strstr(at, " outcome=served ")); at++)
        lines++;
    ck_assert_uint_eq(lines, MANY);
    ck_assert_str_eq(program_out(p), "");
    program_free(p);
}
END_TEST

/* A terminal that was stopped, a pipe whose reader hangs: requests do not pay for it. */
START_TEST(a_log_that_nobody_reads_stops_no_request)
{
    uint16_t port = free_port();
    char *path = NULL, *out;
    int status;

    ck_assert_int_eq(worker_finish(w), VW_OK);
    ck_assert_int_gt(asprintf(&path, "{'workerPort': %u, 'modelServerPort': %u, 'handlers': [{'route': '/m/*', 'targetPath': '/*', " OPEN "}]}",
                              port, model_port(m)), 0);
    out = temp_file("worker.json", path);
    free(path);
    path = out;
    out = shell(&status,
                "set -e; dir=$(mktemp -d); mkfifo $dir/log; sleep 1000 <$dir/log & reader=$!; " RUN " --config %s 2>$dir/log & worker=$!\n"
                "until curl -sf http://127.0.0.1:%u/health >/dev/null; do sleep 0.05; done\n"
                "seq 500 | sed 's|.*|url = http://127.0.0.1:%u/m/x|; a output = /dev/null' >$dir/urls\n"
                "ask() { curl -sS --fail -H \"X-Request-Id: $(seq -s- 40)\" -K $dir/urls; }\n"
                "until curl -s http://127.0.0.1:%u/metrics | grep '^vastworker_log_lines_dropped_total [1-9]'; do ask; done\n"
                "ask\n" /* and with no room at all */
                "kill $worker; wait $worker; kill $reader; rm -r $dir", path, port, port, port);
    ck_assert_int_eq(status, 0);
    ck_assert_msg(strncmp(out, "vastworker_log_lines_dropped_total ", 35) == 0 && strtol(out + 35, NULL, 10) > 0, "%s", out);
    free(out);
    free(path);
}
END_TEST

Suite *access_suite(void);

Suite *access_suite(void)
{
    Suite *s = suite_create("access");
    TCase *tc = tcase_create("access");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, a_line_says_what_became_of_a_request, 0, sizeof rows / sizeof rows[0]);
    tcase_add_test(tc, a_line_says_who_was_turned_away_or_left);
    tcase_add_test(tc, a_client_that_leaves_within_its_answer_or_its_body_has_one_line);
    tcase_add_test(tc, broken_http_has_a_line_as_well);
    tcase_add_test(tc, a_body_that_breaks_a_rule_has_one_line);
    tcase_add_test(tc, looking_in_is_debug_and_a_drain_names_what_it_cuts);
    tcase_add_test(tc, in_json_each_field_is_one);
    tcase_add_test(tc, every_request_of_many_has_its_line);
    tcase_add_test(tc, a_log_that_nobody_reads_stops_no_request);
    suite_add_tcase(s, tc);
    return s;
}
