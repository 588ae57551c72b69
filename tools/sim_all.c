/*
 * Both servers on one loop and, if asked, a command beside them.
 * The odd thing: after a signal the servers go on until the command has ended, as a worker that drains still has to
 * report and to finish requests at its model.
 */
#include "sim_all.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "base/vwi.h"
#include "sim_child.h"
#include "sim_control.h"
#include "sim_model.h"

#define PATIENCE_MS 60000 /* from the signal to SIGKILL for the command */
#define DEFAULT_TOKEN "sim-master-token"

struct all_options {
    long long worker_id, worker_port;
    bool config_hint;
};

struct all {
    struct sim_stage stage;
    struct sim_control *control;
    struct sim_model *model;
    struct sim_child child;
    struct vwi_timer patience;
    bool stopping;
};

static const struct sim_option all_options[] = {
    { "worker-id", SIM_WHOLE, offsetof(struct all_options, worker_id), "N", 1, 1e15, "CONTAINER_ID of the worker (default 1)" },
    { "worker-port", SIM_WHOLE, offsetof(struct all_options, worker_port), "N", 0, 65535,
      "WORKER_PORT of the worker (default 3000); 0 picks a free one" },
    { "config-hint", SIM_FLAG, offsetof(struct all_options, config_hint), NULL, 0, 0,
      "print a worker.json that fits the model, and exit" },
};

static const char config_hint[] =
    "{\n"
    "  \"modelHealthcheckPath\": \"/health\",\n"
    "  \"logActionConfig\": {\n"
    "    \"onLoad\": [\"Application startup complete.\"],\n"
    "    \"onError\": [\"RuntimeError\", \"CUDA out of memory\"]\n"
    "  },\n"
    "  \"handlers\": [\n"
    "    { \"route\": \"/v1/embeddings\", \"allowParallelRequests\": true, \"workloadCalculator\": { \"count\": \"/input\" },\n"
    "      \"benchmark\": { \"dataset\": [ { \"input\": [\"a river\", \"a mill\"] } ], \"runs\": 2, \"concurrency\": 4 } },\n"
    "    { \"route\": \"/v1/completions\", \"allowParallelRequests\": true,\n"
    "      \"workloadCalculator\": { \"field\": \"/max_tokens\", \"default\": 16 } },\n"
    "    { \"route\": \"/v1/chat/completions\", \"allowParallelRequests\": true,\n"
    "      \"workloadCalculator\": { \"field\": \"/max_tokens\", \"default\": 16 } },\n"
    "    { \"route\": \"/rerank\", \"allowParallelRequests\": true, \"workloadCalculator\": { \"count\": \"/documents\" } }\n"
    "  ]\n"
    "}\n";

static const char about[] =
    "Control plane and model server in one process on the loopback address, with the environment that makes a worker\n"
    "meet them. With a command after --, runs it in that environment and exits with its status.";
static const char notes[] =
    "Examples:\n"
    "  vastworker-sim all --config-hint > worker.json\n"
    "  vastworker-sim all -- vastworker-run --config worker.json\n"
    "  vastworker-sim all --env sim.env &   then, in another shell:   . ./sim.env && vastworker-run\n"
    "\n"
    "Stdout begins with the lines `control URL`, `model URL` and `log FILE`; without a command the environment follows.\n"
    "SIGTERM and SIGINT go to the command, and the servers stay until it has ended; a second signal kills it.\n"
    "vastworker-sim control --help and model --help say more about each server.\n"
    "\n"
    "Exit codes: the command's; without one 0 stopped by SIGTERM or SIGINT, 1 runtime failure, 2 usage.";

/* A port that was free a moment ago: the url of the worker has to be known before the worker is. */
static vw_err pick_port(long long *ret, vw_error_t *why)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    vw_err err = VW_OK;

    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &len) != 0)
        err = vwi_fail(why, VW_E_IO, "--worker-port 0: %s", strerror(errno));
    else
        *ret = ntohs(address.sin_port);
    if (fd >= 0)
        close(fd);
    return err;
}

static vw_err export_all(struct all *all, const struct all_options *options, const struct sim_control_options *control,
                         vw_error_t *why)
{
    struct sim_stage *stage = &all->stage;
    char mapped[64];

    snprintf(mapped, sizeof mapped, "VAST_TCP_PORT_%lld", options->worker_port);
    if (sim_stage_export(stage, why, "CONTAINER_ID", "%lld", options->worker_id) != VW_OK ||
        sim_stage_export(stage, why, "MASTER_TOKEN", "%s", control->token) != VW_OK ||
        sim_stage_export(stage, why, "REPORT_ADDR", "%s", sim_control_url(all->control)) != VW_OK ||
        sim_stage_export(stage, why, "WORKER_PORT", "%lld", options->worker_port) != VW_OK ||
        sim_stage_export(stage, why, mapped, "%lld", options->worker_port) != VW_OK ||
        sim_stage_export(stage, why, "PUBLIC_IPADDR", "127.0.0.1") != VW_OK ||
        sim_stage_export(stage, why, "USE_SSL", "false") != VW_OK ||
        sim_stage_export(stage, why, "MODEL_SERVER_URL", "%s", sim_model_url(all->model)) != VW_OK ||
        sim_stage_export(stage, why, "MODEL_LOG", "%s", sim_model_log_path(all->model)) != VW_OK ||
        sim_stage_export(stage, why, "MODEL_LOAD_LOG_MSG", "Application startup complete.") != VW_OK ||
        sim_stage_export(stage, why, "MODEL_HEALTH_ENDPOINT", "/health") != VW_OK)
        return why->code;
    return VW_OK;
}

static void on_child_exit(void *arg, int code)
{
    struct all *all = arg;

    sim_say(all->stage.common, "the command ended with status %d", code);
    sim_stage_stop(&all->stage, code);
}

static void on_patience_over(void *arg)
{
    struct all *all = arg;

    sim_child_signal(&all->child, SIGKILL);
}

static void on_signal(void *arg, unsigned bits)
{
    struct all *all = arg;

    if (!all->child.running) {
        sim_stage_stop(&all->stage, SIM_EXIT_OK);
    } else if (all->stopping) {
        sim_child_signal(&all->child, SIGKILL);
    } else {
        all->stopping = true;
        vwi_timer_start(&all->patience, PATIENCE_MS);
        if (bits & SIM_SIGNAL_TERM)
            sim_child_signal(&all->child, SIGTERM);
        else if (all->child.own_group)
            sim_child_signal(&all->child, SIGINT);
    }
}

static vw_err begin(struct all *all, struct all_options *options, struct sim_control_options *control,
                    struct sim_model_options *model, char **command, vw_error_t *why)
{
    struct sim_stage *stage = &all->stage;

    if (!control->token)
        control->token = DEFAULT_TOKEN;
    if (options->worker_port == 0 && pick_port(&options->worker_port, why) != VW_OK)
        return why->code;
    if (vwi_timer_init(&all->patience, stage->loop, on_patience_over, all) != VW_OK)
        return vwi_fail(why, VW_E_NOMEM, "out of memory");
    stage->on_signal = on_signal;
    stage->arg = all;
    if (sim_control_create(stage, control, &all->control, why) != VW_OK ||
        sim_model_create(stage, model, &all->model, why) != VW_OK ||
        sim_stage_announce(stage, "control", sim_control_url(all->control), why) != VW_OK ||
        sim_stage_announce(stage, "model", sim_model_url(all->model), why) != VW_OK ||
        sim_stage_announce(stage, "log", sim_model_log_path(all->model), why) != VW_OK ||
        export_all(all, options, control, why) != VW_OK || (!command && sim_stage_print_exports(stage, why) != VW_OK) ||
        sim_stage_open(stage, why) != VW_OK)
        return why->code;
    if (!command)
        return VW_OK;
    return sim_child_start(&all->child, stage->loop, command, stage->exports, stage->export_count, on_child_exit, all, why);
}

int sim_all_main(int argc, char **argv)
{
    struct all_options options = { .worker_id = 1, .worker_port = 3000 };
    struct sim_control_options control = SIM_CONTROL_DEFAULTS;
    struct sim_model_options model = SIM_MODEL_DEFAULTS;
    struct sim_common common = { 0 };
    const struct sim_options groups[] = {
        { "Options", NULL, all_options, VWI_ARRAY_LEN(all_options), &options },
        { "Control plane", "control", sim_control_options, sim_control_option_count, &control },
        { "Model server", "model", sim_model_options, sim_model_option_count, &model },
        { "Output", NULL, sim_common_options, sim_common_option_count, &common },
    };
    const struct sim_usage usage = { "all", "[OPTIONS] [-- COMMAND ARGS...]", about, notes, groups, VWI_ARRAY_LEN(groups), true };
    struct all all = { 0 };
    vw_error_t why = { 0 };
    char **command = NULL;
    int code = sim_cli_parse(&usage, argc, argv, &command);

    if (code != SIM_CLI_GO)
        return code;
    if (options.config_hint) {
        fputs(config_hint, stdout);
        return SIM_EXIT_OK;
    }
    if (sim_stage_init(&all.stage, &common, &why) == VW_OK && begin(&all, &options, &control, &model, command, &why) == VW_OK) {
        code = sim_stage_run(&all.stage);
        sim_control_say_table(all.control);
    } else {
        code = sim_complain("all", &why);
    }
    sim_child_fini(&all.child);
    vwi_timer_fini(&all.patience);
    sim_model_destroy(all.model);
    sim_control_destroy(all.control);
    sim_stage_fini(&all.stage);
    return code;
}
