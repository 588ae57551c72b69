/*
 * What the environment says beyond the table of keys, and what the two modes ask for: platform mode, where CONTAINER_ID is set,
 * has to be reachable and reports; local mode serves and needs only a way to check signatures, if some handler does.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/config_parts.h"
#include "core/failover.h"

#define PLATFORM_ADDRESS "https://run.vast.ai"
#define MAX_ADDRESSES VWI_FAILOVER_ADDRESSES

static void strip_slashes(char *text)
{
    size_t len = strlen(text);

    while (len && text[len - 1] == '/')
        text[--len] = '\0';
}

static void read_worker_id(struct vwi_fill *fill)
{
    struct vwi_config *config = fill->config;
    const char *text = vwi_fill_env(fill, "CONTAINER_ID");
    char *end;

    config->platform = config->report.platform = text != NULL;
    if (!text)
        return;
    errno = 0;
    config->report.worker_id = strtoll(text, &end, 10);
    end += strspn(end, " \t\r\n");
    if (end == text || *end || errno)
        vwi_fill_refuse_text(fill, "CONTAINER_ID", text, "an integer");
}

static void read_report(struct vwi_fill *fill)
{
    struct vwi_report_conf *report = &fill->config->report;
    const char *text = vwi_fill_env(fill, "MASTER_TOKEN");
    size_t i;

    report->mtoken = vwi_fill_keep_text(fill, text ? text : "", text ? strlen(text) : 0);
    text = vwi_fill_env(fill, "REPORT_ADDR");
    vwi_fill_add_split(fill, &report->addresses, text ? text : fill->config->platform ? PLATFORM_ADDRESS : "", ',');
    if (report->addresses.count > MAX_ADDRESSES)
        vwi_fill_env_error(fill, "REPORT_ADDR", "expected at most %d addresses, got %zu", MAX_ADDRESSES, report->addresses.count);
    for (i = 0; i < report->addresses.count; i++) {
        strip_slashes(report->addresses.items[i]);
        if (vwi_config_address_problem(report->addresses.items[i]))
            vwi_fill_refuse_text(fill, "REPORT_ADDR", report->addresses.items[i],
                                 "http(s)://HOST[:PORT][/PATH], separated by commas");
    }
    report->enabled = report->addresses.count > 0;
    if (!report->enabled)
        vwi_fill_warn(fill, "CONTAINER_ID and REPORT_ADDR are not set: nothing is reported to a control plane");
}

/* Of USE_SSL only the text true asks for TLS; where nothing is said, platform mode does. */
static void read_tls(struct vwi_fill *fill, const json_t *root)
{
    const char *text = vwi_fill_env(fill, "USE_SSL");

    if (text)
        fill->config->tls.enabled = strcmp(text, "true") == 0;
    else if (!json_is_boolean(json_object_get(json_object_get(root, "tls"), "enabled")))
        fill->config->tls.enabled = fill->config->platform;
}

static bool is_host(struct vwi_fill *fill, const char *text)
{
    struct vwi_text url = VWI_TEXT_INIT;
    bool good;

    vwi_text_addf(&url, strchr(text, ':') ? "http://[%s]" : "http://%s", text);
    fill->no_memory |= url.failed;
    good = url.failed || (!strchr(url.p + strlen("http://"), '/') && !vwi_config_address_problem(url.p));
    vwi_text_fini(&url);
    return good;
}

/* False where it is missing, which platform mode does not forgive. */
static bool read_outside(struct vwi_fill *fill, const char *name, struct vwi_text *ret)
{
    const char *text = vwi_fill_env(fill, name);
    size_t len;

    if (!text) {
        if (fill->config->platform)
            vwi_fill_env_error(fill, name, "is not set, so the advertised url cannot be formed; set it, or advertisedUrl");
        return false;
    }
    text += strspn(text, " \t\r\n");
    for (len = strlen(text); len && strchr(" \t\r\n", text[len - 1]); len--)
        ;
    vwi_text_add(ret, text, len);
    return !ret->failed;
}

static void form_url(struct vwi_fill *fill, unsigned worker_port)
{
    struct vwi_text host = VWI_TEXT_INIT, port = VWI_TEXT_INIT, url = VWI_TEXT_INIT;
    char name[64], *end = NULL;
    bool has_host, has_port;
    unsigned long number;

    snprintf(name, sizeof name, "VAST_TCP_PORT_%u", worker_port);
    has_host = read_outside(fill, "PUBLIC_IPADDR", &host);
    has_port = read_outside(fill, name, &port);
    if (has_host && !is_host(fill, host.p)) {
        vwi_fill_refuse_text(fill, "PUBLIC_IPADDR", host.p, "an address");
        has_host = false;
    }
    number = has_port ? strtoul(port.p, &end, 10) : 0;
    if (has_port && (*end || number < 1 || number > 65535 || strspn(port.p, "0123456789") != port.len)) {
        vwi_fill_refuse_text(fill, name, port.p, "a port from 1 to 65535");
        has_port = false;
    }
    if (has_host && has_port) {
        vwi_text_addf(&url, strchr(host.p, ':') ? "http%s://[%s]:%lu" : "http%s://%s:%lu", fill->config->tls.enabled ? "s" : "", host.p,
                      number);
        if (!url.failed)
            fill->config->auth.advertised_url = vwi_fill_keep_text(fill, url.p, url.len);
    }
    fill->no_memory |= host.failed || port.failed || url.failed;
    vwi_text_fini(&host);
    vwi_text_fini(&port);
    vwi_text_fini(&url);
}

/* https without TLS is fine: something in front of us may end it. */
static void check_scheme(struct vwi_fill *fill)
{
    char *url = fill->config->auth.advertised_url;

    strip_slashes(url);
    if (fill->config->tls.enabled && strncmp(url, "http://", strlen("http://")) == 0)
        vwi_fill_warn(fill, "advertisedUrl begins with http://, but TLS is on: clients would be answered 400");
}

static void find_url(struct vwi_fill *fill)
{
    struct vwi_config *config = fill->config;

    if (config->auth.advertised_url)
        check_scheme(fill);
    else if (config->front.port)
        form_url(fill, config->front.port);
    else if (config->platform)
        vwi_fill_error(fill, "workerPort", "0 takes any port, for which no url can be advertised; set a port, or advertisedUrl");
}

/* The first handler that checks signatures; the number of handlers: none. */
static size_t find_verifier(const struct vwi_config *config)
{
    size_t i;

    for (i = 0; i < config->handlers.count; i++)
        if (config->handlers.items[i].auth == VWI_AUTH_VAST)
            break;
    return config->auth.unsecured ? config->handlers.count : i;
}

static void check_key(struct vwi_fill *fill)
{
    struct vwi_config *config = fill->config;
    size_t index = find_verifier(config);
    char path[VWI_FILL_PATH];

    if (config->auth.unsecured)
        vwi_fill_warn(fill, "unsecured is true: signatures are not checked");
    if (index == config->handlers.count)
        return;
    snprintf(path, sizeof path, config->catch_all ? "handlers" : "handlers[%zu].auth", index);
    if (!config->auth.public_key_file && !config->report.enabled)
        vwi_fill_error(fill, path,
                       "%s \"vast\" needs a key to check signatures with: set publicKeyFile or REPORT_ADDR, or "
                       "unsecured for tests",
                       config->catch_all ? "without any, one handler serves every path with auth \"vast\"; auth" : "auth");
    else if (!config->auth.strict_url)
        vwi_fill_warn(fill, "strictUrl is false: a signature made for any other worker is taken too");
    else if (!config->auth.advertised_url && !config->platform)
        vwi_fill_warn(fill, "there is no advertised url: the url in signed requests is not checked");
}

/* They apply where the worker is unsecured, too. */
static void read_bearer(struct vwi_fill *fill)
{
    struct vwi_config *config = fill->config;
    const char *text = vwi_fill_env(fill, "VASTWORKER_BEARER_KEYS");
    char path[VWI_FILL_PATH];
    size_t i;

    if (text)
        config->auth.bearer_keys = vwi_fill_keep_text(fill, text, strlen(text));
    for (i = 0; i < config->handlers.count; i++)
        if (config->handlers.items[i].auth == VWI_AUTH_BEARER)
            break;
    if (i < config->handlers.count && !text && !config->auth.bearer_keys_file) {
        snprintf(path, sizeof path, "handlers[%zu].auth", i);
        vwi_fill_error(fill, path, "\"bearer\" needs keys: set bearerKeysFile, or VASTWORKER_BEARER_KEYS");
    } else if (i == config->handlers.count && (text || config->auth.bearer_keys_file)) {
        vwi_fill_warn(fill, "there are bearer keys, but no handler has auth \"bearer\": they open nothing");
    }
}

static void order_plugin_path(struct vwi_fill *fill)
{
    const struct vwi_strings *first = fill->src->cli_plugin_path, last = fill->config->plugin_path;
    struct vwi_strings *path = &fill->config->plugin_path;
    const char *text = vwi_fill_env(fill, "VASTWORKER_PLUGIN_PATH"), *prefix = fill->src->prefix_plugin_dir;
    size_t i;

    *path = (struct vwi_strings){ NULL, 0 };
    for (i = 0; first && i < first->count; i++)
        vwi_fill_add_string(fill, path, first->items[i], strlen(first->items[i]));
    if (text)
        vwi_fill_add_split(fill, path, text, ':');
    for (i = 0; i < last.count; i++)
        vwi_fill_add_string(fill, path, last.items[i], strlen(last.items[i]));
    if (prefix && *prefix)
        vwi_fill_add_string(fill, path, prefix, strlen(prefix));
}

static void find_state_dir(struct vwi_fill *fill)
{
    const char *workspace = vwi_fill_env(fill, "WORKSPACE_DIR");
    struct vwi_text dir = VWI_TEXT_INIT;

    if (fill->config->ready.state_dir)
        return;
    if (workspace)
        vwi_text_addf(&dir, "%s/.vastworker", workspace);
    else if ((workspace = vwi_fill_env(fill, "XDG_STATE_HOME")))
        vwi_text_addf(&dir, "%s/vastworker", workspace);
    if (dir.failed)
        fill->no_memory = true;
    else if (dir.p)
        fill->config->ready.state_dir = vwi_fill_keep_text(fill, dir.p, dir.len);
    vwi_text_fini(&dir);
}

static void choose_error_policy(struct vwi_fill *fill, const json_t *root)
{
    const char *said = json_string_value(json_object_get(root, "errorPolicy"));
    struct vwi_ready_conf *ready = &fill->config->ready;

    said = said && *said ? said : NULL;
    ready->sticky = said ? strcmp(said, "sticky") == 0 : !ready->health_path;
    if (said && strcmp(said, "probe") == 0 && !ready->health_path)
        vwi_fill_error(fill, "errorPolicy", "\"probe\" needs a modelHealthcheckPath");
}

/* Would a listener of ours on loopback be taken for the model server? */
static bool is_models(const struct vwi_config *config, unsigned port)
{
    const char *host = config->model.host;

    return host && port && port == config->model.port &&
           (strcmp(host, "localhost") == 0 || strncmp(host, "127.", 4) == 0 || strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::1") == 0);
}

/* A worker that asks itself whether the model is up hears that it is. */
static void check_ports(struct vwi_fill *fill)
{
    struct vwi_session_conf *session = &fill->config->session;

    if (!fill->config->front.bind_address && is_models(fill->config, fill->config->front.port))
        vwi_fill_error(fill, "workerPort", "is the model server's port, too; choose another one");
    if (!session->listens || !is_models(fill->config, session->port))
        return;
    if (session->port_set)
        vwi_fill_error(fill, "sessionPort", "is the model server's port, too; choose another one, or 0 for none");
    else
        vwi_fill_warn(fill, "sessionPort: its default, workerPort + 1, is the model server's port, so the model server cannot end sessions. "
                            "Remedy: set sessionPort to a free port, or to 0");
    session->listens = false;
}

/* One that nobody asked for is beside ours, or any where ours is. */
static void choose_session_port(struct vwi_fill *fill, const json_t *root)
{
    struct vwi_session_conf *session = &fill->config->session;
    unsigned own = fill->config->front.port;

    session->port_set = json_object_get(root, "sessionPort") || vwi_fill_env(fill, "WORKER_HTTP_PORT");
    session->listens = session->port_set ? session->port > 0 : own < 65535;
    if (!session->port_set)
        session->port = (uint16_t)(own ? own + 1 : 0);
    if (session->port_set && session->port && session->port == own)
        vwi_fill_error(fill, "sessionPort", "is workerPort, too; choose another one, or 0 for none");
    check_ports(fill);
}

/* As with the platform's boot script, only this text asks for it. */
static void read_rotation(struct vwi_fill *fill)
{
    const char *text = vwi_fill_env(fill, "ROTATE_MODEL_LOG");

    fill->config->ready.rotate_log = text && strcmp(text, "true") == 0;
}

static void check_supervision(struct vwi_fill *fill, const json_t *root)
{
    const struct vwi_strings *read = &fill->config->ready.log_files;
    const char *written = fill->config->supervise.log_file;
    size_t i;

    if (!fill->src->has_command && json_object_get(root, "supervise"))
        vwi_fill_warn(fill, "supervise is set, but there is no model command behind --: it is not used");
    for (i = 0; fill->src->has_command && written && i < read->count; i++)
        if (strcmp(read->items[i], written) == 0)
            vwi_fill_warn(fill, "%s is both modelLogFile and supervise.logFile: each line of it counts twice", written);
}

void vwi_fill_modes(struct vwi_fill *fill, json_t *root)
{
    const struct vwi_front_conf *front = &fill->config->front;

    read_worker_id(fill);
    read_report(fill);
    read_tls(fill, root);
    find_url(fill);
    check_key(fill);
    read_bearer(fill);
    order_plugin_path(fill);
    find_state_dir(fill);
    choose_error_policy(fill, root);
    read_rotation(fill);
    if (front->max_body_bytes > front->max_buffered_bytes)
        vwi_fill_warn(fill, "limits.maxBodyBytes is larger than limits.maxBufferedBytes, so a body of that size is always "
                            "refused");
    choose_session_port(fill, root);
    check_supervision(fill, root);
}
