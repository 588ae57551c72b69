/*
 * The table of metrics, in the order in which they are shown. A row knows its name, its words and how its samples are taken.
 * Samples of equal labels would break a scrape, so lanes and plugins of the same name are added up into one.
 */
#include "core/exposition.h"

#include <string.h>

#include "base/vwi.h"
#include "core/exposition_gpu.h"
#include "core/metric.h"

#define P "vastworker_"

typedef void (*sample_fn)(struct vwi_metric_pen *pen, const struct vwi_exposition *in);

static void count_for(struct vwi_metric_pen *pen, const char *label, const char *value, uint64_t count)
{
    vwi_metric_count(pen, &(struct vwi_metric_label){ label, value }, 1, count);
}

static void real_for(struct vwi_metric_pen *pen, const char *label, const char *value, double real)
{
    vwi_metric_real(pen, &(struct vwi_metric_label){ label, value }, 1, real);
}

static void requests(struct vwi_metric_pen *pen, const struct vwi_exposition *in)
{
    struct vwi_ledger_stats s = vwi_ledger_stats(in->ledger);
    size_t row;

    for (row = 0; row < s.row_count; row++) {
        struct vwi_metric_label labels[] = { { "route", s.rows[row].name }, { "outcome", NULL } };
        int outcome;

        for (outcome = 0; outcome < VWI_OUTCOMES; outcome++) {
            labels[1].value = vwi_outcome_name((enum vwi_outcome)outcome);
            vwi_metric_count(pen, labels, 2, s.rows[row].outcomes[outcome]);
        }
        labels[1].value = "rejected";
        vwi_metric_count(pen, labels, 2, s.rows[row].rejected);
        labels[1].value = "refused";
        vwi_metric_count(pen, labels, 2, s.rows[row].refused);
    }
}

/* Only what has happened: routes times reasons would be a long list of zeros. */
static void refusals(struct vwi_metric_pen *pen, const struct vwi_exposition *in)
{
    struct vwi_ledger_stats s = vwi_ledger_stats(in->ledger);
    size_t row, reason;

    for (row = 0; row < s.row_count; row++)
        for (reason = 0; reason < s.reason_count; reason++)
            if (s.rows[row].reasons[reason] > 0) {
                struct vwi_metric_label labels[] = { { "route", s.rows[row].name }, { "reason", s.reasons[reason] } };

                vwi_metric_count(pen, labels, 2, s.rows[row].reasons[reason]);
            }
}

/* at: which histogram of a row, by its offset. Row 0 starts nothing, so it has none. */
static void durations(struct vwi_metric_pen *pen, const struct vwi_exposition *in, size_t at)
{
    struct vwi_ledger_stats s = vwi_ledger_stats(in->ledger);
    size_t row;

    for (row = 0; row < s.row_count; row++) {
        const void *h = (const char *)&s.rows[row] + at;

        if (row > 0 || ((const struct vwi_histogram *)h)->count > 0)
            vwi_metric_histogram(pen, &(struct vwi_metric_label){ "route", s.rows[row].name }, 1, h);
    }
}

static void request_seconds(struct vwi_metric_pen *pen, const struct vwi_exposition *in)
{
    durations(pen, in, offsetof(struct vwi_route_stats, request));
}

static void queue_seconds(struct vwi_metric_pen *pen, const struct vwi_exposition *in)
{
    durations(pen, in, offsetof(struct vwi_route_stats, queue));
}

static void first_byte_seconds(struct vwi_metric_pen *pen, const struct vwi_exposition *in)
{
    durations(pen, in, offsetof(struct vwi_route_stats, first_byte));
}

static void workload(struct vwi_metric_pen *pen, const struct vwi_exposition *in)
{
    struct vwi_ledger_stats s = vwi_ledger_stats(in->ledger);

    real_for(pen, "kind", "received", s.received);
    real_for(pen, "kind", "served", s.served);
    real_for(pen, "kind", "errored", s.errored);
    real_for(pen, "kind", "cancelled", s.cancelled);
    real_for(pen, "kind", "queue_timeout", s.queue_timeout);
    real_for(pen, "kind", "rejected", s.rejected);
}

static void lanes(struct vwi_metric_pen *pen, const struct vwi_queue *q, bool waiting)
{
    size_t count = vwi_queue_lane_count(q), i, j;

    for (i = 0; i < count; i++) {
        const char *name = vwi_queue_lane(q, i).name;
        uint64_t sum = 0;
        bool first = true;

        for (j = 0; j < count; j++) {
            struct vwi_lane_counts lane = vwi_queue_lane(q, j);

            if (strcmp(lane.name, name) != 0)
                continue;
            first = first && j >= i;
            sum += waiting ? lane.waiting : lane.running;
        }
        if (first)
            count_for(pen, "lane", name, sum);
    }
}

static void in_flight(struct vwi_metric_pen *pen, const struct vwi_exposition *in) { lanes(pen, in->queue, false); }
static void queued(struct vwi_metric_pen *pen, const struct vwi_exposition *in) { lanes(pen, in->queue, true); }

static void load(struct vwi_metric_pen *pen, const struct vwi_exposition *in)
{
    vwi_metric_real(pen, NULL, 0, vwi_ledger_stats(in->ledger).load);
}

static void measured(struct vwi_metric_pen *pen, const struct vwi_exposition *in) { vwi_metric_real(pen, NULL, 0, in->measured); }
static void capacity(struct vwi_metric_pen *pen, const struct vwi_exposition *in) { vwi_metric_real(pen, NULL, 0, in->capacity); }

static void state(struct vwi_metric_pen *pen, const struct vwi_exposition *in)
{
    size_t i;

    for (i = 0; i < in->state_count; i++)
        count_for(pen, "state", in->states[i], i == in->state);
}

static void state_since(struct vwi_metric_pen *pen, const struct vwi_exposition *in)
{
    vwi_metric_real(pen, NULL, 0, in->state_since_s);
}

static void sessions(struct vwi_metric_pen *pen, const struct vwi_exposition *in)
{
    vwi_metric_count(pen, NULL, 0, in->sessions);
}

static void reports(struct vwi_metric_pen *pen, const struct vwi_exposition *in)
{
    count_for(pen, "result", "accepted", in->reports_accepted);
    count_for(pen, "result", "failed", in->reports_failed);
    count_for(pen, "result", "refused", in->reports_refused);
}

static void report_seconds(struct vwi_metric_pen *pen, const struct vwi_exposition *in)
{
    if (in->report_seconds)
        vwi_metric_histogram(pen, NULL, 0, in->report_seconds);
}

static void deletions_waiting(struct vwi_metric_pen *pen, const struct vwi_exposition *in)
{
    vwi_metric_count(pen, NULL, 0, vwi_ledger_stats(in->ledger).deletions_waiting);
}

static void deletions_dropped(struct vwi_metric_pen *pen, const struct vwi_exposition *in)
{
    vwi_metric_count(pen, NULL, 0, vwi_ledger_stats(in->ledger).deletions_dropped);
}

static void journal_dropped(struct vwi_metric_pen *pen, const struct vwi_exposition *in)
{
    vwi_metric_count(pen, NULL, 0, vwi_ledger_stats(in->ledger).journal_dropped);
}

static void journal_recovered(struct vwi_metric_pen *pen, const struct vwi_exposition *in)
{
    vwi_metric_count(pen, NULL, 0, vwi_ledger_stats(in->ledger).journal_recovered);
}

static void model_connections(struct vwi_metric_pen *pen, const struct vwi_exposition *in)
{
    count_for(pen, "state", "active", in->model_active);
    count_for(pen, "state", "idle", in->model_idle);
}

static void cancels(struct vwi_metric_pen *pen, const struct vwi_exposition *in)
{
    count_for(pen, "result", "answered", in->cancels_answered);
    count_for(pen, "result", "failed", in->cancels_failed);
    count_for(pen, "result", "timed_out", in->cancels_timed_out);
    count_for(pen, "result", "dropped", in->cancels_dropped);
}

static void client_connections(struct vwi_metric_pen *pen, const struct vwi_exposition *in)
{
    vwi_metric_count(pen, NULL, 0, in->client_connections);
}

static void bytes(struct vwi_metric_pen *pen, const struct vwi_exposition *in)
{
    count_for(pen, "direction", "in", in->bytes_in);
    count_for(pen, "direction", "out", in->bytes_out);
}

static void loop_turn(struct vwi_metric_pen *pen, const struct vwi_exposition *in)
{
    if (in->loop_turn_cpu)
        vwi_metric_histogram(pen, NULL, 0, in->loop_turn_cpu);
}

static void loop_stall(struct vwi_metric_pen *pen, const struct vwi_exposition *in)
{
    vwi_metric_real(pen, NULL, 0, in->loop_stall_s);
}

static void plugin_seconds(struct vwi_metric_pen *pen, const struct vwi_exposition *in)
{
    size_t i, j;

    for (i = 0; i < in->plugin_count; i++) {
        struct vwi_plugin_figures sum = { in->plugins[i].name, 0, 0 };
        bool first = true;

        for (j = 0; j < in->plugin_count; j++) {
            if (strcmp(in->plugins[j].name, sum.name) != 0)
                continue;
            first = first && j >= i;
            sum.seconds += in->plugins[j].seconds;
            sum.calls += in->plugins[j].calls;
        }
        if (first)
            vwi_metric_summary(pen, &(struct vwi_metric_label){ "plugin", sum.name }, 1, sum.seconds, sum.calls);
    }
}

static void plugin_fallbacks(struct vwi_metric_pen *pen, const struct vwi_exposition *in)
{
    vwi_metric_count(pen, NULL, 0, in->plugin_fallbacks);
}

static void log_matches(struct vwi_metric_pen *pen, const struct vwi_exposition *in)
{
    count_for(pen, "kind", "load", in->log_loads);
    count_for(pen, "kind", "error", in->log_errors);
    count_for(pen, "kind", "info", in->log_infos);
}

static void log_truncations(struct vwi_metric_pen *pen, const struct vwi_exposition *in)
{
    vwi_metric_count(pen, NULL, 0, in->log_truncations);
}

static void log_lines_dropped(struct vwi_metric_pen *pen, const struct vwi_exposition *in)
{
    vwi_metric_count(pen, NULL, 0, in->log_lines_dropped);
}

static void model_restarts(struct vwi_metric_pen *pen, const struct vwi_exposition *in)
{
    vwi_metric_count(pen, NULL, 0, in->model_restarts);
}

static void model_lines_dropped(struct vwi_metric_pen *pen, const struct vwi_exposition *in)
{
    vwi_metric_count(pen, NULL, 0, in->model_lines_dropped);
}

static void build_info(struct vwi_metric_pen *pen, const struct vwi_exposition *in) { count_for(pen, "version", in->version, 1); }

static void cpu_seconds(struct vwi_metric_pen *pen, const struct vwi_exposition *in)
{
    vwi_metric_real(pen, NULL, 0, in->process.cpu_s);
}

static void resident_bytes(struct vwi_metric_pen *pen, const struct vwi_exposition *in)
{
    vwi_metric_count(pen, NULL, 0, in->process.resident_bytes);
}

static void open_fds(struct vwi_metric_pen *pen, const struct vwi_exposition *in)
{
    vwi_metric_count(pen, NULL, 0, in->process.open_fds);
}

static void max_fds(struct vwi_metric_pen *pen, const struct vwi_exposition *in)
{
    vwi_metric_count(pen, NULL, 0, in->process.max_fds);
}

static void start_time(struct vwi_metric_pen *pen, const struct vwi_exposition *in)
{
    vwi_metric_real(pen, NULL, 0, in->process.start_time_s);
}

static const struct row {
    const char *name;
    enum vwi_metric_type type;
    const char *labels; /* for the docs */
    const char *help;
    sample_fn sample;
} rows[] = {
    { P "requests_total", VWI_METRIC_COUNTER, "route, outcome",
      "Requests by what became of them; refused ones were never booked, rejected ones never started.", requests },
    { P "refusals_total", VWI_METRIC_COUNTER, "route, reason",
      "Answers of the worker's own, by reason code (the header X-Vastworker-Reason).", refusals },
    { P "request_seconds", VWI_METRIC_HISTOGRAM, "route", "From being accepted to the end, whatever the outcome.",
      request_seconds },
    { P "queue_seconds", VWI_METRIC_HISTOGRAM, "route", "From being accepted to getting a turn, or to leaving without one.",
      queue_seconds },
    { P "first_byte_seconds", VWI_METRIC_HISTOGRAM, "route", "From being accepted to the first byte of the model's answer.",
      first_byte_seconds },
    { P "workload_total", VWI_METRIC_COUNTER, "kind",
      "Workload units by what became of them; received is all that was accepted.", workload },
    { P "in_flight", VWI_METRIC_GAUGE, "lane",
      "Requests that hold a slot now, and ended ones whose slot waits for the model to stop (cancel).", in_flight },
    { P "queued", VWI_METRIC_GAUGE, "lane", "Requests that wait for a slot now.", queued },
    { P "load", VWI_METRIC_GAUGE, "", "Workload accepted and not settled, queued included, as reported in cur_load.", load },
    { P "capacity", VWI_METRIC_GAUGE, "", "Workload units a second, measured or configured; 0 while not known.", capacity },
    { P "capacity_measured", VWI_METRIC_GAUGE, "", "What the benchmark measured, without what traffic showed since; 0 without one.", measured },
    { P "state", VWI_METRIC_GAUGE, "state", "1 for the state the worker is in, 0 for the others.", state },
    { P "state_since_seconds", VWI_METRIC_GAUGE, "", "Unix time at which the state was entered.", state_since },
    { P "sessions", VWI_METRIC_GAUGE, "", "Sessions open now.", sessions },
    { P "reports_total", VWI_METRIC_COUNTER, "result",
      "Calls that tell the control plane of load or of finished requests; failed is tried again soon, refused (a 4xx) after minutes.",
      reports },
    { P "report_seconds", VWI_METRIC_HISTOGRAM, "", "Time a report of load took, failed tries included.", report_seconds },
    { P "deletions_waiting", VWI_METRIC_GAUGE, "",
      "Finished requests that the control plane has not acknowledged yet.", deletions_waiting },
    { P "deletions_dropped_total", VWI_METRIC_COUNTER, "",
      "Finished requests the control plane was never told of, because too many were waiting.", deletions_dropped },
    { P "journal_dropped_total", VWI_METRIC_COUNTER, "",
      "Requests that a restart would not know of, because more were in flight than the journal has records.", journal_dropped },
    { P "journal_recovered_total", VWI_METRIC_COUNTER, "",
      "Requests of an earlier process that the journal named and that are reported as finished now.", journal_recovered },
    { P "model_connections", VWI_METRIC_GAUGE, "state", "Connections to the model server.", model_connections },
    { P "cancels_total", VWI_METRIC_COUNTER, "result",
      "Calls that ask the model server to stop what nobody waits for (a handler's cancel); dropped: too many waited for answers.", cancels },
    { P "client_connections", VWI_METRIC_GAUGE, "", "Connections of clients open now.", client_connections },
    { P "bytes_total", VWI_METRIC_COUNTER, "direction", "Bytes read from and written to clients.", bytes },
    { P "loop_turn_cpu_seconds", VWI_METRIC_HISTOGRAM, "", "CPU time of one turn of the event loop.", loop_turn },
    { P "loop_stall_seconds", VWI_METRIC_GAUGE, "", "The longest that one turn of the event loop took in the last minute or two.", loop_stall },
    { P "plugin_seconds", VWI_METRIC_SUMMARY, "plugin", "Time inside the hooks of a plugin.", plugin_seconds },
    { P "plugin_fallbacks_total", VWI_METRIC_COUNTER, "",
      "Requests booked with workload 100 because weighing them failed.", plugin_fallbacks },
    { P "log_matches_total", VWI_METRIC_COUNTER, "kind", "Lines of the model's log that matched a pattern.", log_matches },
    { P "log_truncations_total", VWI_METRIC_COUNTER, "", "Times a log file was truncated in place: what was not read yet is lost.",
      log_truncations },
    { P "log_lines_dropped_total", VWI_METRIC_COUNTER, "", "Lines of the worker's own log that nobody read in time.", log_lines_dropped },
    { P "nvml_up", VWI_METRIC_GAUGE, "", "1 while NVIDIA's library answers, 0 while it cannot be used or hangs; none without it.",
      vwi_exposition_nvml_up },
    { P "gpu_up", VWI_METRIC_GAUGE, "gpu", "1 while the GPU answers, 0 while it is lost, fails or nothing can be asked.", vwi_exposition_gpu_up },
    { P "gpu_info", VWI_METRIC_GAUGE, "gpu, name, uuid", "Always 1.", vwi_exposition_gpu_info },
    { P "gpu_memory_bytes", VWI_METRIC_GAUGE, "gpu, kind", "Memory of the GPU, used and total.", vwi_exposition_gpu_memory },
    { P "gpu_utilization_ratio", VWI_METRIC_GAUGE, "gpu", "Part of the time in which it computed, 0 to 1.", vwi_exposition_gpu_utilization },
    { P "gpu_temperature_celsius", VWI_METRIC_GAUGE, "gpu", "Temperature of the GPU.", vwi_exposition_gpu_temperature },
    { P "gpu_throttled", VWI_METRIC_GAUGE, "gpu, reason", "1 for each reason that lowers its clocks now, 0 for the others.",
      vwi_exposition_gpu_throttled },
    { P "gpu_ecc_errors_total", VWI_METRIC_COUNTER, "gpu, kind", "Memory errors since the driver was loaded, corrected and uncorrected.",
      vwi_exposition_gpu_ecc },
    { P "gpu_xid_total", VWI_METRIC_COUNTER, "gpu, xid", "Errors that the driver told of, by number; the first sixteen kinds of a GPU, then other.",
      vwi_exposition_gpu_xid },
    { P "model_restarts_total", VWI_METRIC_COUNTER, "", "Times that the model process, where the worker starts it, was started again.", model_restarts },
    { P "model_lines_dropped_total", VWI_METRIC_COUNTER, "", "Lines of its output that nobody read in time on standard output.", model_lines_dropped },
    { P "build_info", VWI_METRIC_GAUGE, "version", "Always 1.", build_info },
    { "process_cpu_seconds_total", VWI_METRIC_COUNTER, "", "CPU time of the process, user and kernel.", cpu_seconds },
    { "process_resident_memory_bytes", VWI_METRIC_GAUGE, "", "Resident memory of the process.", resident_bytes },
    { "process_open_fds", VWI_METRIC_GAUGE, "", "File descriptors open now.", open_fds },
    { "process_max_fds", VWI_METRIC_GAUGE, "", "File descriptors the process may open.", max_fds },
    { "process_start_time_seconds", VWI_METRIC_GAUGE, "", "Unix time at which the process started.", start_time },
};

static vw_err finish(struct vwi_text *out)
{
    if (!out->failed)
        return VW_OK;
    vwi_text_clear(out);
    return VW_E_NOMEM;
}

static vw_err expose(const struct vwi_exposition *in, struct vwi_text *out, bool json)
{
    struct vwi_metric_pen pen;
    size_t i;

    vwi_text_clear(out);
    vwi_metric_open(&pen, out, json);
    for (i = 0; i < VWI_ARRAY_LEN(rows) && !out->failed; i++) {
        vwi_metric_begin(&pen, rows[i].name, rows[i].type, rows[i].help);
        rows[i].sample(&pen, in);
        vwi_metric_end(&pen);
    }
    vwi_metric_close(&pen);
    return finish(out);
}

vw_err vwi_exposition_text(const struct vwi_exposition *in, struct vwi_text *out) { return expose(in, out, false); }
vw_err vwi_exposition_json(const struct vwi_exposition *in, struct vwi_text *out) { return expose(in, out, true); }

vw_err vwi_exposition_docs(struct vwi_text *out)
{
    size_t i;

    vwi_text_clear(out);
    vwi_text_adds(out, "# Metrics\n\n"
                       "`GET /metrics` answers with Prometheus text, or with the same as JSON for `Accept: application/json`.\n"
                       "A request that matched no route is counted under route `none`. A metric without samples yet shows its "
                       "HELP and TYPE alone.\n\n"
                       "| Name | Type | Labels | Meaning |\n|---|---|---|---|\n");
    for (i = 0; i < VWI_ARRAY_LEN(rows); i++)
        vwi_text_addf(out, "| `%s` | %s | %s | %s |\n", rows[i].name, vwi_metric_type_name(rows[i].type), rows[i].labels,
                      rows[i].help);
    vwi_text_adds(out, "\nOutcomes: served, errored, cancelled, queue_timeout, rejected, refused. Two equations hold at any "
                       "time,\nby count and by workload: offered = rejected + received, and\n"
                       "received = served + errored + cancelled + queue_timeout + in flight.\n");
    return finish(out);
}
