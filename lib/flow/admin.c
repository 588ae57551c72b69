/* Both paths read the same snapshots as the reports do. */
#include "flow/admin.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <vastworker/version.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/vwi.h"
#include "core/exposition.h"
#include "core/histogram.h"
#include "core/literal.h"
#include "core/peak.h"
#include "flow/master.h"
#include "flow/request.h"
#include "flow/respond.h"
#include "flow/sentinel.h"
#include "flow/sessions.h"
#include "flow/supervise.h"
#include "io/front.h"

struct vwi_admin {
    const struct vwi_desk *desk;
    struct vwi_front *const *front;
    double start_wall_s;
    int64_t start_us;
    struct vwi_histogram turns;
    struct vwi_peak stall;
    const char *states[VWI_STATES];
};

vw_err vwi_admin_create(const struct vwi_desk *desk, struct vwi_front *const *front, struct vwi_admin **ret, vw_error_t *why)
{
    struct vwi_admin *admin = vwi_zalloc(sizeof *admin);
    unsigned i;

    if (!admin)
        return vwi_fail(why, VW_E_NOMEM, "admin: out of memory");
    admin->desk = desk;
    admin->front = front;
    admin->start_wall_s = vwi_wall_s();
    admin->start_us = vwi_mono_us();
    vwi_histogram_init_turn(&admin->turns);
    for (i = 0; i < VWI_STATES; i++)
        admin->states[i] = vwi_state_name((enum vwi_state)i);
    *ret = admin;
    return VW_OK;
}

void vwi_admin_destroy(struct vwi_admin *admin) { vwi_free(admin); }

void vwi_admin_turn(struct vwi_admin *admin, double cpu_s, double wall_s)
{
    vwi_histogram_observe(&admin->turns, cpu_s);
    vwi_peak_observe(&admin->stall, wall_s, vwi_mono_us());
}

static void reply_text(struct vwi_exchange *ex, int status, const char *type, struct vwi_text *body)
{
    struct vwi_text headers = VWI_TEXT_INIT;

    vwi_text_addf(&headers, "Content-Type: %s\r\nCache-Control: no-store\r\n", type);
    if (status == 503)
        vwi_text_adds(&headers, "Retry-After: 1\r\n");
    if (body->failed || headers.failed)
        vwi_respond_refuse(ex, VWI_REASON_INTERNAL, NULL, 0);
    else
        vwi_exchange_reply(ex, status, headers.p, body->p ? body->p : "", body->len);
    vwi_text_fini(&headers);
    vwi_text_fini(body);
}

static void add_real(struct vwi_text *body, const char *name, double value)
{
    vwi_text_addf(body, ", \"%s\": ", name);
    vwi_literal_brief(body, value);
}

static void add_seconds(struct vwi_text *body, const char *name, double value)
{
    vwi_text_addf(body, ", \"%s\": ", name);
    vwi_literal_seconds(body, value);
}

static void serve_health(struct vwi_admin *admin, struct vwi_exchange *ex)
{
    const struct vwi_desk *desk = admin->desk;
    struct vwi_ready_view ready = vwi_startup_view(desk->startup);
    struct vwi_ledger_stats stats = vwi_ledger_stats(desk->ledger);
    struct vwi_text body = VWI_TEXT_INIT;
    unsigned active = 0, idle = 0;

    vwi_upstream_counts(desk->upstream, &active, &idle);
    vwi_text_addf(&body, "{\"status\": \"%s\", \"reason\": ", ready.name);
    vwi_text_add_json(&body, ready.reason, strlen(ready.reason));
    add_seconds(&body, "since", ready.since_s);
    add_seconds(&body, "uptime_s", (double)(vwi_mono_us() - admin->start_us) / 1e6);
    vwi_text_addf(&body, ", \"version\": \"%s\"", vw_version());
    vwi_text_addf(&body, ", \"in_flight\": %zu, \"queued\": %zu, \"sessions\": %zu", vwi_ledger_in_flight(desk->ledger),
                  vwi_queue_waiting(desk->queue), vwi_sessions_open(desk->sessions));
    add_real(&body, "load", stats.load);
    add_real(&body, "max_perf", ready.max_perf);
    add_real(&body, "measured", ready.measured);
    vwi_text_addf(&body, ", \"model\": {\"connections_active\": %u, \"connections_idle\": %u", active, idle);
    add_seconds(&body, "loadtime_s", ready.loadtime_s);
    vwi_text_adds(&body, "}");
    if (desk->sentinel)
        vwi_gpus_add_health(vwi_sentinel_gpus(desk->sentinel), &body);
    vwi_text_adds(&body, "}\n");
    reply_text(ex, vwi_state_serves(ready.state) ? 200 : 503, "application/json; charset=utf-8", &body);
}

static void serve_live(struct vwi_exchange *ex)
{
    struct vwi_text body = VWI_TEXT_INIT;

    vwi_text_adds(&body, "{\"status\": \"live\"}\n");
    reply_text(ex, 200, "application/json; charset=utf-8", &body);
}

static uint64_t count_fds(void)
{
    DIR *dir = opendir("/proc/self/fd");
    uint64_t count = 0;

    if (!dir)
        return 0;
    while (readdir(dir))
        count++;
    closedir(dir);
    return count > 3 ? count - 3 : 0; /* ".", "..", and this one */
}

static void read_process(const struct vwi_admin *admin, struct vwi_process_figures *ret)
{
    struct rusage usage;
    struct rlimit limit;
    unsigned long pages = 0;
    FILE *statm = fopen("/proc/self/statm", "re");

    memset(ret, 0, sizeof *ret);
    if (getrusage(RUSAGE_SELF, &usage) == 0)
        ret->cpu_s = (double)usage.ru_utime.tv_sec + (double)usage.ru_utime.tv_usec / 1e6 + (double)usage.ru_stime.tv_sec +
                     (double)usage.ru_stime.tv_usec / 1e6;
    if (statm) {
        if (fscanf(statm, "%*s %lu", &pages) == 1)
            ret->resident_bytes = (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
        fclose(statm);
    }
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        ret->max_fds = limit.rlim_cur;
    ret->open_fds = count_fds();
    ret->start_time_s = admin->start_wall_s;
}

static bool wants_json(const struct vwi_exchange *ex)
{
    static const char json[] = "application/json";
    struct vwi_span accept = vwi_exchange_header(ex, "accept");

    return accept.len >= sizeof json - 1 && vwi_span_is_nocase((struct vwi_span){ accept.p, sizeof json - 1 }, json);
}

/* At most two for each handler; the exposition adds up those of one name. */
static size_t collect_plugins(const struct vwi_desk *desk, struct vwi_plugin_figures *figures, uint64_t *ret_fallbacks)
{
    size_t i, count = 0;

    for (i = 0; i < desk->conf->count; i++) {
        const struct vwi_handler *handler = &desk->handlers[i];

        *ret_fallbacks += handler->fallbacks;
        if (handler->calculator)
            figures[count++] = (struct vwi_plugin_figures){ handler->conf->workload.plugin, handler->weighing.seconds, handler->weighing.calls };
        if (handler->parser)
            figures[count++] = (struct vwi_plugin_figures){ handler->conf->parser, handler->parsing.seconds, handler->parsing.calls };
    }
    return count;
}

static void serve_metrics(struct vwi_admin *admin, struct vwi_exchange *ex)
{
    const struct vwi_desk *desk = admin->desk;
    struct vwi_ready_view ready = vwi_startup_view(desk->startup);
    struct vwi_front_stats front = { 0 };
    struct vwi_plugin_figures *plugins = vwi_zalloc((2 * desk->conf->count + 1) * sizeof *plugins);
    struct vwi_exposition in = { .version = vw_version(), .ledger = desk->ledger, .queue = desk->queue };
    struct vwi_text body = VWI_TEXT_INIT;
    unsigned active = 0, idle = 0;
    bool json = wants_json(ex);
    vw_err err;

    if (*admin->front)
        front = vwi_front_stats(*admin->front);
    vwi_upstream_counts(desk->upstream, &active, &idle);
    if (plugins) {
        in.plugins = plugins;
        in.plugin_count = collect_plugins(desk, plugins, &in.plugin_fallbacks);
    }
    in.capacity = ready.capacity_known ? ready.max_perf : 0;
    in.measured = ready.measured;
    in.sessions = vwi_sessions_open(desk->sessions);
    in.states = admin->states;
    in.state_count = VWI_STATES;
    in.state = ready.state;
    in.state_since_s = ready.since_s;
    in.model_active = active;
    in.model_idle = idle;
    if (desk->own.cancels) {
        struct vwi_cancels_stats cancels = vwi_cancels_stats(desk->own.cancels);

        in.cancels_answered = cancels.answered;
        in.cancels_failed = cancels.failed;
        in.cancels_timed_out = cancels.timed_out;
        in.cancels_dropped = cancels.dropped;
    }
    in.client_connections = front.connections;
    in.bytes_in = front.bytes_in;
    in.bytes_out = front.bytes_out;
    in.loop_turn_cpu = &admin->turns;
    in.loop_stall_s = vwi_peak_highest(&admin->stall, vwi_mono_us());
    in.gpus = vwi_sentinel_gpus(desk->sentinel);
    in.log_loads = vwi_startup_matches(desk->startup, VWI_PATTERN_LOAD);
    in.log_errors = vwi_startup_matches(desk->startup, VWI_PATTERN_ERROR);
    in.log_infos = vwi_startup_matches(desk->startup, VWI_PATTERN_INFO);
    in.model_restarts = vwi_supervise_restarts(desk->supervise);
    in.model_lines_dropped = vwi_supervise_dropped(desk->supervise);
    in.log_truncations = vwi_startup_truncations(desk->startup);
    in.log_lines_dropped = desk->log->buffer ? desk->log->buffer->dropped : 0;
    if (desk->report) {
        struct vwi_report_stats report = vwi_report_stats(desk->report);

        in.reports_accepted = report.accepted;
        in.reports_failed = report.failed;
        in.reports_refused = report.refused;
        in.report_seconds = report.seconds;
    }
    read_process(admin, &in.process);
    err = json ? vwi_exposition_json(&in, &body) : vwi_exposition_text(&in, &body);
    vwi_free(plugins);
    if (err != VW_OK)
        body.failed = true;
    reply_text(ex, 200, json ? "application/json; charset=utf-8" : VWI_EXPOSITION_TEXT_TYPE, &body);
}

bool vwi_admin_serve(struct vwi_admin *admin, struct vwi_exchange *ex)
{
    struct vwi_span method = vwi_exchange_method(ex), path = vwi_span_path(vwi_exchange_target(ex));

    if (vwi_span_is(method, "POST") && vwi_master_serve(admin->desk->master, path, ex))
        return true;
    if (!vwi_span_is(method, "GET") && !vwi_span_is(method, "HEAD"))
        return false;
    if (vwi_span_is(path, "/health"))
        serve_health(admin, ex);
    else if (vwi_span_is(path, "/health/live"))
        serve_live(ex);
    else if (vwi_span_is(path, "/metrics"))
        serve_metrics(admin, ex);
    else
        return false;
    return true;
}
