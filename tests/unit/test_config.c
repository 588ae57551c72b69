/*
 * The configuration: the cases of tests/data/config, the slices they become, generated pages, failing memory.
 * A case is input.json, `env` (NAME=VALUE lines, \n in a value for a newline), and what is expected: for a refused one all error
 * lines, for an accepted one a part of what --print-config says, plus "warnings" and the benchmark's "payloads".
 */
#include <check.h>
#include <dirent.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/vwi.h"
#include "core/config.h"
#include "core/config_table.h"
#include "core/json.h"

#define CASES "tests/data/config/"

Suite *config_suite(void);

/* ---- a case ---- */

struct env {
    char names[32][64], values[32][256];
    size_t count;
};

struct scenario {
    struct env env;
    char dir[256];
    struct vwi_text text;
    struct vwi_config *config;
    struct vwi_text errors, printed;
    vw_err err;
};

static bool read_file(const char *path, struct vwi_text *ret)
{
    char buffer[4096];
    FILE *f = fopen(path, "rb");
    size_t n;

    if (!f)
        return false;
    vwi_text_add(ret, "", 0);
    while ((n = fread(buffer, 1, sizeof buffer, f)) > 0)
        vwi_text_add(ret, buffer, n);
    fclose(f);
    return true;
}

static const char *look_up(void *arg, const char *name)
{
    const struct env *env = arg;
    size_t i;

    for (i = 0; i < env->count; i++)
        if (strcmp(env->names[i], name) == 0)
            return env->values[i];
    return NULL;
}

static void set(struct env *env, const char *name, const char *value)
{
    char *out = env->values[env->count];

    ck_assert_uint_lt(env->count, VWI_ARRAY_LEN(env->names));
    snprintf(env->names[env->count++], sizeof env->names[0], "%s", name);
    for (; *value; value++) {
        *out++ = value[0] == '\\' && value[1] == 'n' ? '\n' : *value;
        value += value[0] == '\\' && value[1] == 'n';
    }
    *out = '\0';
}

static vw_err read_beside(void *arg, const char *path, char **ret, size_t *ret_len, vw_error_t *why)
{
    const struct scenario *s = arg;
    struct vwi_text text = VWI_TEXT_INIT;
    char full[512];

    snprintf(full, sizeof full, "%s/%s", s->dir, path);
    if (!read_file(full, &text))
        return vwi_fail(why, VW_E_IO, "%s: cannot be read", path);
    *ret = text.p;
    *ret_len = text.len;
    return text.failed ? VW_E_NOMEM : VW_OK;
}

static void load(struct scenario *s, const char *text, size_t len)
{
    static char cli[] = "/cli";
    char *dirs[] = { cli };
    const struct vwi_strings path = { dirs, 1 };
    const struct vwi_config_sources sources = { .name = text ? "worker.json" : NULL,
                                                .text = text,
                                                .len = len,
                                                .lookup = look_up,
                                                .lookup_arg = &s->env,
                                                .read_file = read_beside,
                                                .read_file_arg = s,
                                                .cli_plugin_path = &path,
                                                .prefix_plugin_dir = "/prefix" };

    s->err = vwi_config_load(&sources, &s->config, &s->errors);
    if (s->err == VW_OK)
        ck_assert_int_eq(vwi_config_print(s->config, &s->printed), VW_OK);
}

static void unload(struct scenario *s)
{
    vwi_config_destroy(s->config);
    vwi_text_fini(&s->text);
    vwi_text_fini(&s->errors);
    vwi_text_fini(&s->printed);
    s->config = NULL;
}

static void load_text(struct scenario *s, const char *text)
{
    load(s, text, strlen(text));
    ck_assert_msg(s->err == VW_OK, "%s", s->errors.p);
}

static void read_env(struct scenario *s, const char *path)
{
    struct vwi_text text = VWI_TEXT_INIT;
    char *line, *next, *equals;

    if (!read_file(path, &text))
        return;
    for (line = text.p; line && *line; line = next) {
        next = strchr(line, '\n');
        if (next)
            *next++ = '\0';
        equals = strchr(line, '=');
        ck_assert_ptr_nonnull(equals);
        *equals = '\0';
        set(&s->env, line, equals + 1);
    }
    vwi_text_fini(&text);
}

static void load_case(struct scenario *s, const char *folder, const char *name)
{
    char path[512];

    memset(s, 0, sizeof *s);
    snprintf(s->dir, sizeof s->dir, CASES "%s/%s", folder, name);
    snprintf(path, sizeof path, "%s/env", s->dir);
    read_env(s, path);
    snprintf(path, sizeof path, "%s/input.json", s->dir);
    ck_assert_msg(read_file(path, &s->text), "%s: cannot be read", path);
    load(s, s->text.p, s->text.len);
}

static void each_case(const char *folder, void (*check)(const char *name))
{
    char path[256];
    struct dirent *entry;
    unsigned count = 0;
    DIR *dir;

    snprintf(path, sizeof path, CASES "%s", folder);
    dir = opendir(path);
    ck_assert_ptr_nonnull(dir);
    while ((entry = readdir(dir))) {
        if (entry->d_name[0] == '.')
            continue;
        check(entry->d_name);
        count++;
    }
    closedir(dir);
    ck_assert_uint_gt(count, 30);
}

/* ---- accepted ---- */

/* Everything of part is in whole, entry by entry. */
static bool holds(const json_t *whole, json_t *part)
{
    const char *key;
    json_t *value;
    size_t i;

    if (json_is_object(part) && json_is_object(whole)) {
        json_object_foreach(part, key,
                            value) if (!json_object_get(whole, key) || !holds(json_object_get(whole, key), value)) return false;
        return true;
    }
    if (json_is_array(part) && json_is_array(whole)) {
        json_array_foreach(part, i, value) if (!holds(json_array_get(whole, i), value)) return false;
        return json_array_size(part) == json_array_size(whole);
    }
    return json_equal(whole, part);
}

static const struct vwi_benchmark_conf *find_benchmark(const struct vwi_config *config)
{
    size_t i;

    for (i = 0; i < config->handlers.count; i++)
        if (config->handlers.items[i].benchmark)
            return config->handlers.items[i].benchmark;
    return NULL;
}

static json_t *texts(char *const *items, size_t count)
{
    json_t *list = json_array();
    size_t i;

    for (i = 0; i < count; i++)
        json_array_append_new(list, json_string(items[i]));
    return list;
}

/* What is printed loads again and prints the same. */
static void check_round_trip(const char *name, const struct scenario *first, json_t *printed)
{
    struct scenario again = { .err = VW_OK };
    char *text;

    memcpy(again.dir, first->dir, sizeof again.dir);
    json_object_del(printed, "mode");
    json_object_del(printed, "environment");
    json_object_del(printed, "pluginPath");
    text = json_dumps(printed, 0);
    load(&again, text, strlen(text));
    ck_assert_msg(again.err == VW_OK, "%s: printed, it is refused: %s", name, again.errors.p);
    ck_assert_str_eq(again.printed.p, first->printed.p);
    free(text);
    unload(&again);
}

static void check_accepted(const char *name)
{
    struct scenario s;
    struct vwi_text text = VWI_TEXT_INIT;
    const struct vwi_benchmark_conf *bench;
    char path[512];
    json_t *expected, *printed;

    load_case(&s, "accepted", name);
    ck_assert_msg(s.err == VW_OK, "%s: %s", name, s.errors.p);
    ck_assert_msg(s.errors.len == 0, "%s: %s", name, s.errors.p);
    snprintf(path, sizeof path, "%s/expect.json", s.dir);
    ck_assert(read_file(path, &text));
    expected = json_loads(text.p, 0, NULL);
    printed = json_loads(s.printed.p, 0, NULL);
    ck_assert_msg(expected && printed, "%s: not JSON", name);
    bench = find_benchmark(s.config);
    if (json_object_get(expected, "payloads"))
        json_object_set_new(printed, "payloads", texts(bench->dataset, bench->dataset_count));
    json_object_set_new(printed, "warnings", texts(s.config->warnings.items, s.config->warnings.count));
    ck_assert_msg(holds(printed, expected), "%s: got %s", name, s.printed.p);
    ck_assert_msg(!strstr(s.printed.p, "tok-secret") && !strstr(s.printed.p, "t0p"), "%s: a secret shows", name);
    json_object_del(printed, "payloads");
    json_object_del(printed, "warnings");
    if (s.env.count == 0 && !strstr(s.printed.p, "\"***\""))
        check_round_trip(name, &s, printed);
    json_decref(expected);
    json_decref(printed);
    vwi_text_fini(&text);
    unload(&s);
}

START_TEST(accepted_files_mean_what_they_say)
{
    each_case("accepted", check_accepted);
}
END_TEST

START_TEST(examples_are_accepted_on_the_platform)
{
    static const char *const files[] = { "examples/demo/worker.json", "examples/vllm.json", "examples/llama.cpp.json",
                                         "examples/tei.json", "examples/comfyui.json" };
    size_t i;

    for (i = 0; i < VWI_ARRAY_LEN(files); i++) {
        struct scenario s = { .err = VW_OK };

        set(&s.env, "CONTAINER_ID", "1");
        set(&s.env, "USE_SSL", "false");
        set(&s.env, "PUBLIC_IPADDR", "203.0.113.7");
        set(&s.env, "VAST_TCP_PORT_3000", "40000");
        set(&s.env, "MODEL_LOG", "/tmp/model.log");
        ck_assert(read_file(files[i], &s.text));
        load(&s, s.text.p, s.text.len);
        ck_assert_msg(s.err == VW_OK, "%s: %s", files[i], s.errors.p);
        ck_assert_uint_eq(s.config->warnings.count, 0);
        ck_assert(i == 4 ? s.config->ready.max_perf > 0 : find_benchmark(s.config) != NULL);
        unload(&s);
    }
}
END_TEST

/* ---- refused ---- */

static void check_refused(const char *name)
{
    struct scenario s;
    struct vwi_text text = VWI_TEXT_INIT;
    char path[512];

    load_case(&s, "refused", name);
    snprintf(path, sizeof path, "%s/expect", s.dir);
    ck_assert(read_file(path, &text));
    ck_assert_msg(s.err == VW_E_CONFIG, "%s: %s", name, vw_err_name(s.err));
    ck_assert_msg(s.errors.p && strcmp(s.errors.p, text.p) == 0, "%s:\nexpected\n%sgot\n%s", name, text.p, s.errors.p);
    ck_assert_msg(!strstr(s.errors.p, "-secret") && !strstr(s.errors.p, ":secret"), "%s: a secret shows", name);
    vwi_text_fini(&text);
    unload(&s);
}

START_TEST(refused_files_tell_all_their_errors)
{
    each_case("refused", check_refused);
}
END_TEST

START_TEST(errors_are_bounded)
{
    struct scenario s = { .err = VW_OK };
    struct vwi_text text = VWI_TEXT_INIT;
    const char *at;
    unsigned i, lines = 0;

    for (i = 0; i < 5000; i++)
        vwi_text_addf(&text, "%s\"unknown%u\": 1", i ? ", " : "{", i);
    vwi_text_adds(&text, "}");
    load(&s, text.p, text.len);
    ck_assert_int_eq(s.err, VW_E_CONFIG);
    for (at = s.errors.p; (at = strchr(at, '\n')); at++)
        lines++;
    ck_assert_uint_eq(lines, 101);
    ck_assert_ptr_nonnull(strstr(s.errors.p, "more errors"));
    vwi_text_fini(&text);
    unload(&s);
}
END_TEST

START_TEST(references_cannot_blow_up_the_file)
{
    struct scenario s = { .err = VW_OK };
    struct vwi_text text = VWI_TEXT_INIT;
    char value[201];
    unsigned i;

    memset(value, 'x', 200);
    value[200] = '\0';
    set(&s.env, "A", value);
    vwi_text_adds(&text, "{\"unsecured\": true, \"stateDir\": \"");
    for (i = 0; i < 20000; i++)
        vwi_text_adds(&text, "${A}");
    vwi_text_adds(&text, "\"}");
    load(&s, text.p, text.len);
    ck_assert_int_eq(s.err, VW_E_CONFIG);
    ck_assert_str_eq(s.errors.p, "worker.json: stateDir: references bring more than 1048576 bytes into the file\n");
    vwi_text_fini(&text);
    unload(&s);
}
END_TEST

START_TEST(variables_that_are_not_text_are_refused_without_being_shown)
{
    struct scenario s = { .err = VW_OK };

    set(&s.env, "MASTER_TOKEN", "tok-secret\xff");
    set(&s.env, "UNSECURED", "1");
    load(&s, NULL, 0);
    ck_assert_int_eq(s.err, VW_E_CONFIG);
    ck_assert_str_eq(s.errors.p, "MASTER_TOKEN: is not valid UTF-8\n");
    unload(&s);
}
END_TEST

/* ---- slices ---- */

START_TEST(environment_alone_is_a_configuration)
{
    struct scenario s = { .err = VW_OK };

    set(&s.env, "CONTAINER_ID", " 123456789012 ");
    set(&s.env, "MASTER_TOKEN", "tok-secret");
    set(&s.env, "USE_SSL", "false");
    set(&s.env, "PUBLIC_IPADDR", "203.0.113.7");
    set(&s.env, "VAST_TCP_PORT_3000", "41234");
    set(&s.env, "ROTATE_MODEL_LOG", "True"); /* only the text true */
    load(&s, NULL, 0);
    ck_assert_int_eq(s.err, VW_OK);
    ck_assert(s.config->platform && s.config->report.platform && s.config->report.enabled && s.config->catch_all);
    ck_assert_int_eq(s.config->report.worker_id, 123456789012);
    ck_assert_str_eq(s.config->report.mtoken, "tok-secret");
    ck_assert_str_eq(s.config->report.version, "1.1.0");
    ck_assert_str_eq(s.config->report.addresses.items[0], "https://run.vast.ai");
    ck_assert_str_eq(s.config->auth.advertised_url, "http://203.0.113.7:41234");
    ck_assert_ptr_null(s.config->front.bind_address);
    ck_assert_int_eq(s.config->front.port, 3000);
    ck_assert_uint_eq(s.config->front.max_buffered_bytes, 2147483648);
    ck_assert_int_eq(s.config->auth.json_max_depth, 512);
    ck_assert(s.config->auth.strict_url && !s.config->auth.unsecured && s.config->ready.sticky);
    ck_assert_ptr_null(s.config->ready.state_dir);
    ck_assert(!s.config->ready.rotate_log);
    ck_assert_double_eq(s.config->drain_s, 30);
    ck_assert_uint_eq(s.config->warnings.count, 0);
    unload(&s);
}
END_TEST

START_TEST(no_listener_of_ours_stands_where_the_model_server_is)
{
    struct scenario s = { 0 };

    load_text(&s, "{\"unsecured\": true, \"workerPort\": 3000, \"modelServerPort\": 3001}");
    ck_assert(!s.config->session.listens);
    ck_assert_ptr_nonnull(strstr(s.config->warnings.items[s.config->warnings.count - 1], "sessionPort: its default"));
    unload(&s);
    load_text(&s, "{\"unsecured\": true, \"workerPort\": 3000, \"modelServerUrl\": \"http://model.example:3001\"}");
    ck_assert(s.config->session.listens);
    unload(&s);
    load_text(&s, "{\"unsecured\": true, \"workerPort\": 3000, \"bindAddress\": \"192.0.2.1\", \"modelServerPort\": 3000}");
    unload(&s);
}
END_TEST

START_TEST(no_environment_and_no_callbacks_are_needed)
{
    const char text[] = "{\"handlers\": [{\"route\": \"/a\", \"auth\": \"none\", \"benchmark\": {\"datasetFile\": \"x\"}}]}";
    struct vwi_config_sources sources = { .text = text, .len = sizeof text - 1 };
    struct vwi_text errors = VWI_TEXT_INIT;
    struct vwi_config *config = NULL;

    ck_assert_int_eq(vwi_config_load(&sources, &config, &errors), VW_E_CONFIG);
    ck_assert_str_eq(errors.p, "handlers[0].benchmark.datasetFile: files cannot be read here; give the payloads as dataset\n");
    ck_assert_ptr_null(config);
    vwi_config_destroy(NULL);
    vwi_text_fini(&errors);
}
END_TEST

START_TEST(model_server_is_taken_apart)
{
    static const struct {
        const char *url, *host, *socket, *authority;
        unsigned port;
    } cases[] = {
        { "http://127.0.0.1", "127.0.0.1", NULL, "127.0.0.1:8000", 8000 },    { "http://model:80/", "model", NULL, "model", 80 },
        { "http://[fd00::1]:9001", "fd00::1", NULL, "[fd00::1]:9001", 9001 }, { "http://[::1]", "::1", NULL, "[::1]:8000", 8000 },
        { "unix:/run/model.sock", NULL, "/run/model.sock", "localhost", 0 },
    };
    char text[256];
    size_t i;

    for (i = 0; i < VWI_ARRAY_LEN(cases); i++) {
        struct scenario s = { .err = VW_OK };
        const struct vwi_model_conf *model;

        snprintf(text, sizeof text, "{\"unsecured\": true, \"modelServerUrl\": \"%s\"}", cases[i].url);
        load_text(&s, text);
        model = &s.config->model;
        ck_assert_pstr_eq(model->host, cases[i].host);
        ck_assert_pstr_eq(model->unix_path, cases[i].socket);
        ck_assert_str_eq(model->authority, cases[i].authority);
        ck_assert_uint_eq(model->port, cases[i].port);
        unload(&s);
    }
}
END_TEST

START_TEST(handlers_land_in_their_slices)
{
    struct scenario s = { .err = VW_OK };
    const struct vwi_handler_conf *h;

    load_text(
        &s,
        "{\"unsecured\": true, \"timeouts\": {\"connect\": 2}, \"handlers\": ["
        "{\"route\": \"/a\", \"workloadCalculator\": {\"plugin\": \"p\", \"options\": {\"x\": 1}},"
        " \"requestParser\": \"unwrap\"},"
        "{\"route\": \"/b\", \"workloadCalculator\": {\"field\": \"/n\"}, \"maxQueueTime\": null,"
        " \"timeouts\": {\"total\": 1e12}},"
        "{\"route\": \"/c\", \"control\": true, \"auth\": \"none\"}]}");
    ck_assert_uint_eq(s.config->handlers.count, 3);
    ck_assert(!s.config->catch_all);
    h = s.config->handlers.items;
    ck_assert_int_eq(h->workload.kind, VWI_WORKLOAD_PLUGIN);
    ck_assert_str_eq(h->workload.plugin, "p");
    ck_assert_str_eq(h->workload.options_json, "{\"x\":1}");
    ck_assert_str_eq(h->parser, "unwrap");
    ck_assert_ptr_null(h->parser_options_json);
    ck_assert(h->has_max_queue_time && h->max_queue_time_s == 30 && !h->parallel && h->auth == VWI_AUTH_VAST);
    ck_assert_double_eq(h->timeouts.connect_s, 2);
    h++;
    ck_assert_int_eq(h->workload.kind, VWI_WORKLOAD_FIELD);
    ck_assert_str_eq(h->workload.pointer, "/n");
    ck_assert(isnan(h->workload.value) && !h->has_max_queue_time);
    ck_assert_double_eq(h->timeouts.total_s, 1e9);
    h++;
    ck_assert(h->control && !h->has_max_queue_time && h->auth == VWI_AUTH_NONE);
    ck_assert_uint_lt(h->lane, s.config->handlers.lane_count);
    unload(&s);
}
END_TEST

/* ---- the table ---- */

START_TEST(table_has_every_key_and_each_default_is_a_value)
{
    static const char *const top[] = {
        "modelServerUrl",
        "modelServerPort",
        "workerPort",
        "bindAddress",
        "advertisedUrl",
        "sessionPort",
        "modelLogFile",
        "modelHealthcheckPath",
        "handlers",
        "lanes",
        "logActionConfig",
        "pluginPath",
        "maxPerf",
        "liveCapacity",
        "hangFactor",
        "maxSessions",
        "maxSessionLifetime",
        "unsecured",
        "strictUrl",
        "publicKeyFile",
        "bearerKeysFile",
        "tls",
        "gpu",
        "limits",
        "timeouts",
        "report",
        "supervise",
        "drainTimeout",
        "stateDir",
        "updateFile",
        "adminAddress",
        "errorPolicy",
        "jsonMaxDepth",
    };
    static const char *const handler[] = {
        "route",          "methods",
        "auth",           "workloadCalculator",
        "requestParser",  "allowParallelRequests",
        "maxConcurrency", "lane",
        "maxQueueTime",   "maxQueueLength",
        "targetPath",     "control",
        "timeouts",       "retry",
        "priority",       "cancel",
        "heartbeat",      "upgrade",
        "requireJson",    "drainTimeout",
        "benchmark",      "forwardAuthorization",
    };
    size_t count, i, seen_top = 0, seen_handler = 0;
    const struct vwi_config_key *keys = vwi_config_keys(&count);

    for (i = 0; i < VWI_ARRAY_LEN(top); i++)
        ck_assert_msg(vwi_config_key_find("", top[i], strlen(top[i])) != NULL, "%s", top[i]);
    for (i = 0; i < VWI_ARRAY_LEN(handler); i++)
        ck_assert_msg(vwi_config_key_find("handlers[]", handler[i], strlen(handler[i])) != NULL, "%s", handler[i]);
    for (i = 0; i < count; i++) {
        seen_top += vwi_config_key_name(&keys[i], "") != NULL;
        seen_handler += vwi_config_key_name(&keys[i], "handlers[]") != NULL;
        ck_assert_msg(keys[i].text[0] && keys[i].text[strlen(keys[i].text) - 1] == '.', "%s: a sentence is missing",
                      keys[i].path);
    }
    ck_assert_uint_eq(seen_top, VWI_ARRAY_LEN(top));
    ck_assert_uint_eq(seen_handler, VWI_ARRAY_LEN(handler));
}
END_TEST

START_TEST(nearest_name_ignores_case_and_underscores)
{
    ck_assert_uint_eq(vwi_config_distance("max_queue_time", "maxQueueTime"), 0);
    ck_assert_uint_eq(vwi_config_distance("kitten", "sitting"), 3);
    ck_assert_uint_eq(vwi_config_distance("", "abc"), 3);
    ck_assert_str_eq(vwi_config_key_nearest("", "model_log_fil")->path, "modelLogFile");
    ck_assert_str_eq(vwi_config_key_nearest("limits", "workerPort")->path, "workerPort");
    ck_assert_str_eq(vwi_config_key_nearest("", "tsl")->path, "tls");
}
END_TEST

static void check_current(const char *path, void (*write)(struct vwi_text *out))
{
    struct vwi_text file = VWI_TEXT_INIT, table = VWI_TEXT_INIT;

    ck_assert_msg(read_file(path, &file), "%s: cannot be read; run `make docs`", path);
    write(&table);
    ck_assert(!table.failed);
    ck_assert_msg(strcmp(file.p, table.p) == 0, "%s does not say what the table of keys says; run `make docs`", path);
    vwi_text_fini(&file);
    vwi_text_fini(&table);
}

START_TEST(generated_pages_are_current)
{
    check_current("docs/config.md", vwi_config_docs);
    check_current("docs/config.schema.json", vwi_config_schema);
}
END_TEST

START_TEST(schema_is_strict_and_knows_every_served_key)
{
    struct vwi_text text = VWI_TEXT_INIT;
    json_t *schema, *handlers;

    vwi_config_schema(&text);
    schema = json_loads(text.p, 0, NULL);
    ck_assert_ptr_nonnull(schema);
    ck_assert(json_is_false(json_object_get(schema, "additionalProperties")));
    handlers = json_object_get(json_object_get(json_object_get(schema, "properties"), "handlers"), "items");
    ck_assert(json_is_false(json_object_get(handlers, "additionalProperties")));
    ck_assert_ptr_nonnull(json_object_get(json_object_get(handlers, "properties"), "maxQueueTime"));
    ck_assert_ptr_null(json_object_get(json_object_get(schema, "properties"), "adminAddress"));
    json_decref(schema);
    vwi_text_fini(&text);
}
END_TEST

/* ---- getters ---- */

START_TEST(getters_leave_the_result_alone_on_failure)
{
    const struct vwi_json_bounds bounds = { "an integer", 1, 9 };
    json_t *text = json_string("5"), *large = json_integer(10), *fraction = json_real(1.5);
    vw_error_t why = { VW_OK, "" };
    long long integer = 7;
    double number = 7;
    bool flag = true;

    ck_assert_int_eq(vwi_json_get_integer(text, "here", &bounds, &integer, &why), VW_E_CONFIG);
    ck_assert_str_eq(why.text, "here: expected an integer from 1 to 9, got \"5\"");
    ck_assert_int_eq(vwi_json_get_integer(large, "here", &bounds, &integer, NULL), VW_E_CONFIG);
    ck_assert_int_eq(vwi_json_get_integer(fraction, "here", &bounds, &integer, NULL), VW_E_CONFIG);
    ck_assert_int_eq(vwi_json_get_integer(NULL, "here", &bounds, &integer, NULL), VW_E_CONFIG);
    ck_assert_int_eq(vwi_json_get_number(text, "here", &bounds, &number, NULL), VW_E_CONFIG);
    ck_assert_int_eq(vwi_json_get_bool(large, "here", &flag, NULL), VW_E_CONFIG);
    ck_assert(integer == 7 && number == 7 && flag);
    ck_assert_int_eq(vwi_json_get_number(fraction, "here", &bounds, &number, NULL), VW_OK);
    ck_assert_double_eq(number, 1.5);
    json_decref(text);
    json_decref(large);
    json_decref(fraction);
}
END_TEST

/* ---- failing memory ---- */

static const char rich[] =
    "{\"modelServerUrl\": \"http://model:9000\", \"modelLogFile\": [\"${LOG:-a.log}\", \"b.log\"], \"pluginPath\": [\"/p\"],"
    "\"logActionConfig\": {\"preset\": \"tei\", \"onLoad\": [\"up\", \"/on+/\"]}, \"lanes\": {\"gpu\": {\"maxConcurrency\": 2}, \"spare\": {}},"
    "\"publicKeyFile\": \"k\","
    "\"handlers\": [{\"route\": \"/a\", \"workloadCalculator\": {\"plugin\": \"p\", \"options\": {\"token\": \"x\"}},"
    "  \"benchmark\": {\"dataset\": [{\"a\": 1.5}, \"b\"]}},"
    " {\"route\": \"/b/*\", \"methods\": [\"GET\", \"POST\"], \"allowParallelRequests\": true, \"maxConcurrency\": 2,"
    "  \"maxQueueLength\": 3},"
    " {\"route\": \"/c\", \"lane\": \"gpu\", \"allowParallelRequests\": true, \"requestParser\": {\"plugin\": \"q\"}}]}";

static const char wrong[] =
    "{\"workerPort\": \"x\", \"stateDir\": \"${NO}\", \"tsl\": 1, \"logActionConfig\": {\"onInfo\": [\"/(/\"]},"
    "\"handlers\": [{\"route\": \"/a\", \"lane\": \"no\"}]}";

/*
 * jansson's parser survives a failed allocation, but may call it a syntax error or (in its lexer's buffer) crash. So parsing the
 * file is spared, which comes first; everything else jansson allocates may fail.
 */
static unsigned spared;

static void *alloc_for_jansson(size_t size)
{
    if (!spared)
        return vwi_alloc(size);
    spared--;
    return malloc(size);
}

static unsigned count_parsing(const char *text)
{
    unsigned left;

    json_set_alloc_funcs(alloc_for_jansson, free);
    spared = 100000;
    json_decref(json_loads(text, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL));
    left = spared;
    spared = 0;
    return 100000 - left;
}

static void load_with_failures(const char *text, vw_err expected)
{
    vw_err err = VW_E_NOMEM;
    unsigned nth, parsing = count_parsing(text);

    for (nth = 0; err == VW_E_NOMEM; nth++) {
        struct scenario s = { .err = VW_OK };
        const struct vwi_config_sources sources = {
            .name = "w", .text = text, .len = strlen(text), .lookup = look_up, .lookup_arg = &s.env
        };

        ck_assert_uint_lt(nth, 20000);
        set(&s.env, "REPORT_ADDR", "http://a,http://b");
        set(&s.env, "PUBLIC_IPADDR", "::1");
        set(&s.env, "VAST_TCP_PORT_3000", "1");
        set(&s.env, "WORKSPACE_DIR", "/w");
        set(&s.env, "MODEL_LOAD_LOG_MSG", "x\\ny");
        spared = nth ? parsing : 0; /* the first allocation is the configuration itself */
        vwi_mem_fail_nth(nth);
        err = vwi_config_load(&sources, &s.config, &s.errors);
        vwi_mem_fail_never();
        ck_assert_msg(err == VW_E_NOMEM || err == expected, "allocation %u: %s: %s", nth, vw_err_name(err), s.errors.p);
        ck_assert((err == VW_OK) == (s.config != NULL));
        unload(&s);
    }
    json_set_alloc_funcs(malloc, free);
    ck_assert_uint_gt(nth, 50);
}

START_TEST(load_survives_each_failed_allocation)
{
    load_with_failures(rich, VW_OK);
}
END_TEST

START_TEST(refusing_survives_each_failed_allocation)
{
    load_with_failures(wrong, VW_E_CONFIG);
}
END_TEST

START_TEST(printing_survives_each_failed_allocation)
{
    struct scenario s = { .err = VW_OK };
    struct vwi_text schema = VWI_TEXT_INIT;
    vw_err err = VW_E_NOMEM;
    unsigned nth;

    load_text(&s, rich);
    json_set_alloc_funcs(vwi_alloc, free);
    for (nth = 0; err == VW_E_NOMEM; nth++) {
        ck_assert_uint_lt(nth, 20000);
        vwi_text_fini(&s.printed);
        vwi_mem_fail_nth(nth);
        err = vwi_config_print(s.config, &s.printed);
        vwi_mem_fail_never();
    }
    ck_assert_int_eq(err, VW_OK);
    for (nth = 0, schema.failed = true; schema.failed; nth++) {
        ck_assert_uint_lt(nth, 20000);
        vwi_text_fini(&schema);
        vwi_mem_fail_nth(nth);
        vwi_config_schema(&schema);
        vwi_mem_fail_never();
    }
    json_set_alloc_funcs(malloc, free);
    vwi_text_fini(&schema);
    unload(&s);
}
END_TEST

Suite *config_suite(void)
{
    Suite *suite = suite_create("config");
    TCase *tcase = tcase_create("config");

    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, accepted_files_mean_what_they_say);
    tcase_add_test(tcase, examples_are_accepted_on_the_platform);
    tcase_add_test(tcase, refused_files_tell_all_their_errors);
    tcase_add_test(tcase, errors_are_bounded);
    tcase_add_test(tcase, references_cannot_blow_up_the_file);
    tcase_add_test(tcase, variables_that_are_not_text_are_refused_without_being_shown);
    tcase_add_test(tcase, environment_alone_is_a_configuration);
    tcase_add_test(tcase, no_listener_of_ours_stands_where_the_model_server_is);
    tcase_add_test(tcase, no_environment_and_no_callbacks_are_needed);
    tcase_add_test(tcase, model_server_is_taken_apart);
    tcase_add_test(tcase, handlers_land_in_their_slices);
    tcase_add_test(tcase, table_has_every_key_and_each_default_is_a_value);
    tcase_add_test(tcase, nearest_name_ignores_case_and_underscores);
    tcase_add_test(tcase, generated_pages_are_current);
    tcase_add_test(tcase, schema_is_strict_and_knows_every_served_key);
    tcase_add_test(tcase, getters_leave_the_result_alone_on_failure);
    tcase_add_test(tcase, load_survives_each_failed_allocation);
    tcase_add_test(tcase, refusing_survives_each_failed_allocation);
    tcase_add_test(tcase, printing_survives_each_failed_allocation);
    suite_add_tcase(suite, tcase);
    return suite;
}
