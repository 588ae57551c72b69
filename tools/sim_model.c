/* The model server as a whole: options, log file, loading, counting. Requests are worked on in sim_job.c. */
#include "sim_model.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/vwi.h"
#include "sim_file.h"
#include "sim_model_parts.h"

#define LOADED_LINE "INFO:     Application startup complete."

const struct sim_option sim_model_options[] = {
    { "port", SIM_WHOLE, offsetof(struct sim_model_options, port), "N", 0, 65535,
      "listen on 127.0.0.1:N; 0, the default, takes a free one" },
    { "log", SIM_TEXT, offsetof(struct sim_model_options, log_file), "FILE", 0, 0,
      "the log to write, begun anew (default: a temporary file, removed at the end)" },
    { "model-name", SIM_TEXT, offsetof(struct sim_model_options, name), "NAME", 0, 0,
      "what /v1/models calls it (default sim-model)" },
    { "load-after-ms", SIM_WHOLE, offsetof(struct sim_model_options, load_after_ms), "N", 0, 86400000,
      "loading takes this long (default 500); 503 until then" },
    { "latency-ms", SIM_WHOLE, offsetof(struct sim_model_options, latency_ms), "N", 0, 86400000,
      "before an answer or the first token (default 0)" },
    { "token-ms", SIM_WHOLE, offsetof(struct sim_model_options, token_ms), "N", 0, 60000,
      "for each token generated (default 10)" },
    { "tokens", SIM_WHOLE, offsetof(struct sim_model_options, default_tokens), "N", 1, 1000000,
      "generated when max_tokens is not given (default 16)" },
    { "concurrency", SIM_WHOLE, offsetof(struct sim_model_options, concurrency), "N", 0, 100000,
      "requests worked on at a time, the rest waits; 0, the default, is all" },
    { "fail-rate", SIM_REAL, offsetof(struct sim_model_options, fail_rate), "P", 0, 1,
      "this share of requests fails, evenly spread: 0.25 is each fourth" },
    { "fail-status", SIM_WHOLE, offsetof(struct sim_model_options, fail_status), "S", 400, 599,
      "with this status (default 500)" },
    { "health-fail", SIM_WHOLE, offsetof(struct sim_model_options, health_fail), "S", 400, 599,
      "/health answers S although loaded" },
    { "behave", SIM_TEXTS, offsetof(struct sim_model_options, behave), "JSON", 0, 0,
      "a rule of misbehaviour as POST /sim/behave takes it; repeatable" },
};
const size_t sim_model_option_count = VWI_ARRAY_LEN(sim_model_options);

/* The shape OpenAI's clients read. */
static void write_error(struct vwi_text *body, int status, const char *message)
{
    vwi_text_adds(body, "{\"error\":{\"message\":");
    vwi_text_add_json(body, message, strlen(message));
    vwi_text_addf(body, ",\"type\":\"%s\",\"param\":null,\"code\":%d}}", status < 500 ? "invalid_request_error" : "server_error",
                  status);
}

vw_err sim_model_log_line(struct sim_model *model, const char *line, vw_error_t *why)
{
    struct vwi_text text = VWI_TEXT_INIT;
    vw_err err;

    if (!vwi_text_addf(&text, "%s\n", line))
        return vwi_fail(why, VW_E_NOMEM, "out of memory");
    err = sim_file_write_fd(model->log_fd, model->log_path, text.p, text.len, why);
    vwi_text_fini(&text);
    return err;
}

static void on_loaded(void *arg)
{
    struct sim_model *model = arg;
    vw_error_t why = { 0 };

    model->loaded = true;
    model->loaded_at = vwi_wall_s();
    if (sim_model_log_line(model, LOADED_LINE, &why) != VW_OK)
        fprintf(stderr, "vastworker-sim model: %s\n", why.text);
    sim_say(model->stage->common, "model loaded; its log has said so");
}

static struct sim_model_counts *route_counts(struct sim_model *model, const struct sim_call *call)
{
    return &model->by_route[call->route - sim_model_routes];
}

static void keep_last(struct sim_model *model, const struct sim_call *call)
{
    struct vwi_span method = vwi_exchange_method(call->ex), target = vwi_exchange_target(call->ex),
                    body = vwi_exchange_body(call->ex);
    struct vwi_text *head = &model->last_head;
    size_t i, count = vwi_exchange_header_count(call->ex);

    vwi_text_clear(head);
    vwi_text_add(head, method.p, method.len);
    vwi_text_add(head, " ", 1);
    vwi_text_add(head, target.p, target.len);
    vwi_text_add(head, "\n", 1);
    for (i = 0; i < count; i++) {
        struct vwi_span name, value;

        vwi_exchange_header_at(call->ex, i, &name, &value);
        vwi_text_add(head, name.p, name.len);
        vwi_text_add(head, ": ", 2);
        vwi_text_add(head, value.p, value.len);
        vwi_text_add(head, "\n", 1);
    }
    vwi_text_clear(&model->last_body);
    vwi_text_add(&model->last_body, body.p, body.len < SIM_MODEL_BODY_KEPT ? body.len : SIM_MODEL_BODY_KEPT);
    model->last_body_bytes = body.len;
}

static void on_seen(void *arg, struct sim_call *call)
{
    struct sim_model *model = arg;

    if (!call->route || !call->route->plain)
        return;
    model->counts.requests++;
    route_counts(model, call)->requests++;
    if (++model->in_flight > model->max_in_flight)
        model->max_in_flight = model->in_flight;
    keep_last(model, call);
}

static void count_over(struct sim_model_counts *counts, const struct sim_call *call, bool gone)
{
    bool struck = call->fault.reset && (!call->fault.after_tokens || call->status);

    if (gone)
        counts->cancelled++;
    else if (!call->status || struck)
        counts->cut++;
    else if (call->status >= 400)
        counts->failed++;
    else
        counts->served++;
}

static void on_over(void *arg, struct sim_call *call, bool gone)
{
    struct sim_model *model = arg;

    if (!call->route || !call->route->plain)
        return;
    model->in_flight--;
    count_over(&model->counts, call, gone);
    count_over(route_counts(model, call), call, gone);
}

static void on_fault(void *arg, struct sim_call *call)
{
    const struct sim_model *model = arg;

    sim_say(model->stage->common, "model %s misbehaves: status %d, delay %lld ms%s%s", call->route->path, call->fault.status,
            call->fault.delay_ms, call->fault.reset ? ", cut" : "", call->fault.stall ? ", stalled" : "");
}

/* A new log for each run, as an earlier "startup complete" would be taken for this one's. */
static vw_err open_log(struct sim_model *model, vw_error_t *why)
{
    static const char *const first_lines[] = { "INFO:     Started server process", "INFO:     Waiting for application startup.",
                                               "Loading model weights" };
    const char *dir = getenv("TMPDIR");
    struct vwi_text path = VWI_TEXT_INIT;
    size_t i;

    if (model->options->log_file)
        vwi_text_adds(&path, model->options->log_file);
    else
        vwi_text_addf(&path, "%s/vastworker-sim-XXXXXX.log", dir && *dir ? dir : "/tmp");
    if (path.failed)
        return vwi_fail(why, VW_E_NOMEM, "log: out of memory");
    model->log_path = path.p;
    model->temporary_log = !model->options->log_file;
    model->log_fd = model->temporary_log ? mkostemps(path.p, 4, O_APPEND | O_CLOEXEC)
                                         : open(path.p, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644);
    if (model->log_fd < 0)
        return vwi_fail(why, VW_E_IO, "--log: %s: %s", path.p, strerror(errno));
    for (i = 0; i < VWI_ARRAY_LEN(first_lines); i++)
        if (sim_model_log_line(model, first_lines[i], why) != VW_OK)
            return why->code;
    return VW_OK;
}

static vw_err prepare_rules(struct sim_model *model, vw_error_t *why)
{
    size_t i;

    for (i = 0; i < model->options->behave.count; i++)
        if (sim_faults_take_text(&model->faults, model->options->behave.items[i], NULL, why) != VW_OK)
            return why->code;
    return VW_OK;
}

vw_err sim_model_create(struct sim_stage *stage, const struct sim_model_options *options, struct sim_model **ret, vw_error_t *why)
{
    struct sim_model *model = vwi_zalloc(sizeof *model);
    struct sim_server_conf conf = { .port = (uint16_t)options->port,
                                    .routes = sim_model_routes,
                                    .route_count = sim_model_route_count,
                                    .arg = model,
                                    .on_seen = on_seen,
                                    .on_fault = on_fault,
                                    .on_over = on_over,
                                    .write_error = write_error };
    vw_err err;

    if (!model)
        return vwi_fail(why, VW_E_NOMEM, "model server: out of memory");
    model->stage = stage;
    model->options = options;
    model->log_fd = -1;
    model->started = vwi_wall_s();
    model->health_status = (int)options->health_fail;
    vwi_list_init(&model->waiting);
    conf.faults = &model->faults;
    err = prepare_rules(model, why);
    if (err == VW_OK)
        err = open_log(model, why);
    if (err == VW_OK && vwi_timer_init(&model->load_timer, stage->loop, on_loaded, model) != VW_OK)
        err = vwi_fail(why, VW_E_NOMEM, "model server: out of memory");
    if (err == VW_OK)
        err = sim_server_create(stage->loop, &conf, &stage->log, &model->server, why);
    if (err != VW_OK) {
        sim_model_destroy(model);
        return err;
    }
    vwi_timer_start(&model->load_timer, options->load_after_ms);
    snprintf(model->url, sizeof model->url, "http://127.0.0.1:%u", sim_server_port(model->server));
    *ret = model;
    return VW_OK;
}

void sim_model_destroy(struct sim_model *model)
{
    if (!model)
        return;
    model->closing = true;
    sim_server_destroy(model->server);
    vwi_timer_fini(&model->load_timer);
    if (model->log_fd >= 0) {
        close(model->log_fd);
        if (model->temporary_log)
            unlink(model->log_path);
    }
    vwi_free(model->log_path);
    vwi_text_fini(&model->last_head);
    vwi_text_fini(&model->last_body);
    vwi_free(model);
}

const char *sim_model_url(const struct sim_model *model) { return model->url; }
const char *sim_model_log_path(const struct sim_model *model) { return model->log_path; }

static const char about[] =
    "A model server for one desk, on the loopback address: embeddings, completions, chat and rerank in the shapes\n"
    "clients know, with answers that depend on the question alone, and a log file as an engine writes it.";
static const char notes[] =
    "The first line on stdout is the address, e.g. `model http://127.0.0.1:41002`, the second the log file. The log\n"
    "says `Application startup complete.` once loaded; until then completions and /health answer 503.\n"
    "\n"
    "As a model: POST /v1/embeddings, /v1/completions, /v1/chat/completions, /rerank, /v1/rerank;\n"
    "            GET /health, /v1/models\n"
    "For you:    GET /sim/state (JSON), POST /sim/behave, e.g.\n"
    "  curl $URL/sim/behave -d '{\"fail\": 503, \"times\": 2}'\n"
    "  curl $URL/sim/behave -d '{\"reset\": true, \"after_tokens\": 5, \"times\": 1}'\n"
    "  curl $URL/sim/behave -d '{\"health\": 503, \"log\": \"RuntimeError: CUDA out of memory\"}'\n"
    "\n"
    "Exit codes: 0 stopped by SIGTERM or SIGINT, 1 runtime failure, 2 usage.";

int sim_model_main(int argc, char **argv)
{
    struct sim_model_options options = SIM_MODEL_DEFAULTS;
    struct sim_common common = { 0 };
    const struct sim_options groups[] = { { "Options", NULL, sim_model_options, sim_model_option_count, &options },
                                          { "Output", NULL, sim_common_options, sim_common_option_count, &common } };
    const struct sim_usage usage = { "model", "[OPTIONS]", about, notes, groups, VWI_ARRAY_LEN(groups), false };
    struct sim_model *model = NULL;
    struct sim_stage stage = { 0 };
    vw_error_t why = { 0 };
    int code = sim_cli_parse(&usage, argc, argv, NULL);

    if (code != SIM_CLI_GO)
        return code;
    if (sim_stage_init(&stage, &common, &why) == VW_OK && sim_model_create(&stage, &options, &model, &why) == VW_OK &&
        sim_stage_announce(&stage, "model", model->url, &why) == VW_OK &&
        sim_stage_announce(&stage, "log", model->log_path, &why) == VW_OK &&
        sim_stage_export(&stage, &why, "MODEL_SERVER_URL", "%s", model->url) == VW_OK &&
        sim_stage_export(&stage, &why, "MODEL_LOG", "%s", model->log_path) == VW_OK &&
        sim_stage_export(&stage, &why, "MODEL_HEALTH_ENDPOINT", "/health") == VW_OK && sim_stage_open(&stage, &why) == VW_OK)
        code = sim_stage_run(&stage);
    else
        code = sim_complain("model", &why);
    sim_model_destroy(model);
    sim_stage_fini(&stage);
    return code;
}
