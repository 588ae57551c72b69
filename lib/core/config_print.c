/*
 * The effective configuration under the file's own keys, so that it reads like a file; besides them stand the mode and what the
 * environment alone says. Secrets, also those in options of plugins, read "***".
 */
#include <math.h>
#include <string.h>

#include "core/config.h"
#include "core/config_parts.h"

#define HIDDEN "***"

struct print {
    const struct vwi_config *config;
    bool no_memory;
};

/* value: taken; NULL is a failed allocation. */
static void put(struct print *print, json_t *object, const char *key, json_t *value)
{
    if (json_object_set_new(object, key, value) != 0)
        print->no_memory = true;
}

static void append(struct print *print, json_t *list, json_t *value)
{
    if (json_array_append_new(list, value) != 0)
        print->no_memory = true;
}

static json_t *number_of(double value)
{
    return floor(value) == value && fabs(value) < 9007199254740992.0 ? json_integer((json_int_t)value) : json_real(value);
}

static json_t *integer_of(const struct vwi_config_key *key, const void *at)
{
    size_t size = key->size;
    uint16_t small;
    uint32_t middle;
    uint64_t large;
    int below_zero;

    if (key->min < 0 && size == sizeof below_zero) {
        memcpy(&below_zero, at, size);
        return json_integer(below_zero);
    }
    switch (size) {
    case sizeof small:
        memcpy(&small, at, size);
        return json_integer(small);
    case sizeof middle:
        memcpy(&middle, at, size);
        return json_integer(middle);
    default:
        memcpy(&large, at, sizeof large);
        return json_integer((json_int_t)large);
    }
}

static json_t *strings_of(struct print *print, const struct vwi_strings *strings)
{
    json_t *list = json_array();
    size_t i;

    for (i = 0; i < strings->count; i++)
        append(print, list, json_string(strings->items[i]));
    return list;
}

/* A row that landed somewhere; what is absent is left out. */
static void put_landed(struct print *print, json_t *object, const char *name, const struct vwi_config_key *key, const void *base)
{
    const void *at = (const char *)base + key->offset;
    const struct vwi_strings *strings = at;
    const char *text;
    double number;
    bool flag;

    switch (key->type) {
    case VWI_KEY_BOOL:
        memcpy(&flag, at, sizeof flag);
        put(print, object, name, json_boolean(flag));
        break;
    case VWI_KEY_INTEGER:
        put(print, object, name, integer_of(key, at));
        break;
    case VWI_KEY_NUMBER:
    case VWI_KEY_SECONDS:
        memcpy(&number, at, sizeof number);
        put(print, object, name, number_of(number));
        break;
    case VWI_KEY_STRING:
        memcpy(&text, at, sizeof text);
        if (text)
            put(print, object, name, json_string(text));
        break;
    default:
        if (strings->count)
            put(print, object, name, strings_of(print, strings));
        break;
    }
}

/* Rows of a scope that landed in base; those read by hand are the caller's. */
static void put_scope(struct print *print, json_t *object, const char *scope, const void *base)
{
    size_t count, i;
    const struct vwi_config_key *keys = vwi_config_keys(&count);
    const char *name;
    json_t *inner;

    for (i = 0; i < count; i++) {
        name = vwi_config_key_name(&keys[i], scope);
        if (!name || (keys[i].flags & VWI_KEY_LATER))
            continue;
        if (keys[i].offset != VWI_KEY_NOWHERE)
            put_landed(print, object, name, &keys[i], base);
        else if (keys[i].type == VWI_KEY_OBJECT && !(keys[i].flags & VWI_KEY_APART)) {
            inner = json_object();
            put_scope(print, inner, keys[i].path, base);
            if (json_object_size(inner))
                put(print, object, name, inner);
            else
                json_decref(inner);
        }
    }
}

static bool is_secret(const char *name)
{
    static const char *const ends[] = { "key", "token", "secret", "password" };
    size_t len = strlen(name), i, n;

    for (i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        n = strlen(ends[i]);
        if (len >= n && vwi_same_nocase(name + len - n, ends[i], n))
            return true;
    }
    return false;
}

static void hide_secrets(struct print *print, json_t *value)
{
    const char *name;
    json_t *entry;
    size_t i;

    json_array_foreach(value, i, entry) hide_secrets(print, entry);
    json_object_foreach(value, name, entry)
    {
        if (json_is_string(entry) && is_secret(name)) {
            if (json_string_set(entry, HIDDEN) != 0)
                print->no_memory = true;
        } else {
            hide_secrets(print, entry);
        }
    }
}

static json_t *plugin_of(struct print *print, const char *plugin, const char *options_json)
{
    json_t *object, *options;

    if (!options_json)
        return json_string(plugin);
    object = json_object();
    options = json_loads(options_json, 0, NULL);
    hide_secrets(print, options);
    put(print, object, "plugin", json_string(plugin));
    put(print, object, "options", options);
    return object;
}

static json_t *workload_of(struct print *print, const struct vwi_workload_conf *workload)
{
    json_t *object;

    if (workload->kind == VWI_WORKLOAD_CONSTANT)
        return number_of(workload->value);
    if (workload->kind == VWI_WORKLOAD_PLUGIN)
        return plugin_of(print, workload->plugin, workload->options_json);
    object = json_object();
    if (workload->kind == VWI_WORKLOAD_BYTES)
        put(print, object, "bytes", number_of(workload->value));
    else
        put(print, object, workload->kind == VWI_WORKLOAD_FIELD ? "field" : "count", json_string(workload->pointer));
    if (workload->kind == VWI_WORKLOAD_FIELD && !isnan(workload->value))
        put(print, object, "default", number_of(workload->value));
    return object;
}

static json_t *benchmark_of(struct print *print, const struct vwi_benchmark_conf *bench)
{
    json_t *object = json_object(), *list;
    size_t i;

    put_scope(print, object, "handlers[].benchmark", bench);
    if (bench->dataset_file || !bench->dataset_count)
        return object;
    list = json_array();
    for (i = 0; i < bench->dataset_count; i++)
        append(print, list, json_loads(bench->dataset[i], JSON_DECODE_ANY, NULL));
    put(print, object, "dataset", list);
    return object;
}

static json_t *handler_of(struct print *print, const struct vwi_handler_conf *handler)
{
    json_t *object = json_object();

    put_scope(print, object, "handlers[]", handler);
    put(print, object, "auth", json_string(vwi_config_auth_name(handler->auth)));
    put(print, object, "workloadCalculator", workload_of(print, &handler->workload));
    if (handler->parser)
        put(print, object, "requestParser", plugin_of(print, handler->parser, handler->parser_options_json));
    if (!handler->heartbeat.enabled)
        json_object_del(object, "heartbeat");
    if (!handler->cancel.path)
        json_object_del(object, "cancel");
    if (handler->control) {
        json_object_del(object, "priority");
        json_object_del(object, "maxQueueTime");
    } else {
        put(print, object, "lane", json_string(print->config->handlers.lanes[handler->lane].name));
    }
    if (!handler->control && !handler->has_max_queue_time)
        put(print, object, "maxQueueTime", json_null());
    if (handler->benchmark)
        put(print, object, "benchmark", benchmark_of(print, handler->benchmark));
    return object;
}

static void put_handlers(struct print *print, json_t *root)
{
    const struct vwi_handlers_conf *conf = &print->config->handlers;
    json_t *list = json_array(), *lanes = json_object(), *lane;
    size_t i;

    for (i = 0; i < conf->count; i++)
        append(print, list, handler_of(print, &conf->items[i]));
    for (i = 0; i < conf->lane_count; i++) {
        lane = json_object();
        put_scope(print, lane, "lanes.*", &conf->lanes[i]);
        put(print, lanes, conf->lanes[i].name, lane);
    }
    put(print, root, "handlers", list);
    put(print, root, "lanes", lanes);
}

static void put_environment(struct print *print, json_t *root)
{
    const struct vwi_report_conf *report = &print->config->report;
    json_t *object = json_object();

    if (report->platform)
        put(print, object, "CONTAINER_ID", json_integer(report->worker_id));
    if (*report->mtoken)
        put(print, object, "MASTER_TOKEN", json_string(HIDDEN));
    if (print->config->auth.bearer_keys)
        put(print, object, "VASTWORKER_BEARER_KEYS", json_string(HIDDEN));
    if (report->addresses.count)
        put(print, object, "REPORT_ADDR", strings_of(print, &report->addresses));
    if (print->config->ready.rotate_log)
        put(print, object, "ROTATE_MODEL_LOG", json_true());
    put(print, root, "mode", json_string(report->platform ? "platform" : "local"));
    put(print, root, "environment", object);
}

static int add_bytes(const char *bytes, size_t len, void *arg)
{
    struct vwi_text *out = arg;

    return vwi_text_add(out, bytes, len) ? 0 : -1;
}

vw_err vwi_config_print(const struct vwi_config *config, struct vwi_text *out)
{
    struct print print = { config, false };
    json_t *root = json_object();

    put_environment(&print, root);
    put_scope(&print, root, "", config);
    if (config->model.unix_path)
        json_object_del(root, "modelServerPort");
    put(&print, root, "errorPolicy", json_string(config->ready.sticky ? "sticky" : "probe"));
    put_handlers(&print, root);
    if (!root || json_dump_callback(root, add_bytes, out, JSON_INDENT(2) | JSON_REAL_PRECISION(15)) != 0)
        print.no_memory = true;
    vwi_text_adds(out, "\n");
    json_decref(root);
    return print.no_memory || out->failed ? VW_E_NOMEM : VW_OK;
}
