/* The list of handlers, or the catch-all where there is none, and what two handlers must not both claim. */
#include <stdio.h>
#include <string.h>

#include "base/vwi.h"
#include "core/config_parts.h"

#define MAX_HANDLERS 1000
#define SCOPE "handlers[]"

/* These methods on these paths never reach a handler. */
static const struct {
    const char *route, *method;
} built_in[] = {
    { "/health", "GET" },          { "/health", "HEAD" },      { "/health/live", "GET" },      { "/health/live", "HEAD" },
    { "/metrics", "GET" },         { "/metrics", "HEAD" },     { "/session/create", "POST" },  { "/session/get", "POST" },
    { "/session/health", "POST" }, { "/session/end", "POST" }, { "/pyworker/update", "POST" }, { "/drain", "POST" },
};

static bool takes(const struct vwi_handler_conf *handler, const char *method)
{
    size_t i;

    for (i = 0; i < handler->methods.count; i++)
        if (strcmp(handler->methods.items[i], method) == 0)
            return true;
    return false;
}

static bool takes_built_in(const struct vwi_handler_conf *handler, const char *method)
{
    return takes(handler, method) || takes(handler, "*") || (strcmp(method, "HEAD") == 0 && takes(handler, "GET"));
}

static void check_built_in(struct vwi_fill *fill, const struct vwi_handler_conf *handler, const char *path)
{
    size_t i;

    for (i = 0; i < VWI_ARRAY_LEN(built_in); i++)
        if (strcmp(built_in[i].route, handler->route) == 0 && takes_built_in(handler, built_in[i].method)) {
            vwi_fill_error(fill, path, "the worker itself answers %s %s; take another route or other methods", built_in[i].method,
                           built_in[i].route);
            return;
        }
}

static void check_methods(struct vwi_fill *fill, const struct vwi_handler_conf *handler, const char *path)
{
    const struct vwi_strings *methods = &handler->methods;
    size_t i, j;

    if (methods->count > 1 && takes(handler, "*"))
        vwi_fill_error(fill, path, "\"*\" stands for every method and so must stand alone");
    for (i = 0; i < methods->count; i++)
        for (j = 0; j < i; j++)
            if (strcmp(methods->items[i], methods->items[j]) == 0)
                vwi_fill_error(fill, path, "%s stands twice", methods->items[i]);
}

static void check_twins(struct vwi_fill *fill, const struct vwi_handlers_conf *conf, size_t index, const char *path)
{
    const struct vwi_handler_conf *handler = &conf->items[index], *other;
    size_t i, m;

    for (i = 0; i < index; i++) {
        other = &conf->items[i];
        if (!other->route || strcmp(other->route, handler->route) != 0)
            continue;
        for (m = 0; m < handler->methods.count; m++)
            if (takes(other, handler->methods.items[m])) {
                vwi_fill_error(fill, path, "%s %s is served by handlers[%zu] already", handler->methods.items[m], handler->route,
                               i);
                return;
            }
    }
}

static void check_route(struct vwi_fill *fill, const struct vwi_handlers_conf *conf, size_t index, const char *path)
{
    const struct vwi_handler_conf *handler = &conf->items[index];
    char own[VWI_FILL_PATH];

    vwi_fill_path(own, path, "methods");
    if (handler->methods.count == 0 && !vwi_fill_told(fill, own))
        vwi_fill_error(fill, own, "expected at least one method, or [\"*\"] for any");
    check_methods(fill, handler, own);
    if (!handler->route)
        return; /* was refused */
    vwi_fill_path(own, path, "route");
    check_built_in(fill, handler, own);
    check_twins(fill, conf, index, own);
    vwi_fill_path(own, path, "upgrade");
    if (handler->upgrade.count && !takes(handler, "GET") && !takes(handler, "*"))
        vwi_fill_error(fill, own, "needs the method GET in methods");
    vwi_fill_path(own, path, "targetPath");
    if (handler->target_path && strchr(handler->target_path, '*') && !strchr(handler->route, '*'))
        vwi_fill_error(fill, own, "ends in \"*\", but the route does not");
}

/* Keys of waiting say nothing about requests that never wait. */
static void check_control(struct vwi_fill *fill, const json_t *object, const char *path)
{
    static const char *const idle[] = { "lane", "maxConcurrency", "maxQueueTime", "maxQueueLength", "priority", "cancel", "benchmark" };
    char own[VWI_FILL_PATH];
    size_t i;

    for (i = 0; i < VWI_ARRAY_LEN(idle); i++)
        if (json_object_get(object, idle[i])) {
            vwi_fill_path(own, path, idle[i]);
            vwi_fill_error(fill, own, "has no meaning where control is true");
        }
}

static void check_cancel(struct vwi_fill *fill, const json_t *object, const char *path, const struct vwi_cancel_conf *cancel)
{
    char own[VWI_FILL_PATH];

    vwi_fill_path(own, path, "cancel.path");
    if (json_is_object(json_object_get(object, "cancel")) && !cancel->path && !vwi_fill_told(fill, own))
        vwi_fill_error(fill, own, "is missing");
}

static const char *const auth_names[] = { [VWI_AUTH_VAST] = "vast", [VWI_AUTH_BEARER] = "bearer", [VWI_AUTH_NONE] = "none" };

const char *vwi_config_auth_name(enum vwi_auth_kind auth) { return auth_names[auth]; }

/* What is none of them was refused. */
static enum vwi_auth_kind read_auth(const json_t *value)
{
    const char *text = json_string_value(value);
    size_t i;

    for (i = 0; text && i < VWI_ARRAY_LEN(auth_names); i++)
        if (strcmp(auth_names[i], text) == 0)
            return (enum vwi_auth_kind)i;
    return VWI_AUTH_VAST;
}

static void fill_handler(struct vwi_fill *fill, json_t *object, const char *path, struct vwi_handler_conf *handler)
{
    char own[VWI_FILL_PATH];

    handler->timeouts = fill->config->model.timeouts;
    handler->drain_s = fill->config->drain_s;
    vwi_fill_object(fill, SCOPE, object, path, handler);
    handler->heartbeat.enabled = json_is_object(json_object_get(object, "heartbeat"));
    handler->auth = read_auth(json_object_get(object, "auth"));
    handler->has_max_queue_time = !handler->control && !json_is_null(json_object_get(object, "maxQueueTime"));
    vwi_fill_path(own, path, "workloadCalculator");
    vwi_fill_workload(fill, json_object_get(object, "workloadCalculator"), own, &handler->workload);
    vwi_fill_parser(fill, json_object_get(object, "requestParser"), handler);
    vwi_fill_path(own, path, "benchmark");
    vwi_fill_benchmark(fill, json_object_get(object, "benchmark"), own, handler);
    check_cancel(fill, object, path, &handler->cancel);
    if (handler->control)
        check_control(fill, object, path);
}

static void check_benchmarks(struct vwi_fill *fill, const struct vwi_handlers_conf *conf)
{
    char path[VWI_FILL_PATH];
    size_t i, first = conf->count;

    for (i = 0; i < conf->count; i++) {
        if (!conf->items[i].benchmark)
            continue;
        if (first == conf->count) {
            first = i;
            continue;
        }
        snprintf(path, sizeof path, "handlers[%zu].benchmark", i);
        vwi_fill_error(fill, path, "handlers[%zu] has one already, and one capacity is all that can be reported", first);
    }
}

void vwi_fill_handlers(struct vwi_fill *fill, json_t *root)
{
    struct vwi_handlers_conf *conf = &fill->config->handlers;
    json_t *list = json_object_get(root, "handlers"), *built = NULL;
    char path[VWI_FILL_PATH];
    size_t i;

    if (list && !json_is_array(list))
        return; /* was refused */
    if (json_array_size(list) == 0) {
        list = built = json_pack("[{s:s, s:[s], s:b}]", "route", "/*", "methods", "*", "allowParallelRequests", 1);
        fill->config->catch_all = true;
    }
    if (!list)
        fill->no_memory = true;
    if (json_array_size(list) > MAX_HANDLERS) {
        vwi_fill_error(fill, "handlers", "expected at most %d handlers, got %zu", MAX_HANDLERS, json_array_size(list));
        return;
    }
    conf->items = vwi_fill_keep(fill, json_array_size(list) * sizeof *conf->items);
    for (i = 0; conf->items && i < json_array_size(list); i++) {
        vwi_fill_path_at(path, "handlers", i);
        conf->count++;
        if (!json_is_object(json_array_get(list, i))) {
            vwi_fill_error(fill, path, "expected an object");
            continue;
        }
        fill_handler(fill, json_array_get(list, i), path, &conf->items[i]);
        check_route(fill, conf, i, path);
    }
    if (conf->items) {
        check_benchmarks(fill, conf);
        vwi_fill_lanes(fill, list, json_object_get(root, "lanes"));
    }
    json_decref(built);
}
