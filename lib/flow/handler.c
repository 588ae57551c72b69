/* Here the plugin loader (io) meets the JSON readers (core). */
#include "flow/handler.h"

#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "core/payload.h"
#include "core/workload.h"
#include "io/plugin.h"

static struct vwi_span span_of(struct vw_bytes bytes) { return (struct vwi_span){ bytes.p, bytes.len }; }

static enum vw_kind access_find(struct vw_bytes json, const char *pointer, struct vw_bytes *ret_value)
{
    static const enum vw_kind kinds[] = {
        [VWI_KIND_ABSENT] = VW_KIND_ABSENT, [VWI_KIND_NULL] = VW_KIND_NULL,     [VWI_KIND_BOOL] = VW_KIND_BOOL,
        [VWI_KIND_NUMBER] = VW_KIND_NUMBER, [VWI_KIND_STRING] = VW_KIND_STRING, [VWI_KIND_ARRAY] = VW_KIND_ARRAY,
        [VWI_KIND_OBJECT] = VW_KIND_OBJECT,
    };
    struct vwi_span value = { NULL, 0 };
    enum vwi_kind kind = vwi_payload_find(span_of(json), pointer, &value);

    if (kind != VWI_KIND_ABSENT)
        *ret_value = (struct vw_bytes){ value.p, value.len };
    return kinds[kind];
}

static size_t access_count(struct vw_bytes value) { return vwi_payload_count(span_of(value)); }
static bool access_number(struct vw_bytes value, double *ret) { return vwi_payload_number(span_of(value), ret); }

static bool access_string(struct vw_bytes value, char *out, size_t size, size_t *ret_len)
{
    return vwi_payload_string(span_of(value), out, size, ret_len);
}

static const struct vwi_plugin_access json_access = { access_find, access_count, access_number, access_string };

static vw_err load(const struct vwi_strings *dirs, const char *name, const char *options, const char *route, const char *key,
                   const struct vwi_log *log, struct vwi_plugin **ret, vw_error_t *why)
{
    vw_error_t cause = { VW_OK, "" };
    vw_err err = vwi_plugin_load(dirs, name, options, &json_access, log, ret, &cause);

    if (err != VW_OK)
        return vwi_fail(why, err, "handler %s: %s: %s", route, key, cause.text);
    if (vwi_plugin_blocks(*ret))
        vwi_log_warn(log, "plugin %s says that its hooks may wait; every request waits with them", name);
    return VW_OK;
}

static vw_err open_handler(struct vwi_handler *handler, const struct vwi_strings *dirs, vw_error_t *why)
{
    const struct vwi_handler_conf *conf = handler->conf;
    vw_err err = VW_OK;

    if (conf->workload.kind == VWI_WORKLOAD_PLUGIN) {
        err = load(dirs, conf->workload.plugin, conf->workload.options_json, conf->route, "workloadCalculator", handler->log,
                   &handler->calculator, why);
        if (err == VW_OK && !vwi_plugin_can_weigh(handler->calculator))
            err = vwi_fail(why, VW_E_CONFIG, "handler %s: workloadCalculator: plugin %s does not weigh; name another plugin or a number",
                           conf->route, conf->workload.plugin);
    }
    if (err == VW_OK && conf->parser && strcmp(conf->parser, "unwrap") != 0) {
        err = load(dirs, conf->parser, conf->parser_options_json, conf->route, "requestParser", handler->log, &handler->parser, why);
        if (err == VW_OK && !vwi_plugin_can_parse(handler->parser))
            err = vwi_fail(why, VW_E_CONFIG, "handler %s: requestParser: plugin %s does not parse; name another plugin or \"unwrap\"",
                           conf->route, conf->parser);
    }
    return err;
}

vw_err vwi_handlers_create(const struct vwi_handlers_conf *conf, const struct vwi_strings *plugin_dirs, const struct vwi_log *log,
                           struct vwi_handler **ret, vw_error_t *why)
{
    struct vwi_handler *handlers = vwi_zalloc(conf->count * sizeof *handlers);
    vw_err err = VW_OK;
    size_t i;

    if (!handlers)
        return vwi_fail(why, VW_E_NOMEM, "handlers: out of memory");
    for (i = 0; i < conf->count && err == VW_OK; i++) {
        handlers[i].conf = &conf->items[i];
        handlers[i].log = log;
        err = open_handler(&handlers[i], plugin_dirs, why);
    }
    if (err != VW_OK) {
        vwi_handlers_destroy(handlers, conf->count);
        return err;
    }
    *ret = handlers;
    return VW_OK;
}

void vwi_handlers_destroy(struct vwi_handler *handlers, size_t count)
{
    size_t i;

    for (i = 0; handlers && i < count; i++) {
        vwi_plugin_close(handlers[i].calculator);
        vwi_plugin_close(handlers[i].parser);
    }
    vwi_free(handlers);
}

static void book(struct vwi_hook_time *time, int64_t began_us)
{
    time->seconds += (double)(vwi_mono_us() - began_us) / 1e6;
    time->calls++;
}

static bool ask_plugin(struct vwi_handler *handler, struct vwi_span payload, double *ret, vw_error_t *why)
{
    int64_t began_us = vwi_mono_us();
    vw_err err = vwi_plugin_weigh(handler->calculator, payload, ret, why);

    book(&handler->weighing, began_us);
    return err == VW_OK && vwi_workload_valid(*ret);
}

double vwi_handler_weigh(struct vwi_handler *handler, struct vwi_span payload, size_t body_bytes)
{
    vw_error_t why = { VW_OK, "" };
    double workload = 0;
    bool fallback = false;

    if (handler->calculator)
        fallback = !ask_plugin(handler, payload, &workload, &why);
    else
        workload = vwi_workload_weigh(&handler->conf->workload, payload, body_bytes, &fallback, &why);
    if (!fallback)
        return workload;
    if (handler->fallbacks++ == 0)
        vwi_log_warn(handler->log, "handler %s: workload: %s; counted as %g (said once, counted in plugin_fallbacks_total)",
                     handler->conf->route, why.text[0] ? why.text : "not a number >= 0", VWI_WORKLOAD_FALLBACK);
    return VWI_WORKLOAD_FALLBACK;
}

vw_err vwi_handler_parse(struct vwi_handler *handler, struct vwi_span payload, struct vwi_span *ret, void **ret_owned, vw_error_t *why)
{
    int64_t began_us;
    vw_err err;

    *ret_owned = NULL;
    *ret = payload;
    if (!handler->conf->parser)
        return VW_OK;
    if (!handler->parser) {
        *ret = vwi_payload_unwrap(payload);
        return VW_OK;
    }
    began_us = vwi_mono_us();
    err = vwi_plugin_parse(handler->parser, payload, ret, ret_owned, why);
    book(&handler->parsing, began_us);
    return err;
}
