#include "flow/describe.h"

#include "core/literal.h"
#include "io/plugin.h"

static void add_number(struct vwi_text *out, const char *before, double value, const char *behind)
{
    vwi_text_adds(out, before);
    vwi_literal_brief(out, value);
    vwi_text_adds(out, behind);
}

static void describe_handler(struct vwi_text *out, const struct vwi_config *config, const struct vwi_handler *handler)
{
    const struct vwi_handler_conf *conf = handler->conf;
    const struct vwi_lane_conf *lane = &config->handlers.lanes[conf->lane];
    size_t i;

    vwi_text_addf(out, "handler %s: ", conf->route);
    for (i = 0; i < conf->methods.count; i++)
        vwi_text_addf(out, "%s%s", i ? ", " : "", conf->methods.items[i]);
    vwi_text_addf(out, "; auth %s", vwi_config_auth_name(conf->auth));
    if (handler->calculator)
        vwi_text_addf(out, "; workload by plugin %s %s (%s)", conf->workload.plugin, vwi_plugin_version(handler->calculator),
                      vwi_plugin_path(handler->calculator));
    else if (conf->workload.kind == VWI_WORKLOAD_CONSTANT)
        add_number(out, "; workload ", conf->workload.value, "");
    else if (conf->workload.kind == VWI_WORKLOAD_BYTES)
        add_number(out, "; workload 1 per ", conf->workload.value, " bytes");
    else
        vwi_text_addf(out, "; workload by %s %s", conf->workload.kind == VWI_WORKLOAD_FIELD ? "field" : "count", conf->workload.pointer);
    if (conf->control)
        vwi_text_adds(out, "; control: never queues, never counts");
    else if (lane->max_concurrency)
        vwi_text_addf(out, "; %u at a time in lane \"%s\"", lane->max_concurrency, lane->name);
    else
        vwi_text_adds(out, "; any number at a time");
    if (conf->benchmark)
        vwi_text_adds(out, "; benchmarked");
    vwi_text_adds(out, "\n");
}

void vwi_describe(const struct vwi_config *config, const struct vwi_handler *handlers, unsigned port, const char *until,
                  const struct vwi_supervise *supervise, struct vwi_text *out)
{
    const struct vwi_tls_conf *tls = &config->tls;
    size_t i;

    vwi_text_addf(out, "mode: %s\n", config->platform ? "platform" : "local");
    vwi_text_addf(out, "listens on port %u for a model server at %s\n", port, config->model.authority);
    vwi_supervise_describe(supervise, out);
    if (tls->enabled && until)
        vwi_text_addf(out, "serves HTTPS with the certificate in %s, which ends on %s\n", tls->cert_file, until);
    else if (tls->enabled)
        vwi_text_addf(out, "would obtain a certificate from %s first, for there is no %s\n", tls->sign_url, tls->cert_file);
    if (config->auth.advertised_url)
        vwi_text_addf(out, "advertised as %s\n", config->auth.advertised_url);
    for (i = 0; i < config->handlers.count; i++)
        describe_handler(out, config, &handlers[i]);
    for (i = 0; i < config->report.addresses.count; i++)
        vwi_text_addf(out, "reports to %s\n", config->report.addresses.items[i]);
    if (!config->report.enabled)
        vwi_text_adds(out, "reports to nobody\n");
    for (i = 0; i < config->ready.log_files.count; i++)
        vwi_text_addf(out, "watches the log %s for %zu load, %zu error and %zu info patterns\n", config->ready.log_files.items[i],
                      config->ready.on_load.count, config->ready.on_error.count, config->ready.on_info.count);
    if (config->ready.health_path)
        vwi_text_addf(out, "probes the model at %s\n", config->ready.health_path);
    if (config->gpu.enabled) {
        add_number(out, "looks at the GPUs every ", config->gpu.interval_s, " s");
        vwi_text_addf(out, " through %s, where that is\n", config->gpu.library_path);
    }
    vwi_text_adds(out, "the configuration is good\n");
}
