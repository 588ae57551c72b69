/*
 * Requests -> calls -> handlers. The odd thing: a delayed call is handled when its delay is over, so one whose client
 * has left by then was never taken in, and what a worker has to send again is not counted twice.
 */
#include "sim_server.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/vwi.h"
#include "io/front.h"

#define BODY_MAX_BYTES (1ull << 30)
#define JSON_TYPE "application/json"

struct sim_server {
    struct vwi_loop *loop;
    struct vwi_front *front;
    struct sim_server_conf conf;
    char address[16];
};

static void free_call(void *arg) { vwi_free(arg); }

static void on_drained(void *user)
{
    struct sim_call *call = user;

    if (call->on_drained)
        call->on_drained(call->user);
}

static void on_done(void *user, bool gone)
{
    struct sim_call *call = user;
    struct sim_server *server = call->server;

    call->ex = NULL;
    vwi_timer_fini(&call->timer);
    if (call->on_gone)
        call->on_gone(call->user);
    if (server->conf.on_over)
        server->conf.on_over(server->conf.arg, call, gone);
    vwi_loop_bury(server->loop, &call->burial, free_call, call);
}

static const struct vwi_exchange_events exchange_events = { .on_drained = on_drained, .on_done = on_done };

static void answers(struct sim_call *call, int status)
{
    struct sim_server *server = call->server;

    call->status = status;
    if (server->conf.on_answer)
        server->conf.on_answer(server->conf.arg, call, status);
}

void sim_call_reply(struct sim_call *call, int status, const char *type, const char *body, size_t len)
{
    char headers[256];

    if (!call->ex)
        return;
    snprintf(headers, sizeof headers, "Content-Type: %s\r\n%s", type, status == 503 ? "Retry-After: 1\r\n" : "");
    answers(call, status);
    vwi_exchange_reply(call->ex, status, headers, body, len);
}

void sim_call_reply_json_take(struct sim_call *call, int status, json_t *body)
{
    char *text = body ? json_dumps(body, JSON_COMPACT | JSON_REAL_PRECISION(16)) : NULL;

    json_decref(body);
    if (text)
        sim_call_reply(call, status, JSON_TYPE, text, strlen(text));
    else
        sim_call_refuse(call, 500, "out of memory");
    free(text);
}

void sim_call_refuse(struct sim_call *call, int status, const char *fmt, ...)
{
    struct vwi_text body = VWI_TEXT_INIT;
    char message[1400];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(message, sizeof message, fmt, ap);
    va_end(ap);
    call->server->conf.write_error(&body, status, message);
    sim_call_reply(call, status, JSON_TYPE, body.len ? body.p : "", body.len);
    vwi_text_fini(&body);
}

void sim_call_stream(struct sim_call *call, int status, const char *type)
{
    char headers[256];

    if (!call->ex)
        return;
    snprintf(headers, sizeof headers, "Content-Type: %s\r\nCache-Control: no-cache\r\n", type);
    answers(call, status);
    vwi_exchange_head(call->ex, status, headers, -1);
}

void sim_call_cut(struct sim_call *call)
{
    if (call->ex)
        vwi_exchange_abort(call->ex);
}

json_t *sim_call_body_json(struct sim_call *call)
{
    struct vwi_span body = vwi_exchange_body(call->ex);
    json_error_t bad;
    json_t *json = json_loadb(body.len ? body.p : "", body.len, JSON_ALLOW_NUL, &bad);

    if (!json)
        sim_call_refuse(call, 400, "the body is not JSON (%.120s)", bad.text);
    return json;
}

static int hex_value(char c)
{
    const char *digits = "0123456789abcdefABCDEF", *at = c ? strchr(digits, c) : NULL;
    int value = at ? (int)(at - digits) : -1;

    return value > 15 ? value - 6 : value;
}

static bool decode_percent(const char *p, size_t len, struct vwi_text *ret)
{
    size_t i;

    vwi_text_clear(ret);
    vwi_text_add(ret, "", 0);
    for (i = 0; i < len; i++) {
        char c = p[i] == '+' ? ' ' : p[i];

        if (p[i] == '%') {
            int high = i + 2 < len ? hex_value(p[i + 1]) : -1, low = high < 0 ? -1 : hex_value(p[i + 2]);

            if (low < 0 || (high == 0 && low == 0))
                return false;
            c = (char)(high << 4 | low);
            i += 2;
        }
        vwi_text_add(ret, &c, 1);
    }
    return !ret->failed;
}

bool sim_call_query(const struct sim_call *call, const char *name, struct vwi_text *ret)
{
    const char *p = call->query.p, *end = p ? p + call->query.len : p;
    size_t len = strlen(name);

    while (p < end) {
        const char *stop = memchr(p, '&', (size_t)(end - p));

        if (!stop)
            stop = end;
        if ((size_t)(stop - p) > len && memcmp(p, name, len) == 0 && p[len] == '=')
            return decode_percent(p + len + 1, (size_t)(stop - p) - len - 1, ret);
        p = stop + 1;
    }
    return false;
}

static void handle(struct sim_call *call) { call->route->fn(call->server->conf.arg, call); }

/* What the rule says, once its delay is over. */
static void go_wrong(struct sim_call *call)
{
    const struct sim_fault *fault = &call->fault;

    if (fault->status)
        sim_call_refuse(call, fault->status, "failed on request of a behave rule");
    else if (fault->reset && !fault->after_tokens)
        sim_call_cut(call);
    else if (!fault->stall || fault->after_tokens)
        handle(call);
}

static void on_delay_over(void *arg) { go_wrong(arg); }

static void misbehave(struct sim_call *call)
{
    struct sim_server *server = call->server;

    if (server->conf.on_fault)
        server->conf.on_fault(server->conf.arg, call);
    if (!call->fault.delay_ms) {
        go_wrong(call);
        return;
    }
    if (vwi_timer_init(&call->timer, server->loop, on_delay_over, call) != VW_OK) {
        sim_call_refuse(call, 500, "out of memory");
        return;
    }
    vwi_timer_start(&call->timer, call->fault.delay_ms);
}

static bool method_fits(const char *method, struct vwi_span asked)
{
    return vwi_span_is(asked, method) || (strcmp(method, "GET") == 0 && vwi_span_is(asked, "HEAD"));
}

static void refuse_route(struct sim_call *call, struct vwi_span path, const char *allow)
{
    const struct sim_server_conf *conf = &call->server->conf;
    size_t i;

    if (allow) {
        sim_call_refuse(call, 405, "%.*s takes %s", (int)path.len, path.p, allow);
        return;
    }
    for (i = 0; i < conf->route_count; i++) {
        size_t len = strlen(conf->routes[i].path);

        if (path.len + 1 == len && conf->routes[i].path[len - 1] == '/' && memcmp(path.p, conf->routes[i].path, path.len) == 0) {
            sim_call_refuse(call, 404, "nothing here; the path ends with a slash: %s", conf->routes[i].path);
            return;
        }
    }
    sim_call_refuse(call, 404, "nothing is served under %.*s", path.len > 200 ? 200 : (int)path.len, path.p);
}

static void dispatch(struct sim_call *call)
{
    const struct sim_server_conf *conf = &call->server->conf;
    struct vwi_span target = vwi_exchange_target(call->ex), method = vwi_exchange_method(call->ex), path = vwi_span_path(target);
    const char *allow = NULL;
    size_t i;

    call->query = vwi_span_query(target);
    for (i = 0; i < conf->route_count && !call->route; i++) {
        if (!vwi_span_is(path, conf->routes[i].path))
            continue;
        if (method_fits(conf->routes[i].method, method))
            call->route = &conf->routes[i];
        else
            allow = conf->routes[i].method;
    }
    if (conf->on_seen)
        conf->on_seen(conf->arg, call);
    if (!call->route)
        refuse_route(call, path, allow);
    else if (sim_faults_hit(conf->faults, call->route->path, call->route->plain, &call->fault))
        misbehave(call);
    else
        handle(call);
}

static void on_request(void *arg, struct vwi_exchange *ex)
{
    struct sim_server *server = arg;
    struct sim_call *call = vwi_zalloc(sizeof *call);

    if (!call) {
        vwi_exchange_reply(ex, 503, NULL, "", 0);
        return;
    }
    call->server = server;
    call->ex = ex;
    call->arrived = vwi_wall_s();
    vwi_exchange_bind(ex, &exchange_events, call);
    dispatch(call);
}

static void on_refuse(void *arg, int status, const char *reason, const char *message, struct vwi_text *headers,
                      struct vwi_text *body)
{
    struct sim_server *server = arg;

    (void)reason;
    vwi_text_adds(headers, "Content-Type: " JSON_TYPE "\r\n");
    server->conf.write_error(body, status, message);
}

vw_err sim_server_create(struct vwi_loop *loop, const struct sim_server_conf *conf, const struct vwi_log *log,
                         struct sim_server **ret, vw_error_t *why)
{
    static const struct vwi_front_events events = { .on_request = on_request, .on_refuse = on_refuse };
    struct vwi_front_conf limits = { .port = conf->port,
                                     .max_body_bytes = BODY_MAX_BYTES,
                                     .max_buffered_bytes = 2 * BODY_MAX_BYTES,
                                     .max_header_bytes = 65536,
                                     .max_connections = 10000,
                                     .client_header_s = 30,
                                     .client_body_s = 60,
                                     .client_idle_s = 75 };
    struct sim_server *server = vwi_zalloc(sizeof *server);
    vw_err err;

    if (!server)
        return vwi_fail(why, VW_E_NOMEM, "server: out of memory");
    server->loop = loop;
    server->conf = *conf;
    memcpy(server->address, "127.0.0.1", sizeof "127.0.0.1");
    limits.bind_address = server->address;
    err = vwi_front_create(loop, &limits, &events, server, log, &server->front, why);
    if (err != VW_OK) {
        vwi_free(server);
        return err;
    }
    *ret = server;
    return VW_OK;
}

uint16_t sim_server_port(const struct sim_server *server) { return vwi_front_port(server->front); }

void sim_server_destroy(struct sim_server *server)
{
    if (!server)
        return;
    vwi_front_destroy(server->front);
    vwi_free(server);
}
