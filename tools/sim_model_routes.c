/* The routes of the model server, and what /sim/state shows of the requests that came. */
#include <string.h>

#include "base/err.h"
#include "base/vwi.h"
#include "sim_model_parts.h"

static const char *const own_rules[] = { "health", "log", NULL };

static void post_embeddings(void *arg, struct sim_call *call) { sim_job_begin(arg, call, SIM_ASK_EMBEDDINGS); }
static void post_completions(void *arg, struct sim_call *call) { sim_job_begin(arg, call, SIM_ASK_COMPLETION); }
static void post_chat(void *arg, struct sim_call *call) { sim_job_begin(arg, call, SIM_ASK_CHAT); }
static void post_rerank(void *arg, struct sim_call *call) { sim_job_begin(arg, call, SIM_ASK_RERANK); }

static void get_health(void *arg, struct sim_call *call)
{
    const struct sim_model *model = arg;
    int status = !model->loaded ? 503 : model->health_status ? model->health_status : 200;

    const char *word = !model->loaded ? "loading" : status == 200 ? "ok" : "failing";

    sim_call_reply_json_take(call, status, json_pack("{s:s}", "status", word));
}

static void get_models(void *arg, struct sim_call *call)
{
    const struct sim_model *model = arg;

    if (!model->loaded) {
        sim_call_refuse(call, 503, "the model is still loading");
        return;
    }
    sim_call_reply_json_take(call, 200,
                             json_pack("{s:s,s:[{s:s,s:s,s:I,s:s}]}", "object", "list", "data", "id", model->options->name,
                                       "object", "model", "created", (json_int_t)model->started, "owned_by", "vastworker-sim"));
}

static json_t *counts_json(const struct sim_model_counts *c)
{
    return json_pack("{s:I,s:I,s:I,s:I,s:I}", "requests", (json_int_t)c->requests, "served", (json_int_t)c->served, "failed",
                     (json_int_t)c->failed, "cancelled", (json_int_t)c->cancelled, "cut", (json_int_t)c->cut);
}

/* Header names in lower case; repeated ones joined as HTTP allows. */
static void add_header(json_t *headers, const char *line, size_t len)
{
    const char *colon = memchr(line, ':', len), *old;
    char name[128];
    struct vwi_text value = VWI_TEXT_INIT;
    size_t i, name_len = colon ? (size_t)(colon - line) : 0;

    if (!name_len || name_len >= sizeof name)
        return;
    for (i = 0; i < name_len; i++)
        name[i] = (char)(line[i] >= 'A' && line[i] <= 'Z' ? line[i] + 32 : line[i]);
    name[name_len] = '\0';
    old = json_string_value(json_object_get(headers, name));
    if (old)
        vwi_text_addf(&value, "%s, ", old);
    vwi_text_add(&value, colon + 2, len - name_len - 2);
    if (!value.failed)
        json_object_set_new(headers, name, json_stringn(value.p, value.len));
    vwi_text_fini(&value);
}

static json_t *last_json(const struct sim_model *model)
{
    const char *p = model->last_head.p, *end;
    json_t *headers, *request;

    if (!p)
        return json_null();
    headers = json_object();
    end = strchr(p, '\n');
    request = json_stringn(p, (size_t)(end - p));
    for (p = end + 1; (end = strchr(p, '\n')) != NULL; p = end + 1)
        add_header(headers, p, (size_t)(end - p));
    /* A body that is no text is shown as null; body_bytes still counts it. */
    return json_pack("{s:o?,s:o,s:o?,s:I}", "request", request, "headers", headers, "body",
                     json_stringn(model->last_body.p ? model->last_body.p : "", model->last_body.len), "body_bytes",
                     (json_int_t)model->last_body_bytes);
}

static void get_state(void *arg, struct sim_call *call)
{
    const struct sim_model *model = arg;
    json_t *routes = json_object(), *state;
    size_t i;

    for (i = 0; i < sim_model_route_count; i++)
        if (sim_model_routes[i].plain)
            json_object_set_new(routes, sim_model_routes[i].path, counts_json(&model->by_route[i]));
    state = json_pack("{s:b,s:f,s:o,s:s?,s:I,s:I,s:I,s:I,s:o,s:o,s:o}", "loaded", model->loaded, "started", model->started,
                      "loaded_at", model->loaded ? json_real(model->loaded_at) : json_null(), "log", model->log_path, "in_flight",
                      (json_int_t)model->in_flight, "max_in_flight", (json_int_t)model->max_in_flight, "waiting",
                      (json_int_t)model->waiting_count, "tokens", (json_int_t)model->tokens, "by_route", routes, "last",
                      last_json(model), "behave", sim_faults_json(&model->faults));
    if (state) {
        json_t *counts = counts_json(&model->counts);

        json_object_update(state, counts);
        json_decref(counts);
    }
    sim_call_reply_json_take(call, 200, state);
}

static vw_err take_own_rules(struct sim_model *model, const json_t *rule, vw_error_t *why)
{
    const json_t *health = json_object_get(rule, "health"), *line = json_object_get(rule, "log");
    const char *text = json_string_value(line);

    if (health && (!json_is_integer(health) || json_integer_value(health) < 200 || json_integer_value(health) > 599))
        return vwi_fail(why, VW_E_CONFIG, "behave: health: expected a status from 200 to 599");
    if (line && (!text || strchr(text, '\n')))
        return vwi_fail(why, VW_E_CONFIG, "behave: log: expected one line of text");
    if (sim_faults_take(&model->faults, rule, own_rules, why) != VW_OK)
        return why->code;
    if (json_is_true(json_object_get(rule, "clear")) && !json_object_get(rule, "path"))
        model->health_status = 0;
    if (health)
        model->health_status = (int)json_integer_value(health);
    return text ? sim_model_log_line(model, text, why) : VW_OK;
}

static void post_behave(void *arg, struct sim_call *call)
{
    struct sim_model *model = arg;
    vw_error_t why = { 0 };
    json_t *rule = sim_call_body_json(call);

    if (!rule)
        return;
    if (take_own_rules(model, rule, &why) != VW_OK)
        sim_call_refuse(call, why.code == VW_E_CONFIG ? 400 : 500, "%s", why.text);
    else
        sim_call_reply_json_take(call, 200,
                                 json_pack("{s:o,s:i}", "behave", sim_faults_json(&model->faults), "health",
                                           model->health_status ? model->health_status : 200));
    json_decref(rule);
}

const struct sim_route sim_model_routes[] = {
    { "POST", "/v1/embeddings", post_embeddings, true },
    { "POST", "/v1/completions", post_completions, true },
    { "POST", "/v1/chat/completions", post_chat, true },
    { "POST", "/rerank", post_rerank, true },
    { "POST", "/v1/rerank", post_rerank, true },
    { "GET", "/health", get_health, false },
    { "GET", "/v1/models", get_models, false },
    { "GET", "/sim/state", get_state, false },
    { "POST", "/sim/behave", post_behave, false },
};
const size_t sim_model_route_count = VWI_ARRAY_LEN(sim_model_routes);
