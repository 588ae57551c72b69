/* vastworker-run as its users meet it: options, exit codes, sentences, signals. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "actors.h"

#define OPEN "{'workerPort': %u, %s'handlers': [{'route': '/m/*', 'targetPath': '/*', 'methods': ['*'], 'auth': 'none', " \
             "'allowParallelRequests': true}]}"

/* Runs to its end. arguments behind the program's name, NULL-terminated. */
static struct program *run(const char *const *arguments, const char *const *environment, int status)
{
    const char *all[16] = { RUN };
    struct program *p;
    size_t n;
    int got;

    for (n = 0; arguments[n]; n++)
        all[n + 1] = arguments[n];
    p = program_start(all, environment);
    got = program_wait(p);
    ck_assert_msg(got == status, "expected exit status %d, got %d:\n%s%s", status, got, program_out(p), program_err(p));
    return p;
}

#define ARGS(...) ((const char *const[]){ __VA_ARGS__, NULL })

static unsigned count_lines(const char *text)
{
    unsigned n = 0;

    while ((text = strchr(text, '\n')))
        text++, n++;
    return n;
}

static bool has(const char *text, const char *part) { return strstr(text, part) != NULL; }

static char *open_config(unsigned port, const char *more)
{
    char *text = NULL, *path;

    ck_assert_int_gt(asprintf(&text, OPEN, port, more), 0);
    path = temp_file("worker.json", text);
    free(text);
    return path;
}

static char *plugin_config(const char *plugin)
{
    char *text = NULL, *path;

    ck_assert_int_gt(asprintf(&text, "{'workerPort': 0, 'handlers': [{'route': '/a', 'auth': 'none', "
                                     "'workloadCalculator': '%s'}]}", plugin), 0);
    path = temp_file("worker.json", text);
    free(text);
    return path;
}

/* ---- options ---- */

START_TEST(version_and_help_are_printed)
{
    struct program *p = run(ARGS("--version"), NULL, 0);

    ck_assert_str_eq(program_out(p), "vastworker-run " VW_VERSION "\n");
    ck_assert_str_eq(program_err(p), "");
    program_free(p);
    p = run(ARGS("--help"), NULL, 0);
    ck_assert(has(program_out(p), "usage: vastworker-run"));
    ck_assert(has(program_out(p), "--config "));
    ck_assert(has(program_out(p), "--check"));
    ck_assert(!has(program_out(p), "--print-config-docs"));
    program_free(p);
}
END_TEST

static const struct {
    const char *const arguments[4];
    const char *sentence;
} misuses[] = {
    { { "--colour" }, "unknown option --colour" },
    { { "--config" }, "--config needs a value" },
    { { "--check=yes" }, "--check takes no value" },
    { { "--log-level", "loud" }, "--log-level: expected error, warn, info or debug, got \"loud\"" },
    { { "--log-format", "xml" }, "--log-format: expected text or json, got \"xml\"" },
    { { "--" }, "the command that starts the model server has to follow" },
    { { "worker.json" }, "unexpected argument \"worker.json\"" },
    { { "--config", "/nonexistent/worker.json" }, "/nonexistent/worker.json: No such file or directory" },
};

START_TEST(misuse_is_one_sentence_and_exit_2)
{
    struct program *p = run(misuses[_i].arguments, NULL, 2);

    ck_assert_str_eq(program_out(p), "");
    ck_assert_msg(has(program_err(p), misuses[_i].sentence), "%s", program_err(p));
    ck_assert_uint_eq(count_lines(program_err(p)), 1);
    program_free(p);
}
END_TEST

/* ---- configuration ---- */

START_TEST(every_error_of_a_configuration_is_a_line_with_its_path)
{
    char *path = temp_file("worker.json", "{'workerPrt': 1, 'maxPerf': -1, 'handlers': ["
                                          "{'route': '/a', 'maxQueueTime': 'abc', 'auth': 'none'}, "
                                          "{'route': 'x', 'auth': 'none'}]}");
    struct program *p = run(ARGS("--config", path), NULL, 2);
    const char *said = program_err(p);

    ck_assert(has(said, "worker.json: workerPrt: unknown key, the nearest known one is \"workerPort\"\n"));
    ck_assert(has(said, "worker.json: maxPerf: "));
    ck_assert(has(said, "worker.json: handlers[0].maxQueueTime: expected seconds >= 0, got \"abc\"\n"));
    ck_assert(has(said, "worker.json: handlers[1].route: "));
    ck_assert_uint_eq(count_lines(said), 4);
    ck_assert_str_eq(program_out(p), "");
    program_free(p);
    free(path);
}
END_TEST

START_TEST(a_missing_plugin_is_exit_2_with_file_directories_and_remedy)
{
    char *path = plugin_config("nosuch");
    struct program *p = run(ARGS("--config", path, "--plugin-path", "/one:/two"), NULL, 2);
    const char *said = program_err(p);

    ck_assert(has(said, "handler /a: workloadCalculator: plugin \"nosuch\""));
    ck_assert(has(said, "nosuch.so"));
    ck_assert(has(said, "/one, /two"));
    ck_assert(has(said, "pluginPath"));
    ck_assert(strstr(strstr(said, "\"nosuch\"") + 1, "\"nosuch\"") == NULL); /* said once */
    program_free(p);
    free(path);
}
END_TEST

static const struct {
    const char *name, *sentence;
} strangers[] = {
    { "newer_major", "built for plugin interface 2.0" },
    { "older_major", "rebuild the plugin with this version's headers" },
    { "newer_minor", "update vastworker" },
    { "no_symbol", "is not a plugin" },
    { "too_short", "VW_PLUGIN_HEAD" },
};

START_TEST(a_plugin_of_another_interface_is_exit_2_with_the_remedy)
{
    char *path = plugin_config(strangers[_i].name);
    struct program *p = run(ARGS("--config", path, "--plugin-path", VWT_BUILD "/tests/plugins"), NULL, 2);
    ck_assert_msg(has(program_err(p), strangers[_i].sentence), "%s", program_err(p));
    ck_assert(has(program_err(p), strangers[_i].name));
    program_free(p);
    free(path);
}
END_TEST

START_TEST(check_says_what_would_be_done_and_starts_nothing)
{
    struct control *c = control_start();
    char report[64], *path = temp_file("worker.json", "{'workerPort': 0, 'advertisedUrl': '" URL "', 'handlers': ["
                                                      "{'route': '/v1/embeddings', 'workloadCalculator': 'embeddings'}]}");
    struct program *p;

    snprintf(report, sizeof report, "REPORT_ADDR=http://127.0.0.1:%u", control_port(c));
    p = run(ARGS("--check", "--config", path, "--plugin-path", VWT_BUILD "/plugins"),
            ARGS("CONTAINER_ID=777", "MASTER_TOKEN=mtoken-secret", "USE_SSL=false", report), 0);
    ck_assert(has(program_out(p), "mode: platform\n"));
    ck_assert(has(program_out(p), "handler /v1/embeddings: POST; auth vast; workload by plugin embeddings"));
    ck_assert(has(program_out(p), "advertised as " URL "\n"));
    ck_assert(has(program_out(p), "the configuration is good\n"));
    ck_assert(!has(program_out(p), "mtoken-secret"));
    ck_assert_uint_eq(control_reports(c), 0);
    ck_assert_uint_eq(control_keys_sent(c), 0);
    program_free(p);
    free(path);
    control_stop(c);
}
END_TEST

START_TEST(print_config_is_json_with_secrets_masked)
{
    char *path = open_config(0, "");
    struct program *p = run(ARGS("--print-config", "--config", path),
                            ARGS("MASTER_TOKEN=mtoken-secret", "REPORT_ADDR=http://127.0.0.1:9"), 0);
    json_t *json = parse_json(program_out(p));

    ck_assert(json_is_object(json));
    ck_assert(!has(program_out(p), "mtoken-secret"));
    ck_assert(!has(program_err(p), "mtoken-secret"));
    ck_assert(has(program_out(p), "\"***\""));
    json_decref(json);
    program_free(p);
    free(path);
}
END_TEST

#define LLAMA_LOG "main: HTTP server is listening, hostname: x\nmain: model loaded\r\nmain: failed to load model \x1b[31m\n"

/* Neither a key nor a port is needed for it, so what else the configuration lacks does not matter. */
START_TEST(patterns_are_tried_on_a_log)
{
    char *path = temp_file("worker.json", "{'logActionConfig': {'preset': 'llama.cpp', 'onInfo': ['/^main: HTTP/']}, "
                                          "'handlers': [{'route': '/a', 'auth': 'vast'}]}");
    char *log = temp_file("model.log", LLAMA_LOG), *script = NULL;
    struct program *p = run(ARGS("--test-patterns", log, "--config", path), NULL, 0);
    static const char expected[] = "line 1: info by \"/^main: HTTP/\": main: HTTP server is listening, hostname: x\n"
                                   "line 2: load by \"main: model loaded\": main: model loaded\n"
                                   "line 3: error by \"failed to load model\": main: failed to load model  [31m\n"
                                   "3 lines, 0 of them cut: 1 load, 1 error, 1 info; the model is loaded at line 2\n";

    ck_assert_str_eq(program_out(p), expected);
    ck_assert_str_eq(program_err(p), "");
    program_free(p);
    ck_assert_int_gt(asprintf(&script, "exec " RUN " --test-patterns - --config %s < %s", path, log), 0);
    p = program_start(ARGS("/bin/sh", "-c", script), NULL);
    ck_assert_int_eq(program_wait(p), 0);
    ck_assert_str_eq(program_out(p), expected);
    program_free(p);
    free(script);
    free(log);
    free(path);
}
END_TEST

START_TEST(a_log_without_a_load_line_is_exit_1)
{
    char *log = temp_file("model.log", LLAMA_LOG);
    struct program *p = run(ARGS("--test-patterns", log), ARGS("MODEL_LOAD_LOG_MSG=startup complete"), 1);

    ck_assert_str_eq(program_out(p), "3 lines, 0 of them cut: 0 load, 0 error, 0 info; no load pattern is in it, so the worker would go on "
                                     "waiting\n");
    program_free(p);
    p = run(ARGS("--test-patterns", log), NULL, 1);
    ck_assert(has(program_out(p), "there are no load patterns"));
    program_free(p);
    free(log);
}
END_TEST

START_TEST(a_log_that_is_not_there_or_a_pattern_that_is_none_is_exit_2)
{
    char *log = temp_file("model.log", LLAMA_LOG);
    struct program *p = _i ? run(ARGS("--test-patterns", log), ARGS("MODEL_LOAD_LOG_MSG=/(/"), 2)
                           : run(ARGS("--test-patterns", "/nonexistent/model.log"), NULL, 2);

    ck_assert_str_eq(program_out(p), "");
    ck_assert_uint_eq(count_lines(program_err(p)), 1);
    ck_assert(has(program_err(p), _i ? "MODEL_LOAD_LOG_MSG: " : "/nonexistent/model.log: No such file or directory"));
    program_free(p);
    free(log);
}
END_TEST

START_TEST(a_busy_port_is_one_sentence_and_exit_1_or_2_when_checking)
{
    struct model *holder = model_start();
    char port[16], *path = open_config(model_port(holder), "");
    const char *const *arguments = _i ? ARGS("--config", path, "--check") : ARGS("--config", path);
    struct program *p = run(arguments, ARGS("REPORT_ADDR=http://127.0.0.1:9"), _i ? 2 : 1);

    snprintf(port, sizeof port, "%u", model_port(holder));
    ck_assert_uint_eq(count_lines(program_err(p)), 1);
    ck_assert_msg(has(program_err(p), port) && has(program_err(p), "in use"), "%s", program_err(p));
    program_free(p);
    free(path);
    model_stop(holder);
}
END_TEST

/* ---- platform mode ---- */

/* protocol 1.5: nothing but these five */
static void expect_beacon(struct control *c, const char *part)
{
    json_t *bodies = control_wait_bodies(c, "/worker_status/", 1), *body = json_array_get(bodies, 0);

    ck_assert_uint_eq(json_array_size(bodies), 1);
    ck_assert_uint_eq(json_object_size(body), 5);
    ck_assert_int_eq(json_integer_value(json_object_get(body, "id")), 777);
    ck_assert_str_eq(json_string_value(json_object_get(body, "mtoken")), "mtoken-secret");
    ck_assert_str_eq(json_string_value(json_object_get(body, "version")), "1.1.0");
    ck_assert(has(json_string_value(json_object_get(body, "error_msg")), part));
    ck_assert(json_is_string(json_object_get(body, "url")));
    json_decref(bodies);
}

#define ADVERTISED "'advertisedUrl': '" URL "', "

static const struct {
    const char *environment[4], *settings, *said[3], *told;
} failures[] = {
    { { "USE_SSL=false" }, "", { "PUBLIC_IPADDR", "VAST_TCP_PORT_", "set it, or advertisedUrl" }, "PUBLIC_IPADDR" },
    { { "PUBLIC_IPADDR=203.0.113.7" }, ADVERTISED "'tls': {'certFile': '/'}, ", { "tls.certFile", "not a regular file", "Remedy" }, "tls.certFile" },
    { { "USE_SSL=false", "UNSECURED=perhaps" }, ADVERTISED, { "UNSECURED", "perhaps", "" }, "UNSECURED" },
    { { "USE_SSL=false" }, ADVERTISED "'nonsense': 1, ", { "nonsense", "unknown key", "" }, "nonsense" },
};

START_TEST(a_start_that_fails_on_the_platform_is_told_and_exit_2)
{
    struct control *c = control_start();
    const char *environment[8] = { "CONTAINER_ID=777", "MASTER_TOKEN=mtoken-secret" };
    char report[64], *path = open_config(free_port(), failures[_i].settings);
    struct program *p;
    size_t i, n = 2;

    snprintf(report, sizeof report, "REPORT_ADDR=http://127.0.0.1:%u", control_port(c));
    environment[n++] = report;
    for (i = 0; failures[_i].environment[i]; i++)
        environment[n++] = failures[_i].environment[i];
    p = run(ARGS("--config", path), environment, 2);
    for (i = 0; i < 3; i++)
        ck_assert_msg(has(program_err(p), failures[_i].said[i]), "%s", program_err(p));
    ck_assert(!has(program_err(p), "mtoken-secret"));
    expect_beacon(c, failures[_i].told);
    program_free(p);
    free(path);
    control_stop(c);
}
END_TEST

/* Nobody can reach a worker whose certificate cannot be had. It has been reporting by then, so its last word is one among others. */
START_TEST(a_certificate_that_cannot_be_kept_is_told_and_exit_1)
{
    struct control *c = control_start();
    char report[64], *path = open_config(free_port(), ADVERTISED "'tls': {'certFile': '/nowhere/a.crt', 'keyFile': '/nowhere/a.key'}, ");
    json_t *bodies, *last;
    struct program *p;

    snprintf(report, sizeof report, "REPORT_ADDR=http://127.0.0.1:%u", control_port(c));
    p = run(ARGS("--config", path), ARGS("CONTAINER_ID=777", "MASTER_TOKEN=mtoken-secret", report), 1);
    ck_assert_msg(has(program_err(p), "tls.keyFile: /nowhere/a.key"), "%s", program_err(p));
    ck_assert_msg(has(program_err(p), "Remedy: name a file in a directory that the worker may write"), "%s", program_err(p));
    bodies = control_bodies(c, "/worker_status/");
    last = json_array_get(bodies, json_array_size(bodies) - 1);
    ck_assert_uint_eq(json_object_size(last), 5);
    ck_assert(has(json_string_value(json_object_get(last, "error_msg")), "tls.keyFile: /nowhere/a.key"));
    json_decref(bodies);
    program_free(p);
    free(path);
    control_stop(c);
}
END_TEST

START_TEST(a_busy_port_on_the_platform_is_told_to_every_address_and_exit_1)
{
    struct control *c = control_start(), *other = control_start();
    struct model *holder = model_start();
    char report[100], *path = open_config(model_port(holder), ADVERTISED);
    struct program *p;

    snprintf(report, sizeof report, "REPORT_ADDR=http://127.0.0.1:%u,http://127.0.0.1:%u", control_port(c), control_port(other));
    p = run(ARGS("--config", path), ARGS("CONTAINER_ID=777", "MASTER_TOKEN=mtoken-secret", "USE_SSL=false", report), 1);
    expect_beacon(c, "in use");
    expect_beacon(other, "in use");
    control_stop(other);
    program_free(p);
    free(path);
    model_stop(holder);
    control_stop(c);
}
END_TEST

/* ---- serving and signals ---- */

static struct program *serve(struct model *m, const char *more)
{
    char *path = open_config(0, more), url[64];
    struct program *p;

    snprintf(url, sizeof url, "MODEL_SERVER_URL=http://127.0.0.1:%u", model_port(m));
    p = program_start(ARGS(RUN, "--config", path), ARGS(url));
    program_wait_said(p, " -> ready");
    free(path);
    return p;
}

static int begin(struct program *p, struct model *m)
{
    int fd = client_connect(program_port(p, "listening on port "));

    client_send_post(fd, "/m/hold", "{}");
    model_wait_requests(m, 1);
    return fd;
}

START_TEST(the_listening_line_names_the_port)
{
    struct model *m = model_start();
    struct program *p = serve(m, "");
    struct answer a = client_call(program_port(p, "listening on port "), "GET", "/m/x", "", NULL);

    ck_assert_int_eq(a.status, 200);
    answer_fini(&a);
    program_signal(p, SIGTERM);
    ck_assert_int_eq(program_wait(p), 0);
    ck_assert_str_eq(program_out(p), ""); /* all it says while serving is log, on standard error */
    program_free(p);
    model_stop(m);
}
END_TEST

static const int signals[] = { SIGTERM, SIGINT };

START_TEST(a_signal_lets_the_request_in_flight_finish)
{
    struct model *m = model_start();
    struct program *p = serve(m, "");
    int fd = begin(p, m);
    struct answer a;

    program_signal(p, signals[_i]);
    program_wait_said(p, "draining: 1 requests in flight");
    model_permit(m, 1);
    a = client_read(fd);
    ck_assert_int_eq(a.status, 200);
    answer_fini(&a);
    client_close(fd);
    ck_assert_int_eq(program_wait(p), 0);
    ck_assert(has(program_err(p), "stopped"));
    program_free(p);
    model_stop(m);
}
END_TEST

START_TEST(a_second_signal_stops_at_once)
{
    struct model *m = model_start();
    struct program *p = serve(m, "");
    int fd = begin(p, m);
    struct answer a;

    program_signal(p, signals[_i]);
    program_wait_said(p, "draining: 1 requests in flight");
    program_signal(p, signals[_i]);
    model_wait_gone(m, 1);
    a = client_read(fd);
    ck_assert(a.status == 503 || a.cut);
    answer_fini(&a);
    client_close(fd);
    ck_assert_int_eq(program_wait(p), 0);
    program_free(p);
    model_stop(m);
}
END_TEST

START_TEST(the_drain_time_cuts_what_is_left_and_is_still_a_clean_stop)
{
    struct model *m = model_start();
    struct program *p = serve(m, "'drainTimeout': 0.2, ");
    int fd = begin(p, m);
    struct answer a;

    program_signal(p, SIGTERM);
    model_wait_gone(m, 1);
    a = client_read(fd);
    ck_assert(a.status == 503 || a.cut);
    answer_fini(&a);
    client_close(fd);
    ck_assert_int_eq(program_wait(p), 0);
    ck_assert(has(program_err(p), "did not finish within drainTimeout (0.2 s) and are cut"));
    program_free(p);
    model_stop(m);
}
END_TEST

START_TEST(log_lines_are_json_where_that_is_asked_for)
{
    struct model *m = model_start();
    char *path = open_config(0, ""), url[64], *copy, *line, *save = NULL;
    struct program *p;

    snprintf(url, sizeof url, "MODEL_SERVER_URL=http://127.0.0.1:%u", model_port(m));
    p = program_start(ARGS(RUN, "--config", path, "--log-format=json", "--log-level=debug"), ARGS(url));
    program_wait_said(p, " -> ready");
    program_signal(p, SIGTERM);
    ck_assert_int_eq(program_wait(p), 0);
    copy = strdup(program_err(p));
    for (line = strtok_r(copy, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        json_t *json = parse_json(line);

        ck_assert(json_is_string(json_object_get(json, "message")));
        json_decref(json);
    }
    free(copy);
    program_free(p);
    free(path);
    model_stop(m);
}
END_TEST

Suite *run_suite(void);

Suite *run_suite(void)
{
    Suite *s = suite_create("run");
    TCase *tc = tcase_create("run");

    tcase_add_test(tc, version_and_help_are_printed);
    tcase_add_loop_test(tc, misuse_is_one_sentence_and_exit_2, 0, sizeof misuses / sizeof misuses[0]);
    tcase_add_test(tc, every_error_of_a_configuration_is_a_line_with_its_path);
    tcase_add_test(tc, a_missing_plugin_is_exit_2_with_file_directories_and_remedy);
    tcase_add_loop_test(tc, a_plugin_of_another_interface_is_exit_2_with_the_remedy, 0, sizeof strangers / sizeof strangers[0]);
    tcase_add_test(tc, check_says_what_would_be_done_and_starts_nothing);
    tcase_add_test(tc, print_config_is_json_with_secrets_masked);
    tcase_add_test(tc, patterns_are_tried_on_a_log);
    tcase_add_test(tc, a_log_without_a_load_line_is_exit_1);
    tcase_add_loop_test(tc, a_log_that_is_not_there_or_a_pattern_that_is_none_is_exit_2, 0, 2);
    tcase_add_loop_test(tc, a_busy_port_is_one_sentence_and_exit_1_or_2_when_checking, 0, 2);
    tcase_add_loop_test(tc, a_start_that_fails_on_the_platform_is_told_and_exit_2, 0, sizeof failures / sizeof failures[0]);
    tcase_add_test(tc, a_certificate_that_cannot_be_kept_is_told_and_exit_1);
    tcase_add_test(tc, a_busy_port_on_the_platform_is_told_to_every_address_and_exit_1);
    tcase_add_test(tc, the_listening_line_names_the_port);
    tcase_add_loop_test(tc, a_signal_lets_the_request_in_flight_finish, 0, 2);
    tcase_add_loop_test(tc, a_second_signal_stops_at_once, 0, 2);
    tcase_add_test(tc, the_drain_time_cuts_what_is_left_and_is_still_a_clean_stop);
    tcase_add_test(tc, log_lines_are_json_where_that_is_asked_for);
    suite_add_tcase(s, tc);
    return s;
}
