/*
 * A call is one exchange on a session path, a farewell is a session that has ended and of which the model server has still to hear.
 * The odd thing: a session is out of the table before anybody is told, so that nothing can enter it any more; a second end meanwhile
 * finds it among the farewells.
 */
#include "flow/sessions.h"

#include <math.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/vwi.h"
#include "core/envelope.h"
#include "core/json.h"
#include "core/workload.h"
#include "flow/access.h"
#include "flow/judge.h"
#include "flow/request_parts.h"
#include "flow/respond.h"

#define MAX_BODY (1024u * 1024)
#define DEFAULT_LIFETIME_S 60.0
#define FAREWELL_S 10.0
#define FAREWELLS_AT_ONCE 8
#define FAREWELLS_MAX 256 /* none is created while so many wait to be told: each may hold a body's worth */
#define JSON_TYPE "Content-Type: application/json; charset=utf-8\r\n"

enum call_kind { CREATE, GET, HEALTH, END, CALL_KINDS };

struct call {
    struct vwi_list node;   /* in sessions->calls */
    struct vwi_list waiter; /* in a farewell, while its end is awaited */
    struct vwi_sessions *sessions;
    struct vwi_exchange *ex; /* NULL once it is over */
    enum call_kind kind;
    bool taken; /* answered, or will be */
};

struct farewell {
    struct vwi_list node; /* in sessions->farewells, begun ones first */
    struct vwi_list waiters;
    struct vwi_sessions *sessions;
    struct vwi_session *session; /* owned */
    struct vwi_lease *lease;     /* NULL: not begun */
    char *body;
    int status;
};

struct vwi_sessions {
    struct vwi_desk *desk;
    struct vwi_sessions_table *table;
    struct vwi_model_conf model; /* as configured, without idle connections: the model is told apart from the traffic */
    struct vwi_timeouts_conf timeouts;
    struct vwi_upstream *upstream;
    struct vwi_timer look;
    struct vwi_list calls, farewells;
    unsigned telling;
    size_t untold; /* farewells in all */
    bool draining, cut;
};

static void begin_farewells(struct vwi_sessions *sessions);
static void on_look(void *arg);

vw_err vwi_sessions_create(struct vwi_desk *desk, const struct vwi_session_conf *conf, const struct vwi_model_conf *model,
                           struct vwi_sessions **ret, vw_error_t *why)
{
    struct vwi_sessions *sessions = vwi_zalloc(sizeof *sessions);
    vw_err err;

    if (!sessions)
        return vwi_fail(why, VW_E_NOMEM, "sessions: out of memory");
    sessions->desk = desk;
    vwi_list_init(&sessions->calls);
    vwi_list_init(&sessions->farewells);
    sessions->model = *model;
    sessions->model.idle_connections = 0;
    sessions->timeouts.total_s = FAREWELL_S;
    err = vwi_sessions_table_create(conf->max, conf->max_lifetime_s, &sessions->table, why);
    if (err == VW_OK)
        err = vwi_upstream_create(desk->loop, &sessions->model, desk->log, &sessions->upstream, why);
    if (err == VW_OK && vwi_timer_init(&sessions->look, desk->loop, on_look, sessions) != VW_OK)
        err = vwi_fail(why, VW_E_NOMEM, "sessions: out of memory");
    if (err == VW_OK) {
        *ret = sessions;
        return VW_OK;
    }
    vwi_sessions_destroy(sessions);
    return err;
}

static void free_farewell(struct farewell *farewell)
{
    farewell->sessions->untold--;
    vwi_list_del(&farewell->node);
    vwi_session_free(farewell->session);
    vwi_free(farewell->body);
    vwi_free(farewell);
}

void vwi_sessions_destroy(struct vwi_sessions *sessions)
{
    if (!sessions)
        return;
    while (!vwi_list_empty(&sessions->farewells)) {
        struct farewell *farewell = VWI_CONTAINER(sessions->farewells.next, struct farewell, node);

        if (farewell->lease)
            vwi_lease_cancel(farewell->lease);
        free_farewell(farewell);
    }
    vwi_upstream_destroy(sessions->upstream);
    vwi_sessions_table_destroy(sessions->table);
    vwi_timer_fini(&sessions->look);
    vwi_free(sessions);
}

size_t vwi_sessions_open(const struct vwi_sessions *sessions) { return vwi_sessions_count(sessions->table); }

bool vwi_sessions_idle(const struct vwi_sessions *sessions)
{
    return vwi_sessions_count(sessions->table) == 0 && vwi_list_empty(&sessions->farewells);
}

/* ---- answers ---- */

/* NONE: no refusal. */
static void answer(struct call *call, int status, enum vwi_reason reason, const char *json)
{
    struct vwi_text headers = VWI_TEXT_INIT;

    vwi_text_adds(&headers, JSON_TYPE);
    if (reason != VWI_REASON_NONE) {
        vwi_ledger_refuse(call->sessions->desk->ledger, call->sessions->desk->session_route, reason);
        vwi_text_addf(&headers, "X-Vastworker-Reason: %s\r\n", vwi_reason_code(reason));
    }
    vwi_exchange_reply(call->ex, status, headers.failed ? NULL : headers.p, json, strlen(json));
    vwi_access_built_in(call->sessions->desk->log, call->ex);
    vwi_text_fini(&headers);
}

static void refuse(struct call *call, enum vwi_reason reason)
{
    vwi_ledger_refuse(call->sessions->desk->ledger, call->sessions->desk->session_route, reason);
    vwi_respond_refuse(call->ex, reason, NULL, 0);
    vwi_access_built_in(call->sessions->desk->log, call->ex);
}

static void answer_json(struct call *call, int status, json_t *json)
{
    char *text = json ? vwi_json_text(json, JSON_REAL_PRECISION(17)) : NULL;

    if (text)
        answer(call, status, VWI_REASON_NONE, text);
    else
        refuse(call, VWI_REASON_INTERNAL);
    vwi_free(text);
    json_decref(json);
}

/* ---- the end of a session ---- */

static void tell_ended(struct farewell *farewell)
{
    struct vwi_list *node, *next;

    for (node = farewell->waiters.next; node != &farewell->waiters; node = next) {
        struct call *call = VWI_CONTAINER(node, struct call, waiter);

        next = node->next;
        vwi_list_del(&call->waiter);
        answer_json(call, 200, json_pack("{s:b, s:s}", "ended", 1, "removed_session", farewell->session->id));
    }
}

void vwi_sessions_give_up(struct vwi_sessions *sessions)
{
    struct vwi_list *node;

    for (node = sessions->farewells.next; node != &sessions->farewells; node = node->next)
        tell_ended(VWI_CONTAINER(node, struct farewell, node));
}

static void check_idle(struct vwi_sessions *sessions)
{
    if (!vwi_desk_has_work(sessions->desk) && sessions->desk->on_idle)
        sessions->desk->on_idle(sessions->desk->on_idle_arg);
}

static void finish(struct farewell *farewell)
{
    struct vwi_sessions *sessions = farewell->sessions;

    tell_ended(farewell);
    free_farewell(farewell);
    begin_farewells(sessions);
    check_idle(sessions);
}

static void on_head(void *arg, const struct vwi_answer *model)
{
    struct farewell *farewell = arg;

    farewell->status = model->status;
}

/* Best effort, as the platform has it: a failure is said and that is all. The route is the client's, and not shown. */
static void on_told(void *arg, enum vwi_upstream_result result, const char *text)
{
    struct farewell *farewell = arg;
    const struct vwi_log *log = farewell->sessions->desk->log;

    farewell->lease = NULL;
    farewell->sessions->telling--;
    if (result != VWI_UPSTREAM_OK)
        vwi_log_warn(log, "session: its on_close_route was not reached: %s", text);
    else if (farewell->status >= 400)
        vwi_log_warn(log, "session: its on_close_route answered %d", farewell->status);
    finish(farewell);
}

static bool begin(struct farewell *farewell)
{
    static const struct vwi_lease_events events = { .on_head = on_head, .on_end = on_told };
    struct vwi_sessions *sessions = farewell->sessions;
    const char *route = farewell->session->on_close_route;
    struct vwi_upstream_request request = { .method = { "POST", 4 }, .target = { route, strlen(route) }, .has_body = true,
                                            .headers = "Content-Type: application/json\r\nAccept: */*\r\n",
                                            .timeouts = &sessions->timeouts };
    json_t *body = vwi_session_farewell(farewell->session);

    farewell->body = body ? vwi_json_text(body, JSON_COMPACT | JSON_REAL_PRECISION(17)) : NULL;
    json_decref(body);
    if (!farewell->body)
        return false;
    request.body = (struct vwi_span){ farewell->body, strlen(farewell->body) };
    farewell->lease = vwi_upstream_send(sessions->upstream, &request, &events, farewell);
    sessions->telling += farewell->lease != NULL;
    return farewell->lease != NULL;
}

/* Several at once, so that a model that hangs in one does not hold up the others; no more than it should be asked for. */
static void begin_farewells(struct vwi_sessions *sessions)
{
    struct vwi_list *node, *next;

    for (node = sessions->farewells.next; node != &sessions->farewells; node = next) {
        struct farewell *farewell = VWI_CONTAINER(node, struct farewell, node);

        next = node->next;
        if (farewell->lease)
            continue;
        if (sessions->telling >= FAREWELLS_AT_ONCE && !sessions->cut)
            return;
        if (begin(farewell))
            continue;
        vwi_log_warn(sessions->desk->log, "session: out of memory: the model server is not told of its end");
        finish(farewell);
        return; /* which has begun the others */
    }
}

/* call: who asked, and hears when the model server has; may be NULL. */
static void close_session(struct vwi_sessions *sessions, struct vwi_session *session, struct call *call, const char *cause)
{
    struct farewell *farewell = vwi_zalloc(sizeof *farewell);

    vwi_log_debug(sessions->desk->log, "session: %s after %.3f s", cause, (double)(vwi_mono_ms() - session->created_ms) / 1000);
    vwi_session_remove(sessions->table, session);
    vwi_ledger_settle(sessions->desk->ledger, &session->entry, VWI_OUTCOME_SERVED, vwi_mono_us());
    vwi_report_settled(sessions->desk->report);
    vwi_requests_end_with_session(sessions->desk, &session->requests);
    if (!farewell) {
        if (call)
            refuse(call, VWI_REASON_INTERNAL);
        vwi_session_free(session);
        check_idle(sessions);
        return;
    }
    farewell->sessions = sessions;
    farewell->session = session;
    vwi_list_init(&farewell->waiters);
    vwi_list_init(&farewell->node);
    vwi_list_add(&sessions->farewells, &farewell->node);
    sessions->untold++;
    if (call)
        vwi_list_add(&farewell->waiters, &call->waiter);
    if (session->on_close_route)
        begin_farewells(sessions);
    else
        finish(farewell);
}

static void watch_expiry(struct vwi_sessions *sessions)
{
    int64_t at_ms = vwi_sessions_look_ms(sessions->table), now_ms = vwi_mono_ms();

    if (at_ms < 0)
        vwi_timer_stop(&sessions->look);
    else
        vwi_timer_start(&sessions->look, at_ms > now_ms ? at_ms - now_ms : 0);
}

static void on_look(void *arg)
{
    struct vwi_sessions *sessions = arg;
    struct vwi_session *session;

    while ((session = vwi_sessions_expired(sessions->table, vwi_mono_ms())))
        close_session(sessions, session, NULL, "expired");
    watch_expiry(sessions);
}

static void close_all(struct vwi_sessions *sessions, bool busy_too, const char *cause)
{
    struct vwi_session *session = vwi_sessions_first(sessions->table);

    while (session) {
        bool closes = busy_too || vwi_list_empty(&session->requests);

        if (closes)
            close_session(sessions, session, NULL, cause);
        /* From the beginning: whose requests were ended may have taken others out. */
        session = closes ? vwi_sessions_first(sessions->table) : vwi_sessions_next(sessions->table, session);
    }
}

void vwi_sessions_drain(struct vwi_sessions *sessions)
{
    sessions->draining = true;
    close_all(sessions, false, "closed by the drain");
}

void vwi_sessions_cut(struct vwi_sessions *sessions)
{
    sessions->draining = sessions->cut = true;
    close_all(sessions, true, "cut");
    begin_farewells(sessions);
}

/* ---- requests inside ---- */

bool vwi_sessions_know(const struct vwi_sessions *sessions, struct vwi_span id) { return vwi_session_find(sessions->table, id) != NULL; }

void vwi_sessions_enter(struct vwi_sessions *sessions, struct vwi_span id, struct vwi_request *rq)
{
    struct vwi_session *session = vwi_session_find(sessions->table, id);

    if (!VWI_EXPECT(session && !rq->session))
        return;
    vwi_session_touch(sessions->table, session, vwi_mono_ms());
    rq->session = session;
    vwi_list_add(&session->requests, &rq->inside);
}

void vwi_sessions_leave(struct vwi_sessions *sessions, struct vwi_request *rq)
{
    struct vwi_session *session = rq->session;

    rq->session = NULL;
    vwi_list_del(&rq->inside);
    if (session && sessions->draining && vwi_list_empty(&session->requests))
        close_session(sessions, session, NULL, "closed by the drain");
}

/* ---- creating ---- */

/* What the payload says of the session, kept in it. */
struct wish {
    double lifetime_s;
    const char *route; /* NULL: none */
    json_t *payload;   /* borrowed */
};

/* A refusal's body, or NULL. */
static const char *read_wish(const json_t *payload, struct wish *ret)
{
    const json_t *lifetime = json_object_get(payload, "lifetime"), *route = json_object_get(payload, "on_close_route");

    *ret = (struct wish){ DEFAULT_LIFETIME_S, NULL, json_object_get(payload, "on_close_payload") };
    if (lifetime && !json_is_null(lifetime)) {
        ret->lifetime_s = json_is_number(lifetime) ? json_number_value(lifetime) : NAN;
        if (!isfinite(ret->lifetime_s) || ret->lifetime_s <= 0)
            return "{\"payload\": {\"lifetime\": \"must be a number of seconds above 0\"}}";
    }
    if (route && !json_is_null(route)) {
        if (!json_is_string(route) || !vwi_session_route_is_good(json_string_value(route), json_string_length(route)))
            return "{\"payload\": {\"on_close_route\": \"must be a path on the model server, such as /close\"}}";
        ret->route = json_string_value(route);
    }
    return NULL;
}

static bool fill(struct vwi_session *session, const struct wish *wish, json_t *auth)
{
    session->auth_data = json_incref(auth);
    session->on_close_route = wish->route ? vwi_strdup(wish->route) : NULL;
    session->on_close_payload = wish->route ? json_incref(wish->payload) : NULL;
    return (!wish->route || session->on_close_route) && vwi_session_digest(auth, session->auth);
}

static bool make_id(const struct vwi_sessions *sessions, char id[VWI_SESSION_ID + 1])
{
    unsigned char random[32];
    int tries;

    for (tries = 0; tries < 8; tries++)
        if (RAND_bytes(random, sizeof random) == 1 && vwi_session_id_make(random, sizeof random, id) &&
            !vwi_session_find(sessions->table, (struct vwi_span){ id, VWI_SESSION_ID }))
            return true;
    return false;
}

static struct vwi_session *open_session(struct vwi_sessions *sessions, const struct wish *wish, json_t *auth)
{
    char id[VWI_SESSION_ID + 1];
    struct vwi_session *session = make_id(sessions, id) ? vwi_session_open(sessions->table, id, wish->lifetime_s, vwi_wall_s(), vwi_mono_ms())
                                                        : NULL;

    if (!session || fill(session, wish, auth))
        return session;
    vwi_session_remove(sessions->table, session);
    vwi_session_free(session);
    return NULL;
}

static struct vwi_work work_of(const struct vwi_sessions *sessions, const struct vwi_auth_data *auth)
{
    struct vwi_work work = { .kind = VWI_WORK_SESSION, .route = sessions->desk->session_route };

    work.workload = (auth->has & VWI_AUTH_COST) && vwi_workload_valid(auth->cost) ? auth->cost : VWI_WORKLOAD_FALLBACK;
    work.has_request_idx = auth->has & VWI_AUTH_REQUEST_IDX;
    work.request_idx = auth->request_idx;
    return work;
}

/* Verdicts 9 and 10: the control plane hears of these. Sooner than the first session's end there will be no room. */
static bool admit(struct call *call, const struct vwi_work *work)
{
    struct vwi_sessions *sessions = call->sessions;
    enum vwi_state state = vwi_startup_view(sessions->desk->startup).state;
    enum vwi_reason reason = VWI_REASON_NONE;
    double wait_s = 0;

    if (state == VWI_STATE_DRAINING || sessions->draining)
        reason = VWI_REASON_DRAINING;
    else if (!vwi_state_serves(state))
        reason = VWI_REASON_NOT_READY;
    else if (vwi_sessions_full(sessions->table) || sessions->untold >= FAREWELLS_MAX)
        reason = VWI_REASON_SESSION_LIMIT;
    if (reason == VWI_REASON_NONE)
        return true;
    if (reason == VWI_REASON_SESSION_LIMIT)
        wait_s = (double)(vwi_sessions_look_ms(sessions->table) - vwi_mono_ms()) / 1000;
    vwi_ledger_reject(sessions->desk->ledger, work, reason, vwi_wall_s());
    vwi_report_settled(sessions->desk->report);
    if (reason == VWI_REASON_DRAINING)
        vwi_exchange_close_after(call->ex);
    vwi_respond_refuse(call->ex, reason, NULL, wait_s);
    vwi_access_built_in(sessions->desk->log, call->ex);
    return false;
}

static void create(struct call *call, const struct vwi_envelope *envelope, const struct wish *wish, json_t *auth)
{
    struct vwi_sessions *sessions = call->sessions;
    struct vwi_work work = work_of(sessions, &envelope->auth);
    struct vwi_session *session;
    int64_t now_us = vwi_mono_us();

    if (!admit(call, &work))
        return;
    session = open_session(sessions, wish, auth);
    if (!session) {
        refuse(call, VWI_REASON_INTERNAL);
        return;
    }
    vwi_ledger_start(sessions->desk->ledger, &session->entry, &work, session->created_s, now_us);
    vwi_ledger_run(sessions->desk->ledger, &session->entry, now_us);
    watch_expiry(sessions);
    answer_json(call, 201, json_pack("{s:s, s:f}", "session_id", session->id, "expiration", vwi_session_expiration_s(session)));
}

static json_t *parse(struct vwi_span text) { return json_loadb(text.p ? text.p : "", text.len, JSON_ALLOW_NUL, NULL); }

/* The envelope is good and signed: what does its payload ask for? */
static void read_and_create(struct call *call, const struct vwi_envelope *envelope)
{
    json_t *payload = parse(envelope->payload), *auth = envelope->auth.present ? parse(envelope->auth.raw) : json_object();
    const char *problem = NULL;
    struct wish wish;

    if (!payload || !auth)
        answer(call, 422, VWI_REASON_INVALID_JSON, "{\"error\": \"invalid JSON\"}");
    else if ((problem = read_wish(payload, &wish)))
        answer(call, 422, VWI_REASON_INVALID_ENVELOPE, problem);
    else
        create(call, envelope, &wish, auth);
    json_decref(payload);
    json_decref(auth);
}

static void handle_create(struct call *call, struct vwi_span body)
{
    const struct vwi_desk *desk = call->sessions->desk;
    struct vwi_envelope_rules rules = { desk->auth->json_max_depth, desk->auth->unsecured };
    struct vwi_text text = VWI_TEXT_INIT;
    struct vwi_envelope envelope;
    enum vwi_envelope_verdict verdict = vwi_envelope_parse(body, &rules, &envelope, &text);
    enum vwi_reason reason = VWI_REASON_NONE;

    if (verdict == VWI_ENVELOPE_PLAIN)
        vwi_text_adds(&text, "{\"payload\": \"field missing\"}");
    if (verdict == VWI_ENVELOPE_OK)
        reason = vwi_judge_pair(desk, &envelope.auth);
    if (verdict == VWI_ENVELOPE_NOMEM || text.failed)
        refuse(call, VWI_REASON_INTERNAL);
    else if (verdict != VWI_ENVELOPE_OK)
        answer(call, 422, verdict == VWI_ENVELOPE_INVALID_JSON ? VWI_REASON_INVALID_JSON : VWI_REASON_INVALID_ENVELOPE,
               text.p ? text.p : "{\"error\": \"invalid JSON\"}");
    else if (reason != VWI_REASON_NONE)
        refuse(call, reason);
    else
        read_and_create(call, &envelope);
    vwi_envelope_fini(&envelope);
    vwi_text_fini(&text);
}

/* ---- the others ---- */

static void show(struct call *call, const struct vwi_session *session)
{
    json_t *route = session->on_close_route ? json_string(session->on_close_route) : json_null();
    json_t *payload = session->on_close_payload ? json_incref(session->on_close_payload) : json_null();

    answer_json(call, 200,
                json_pack("{s:s, s:O, s:f, s:f, s:f, s:o, s:o}", "session_id", session->id, "auth_data", session->auth_data, "lifetime",
                          session->lifetime_s, "expiration", vwi_session_expiration_s(session), "created_at", session->created_s,
                          "on_close_route", route, "on_close_payload", payload));
}

static struct farewell *find_farewell(const struct vwi_sessions *sessions, struct vwi_span id)
{
    struct vwi_list *node;

    for (node = sessions->farewells.next; node != &sessions->farewells; node = node->next)
        if (vwi_span_is(id, VWI_CONTAINER(node, struct farewell, node)->session->id))
            return VWI_CONTAINER(node, struct farewell, node);
    return NULL;
}

/* The id may be anything, so it goes back as JSON. */
static void answer_unknown(struct call *call, struct vwi_span id)
{
    struct vwi_text text = VWI_TEXT_INIT, sentence = VWI_TEXT_INIT;

    if (call->kind == HEALTH) {
        answer(call, 200, VWI_REASON_NONE, "{\"ok\": false}");
        return;
    }
    vwi_text_adds(&sentence, "session does not exist");
    if (call->kind == END) {
        vwi_text_clear(&sentence);
        vwi_text_adds(&sentence, "session with id ");
        vwi_text_add(&sentence, id.p, id.len < 200 ? id.len : 200);
        vwi_text_adds(&sentence, " not found");
    }
    vwi_text_adds(&text, "{\"error\": ");
    vwi_text_add_json(&text, sentence.p ? sentence.p : "", sentence.len);
    vwi_text_adds(&text, "}");
    if (text.failed || sentence.failed)
        refuse(call, VWI_REASON_INTERNAL);
    else
        answer(call, 400, VWI_REASON_INVALID_SESSION, text.p);
    vwi_text_fini(&sentence);
    vwi_text_fini(&text);
}

static void handle_known(struct call *call, struct vwi_session *session)
{
    switch (call->kind) {
    case GET:
        show(call, session);
        break;
    case HEALTH:
        answer(call, 200, VWI_REASON_NONE, "{\"ok\": true}");
        break;
    default:
        close_session(call->sessions, session, call, "ended by its client");
        break;
    }
}

static void handle_id(struct call *call, struct vwi_span id, const json_t *auth)
{
    struct vwi_session *session = vwi_session_find(call->sessions->table, id);
    struct farewell *farewell = session || call->kind != END ? NULL : find_farewell(call->sessions, id);

    if (!session && !farewell)
        answer_unknown(call, id);
    else if (!vwi_session_auth_is(session ? session : farewell->session, auth))
        answer(call, 401, VWI_REASON_BAD_SIGNATURE, "{\"error\": \"session_auth is not valid\"}");
    else if (!session)
        answer(call, 410, VWI_REASON_INVALID_SESSION, "{\"error\": \"session already closed\"}");
    else
        handle_known(call, session);
}

static void handle_other(struct call *call, struct vwi_span body)
{
    json_t *json = parse(body), *id = json_object_get(json, "session_id");

    if (!json)
        answer(call, 422, VWI_REASON_INVALID_JSON, "{\"error\": \"invalid JSON\"}");
    else if (!json_is_string(id))
        answer(call, 422, VWI_REASON_INVALID_ENVELOPE, "{\"error\": \"missing session_id\"}");
    else
        handle_id(call, (struct vwi_span){ json_string_value(id), json_string_length(id) }, json_object_get(json, "session_auth"));
    json_decref(json);
}

/* ---- calls ---- */

/* When the whole body is there, or too much of it. */
static void take_in(struct call *call)
{
    struct vwi_span body = vwi_exchange_body(call->ex);
    bool whole = vwi_exchange_whole(call->ex), large = body.len > MAX_BODY || vwi_exchange_length(call->ex) > (int64_t)MAX_BODY;

    if (call->taken || !(whole || large))
        return;
    call->taken = true;
    if (large)
        refuse(call, VWI_REASON_BODY_TOO_LARGE);
    else if (call->kind == CREATE)
        handle_create(call, body);
    else
        handle_other(call, body);
}

static void on_call_body(void *user)
{
    struct call *call = user;

    take_in(call);
}

static void on_call_done(void *user, bool gone)
{
    struct call *call = user;

    (void)gone;
    vwi_list_del(&call->waiter);
    vwi_list_del(&call->node);
    vwi_free(call);
}

static void on_call_drained(void *user) { (void)user; }

static void begin_call(struct vwi_sessions *sessions, struct vwi_exchange *ex, enum call_kind kind)
{
    static const struct vwi_exchange_events events = { on_call_drained, on_call_done, on_call_body };
    struct call *call = vwi_zalloc(sizeof *call);

    if (!call) {
        vwi_respond_refuse(ex, VWI_REASON_INTERNAL, NULL, 0);
        vwi_access_built_in(sessions->desk->log, ex);
        return;
    }
    call->sessions = sessions;
    call->ex = ex;
    call->kind = kind;
    vwi_list_init(&call->waiter);
    vwi_list_init(&call->node);
    vwi_list_add(&sessions->calls, &call->node);
    vwi_exchange_bind(ex, &events, call);
    take_in(call);
    if (call->taken)
        return;
    vwi_exchange_collect(ex);
    take_in(call);
}

static bool find_kind(const struct vwi_exchange *ex, enum call_kind *ret)
{
    static const char *const paths[CALL_KINDS] = { "/session/create", "/session/get", "/session/health", "/session/end" };
    struct vwi_span path = vwi_span_path(vwi_exchange_target(ex));
    unsigned i;

    for (i = 0; i < CALL_KINDS && vwi_span_is(vwi_exchange_method(ex), "POST"); i++)
        if (vwi_span_is(path, paths[i])) {
            *ret = (enum call_kind)i;
            return true;
        }
    return false;
}

bool vwi_sessions_serve(struct vwi_sessions *sessions, struct vwi_exchange *ex)
{
    enum call_kind kind;

    if (!find_kind(ex, &kind))
        return false;
    begin_call(sessions, ex, kind);
    return true;
}

void vwi_sessions_serve_local(struct vwi_sessions *sessions, struct vwi_exchange *ex)
{
    enum call_kind kind;

    if (find_kind(ex, &kind) && kind == END)
        begin_call(sessions, ex, kind);
    else {
        vwi_ledger_refuse(sessions->desk->ledger, sessions->desk->session_route, VWI_REASON_NO_ROUTE);
        vwi_respond_refuse(ex, VWI_REASON_NO_ROUTE, "This port serves POST /session/end alone.", 0);
        vwi_access_refused(sessions->desk->log, ex, vwi_reason_code(VWI_REASON_NO_ROUTE));
    }
}
