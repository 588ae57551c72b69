/*
 * Owns everything and knows the order: rooms are built bottom-up in build(), torn down in reverse in vw_worker_destroy().
 * The loop thread owns all rooms while it runs; other threads see only the published status and the loop's signal bits.
 */
#include <vastworker/worker.h>

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <vastworker/version.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/options.h"
#include "base/text.h"
#include "base/vwi.h"
#include "core/config.h"
#include "core/literal.h"
#include "core/reason.h"
#include "flow/access.h"
#include "flow/admin.h"
#include "flow/beacon.h"
#include "flow/certificate.h"
#include "flow/cut.h"
#include "flow/describe.h"
#include "flow/drain.h"
#include "flow/embedder.h"
#include "flow/journal.h"
#include "flow/master.h"
#include "flow/request.h"
#include "flow/respond.h"
#include "flow/sentinel.h"
#include "flow/sessions.h"
#include "flow/settings.h"
#include "flow/supervise.h"
#include "flow/trial.h"
#include "flow/vitals.h"
#include "io/courier.h"
#include "io/file.h"
#include "io/front.h"
#include "io/machine.h"
#include "io/plugin.h"

#define MAX_KEY_BYTES (64u * 1024)
#define REMEMBERED_PAIRS 1024
#define MAX_DELETIONS 65536
#define PUBLISH_MS 200
#define OPTIONS_LEAST (offsetof(vw_worker_options_t, driven) + sizeof(int)) /* of the first version */

enum { SIGNAL_DRAIN = 1, SIGNAL_STOP = 2, SIGNAL_NEWS = 4 };

struct vw_worker {
    struct vwi_log log;
    struct vwi_log_buffer log_lines;
    struct vwi_config *config;
    struct vwi_loop *loop;
    struct vwi_front *front;
    struct vwi_front *session_front; /* NULL: none */
    struct vwi_courier *courier;
    struct vwi_tls *tls;                 /* NULL: plain, or not obtained yet */
    struct vwi_certificate *certificate; /* NULL: none is to be obtained */
    struct vwi_desk desk;
    struct vwi_front_conf session_conf;
    char session_address[16];
    struct vwi_drain drain;
    struct vwi_journal_file *journal; /* NULL: none is kept */
    struct vwi_vitals vitals;
    struct vwi_embedder *embedder;
    struct vwi_master master;
    struct vwi_handler *bench_handler; /* NULL: none */
    struct vwi_text cache_key;
    struct vwi_timer publish;
    int64_t start_us;
    bool has_run, tells_failure, driven;
    vw_worker_options_t options; /* while it is created */
    bool lacks_certificate; /* at the start */
    vw_error_t failure;     /* why the loop was stopped; VW_OK: because it was asked to */

    pthread_mutex_t lock; /* guards status */
    vw_status_t status;
};

/* ---- what the rooms ask of the whole ---- */

static void on_front_request(void *arg, struct vwi_exchange *ex)
{
    struct vw_worker *worker = arg;

    vwi_request_arrive(&worker->desk, ex);
}

static void on_session_request(void *arg, struct vwi_exchange *ex)
{
    struct vw_worker *worker = arg;

    vwi_sessions_serve_local(worker->desk.sessions, ex);
}

static void on_front_refuse(void *arg, int status, const char *code, const char *message, struct vwi_text *headers, struct vwi_text *body)
{
    struct vw_worker *worker = arg;
    enum vwi_reason reason = vwi_reason_find(code);

    (void)status;
    vwi_ledger_refuse(worker->desk.ledger, VWI_NO_ROUTE, reason);
    vwi_respond_write(reason, message, 0, headers, body);
}

static void on_front_refused(void *arg, const struct vwi_exchange *ex, const char *reason)
{
    struct vw_worker *worker = arg;

    vwi_access_refused(&worker->log, ex, reason);
}

static void on_report_facts(void *arg, struct vwi_report_facts *ret)
{
    struct vw_worker *worker = arg;
    struct vwi_ready_view ready = vwi_startup_view(worker->desk.startup);

    ret->loadtime_s = ready.loadtime_s;
    ret->max_perf = ready.max_perf;
    ret->error_msg = ready.error_msg;
    ret->url = worker->config->auth.advertised_url ? worker->config->auth.advertised_url : "";
}

static void publish(struct vw_worker *worker)
{
    struct vwi_ready_view ready = vwi_startup_view(worker->desk.startup);
    struct vwi_ledger_stats stats = vwi_ledger_stats(worker->desk.ledger);
    vw_status_t now = VW_STATUS_INIT;
    size_t i;

    now.state = (vw_state_t)ready.state;
    snprintf(now.reason, sizeof now.reason, "%s", ready.reason);
    now.port = vwi_front_port(worker->front);
    now.uptime_s = (double)(vwi_mono_us() - worker->start_us) / 1e6;
    now.max_perf = ready.max_perf;
    now.load = stats.load;
    now.in_flight = (uint32_t)vwi_ledger_in_flight(worker->desk.ledger);
    now.queued = (uint32_t)vwi_queue_waiting(worker->desk.queue);
    for (i = 0; i < stats.row_count; i++) {
        const struct vwi_route_stats *row = &stats.rows[i];

        now.served += row->outcomes[VWI_OUTCOME_SERVED];
        now.errored += row->outcomes[VWI_OUTCOME_ERRORED];
        now.cancelled += row->outcomes[VWI_OUTCOME_CANCELLED];
        now.timed_out += row->outcomes[VWI_OUTCOME_QUEUE_TIMEOUT];
        now.rejected += row->rejected;
    }
    now.received = now.served + now.errored + now.cancelled + now.timed_out + now.in_flight;
    pthread_mutex_lock(&worker->lock);
    worker->status = now;
    pthread_mutex_unlock(&worker->lock);
}

static void on_publish(void *arg)
{
    struct vw_worker *worker = arg;

    publish(worker);
    vwi_timer_start(&worker->publish, PUBLISH_MS);
}

static void on_ready_change(void *arg)
{
    struct vw_worker *worker = arg;

    publish(worker);
    if (worker->desk.report)
        vwi_report_now(worker->desk.report);
}

static vw_err on_key(void *arg, const char *pem, size_t len, vw_error_t *why)
{
    struct vw_worker *worker = arg;
    vw_err err = vwi_verifier_set_key(worker->desk.verifier, pem, len, why);

    if (err == VW_OK)
        vwi_startup_key(worker->desk.startup, true);
    return err;
}

static vw_err serve_tls(struct vw_worker *worker, vw_error_t *why)
{
    const struct vwi_tls_conf *conf = &worker->config->tls;
    vw_err err = vwi_tls_create(worker->loop, conf->cert_file, conf->key_file, &worker->log, &worker->tls, why);

    return err == VW_OK ? vwi_front_use_tls(worker->front, worker->tls, why) : err;
}

/* A worker without a model is of no use. What it owes is said first, also to the control plane. */
static void on_model_lost(void *arg, const char *text)
{
    struct vw_worker *worker = arg;
    struct vwi_ready_view ready = vwi_startup_view(worker->desk.startup);

    vwi_fail(&worker->failure, VW_E_IO, "%s", ready.error_msg[0] ? ready.error_msg : text); /* a lost GPU is the better reason */
    vwi_certificate_stop(worker->certificate);
    vwi_drain_now(&worker->drain);
}

/* Nobody can reach us without one. */
static void on_certificate_failed(void *arg, const char *text)
{
    struct vw_worker *worker = arg;

    vwi_fail(&worker->failure, VW_E_IO, "%s", text);
    vwi_loop_stop(worker->loop);
}

static void on_certificate_there(void *arg)
{
    struct vw_worker *worker = arg;
    vw_error_t why = { VW_OK, "" };

    if (serve_tls(worker, &why) == VW_OK) {
        vwi_tls_watch(worker->tls);
        vwi_startup_certificate(worker->desk.startup);
        return;
    }
    vwi_log_error(&worker->log, "%s", why.text);
    on_certificate_failed(worker, why.text);
}

static void on_idle(void *arg)
{
    struct vw_worker *worker = arg;

    vwi_drain_on_idle(&worker->drain);
}

static void on_turn(void *arg, double cpu_s, double wall_s)
{
    struct vw_worker *worker = arg;

    vwi_admin_turn(worker->desk.admin, cpu_s, wall_s);
    vwi_supervise_flush(worker->desk.supervise);
    vwi_log_flush(&worker->log);
}

static void on_drain(void *arg)
{
    struct vw_worker *worker = arg;

    vwi_certificate_stop(worker->certificate);
    vwi_drain_begin(&worker->drain);
}

static void on_signal_bits(void *arg, unsigned bits)
{
    struct vw_worker *worker = arg;

    if (bits & SIGNAL_NEWS)
        vwi_embedder_tell(worker->embedder, worker->desk.startup);
    if (bits & (SIGNAL_STOP | SIGNAL_DRAIN))
        vwi_certificate_stop(worker->certificate);
    if (bits & SIGNAL_STOP)
        vwi_drain_now(&worker->drain);
    else if (bits & SIGNAL_DRAIN)
        on_drain(worker);
}

/* ---- the benchmark weighs and parses as requests do ---- */

static double bench_weigh(void *arg, struct vwi_span payload) { return vwi_handler_weigh(arg, payload, payload.len); }

static bool bench_parse(void *arg, struct vwi_span payload, struct vwi_text *ret)
{
    struct vwi_span body;
    void *owned = NULL;
    bool ok = vwi_handler_parse(arg, payload, &body, &owned, NULL) == VW_OK && vwi_text_add(ret, body.p, body.len);

    vwi_plugin_free(owned);
    return ok;
}

static bool bench_sample(void *arg, unsigned nth, struct vwi_text *ret)
{
    struct vwi_handler *handler = arg;
    char *payload = NULL;
    bool ok = vwi_plugin_sample(handler->calculator, nth, &payload, NULL) == VW_OK && vwi_text_adds(ret, payload);

    vwi_plugin_free(payload);
    return ok;
}

/* What a remembered score depends on. */
static void write_cache_key(struct vw_worker *worker, struct vwi_settings *settings)
{
    const struct vwi_handler_conf *handler = worker->bench_handler->conf;
    const struct vwi_benchmark_conf *bench = handler->benchmark;
    const struct vwi_model_conf *server = &worker->config->model;
    const char *model = vwi_settings_lookup(settings, "MODEL_NAME");
    size_t i;

    vwi_text_addf(&worker->cache_key, "%s|%s|%s|%s|%u|%u|%d|", server->unix_path ? server->unix_path : server->authority,
                  model ? model : "", handler->route, handler->target_path ? handler->target_path : "", bench->runs, bench->concurrency, bench->warmup);
    vwi_text_addf(&worker->cache_key, "%d|", handler->workload.kind);
    vwi_literal_brief(&worker->cache_key, handler->workload.value);
    vwi_text_addf(&worker->cache_key, "|%s|%s|%s|%s|%s|",
                  handler->workload.pointer ? handler->workload.pointer : "", handler->workload.plugin ? handler->workload.plugin : "",
                  handler->workload.options_json ? handler->workload.options_json : "", handler->parser ? handler->parser : "",
                  handler->parser_options_json ? handler->parser_options_json : "");
    vwi_machine_gpus(VWI_MACHINE_GPUS, &worker->cache_key);
    for (i = 0; i < bench->dataset_count; i++)
        vwi_text_addf(&worker->cache_key, "%s|", bench->dataset[i]);
}

/* ---- building ---- */

static vw_err load_key_file(struct vw_worker *worker, vw_error_t *why)
{
    const char *path = worker->config->auth.public_key_file;
    struct vwi_text pem = VWI_TEXT_INIT;
    vw_error_t cause = { VW_OK, "" };
    vw_err err;

    if (!path)
        return VW_OK;
    err = vwi_file_read(path, MAX_KEY_BYTES, &pem, &cause);
    if (err == VW_OK)
        err = vwi_verifier_set_key(worker->desk.verifier, pem.p ? pem.p : "", pem.len, &cause);
    vwi_text_fini(&pem);
    if (err == VW_OK || err == VW_E_NOMEM)
        return err == VW_OK ? VW_OK : vwi_fail(why, err, "publicKeyFile: out of memory");
    return vwi_fail(why, VW_E_CONFIG, "publicKeyFile: %s: %s", path, cause.text);
}

static bool verifies(const struct vwi_config *config)
{
    size_t i;

    for (i = 0; i < config->handlers.count && !config->auth.unsecured; i++)
        if (config->handlers.items[i].auth == VWI_AUTH_VAST)
            return true;
    return false;
}

static bool takes_bearer(const struct vwi_config *config)
{
    size_t i;

    for (i = 0; i < config->handlers.count; i++)
        if (config->handlers.items[i].auth == VWI_AUTH_BEARER)
            return true;
    return false;
}

static vw_err build_ledger(struct vw_worker *worker, vw_error_t *why)
{
    const struct vwi_handlers_conf *conf = &worker->config->handlers;
    const char **routes = vwi_zalloc((conf->count + 1) * sizeof *routes);
    const char *reasons[VWI_REASON_COUNT];
    struct vwi_ledger_names names = { routes, conf->count + 1, reasons, VWI_REASON_COUNT };
    vw_err err;
    size_t i;

    if (!routes)
        return vwi_fail(why, VW_E_NOMEM, "ledger: out of memory");
    for (i = 0; i < conf->count; i++)
        routes[i] = conf->items[i].route;
    routes[conf->count] = "/session";
    worker->desk.session_route = conf->count;
    for (i = 0; i < VWI_REASON_COUNT; i++)
        reasons[i] = vwi_reason_code((enum vwi_reason)i);
    err = vwi_ledger_create(&names, MAX_DELETIONS, &worker->desk.ledger, why);
    vwi_free(routes);
    return err;
}

/* Rules: no sockets yet. */
static vw_err build_core(struct vw_worker *worker, vw_error_t *why)
{
    const struct vwi_config *config = worker->config;
    struct vwi_desk *desk = &worker->desk;
    vw_err err;

    desk->log = &worker->log;
    desk->auth = &config->auth;
    desk->conf = &config->handlers;
    err = vwi_routes_create(&config->handlers, &desk->routes, why);
    if (err == VW_OK)
        err = vwi_verifier_create(REMEMBERED_PAIRS, &desk->verifier, why);
    if (err == VW_OK)
        err = load_key_file(worker, why);
    if (err == VW_OK && takes_bearer(config))
        err = vwi_keyring_create(worker->loop, &config->auth, &worker->log, &desk->keyring, why);
    if (err == VW_OK)
        err = vwi_queue_create(config->handlers.lanes, config->handlers.lane_count, &desk->queue, why);
    if (err == VW_OK)
        err = build_ledger(worker, why);
    if (err == VW_OK)
        err = vwi_handlers_create(&config->handlers, &config->plugin_path, &worker->log, &desk->handlers, why);
    return err;
}

static vw_err build_startup(struct vw_worker *worker, struct vwi_settings *settings, vw_error_t *why)
{
    static const struct vwi_startup_events events = { on_ready_change };
    const struct vwi_config *config = worker->config;
    struct vwi_startup_setup setup = { .loop = worker->loop, .ready = &config->ready, .model = &config->model, .log = &worker->log };
    size_t i;

    for (i = 0; i < config->handlers.count; i++)
        if (config->handlers.items[i].benchmark)
            worker->bench_handler = &worker->desk.handlers[i];
    if (worker->bench_handler) {
        struct vwi_plugin *calculator = worker->bench_handler->calculator;

        write_cache_key(worker, settings);
        setup.bench_handler = worker->bench_handler->conf;
        setup.bench_slots = config->handlers.lanes[setup.bench_handler->lane].max_concurrency;
        setup.bench_hooks.sample = calculator && vwi_plugin_can_sample(calculator) ? bench_sample : NULL;
        setup.bench_hooks.parse = worker->bench_handler->conf->parser ? bench_parse : NULL;
        setup.bench_hooks.weigh = bench_weigh;
        setup.bench_hooks.arg = worker->bench_handler;
        setup.cache_key = worker->cache_key.failed ? NULL : worker->cache_key.p;
    }
    setup.needs_key = verifies(config);
    setup.needs_certificate = worker->lacks_certificate;
    setup.platform = config->platform;
    setup.driven = worker->driven;
    setup.fed = worker->driven || worker->options.model_command;
    return vwi_startup_create(&setup, &events, worker, &worker->desk.startup, why);
}

static vw_err build_sentinel(struct vw_worker *worker, vw_error_t *why)
{
    struct vwi_desk *desk = &worker->desk;

    if (!worker->config->gpu.enabled)
        return VW_OK;
    return vwi_sentinel_create(worker->loop, &worker->config->gpu, desk->startup, &worker->log, &desk->sentinel, why);
}

/* Only where somebody asked for it. */
static vw_err build_supervision(struct vw_worker *worker, vw_error_t *why)
{
    static const struct vwi_supervise_events events = { on_model_lost };
    struct vwi_supervise_setup setup = { .loop = worker->loop, .conf = &worker->config->supervise, .model = &worker->config->model,
                                         .command = worker->options.model_command, .echo = worker->options.model_echo,
                                         .orphans = worker->options.reap_orphans, .startup = worker->desk.startup, .log = &worker->log };

    if (!setup.command && !setup.orphans)
        return VW_OK;
    return vwi_supervise_create(&setup, &events, worker, &worker->desk.supervise, why);
}

static vw_err build_reports(struct vw_worker *worker, vw_error_t *why)
{
    static const struct vwi_report_events report_events = { on_report_facts };
    static const struct vwi_pubkey_events pubkey_events = { on_key };
    const struct vwi_report_conf *conf = &worker->config->report;
    vw_err err = vwi_courier_create(worker->loop, "vastworker/" VW_VERSION, &worker->courier, why);

    if (err == VW_OK && conf->enabled)
        err = vwi_report_create(worker->loop, worker->courier, conf, worker->desk.ledger, &worker->log, &report_events, worker,
                                &worker->desk.report, why);
    if (err == VW_OK && conf->addresses.count && verifies(worker->config) && !worker->config->auth.public_key_file)
        err = vwi_pubkey_create(worker->loop, worker->courier, &conf->addresses, &worker->log, &pubkey_events, worker, &worker->desk.pubkey,
                                why);
    return err;
}

static vw_err build_tls(struct vw_worker *worker, vw_error_t *why)
{
    static const struct vwi_certificate_events events = { on_certificate_there, on_certificate_failed };
    const struct vwi_config *config = worker->config;
    struct vwi_certificate_setup setup = { .loop = worker->loop, .courier = worker->courier, .conf = &config->tls,
                                           .worker_id = config->report.worker_id, .log = &worker->log };

    if (!config->tls.enabled)
        return VW_OK;
    if (!worker->lacks_certificate)
        return serve_tls(worker, why);
    vwi_front_hold(worker->front);
    return vwi_certificate_create(&setup, &events, worker, &worker->certificate, why);
}

#define SESSION_BODY_BYTES (1024u * 1024)
#define SESSION_CONNECTIONS 64

/* For the model server, on the same machine. A port that nobody asked for is no reason not to start. */
static vw_err build_session_front(struct vw_worker *worker, vw_error_t *why)
{
    static const struct vwi_front_events events = { on_session_request, NULL, on_front_refuse, on_front_refused };
    const struct vwi_session_conf *session = &worker->config->session;
    vw_error_t problem = { VW_OK, "" };
    vw_err err;

    worker->session_conf = worker->config->front;
    snprintf(worker->session_address, sizeof worker->session_address, "127.0.0.1");
    worker->session_conf.bind_address = worker->session_address;
    worker->session_conf.port = session->port;
    worker->session_conf.max_body_bytes = SESSION_BODY_BYTES;
    worker->session_conf.max_connections = SESSION_CONNECTIONS;
    if (!session->listens)
        return VW_OK;
    err = vwi_front_create(worker->loop, &worker->session_conf, &events, worker, &worker->log, &worker->session_front, &problem);
    if (err == VW_OK || err == VW_E_NOMEM || session->port_set)
        return err == VW_OK ? VW_OK : vwi_fail(why, err, "sessionPort: %s", problem.text);
    vwi_log_warn(&worker->log, "sessionPort: %s; the model server cannot end sessions. Remedy: set sessionPort to a free port, or to 0",
                 problem.text);
    return VW_OK;
}

static vw_err build_front(struct vw_worker *worker, vw_error_t *why)
{
    static const struct vwi_front_events events = { on_front_request, on_front_request, on_front_refuse, on_front_refused };
    struct vwi_desk *desk = &worker->desk;
    vw_err err;

    desk->model = &worker->config->model;
    desk->on_idle = on_idle;
    desk->on_idle_arg = worker;
    worker->master = (struct vwi_master){ .desk = desk, .token = worker->config->report.mtoken, .update_file = worker->config->update_file,
                                          .on_drain = on_drain, .arg = worker };
    desk->master = &worker->master;
    err = vwi_upstream_create(worker->loop, &worker->config->model, &worker->log, &desk->upstream, why);
    if (err == VW_OK)
        err = vwi_admin_create(desk, &worker->front, &desk->admin, why);
    if (err == VW_OK)
        err = vwi_desk_init(desk, why);
    if (err == VW_OK)
        err = vwi_sessions_create(desk, &worker->config->session, &worker->config->model, &desk->sessions, why);
    if (err == VW_OK)
        err = vwi_front_create(worker->loop, &worker->config->front, &events, worker, &worker->log, &worker->front, why);
    if (err == VW_OK)
        err = build_session_front(worker, why);
    if (err != VW_OK)
        return err;
    err = build_tls(worker, why);
    if (err != VW_OK)
        return err;
    worker->drain.desk = desk;
    worker->drain.front = worker->front;
    worker->vitals.desk = desk;
    worker->vitals.conf = &worker->config->ready;
    worker->vitals.many = worker->bench_handler ? worker->bench_handler->conf->benchmark->concurrency : 0;
    err = vwi_vitals_init(&worker->vitals, why);
    return err == VW_OK ? vwi_drain_init(&worker->drain, why) : err;
}

static vw_err build(struct vw_worker *worker, struct vwi_settings *settings, vw_error_t *why)
{
    const struct vwi_config *config = worker->config;
    vw_err err = vwi_loop_create(&worker->loop, why);

    if (err == VW_OK)
        err = vwi_embedder_create(&worker->embedder, why);
    /* The platform signs one; anywhere else a missing file is an error. */
    worker->lacks_certificate = config->tls.enabled && config->platform && vwi_certificate_is_missing(&config->tls);
    worker->desk.loop = worker->loop;
    if (err == VW_OK)
        err = build_core(worker, why);
    if (err == VW_OK)
        err = build_startup(worker, settings, why);
    if (err == VW_OK)
        err = build_sentinel(worker, why);
    if (err == VW_OK)
        err = build_supervision(worker, why);
    if (err == VW_OK)
        err = build_reports(worker, why);
    if (err == VW_OK)
        err = build_front(worker, why);
    if (err == VW_OK && vwi_timer_init(&worker->publish, worker->loop, on_publish, worker) != VW_OK)
        err = vwi_fail(why, VW_E_NOMEM, "worker: out of memory");
    return err;
}

/* The environment as far as it says who we are, for when the rest of it is wrong. */
static const char *look_up_identity(void *arg, const char *name)
{
    static const char *const identity[] = { "CONTAINER_ID", "MASTER_TOKEN", "REPORT_ADDR" };
    size_t i;

    for (i = 0; i < VWI_ARRAY_LEN(identity); i++)
        if (strcmp(name, identity[i]) == 0)
            return vwi_settings_lookup(arg, name);
    return strcmp(name, "USE_SSL") == 0 ? "false" : NULL;
}

static void tell_failure(struct vw_worker *worker, struct vwi_settings *settings, const char *text)
{
    static const char bare[] = "{\"advertisedUrl\": \"http://unknown\"}";
    struct vwi_config_sources whole = { .lookup = vwi_settings_lookup, .lookup_arg = settings };
    struct vwi_config_sources identity = { .text = bare, .len = sizeof bare - 1, .lookup = look_up_identity, .lookup_arg = settings };
    struct vwi_config *config = worker->config;
    struct vwi_text ignored = VWI_TEXT_INIT;
    bool has_url = true;

    if (!config && vwi_config_load(&whole, &config, &ignored) != VW_OK)
        has_url = vwi_config_load(&identity, &config, &ignored) != VW_OK;
    if (config && config->platform)
        vwi_beacon_send(&config->report, has_url ? config->auth.advertised_url : NULL, text, &worker->log);
    if (config != worker->config)
        vwi_config_destroy(config);
    vwi_text_fini(&ignored);
}

static void say_warnings(const struct vw_worker *worker)
{
    size_t i;

    for (i = 0; i < worker->config->warnings.count; i++)
        vwi_log_warn(&worker->log, "%s", worker->config->warnings.items[i]);
}

vw_err vw_worker_create(const vw_worker_options_t *options, vw_worker_t **ret, vw_error_t *why)
{
    vw_worker_options_t given = VW_WORKER_OPTIONS_INIT;
    vw_error_t own = { VW_OK, "" };
    struct vw_worker *worker;
    struct vwi_settings settings;
    vw_err err;

    if (!why)
        why = &own;
    why->code = VW_OK;
    if (!options || !ret || !vwi_options_copy(&given, sizeof given, options, OPTIONS_LEAST))
        return vwi_fail(why, VW_E_ARG, "options: begin them with VW_WORKER_OPTIONS_INIT of this library's header");
    worker = vwi_zalloc(sizeof *worker);
    if (!worker)
        return vwi_fail(why, VW_E_NOMEM, "worker: out of memory");
    options = &given;
    pthread_mutex_init(&worker->lock, NULL);
    worker->status = (vw_status_t)VW_STATUS_INIT;
    vwi_log_buffer_init(&worker->log_lines, STDERR_FILENO);
    worker->log = (struct vwi_log){ options->log_level, options->log_json != 0, options->log_fn, options->log_arg, &worker->log_lines };
    worker->start_us = vwi_mono_us();
    worker->tells_failure = options->tell_failure != 0;
    worker->driven = options->driven != 0;
    worker->options = given; /* what it borrows is looked at here alone */
    settings = (struct vwi_settings){ options->config_path, options->plugin_path, options->read_environment != 0, options->problem_fn,
                                      options->problem_arg, false, options->model_command != NULL };
    err = vwi_settings_load(&settings, &worker->config, why);
    if (err == VW_OK) {
        say_warnings(worker);
        err = build(worker, &settings, why);
        if (err == VW_E_CONFIG && options->problem_fn)
            options->problem_fn(options->problem_arg, why->text);
    }
    if (err != VW_OK) {
        if (options->tell_failure)
            tell_failure(worker, &settings, why->text);
        vw_worker_destroy(worker);
        return err;
    }
    worker->options = (vw_worker_options_t){ 0 };
    publish(worker);
    *ret = worker;
    return VW_OK;
}

vw_err vw_worker_run(vw_worker_t *worker)
{
    vw_err err;

    if (!worker || worker->has_run)
        return VW_E_STATE;
    worker->has_run = true;
    vwi_loop_on_signal(worker->loop, on_signal_bits, worker);
    vwi_loop_on_turn(worker->loop, on_turn, worker);
    vwi_log_info(&worker->log, "vastworker %s listening on port %u, model server %s", VW_VERSION, vwi_front_port(worker->front),
                 worker->config->model.authority);
    if (worker->session_front)
        vwi_log_debug(&worker->log, "sessions can be ended at 127.0.0.1:%u", vwi_front_port(worker->session_front));
    if (!worker->config->report.enabled)
        vwi_log_info(&worker->log, "local mode: nothing is reported (REPORT_ADDR is not set)");
    if (vwi_verifier_has_key(worker->desk.verifier))
        vwi_startup_key(worker->desk.startup, true);
    vwi_keyring_start(worker->desk.keyring);
    vwi_startup_start(worker->desk.startup);
    vwi_supervise_start(worker->desk.supervise);
    if (worker->desk.pubkey)
        vwi_pubkey_start(worker->desk.pubkey);
    if (worker->desk.report && worker->config->ready.state_dir)
        worker->journal = vwi_journal_file_open(worker->config->ready.state_dir, worker->config->report.worker_id, worker->desk.ledger,
                                                &worker->log);
    if (worker->desk.report)
        vwi_report_start(worker->desk.report);
    if (worker->tls)
        vwi_tls_watch(worker->tls);
    if (worker->certificate)
        vwi_certificate_start(worker->certificate);
    vwi_vitals_start(&worker->vitals);
    vwi_sentinel_start(worker->desk.sentinel);
    on_publish(worker);
    vwi_log_hold(&worker->log, true);
    err = vwi_loop_run(worker->loop);
    vwi_log_hold(&worker->log, false);
    vwi_desk_cut(&worker->desk); /* what came while the last report was told, or all if the loop failed */
    publish(worker);
    if (worker->failure.code != VW_OK && worker->tells_failure)
        vwi_beacon_send(&worker->config->report, worker->config->auth.advertised_url, worker->failure.text, &worker->log);
    return err == VW_OK ? worker->failure.code : err;
}

void vw_worker_drain(vw_worker_t *worker)
{
    if (worker)
        vwi_loop_signal(worker->loop, SIGNAL_DRAIN);
}

void vw_worker_stop(vw_worker_t *worker)
{
    if (worker)
        vwi_loop_signal(worker->loop, SIGNAL_STOP);
}

static vw_err say(vw_worker_t *worker, enum vwi_embedder_news news, const char *text, size_t len, double value)
{
    vw_err err = vwi_embedder_say(worker->embedder, news, text, len, value);

    if (err == VW_OK)
        vwi_loop_signal(worker->loop, SIGNAL_NEWS);
    return err;
}

vw_err vw_worker_set_state(vw_worker_t *worker, vw_state_t state, const char *reason)
{
    size_t len = reason ? strnlen(reason, sizeof((vw_status_t *)0)->reason - 1) : 0;

    if (!worker)
        return VW_E_ARG;
    switch (state) {
    case VW_STATE_READY:
        return say(worker, VWI_EMBEDDER_LOADED, NULL, 0, 0);
    case VW_STATE_LOADING:
        return say(worker, VWI_EMBEDDER_UNLOADED, NULL, 0, 0);
    case VW_STATE_ERROR:
        return say(worker, VWI_EMBEDDER_FAILED, reason, len, 0);
    default:
        return VW_E_ARG;
    }
}

vw_err vw_worker_set_capacity(vw_worker_t *worker, double units_per_s)
{
    if (!worker || !isfinite(units_per_s) || units_per_s <= 0)
        return VW_E_ARG;
    return say(worker, VWI_EMBEDDER_CAPACITY, NULL, 0, units_per_s);
}

vw_err vw_worker_feed_log(vw_worker_t *worker, const char *line, size_t len)
{
    return worker && (line || !len) ? say(worker, VWI_EMBEDDER_LINE, line, len, 0) : VW_E_ARG;
}

vw_err vw_worker_status(vw_worker_t *worker, vw_status_t *ret)
{
    if (!worker || !ret || ret->struct_size != sizeof *ret)
        return VW_E_ARG;
    pthread_mutex_lock(&worker->lock);
    *ret = worker->status;
    pthread_mutex_unlock(&worker->lock);
    return VW_OK;
}

const char *vw_state_name(vw_state_t state)
{
    return (unsigned)state < VWI_STATES ? vwi_state_name((enum vwi_state)state) : "unknown";
}

/* ---- words for people ---- */

static vw_err tell_lines(struct vwi_text *text, vw_line_fn fn, void *arg)
{
    vw_err err = text->failed ? VW_E_NOMEM : VW_OK;
    char *line = text->p;

    while (err == VW_OK && line && *line) {
        char *end = strchr(line, '\n');

        if (end)
            *end = '\0';
        fn(arg, line);
        line = end ? end + 1 : NULL;
    }
    vwi_text_fini(text);
    return err;
}

vw_err vw_worker_describe(const vw_worker_t *worker, vw_line_fn fn, void *arg)
{
    struct vwi_text out = VWI_TEXT_INIT;

    vwi_describe(worker->config, worker->desk.handlers, vwi_front_port(worker->front), worker->tls ? vwi_tls_until(worker->tls) : NULL,
                 worker->desk.supervise, &out);
    return tell_lines(&out, fn, arg);
}

vw_err vw_worker_print_config(const vw_worker_t *worker, vw_line_fn fn, void *arg)
{
    struct vwi_text out = VWI_TEXT_INIT;

    if (vwi_config_print(worker->config, &out) != VW_OK)
        out.failed = true;
    return tell_lines(&out, fn, arg);
}

vw_err vw_config_test_patterns(const vw_worker_options_t *options, const char *log_path, vw_line_fn fn, void *arg, int *ret_loaded,
                               vw_error_t *why)
{
    vw_error_t own = { VW_OK, "" };
    struct vwi_settings settings = { .only_patterns = true };
    struct vwi_config *config = NULL;
    bool loaded = false;
    vw_err err;

    why = why ? why : &own;
    why->code = VW_OK;
    if (!options || !log_path || !fn || !ret_loaded || options->struct_size != sizeof *options)
        return vwi_fail(why, VW_E_ARG, "options: begin them with VW_WORKER_OPTIONS_INIT of this library's header");
    settings.path = options->config_path;
    settings.environment = options->read_environment != 0;
    settings.problem = options->problem_fn;
    settings.problem_arg = options->problem_arg;
    err = vwi_settings_load(&settings, &config, why);
    if (err == VW_OK)
        err = vwi_trial_run(&config->ready, log_path, fn, arg, &loaded, why);
    if (err == VW_OK)
        *ret_loaded = loaded;
    vwi_config_destroy(config);
    return err;
}

vw_err vw_config_docs(vw_line_fn fn, void *arg)
{
    struct vwi_text out = VWI_TEXT_INIT;

    vwi_config_docs(&out);
    return tell_lines(&out, fn, arg);
}

vw_err vw_config_schema(vw_line_fn fn, void *arg)
{
    struct vwi_text out = VWI_TEXT_INIT;

    vwi_config_schema(&out);
    return tell_lines(&out, fn, arg);
}

void vw_worker_destroy(vw_worker_t *worker)
{
    struct vwi_desk *desk;

    if (!worker)
        return;
    desk = &worker->desk;
    desk->on_idle = NULL;
    vwi_front_destroy(worker->session_front);
    vwi_front_destroy(worker->front); /* ends every exchange, and with them the requests and their leases */
    if (desk->loop) {
        vwi_loop_run_burials(worker->loop);
        vwi_desk_fini(desk);
        vwi_drain_fini(&worker->drain);
        vwi_vitals_fini(&worker->vitals);
        vwi_timer_fini(&worker->publish);
    }
    vwi_sessions_destroy(desk->sessions);
    vwi_report_destroy(desk->report);
    vwi_pubkey_destroy(desk->pubkey);
    vwi_certificate_destroy(worker->certificate);
    vwi_tls_destroy(worker->tls);
    vwi_courier_destroy(worker->courier);
    vwi_supervise_destroy(desk->supervise);
    vwi_sentinel_destroy(desk->sentinel);
    vwi_startup_destroy(desk->startup);
    vwi_admin_destroy(desk->admin);
    vwi_upstream_destroy(desk->upstream);
    vwi_handlers_destroy(desk->handlers, worker->config ? worker->config->handlers.count : 0);
    vwi_ledger_destroy(desk->ledger);
    vwi_journal_file_close(worker->journal);
    vwi_queue_destroy(desk->queue);
    vwi_keyring_destroy(desk->keyring);
    vwi_verifier_destroy(desk->verifier);
    vwi_routes_destroy(desk->routes);
    vwi_embedder_destroy(worker->embedder);
    vwi_loop_destroy(worker->loop);
    vwi_config_destroy(worker->config);
    vwi_text_fini(&worker->cache_key);
    vwi_log_buffer_fini(&worker->log_lines);
    pthread_mutex_destroy(&worker->lock);
    vwi_free(worker);
}
