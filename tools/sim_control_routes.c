/* The routes of the control plane. What it knows is in sim_fleet, what a worker may say in sim_wire; here they meet HTTP. */
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/vwi.h"
#include "sim_control_parts.h"

#define REQUEST_ID_SIZE 37

static const char *const own_rules[] = { "forget", "garble", NULL };

/* Why a body was refused is the most useful line a developer of a worker gets: on the console too, also with --quiet. */
static void refuse_body(struct sim_control *control, struct sim_call *call, const vw_error_t *why)
{
    control->refused_bodies++;
    fprintf(stderr, "vastworker-sim control: refused: %s\n", why->text);
    sim_call_refuse(call, why->code == VW_E_PARSE ? 400 : 503, "%s", why->text);
}

static json_t *read_body(struct sim_control *control, struct sim_call *call)
{
    json_t *body = sim_call_body_json(call);

    if (!body) {
        control->refused_bodies++;
        fprintf(stderr, "vastworker-sim control: refused: %s: the body is not JSON\n", call->route->path);
    }
    return body;
}

static bool same_secret(const char *a, const char *b) { return strlen(a) == strlen(b) && CRYPTO_memcmp(a, b, strlen(a)) == 0; }

static bool token_fits(struct sim_control *control, struct sim_call *call, const char *mtoken, long long worker_id)
{
    if (!control->options->token || same_secret(mtoken, control->options->token))
        return true;
    control->refused_tokens++;
    sim_say(control->common, "worker %lld refused: mtoken is not the one of --token", worker_id);
    sim_call_refuse(call, 401, "mtoken is not the one this control plane was started with");
    return false;
}

/* Keys arrive in the query, as a bearer and in the body; one that is there must be right, and one must be there. */
static bool key_fits(struct sim_control *control, struct sim_call *call, const json_t *body)
{
    const char *key = control->options->api_key, *in_body = json_string_value(json_object_get(body, "api_key"));
    struct vwi_span header = vwi_exchange_header(call->ex, "Authorization");
    struct vwi_text query = VWI_TEXT_INIT;
    unsigned right = 0, wrong = 0;

    if (!key)
        return true;
    if (sim_call_query(call, "api_key", &query))
        *(same_secret(query.p, key) ? &right : &wrong) += 1;
    vwi_text_fini(&query);
    if (in_body)
        *(same_secret(in_body, key) ? &right : &wrong) += 1;
    if (header.p) {
        size_t skip = header.len > 7 && memcmp(header.p, "Bearer ", 7) == 0 ? 7 : 0;

        *(header.len - skip == strlen(key) && CRYPTO_memcmp(header.p + skip, key, strlen(key)) == 0 ? &right : &wrong) += 1;
    }
    if (right && !wrong)
        return true;
    control->refused_keys++;
    sim_say(control->common, "route refused: %s api_key", wrong ? "wrong" : "no");
    sim_call_refuse(call, 401, "%s",
                    wrong ? "api_key is wrong" : "api_key is missing: send it as ?api_key=, as a bearer or in the body");
    return false;
}

static void get_pubkey(void *arg, struct sim_call *call)
{
    struct sim_control *control = arg;

    sim_call_reply(call, 200, "text/plain", control->public_pem.p, control->public_pem.len);
}

static void post_status(void *arg, struct sim_call *call)
{
    struct sim_control *control = arg;
    vw_error_t why = { 0 };
    struct sim_report report;
    json_t *body = read_body(control, call);

    if (!body)
        return;
    if (sim_wire_report(body, &report, &why) != VW_OK)
        refuse_body(control, call, &why);
    else if (token_fits(control, call, report.mtoken, report.id)) {
        if (sim_fleet_report(&control->fleet, &report, body, vwi_wall_s(), &why) != VW_OK)
            refuse_body(control, call, &why);
        else
            sim_call_reply_json_take(call, 200, json_pack("{s:b}", "success", 1));
    }
    json_decref(body);
}

static void say_deletions(const struct sim_control *control, const struct sim_deletions *deletions)
{
    unsigned counts[SIM_STATUSES] = { 0 };
    char text[160] = "";
    size_t i, len = 0;

    for (i = 0; i < deletions->count; i++)
        counts[deletions->items[i].status]++;
    for (i = 0; i < SIM_STATUSES; i++)
        if (counts[i] && len < sizeof text)
            len += (size_t)snprintf(text + len, sizeof text - len, "%s%u %s", len ? ", " : "", counts[i],
                                    sim_status_name((enum sim_status)i));
    sim_say(control->common, "worker %lld deletes %zu: %s", deletions->worker_id, deletions->count, text);
}

static void post_deletions(void *arg, struct sim_call *call)
{
    struct sim_control *control = arg;
    vw_error_t why = { 0 };
    struct sim_deletions deletions;
    json_t *body = read_body(control, call);

    if (!body)
        return;
    if (sim_wire_deletions(body, &deletions, &why) != VW_OK)
        refuse_body(control, call, &why);
    else if (token_fits(control, call, deletions.mtoken, deletions.worker_id)) {
        if (sim_fleet_delete(&control->fleet, &deletions, vwi_wall_s(), &why) != VW_OK) {
            refuse_body(control, call, &why);
        } else {
            say_deletions(control, &deletions);
            sim_call_reply_json_take(call, 200, json_pack("{s:b}", "success", 1));
        }
    }
    sim_deletions_fini(&deletions);
    json_decref(body);
}

static vw_err sign_for(struct sim_control *control, const char *url, vw_error_t *why)
{
    if (control->signed_url.p && strcmp(control->signed_url.p, url) == 0)
        return VW_OK;
    vwi_text_clear(&control->signed_url);
    vwi_text_clear(&control->signature);
    if (sim_key_sign_url(control->key, url, &control->signature, why) != VW_OK)
        return why->code;
    return vwi_text_adds(&control->signed_url, url) ? VW_OK : vwi_fail(why, VW_E_NOMEM, "out of memory");
}

/* A random UUID, version 4. */
static void make_request_id(char ret[REQUEST_ID_SIZE])
{
    unsigned char r[16] = { 0 };
    size_t i, len = 0;

    RAND_bytes(r, sizeof r);
    r[6] = (unsigned char)((r[6] & 0x0f) | 0x40);
    r[8] = (unsigned char)((r[8] & 0x3f) | 0x80);
    for (i = 0; i < sizeof r; i++)
        len +=
            (size_t)snprintf(ret + len, REQUEST_ID_SIZE - len, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", r[i]);
}

static void answer_waiting(struct sim_control *control, struct sim_call *call, const char *endpoint, long long idx, size_t ready)
{
    char id[REQUEST_ID_SIZE], status[120];

    make_request_id(id);
    snprintf(status, sizeof status, "waiting for %lld ready worker%s: %zu of %zu ready", control->options->min_ready,
             control->options->min_ready == 1 ? "" : "s", ready, control->fleet.worker_count);
    control->fleet.waiting_answers++;
    sim_say(control->common, "route %lld waits: %s", idx, status);
    sim_call_reply_json_take(call, 200,
                             json_pack("{s:s,s:s,s:I,s:s}", "endpoint", endpoint, "status", status, "request_idx",
                                       (json_int_t)idx, "__request_id", id));
}

static void answer_ready(struct sim_control *control, struct sim_call *call, const char *endpoint, long long idx, double cost,
                         struct sim_worker *worker)
{
    struct sim_routed routed = { .t = vwi_wall_s(), .cost = cost, .request_idx = idx, .worker_id = worker->id };
    char id[REQUEST_ID_SIZE];
    vw_error_t why = { 0 };

    if (sign_for(control, worker->last.url, &why) != VW_OK) {
        sim_call_refuse(call, 500, "%s", why.text);
        return;
    }
    make_request_id(id);
    routed.reqnum = control->fleet.next_reqnum++;
    control->fleet.ready_answers++;
    sim_fleet_routed(&control->fleet, worker, &routed);
    sim_say(control->common, "route %lld to worker %lld (cost %.2f, reqnum %lld)", idx, worker->id, cost, routed.reqnum);
    sim_call_reply_json_take(call, 200,
                             json_pack("{s:s,s:f,s:s,s:I,s:I,s:s,s:s}", "__request_id", id, "cost", cost, "endpoint", endpoint,
                                       "reqnum", (json_int_t)routed.reqnum, "request_idx", (json_int_t)idx, "signature",
                                       control->signature.p, "url", worker->last.url));
}

static vw_err read_route(const json_t *body, const char **ret_endpoint, double *ret_cost, long long *ret_idx, vw_error_t *why)
{
    const json_t *cost = json_object_get(body, "cost"), *idx = json_object_get(body, "request_idx");
    const json_t *replay = json_object_get(body, "replay_timeout");

    *ret_endpoint = json_string_value(json_object_get(body, "endpoint"));
    if (!json_is_object(body))
        return vwi_fail(why, VW_E_PARSE, "route: expected a JSON object");
    if (!*ret_endpoint || !**ret_endpoint)
        return vwi_fail(why, VW_E_PARSE, "route: endpoint: expected the endpoint's name");
    if (!json_is_number(cost) || json_number_value(cost) < 0)
        return vwi_fail(why, VW_E_PARSE, "route: cost: expected a number >= 0");
    if (idx && !json_is_null(idx) && (!json_is_integer(idx) || json_integer_value(idx) < 0))
        return vwi_fail(why, VW_E_PARSE, "route: request_idx: expected 0, or the number a WAITING answer gave");
    if (replay && !json_is_null(replay) && !json_is_number(replay))
        return vwi_fail(why, VW_E_PARSE, "route: replay_timeout: expected seconds");
    *ret_cost = json_number_value(cost);
    *ret_idx = json_integer_value(idx);
    return VW_OK;
}

static void post_route(void *arg, struct sim_call *call)
{
    struct sim_control *control = arg;
    struct sim_worker *worker;
    const char *endpoint = NULL;
    vw_error_t why = { 0 };
    double cost = 0;
    long long idx = 0;
    size_t ready;
    json_t *body = read_body(control, call);

    if (!body || !key_fits(control, call, body))
        goto out;
    if (read_route(body, &endpoint, &cost, &idx, &why) != VW_OK) {
        refuse_body(control, call, &why);
        goto out;
    }
    if (!idx)
        idx = control->fleet.next_request_idx++;
    ready = sim_fleet_choose(&control->fleet, vwi_wall_s(), control->options->stale_s, &worker);
    if (ready < (size_t)control->options->min_ready)
        answer_waiting(control, call, endpoint, idx, ready);
    else
        answer_ready(control, call, endpoint, idx, cost, worker);
out:
    json_decref(body);
}

struct sim_view sim_control_view(const struct sim_control *control)
{
    return (struct sim_view){ .fleet = &control->fleet,
                              .now = vwi_wall_s(),
                              .started = control->started,
                              .stale_s = control->options->stale_s,
                              .refused_keys = control->refused_keys,
                              .refused_bodies = control->refused_bodies,
                              .refused_tokens = control->refused_tokens };
}

static void post_endpoint_workers(void *arg, struct sim_call *call)
{
    struct sim_control *control = arg;
    struct sim_view view = sim_control_view(control);
    json_t *body = sim_call_body_json(call);

    if (!body)
        return;
    if (!json_is_integer(json_object_get(body, "id")))
        sim_call_refuse(call, 400, "get_endpoint_workers: id: expected a whole number");
    else if (key_fits(control, call, body))
        sim_call_reply_json_take(call, 200, sim_view_endpoint_workers(&view));
    json_decref(body);
}

static void get_state(void *arg, struct sim_call *call)
{
    const struct sim_control *control = arg;
    struct sim_view view = sim_control_view(control);

    view.behave = sim_faults_json(&control->faults);
    sim_call_reply_json_take(call, 200, sim_view_state(&view));
    json_decref(view.behave);
}

static void get_table(void *arg, struct sim_call *call)
{
    struct sim_view view = sim_control_view(arg);
    struct vwi_text text = VWI_TEXT_INIT;

    sim_view_table(&view, &text);
    if (text.failed)
        sim_call_refuse(call, 500, "out of memory");
    else
        sim_call_reply(call, 200, "text/plain; charset=utf-8", text.p, text.len);
    vwi_text_fini(&text);
}

/* As the platform's console: no credentials, the request as bytes, the certificate as text. */
static void post_sign_cert(void *arg, struct sim_call *call)
{
    struct sim_control *control = arg;
    struct vwi_span body = vwi_exchange_body(call->ex), peer = vwi_exchange_peer(call->ex);
    struct vwi_text id = VWI_TEXT_INIT, pem = VWI_TEXT_INIT;
    vw_error_t why = { 0 };
    char address[64];

    snprintf(address, sizeof address, "%.*s", (int)peer.len, peer.p);
    if (!sim_call_query(call, "instance_id", &id) || !id.len || strspn(id.p, "0123456789") != id.len)
        vwi_fail(&why, VW_E_PARSE, "sign_cert: instance_id: expected the worker's number in the query");
    else if (control->garble > 0)
        vwi_text_adds(&pem, "<html>a page in place of a certificate</html>\n");
    else
        sim_ca_sign(control->ca, body, address, &pem, &why);
    control->garble -= control->garble > 0 && why.code == VW_OK;
    if (why.code != VW_OK) {
        refuse_body(control, call, &why);
    } else {
        sim_say(control->common, "certificate for worker %s", id.p);
        sim_call_reply(call, 200, "text/plain", pem.p, pem.len);
    }
    vwi_text_fini(&id);
    vwi_text_fini(&pem);
}

static void get_ca(void *arg, struct sim_call *call)
{
    const struct sim_control *control = arg;
    struct vwi_text pem = VWI_TEXT_INIT;
    vw_error_t why = { 0 };

    if (sim_ca_pem(control->ca, &pem, &why) == VW_OK)
        sim_call_reply(call, 200, "text/plain", pem.p, pem.len);
    else
        sim_call_refuse(call, 500, "%s", why.text);
    vwi_text_fini(&pem);
}

static void post_behave(void *arg, struct sim_call *call)
{
    struct sim_control *control = arg;
    vw_error_t why = { 0 };
    json_t *rule = sim_call_body_json(call), *forget = json_object_get(rule, "forget");
    json_t *garble = json_object_get(rule, "garble");

    if (!rule)
        return;
    if (forget && !json_is_boolean(forget))
        vwi_fail(&why, VW_E_CONFIG, "behave: forget: expected true or false");
    else if (garble && (!json_is_integer(garble) || json_integer_value(garble) < 0))
        vwi_fail(&why, VW_E_CONFIG, "behave: garble: expected how many certificates");
    else
        sim_faults_take(&control->faults, rule, own_rules, &why);
    if (why.code != VW_OK) {
        sim_call_refuse(call, 400, "%s", why.text);
    } else {
        if (garble)
            control->garble = json_integer_value(garble);
        if (json_is_true(forget))
            sim_fleet_forget(&control->fleet, vwi_wall_s());
        sim_call_reply_json_take(call, 200, json_pack("{s:o}", "behave", sim_faults_json(&control->faults)));
    }
    json_decref(rule);
}

const struct sim_route sim_control_routes[] = {
    { "GET", "/pubkey/", get_pubkey, true },
    { "POST", "/worker_status/", post_status, true },
    { "POST", "/delete_requests/", post_deletions, true },
    { "POST", "/route/", post_route, true },
    { "POST", "/get_endpoint_workers/", post_endpoint_workers, true },
    { "POST", "/api/v0/sign_cert/", post_sign_cert, true },
    { "GET", "/sim/ca", get_ca, false },
    { "GET", "/sim/state", get_state, false },
    { "GET", "/sim/table", get_table, false },
    { "POST", "/sim/behave", post_behave, false },
};
const size_t sim_control_route_count = VWI_ARRAY_LEN(sim_control_routes);
