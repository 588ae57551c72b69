/* The control plane as a whole: its options, key, record file and console. Its routes are in sim_control_routes.c. */
#include "sim_control.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/vwi.h"
#include "sim_control_parts.h"
#include "sim_file.h"

const struct sim_option sim_control_options[] = {
    { "port", SIM_WHOLE, offsetof(struct sim_control_options, port), "N", 0, 65535,
      "listen on 127.0.0.1:N; 0, the default, takes a free one" },
    { "api-key", SIM_TEXT, offsetof(struct sim_control_options, api_key), "KEY", 0, 0,
      "the endpoint's key that /route/ and /get_endpoint_workers/ ask for\n(default: any or none will do)" },
    { "token", SIM_TEXT, offsetof(struct sim_control_options, token), "TOKEN", 0, 0,
      "the mtoken that workers must send, else 401\n(default: any; with `all` sim-master-token)" },
    { "key", SIM_TEXT, offsetof(struct sim_control_options, key_file), "FILE", 0, 0,
      "sign with this private RSA key, PEM (default: a new RSA-2048 key)" },
    { "save-key", SIM_TEXT, offsetof(struct sim_control_options, save_key_file), "FILE", 0, 0,
      "write the private key to FILE, for `vastworker-sim sign --key FILE`" },
    { "record", SIM_TEXT, offsetof(struct sim_control_options, record_file), "FILE", 0, 0,
      "append each received body to FILE as one line\n{\"t\", \"path\", \"status\", \"body\"}; tokens and keys are left out" },
    { "min-ready", SIM_WHOLE, offsetof(struct sim_control_options, min_ready), "N", 1, 1000,
      "/route/ answers WAITING until N workers are ready (default 1)" },
    { "stale-after", SIM_REAL, offsetof(struct sim_control_options, stale_s), "SECONDS", 0.1, 86400,
      "a worker whose last report is older gets no routes (default 30)" },
    { "behave", SIM_TEXTS, offsetof(struct sim_control_options, behave), "JSON", 0, 0,
      "a rule of misbehaviour as POST /sim/behave takes it; repeatable" },
};
const size_t sim_control_option_count = VWI_ARRAY_LEN(sim_control_options);

static void write_error(struct vwi_text *body, int status, const char *message)
{
    (void)status;
    vwi_text_adds(body, "{\"error\":");
    vwi_text_add_json(body, message, strlen(message));
    vwi_text_adds(body, "}");
}

static void withhold(json_t *body, const char *key)
{
    if (json_object_get(body, key))
        json_object_set_new(body, key, json_string("(withheld)"));
}

/* One line a body, in the file before the answer goes out. What is no JSON is kept as a string, if it is text at all. */
static void record(struct sim_control *control, const struct sim_call *call, int status)
{
    struct vwi_span raw = vwi_exchange_body(call->ex);
    vw_error_t why = { 0 };
    json_t *body, *line;
    char *text;

    body = json_loadb(raw.len ? raw.p : "", raw.len, JSON_ALLOW_NUL, NULL);
    withhold(body, "mtoken");
    withhold(body, "api_key");
    if (!body)
        body = json_stringn(raw.len ? raw.p : "", raw.len < 65536 ? raw.len : 65536);
    line = json_pack("{s:f,s:s,s:i,s:o?}", "t", call->arrived, "path", call->route->path, "status", status, "body", body);
    text = line ? json_dumps(line, JSON_COMPACT) : NULL;
    if (text) {
        size_t len = strlen(text);

        text[len] = '\n'; /* over the NUL: the length is carried along */
        if (sim_file_write_fd(control->record_fd, control->options->record_file, text, len + 1, &why) != VW_OK)
            fprintf(stderr, "vastworker-sim control: --record: %s\n", why.text);
    }
    free(text);
    json_decref(line);
}

static void on_answer(void *arg, struct sim_call *call, int status)
{
    struct sim_control *control = arg;

    if (control->record_fd >= 0 && call->route && call->route->plain && strcmp(call->route->method, "POST") == 0)
        record(control, call, status);
}

static void on_fault(void *arg, struct sim_call *call)
{
    const struct sim_control *control = arg;
    const struct sim_fault *fault = &call->fault;

    sim_say(control->common, "%s misbehaves: status %d, delay %lld ms%s%s", call->route->path, fault->status, fault->delay_ms,
            fault->reset ? ", cut" : "", fault->stall ? ", never answered" : "");
}

static void on_event(void *arg, const struct sim_worker *worker, const struct sim_event *event)
{
    const struct sim_control *control = arg;

    sim_say(control->common, "worker %lld %s: %s", worker->id, event->what, event->detail);
}

static vw_err prepare_key(struct sim_control *control, vw_error_t *why)
{
    const struct sim_control_options *options = control->options;
    vw_err err = options->key_file ? sim_key_load(options->key_file, &control->key, why) : sim_key_make(&control->key, why);

    if (err == VW_OK && options->save_key_file)
        err = sim_key_save(control->key, options->save_key_file, why);
    if (err == VW_OK)
        err = sim_ca_create(&control->ca, why);
    return err == VW_OK ? sim_key_public_pem(control->key, &control->public_pem, why) : err;
}

static vw_err prepare_rules(struct sim_control *control, vw_error_t *why)
{
    size_t i;

    for (i = 0; i < control->options->behave.count; i++)
        if (sim_faults_take_text(&control->faults, control->options->behave.items[i], NULL, why) != VW_OK)
            return why->code;
    return VW_OK;
}

vw_err sim_control_create(struct sim_stage *stage, const struct sim_control_options *options, struct sim_control **ret,
                          vw_error_t *why)
{
    struct sim_control *control = vwi_zalloc(sizeof *control);
    struct sim_server_conf conf = { .port = (uint16_t)options->port,
                                    .routes = sim_control_routes,
                                    .route_count = sim_control_route_count,
                                    .arg = control,
                                    .on_answer = on_answer,
                                    .on_fault = on_fault,
                                    .write_error = write_error };
    vw_err err;

    if (!control)
        return vwi_fail(why, VW_E_NOMEM, "control plane: out of memory");
    control->options = options;
    control->common = stage->common;
    control->record_fd = -1;
    control->started = vwi_wall_s();
    sim_fleet_init(&control->fleet);
    control->fleet.on_event = on_event;
    control->fleet.arg = control;
    conf.faults = &control->faults;
    err = prepare_rules(control, why);
    if (err == VW_OK)
        err = prepare_key(control, why);
    if (err == VW_OK && options->record_file) {
        control->record_fd = open(options->record_file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        if (control->record_fd < 0)
            err = vwi_fail(why, VW_E_IO, "--record: %s: %s", options->record_file, strerror(errno));
    }
    if (err == VW_OK)
        err = sim_server_create(stage->loop, &conf, &stage->log, &control->server, why);
    if (err != VW_OK) {
        sim_control_destroy(control);
        return err;
    }
    snprintf(control->url, sizeof control->url, "http://127.0.0.1:%u", sim_server_port(control->server));
    *ret = control;
    return VW_OK;
}

void sim_control_destroy(struct sim_control *control)
{
    if (!control)
        return;
    sim_server_destroy(control->server);
    sim_fleet_fini(&control->fleet);
    sim_key_free(control->key);
    sim_ca_destroy(control->ca);
    vwi_text_fini(&control->public_pem);
    vwi_text_fini(&control->signed_url);
    vwi_text_fini(&control->signature);
    if (control->record_fd >= 0)
        close(control->record_fd);
    vwi_free(control);
}

const char *sim_control_url(const struct sim_control *control) { return control->url; }

void sim_control_say_table(const struct sim_control *control)
{
    struct sim_view view = sim_control_view(control);
    struct vwi_text text = VWI_TEXT_INIT;

    if (control->common->quiet || vwi_list_empty(&control->fleet.workers))
        return;
    sim_view_table(&view, &text);
    if (!text.failed)
        printf("\n%s", text.p);
    vwi_text_fini(&text);
}

static const char about[] =
    "A Vast.ai control plane for one desk, on the loopback address: it hands out its public key, takes reports and\n"
    "deletions of workers, signs routes to the ready ones, and shows whether what it was told adds up.";
static const char notes[] =
    "The first line on stdout is the address, e.g. `control http://127.0.0.1:41001`: give it to a worker as REPORT_ADDR.\n"
    "\n"
    "As the platform: GET /pubkey/, POST /worker_status/, /delete_requests/, /route/, /get_endpoint_workers/,\n"
    "                 POST /api/v0/sign_cert/ (a worker's tls.certSignUrl).\n"
    "For you:         GET /sim/table (text), /sim/state (JSON), /sim/ca (to trust such certificates), POST /sim/behave, e.g.\n"
    "  curl $URL/sim/behave -d '{\"path\": \"/worker_status/\", \"fail\": 500, \"times\": 3}'\n"
    "  curl $URL/sim/behave -d '{\"forget\": true}'\n"
    "\n"
    "Exit codes: 0 stopped by SIGTERM or SIGINT, 1 runtime failure, 2 usage.";

int sim_control_main(int argc, char **argv)
{
    struct sim_control_options options = SIM_CONTROL_DEFAULTS;
    struct sim_common common = { 0 };
    const struct sim_options groups[] = { { "Options", NULL, sim_control_options, sim_control_option_count, &options },
                                          { "Output", NULL, sim_common_options, sim_common_option_count, &common } };
    const struct sim_usage usage = { "control", "[OPTIONS]", about, notes, groups, VWI_ARRAY_LEN(groups), false };
    struct sim_control *control = NULL;
    struct sim_stage stage = { 0 };
    vw_error_t why = { 0 };
    int code = sim_cli_parse(&usage, argc, argv, NULL);

    if (code != SIM_CLI_GO)
        return code;
    if (sim_stage_init(&stage, &common, &why) == VW_OK && sim_control_create(&stage, &options, &control, &why) == VW_OK &&
        sim_stage_announce(&stage, "control", control->url, &why) == VW_OK &&
        sim_stage_export(&stage, &why, "REPORT_ADDR", "%s", control->url) == VW_OK &&
        (!options.token || sim_stage_export(&stage, &why, "MASTER_TOKEN", "%s", options.token) == VW_OK) &&
        sim_stage_open(&stage, &why) == VW_OK)
        code = sim_stage_run(&stage);
    else
        code = sim_complain("control", &why);
    if (code == SIM_EXIT_OK)
        sim_control_say_table(control);
    sim_control_destroy(control);
    sim_stage_fini(&stage);
    return code;
}
