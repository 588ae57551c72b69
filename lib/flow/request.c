/*
 * The life of a request, in the order it happens:
 *
 *   arrive -> [credentials, authenticate, session, parse, weigh, admit] -> start -> wait -> run -> answer -> settle -> leave
 *
 * The bracket runs without waiting (its first verdicts are in judge.c); their order is a contract (design: 404, 405, 422, 401, 503,
 * 410, 422, 503, 429).
 * After it the only ways forward are the on_* functions, and every way out goes through settle(), which books exactly once.
 * A request is freed when its exchange is over (on_client_done), which comes after settling or brings it about.
 */
#include "flow/request.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "flow/access.h"
#include "flow/admin.h"
#include "flow/heartbeat.h"
#include "flow/judge.h"
#include "flow/respond.h"
#include "flow/sessions.h"
#include "flow/wait.h"
#include "io/plugin.h"
#include "io/relay.h"

static void run(struct vwi_request *rq, int64_t now_us);
static void give_turns(struct vwi_desk *desk);
static void expire(struct vwi_desk *desk);

/* Verdicts 9 and 10: the control plane hears of these. */
static bool reject(struct vwi_request *rq, enum vwi_reason reason, double retry_after_s)
{
    vwi_ledger_reject(rq->desk->ledger, &rq->work, reason, vwi_wall_s());
    vwi_report_settled(rq->desk->report);
    rq->reason = reason;
    rq->rejected = true;
    if (reason == VWI_REASON_DRAINING)
        vwi_exchange_close_after(rq->ex);
    vwi_respond_refuse(rq->ex, reason, NULL, retry_after_s);
    vwi_request_go(rq, VWI_REQUEST_SETTLED);
    return false;
}

/* Control handlers serve in every state, until nothing is left to follow: they are how clients follow work that was accepted. */
static bool serves_always(const struct vwi_request *rq)
{
    return rq->handler->conf->control && !rq->desk->own.cut && !rq->desk->own.last_call;
}

/* Verdicts 9 and 10. */
static bool admit(struct vwi_request *rq)
{
    struct vwi_desk *desk = rq->desk;
    const struct vwi_handler_conf *conf = rq->handler->conf;
    struct vwi_ready_view ready = vwi_startup_view(desk->startup);
    double limit_s = vwi_wait_limit(rq);

    if (serves_always(rq))
        return true;
    if (ready.state == VWI_STATE_DRAINING)
        return reject(rq, VWI_REASON_DRAINING, 0);
    if (!vwi_state_serves(ready.state))
        return reject(rq, VWI_REASON_NOT_READY, 0);
    if (limit_s > 0 ? vwi_wait_predict(desk, &ready) > limit_s : !vwi_queue_would_run(desk->queue, conf->lane))
        return reject(rq, VWI_REASON_PREDICTED_WAIT, vwi_wait_retry_after(desk, 0));
    return true;
}

/* ---- after the bracket ---- */

static void free_request(struct vwi_request *rq)
{
    struct vwi_desk *desk = rq->desk;

    vwi_list_del(&rq->node);
    desk->own.others -= !rq->handler->conf->control;
    vwi_judge_forget(rq);
    vwi_free(rq);
    if (!vwi_desk_has_work(desk) && desk->on_idle)
        desk->on_idle(desk->on_idle_arg);
}

static void watch_deadline(struct vwi_desk *desk)
{
    int64_t at_ms = vwi_queue_next_deadline(desk->queue);
    int64_t now_ms = vwi_mono_ms();

    if (at_ms < 0)
        vwi_timer_stop(&desk->own.deadline);
    else
        vwi_timer_start(&desk->own.deadline, at_ms > now_ms ? at_ms - now_ms : 0);
}

/* Its place or slot goes to the next in line. Expired ones first, so that the turn goes to one whose time is not up; but never while
 * the ticket itself could be one of them. */
static void hand_on(struct vwi_desk *desk, struct vwi_ticket *ticket)
{
    struct vwi_ticket *next;

    if (ticket->place == VWI_PLACE_RUNNING)
        expire(desk);
    next = vwi_queue_leave(desk->queue, ticket);
    if (next)
        vwi_list_add(&desk->own.turns, &VWI_CONTAINER(next, struct vwi_request, ticket)->turn);
    give_turns(desk);
}

/* The model server has stopped, or had time enough to. */
static void on_cancelled(void *arg, struct vwi_ticket *slot)
{
    struct vwi_desk *desk = arg;

    hand_on(desk, slot);
    if (!vwi_desk_cancels(desk) && desk->on_idle)
        desk->on_idle(desk->on_idle_arg);
}

/* True: the slot stays taken until the model server is known to have stopped. */
static bool tell_model(struct vwi_request *rq)
{
    return rq->at_work && rq->handler->conf->cancel.path && rq->ticket.place == VWI_PLACE_RUNNING &&
           vwi_cancels_call(rq->desk->own.cancels, rq->handler, rq->id, &rq->ticket);
}

static void leave_model(struct vwi_request *rq)
{
    if (!rq->relay)
        return;
    rq->at_work = vwi_relay_at_work(rq->relay);
    vwi_relay_cancel(rq->relay);
    rq->relay = NULL;
}

/* The one place that books. What it frees: the place or slot, and the model connection if one is still held. */
static void settle(struct vwi_request *rq, enum vwi_outcome outcome)
{
    struct vwi_desk *desk = rq->desk;
    bool counted = rq->state != VWI_REQUEST_JUDGING; /* else its body never came */

    if (rq->state == VWI_REQUEST_SETTLED)
        return;
    vwi_request_go(rq, VWI_REQUEST_SETTLED);
    if (!counted)
        return;
    vwi_heartbeat_stop(rq);
    leave_model(rq);
    vwi_ledger_settle(desk->ledger, &rq->entry, outcome, vwi_mono_us());
    rq->outcome = outcome;
    vwi_report_settled(desk->report);
    vwi_sessions_leave(desk->sessions, rq);
    vwi_list_del(&rq->turn);
    if (!tell_model(rq))
        hand_on(desk, &rq->ticket);
}

/* A loop, not a recursion: a turn that fails at once gives the next one. */
static void give_turns(struct vwi_desk *desk)
{
    if (desk->own.giving)
        return;
    desk->own.giving = true;
    while (!vwi_list_empty(&desk->own.turns)) {
        struct vwi_request *rq = VWI_CONTAINER(desk->own.turns.next, struct vwi_request, turn);

        vwi_list_del(&rq->turn);
        run(rq, vwi_mono_us());
    }
    desk->own.giving = false;
}

static void on_client_drained(void *user)
{
    struct vwi_request *rq = user;

    if (rq->relay)
        vwi_relay_drained(rq->relay);
}

/* The client is gone before the end. */
static void leave(struct vwi_request *rq)
{
    rq->reason = VWI_REASON_CLIENT_GONE;
    if (rq->state != VWI_REQUEST_JUDGING)
        vwi_ledger_blame(rq->desk->ledger, vwi_request_route(rq), VWI_REASON_CLIENT_GONE);
}

static void on_client_done(void *user, bool gone)
{
    struct vwi_request *rq = user;
    struct vwi_exchange_figures figures = vwi_exchange_figures(rq->ex);

    if (gone && rq->state != VWI_REQUEST_SETTLED && !rq->tunnel)
        leave(rq);
    settle(rq, !gone ? VWI_OUTCOME_ERRORED : rq->tunnel ? VWI_OUTCOME_SERVED : VWI_OUTCOME_CANCELLED); /* leaving is how a tunnel ends */
    if (!figures.refused)
        vwi_access_request(rq, &figures);
    rq->ex = NULL;
    free_request(rq);
}

static void take_in(struct vwi_request *rq);

static void on_client_body(void *user)
{
    struct vwi_request *rq = user;

    if (rq->relay)
        vwi_relay_body(rq->relay);
    else if (rq->state == VWI_REQUEST_JUDGING)
        take_in(rq);
}

static const struct vwi_exchange_events client_events = { on_client_drained, on_client_done, on_client_body };

/* A refusal after the bracket: the client may have been sent a head to wait by. */
static void refuse(struct vwi_request *rq, enum vwi_reason reason, const char *message)
{
    if (vwi_exchange_head_sent(rq->ex))
        vwi_heartbeat_fail(rq, reason, message);
    else
        vwi_respond_refuse(rq->ex, reason, message, reason == VWI_REASON_QUEUE_TIMEOUT ? vwi_wait_retry_after(rq->desk, rq->work.workload) : 0);
}

static void fail(struct vwi_request *rq, enum vwi_reason reason, const char *text)
{
    vwi_ledger_blame(rq->desk->ledger, vwi_request_route(rq), reason);
    rq->reason = reason;
    if (text)
        vwi_log_warn(rq->desk->log, "%s: %s: %s" VWI_REQUEST_ID, rq->handler->conf->route, vwi_reason_code(reason), text,
                     VWI_REQUEST_ID_OF(rq));
}

/* A content type; what stands behind ';' says nothing here. */
static bool is_json_or_stream(struct vwi_span type)
{
    static const char *const names[] = { "application/json", "text/event-stream", "application/x-ndjson", "application/jsonl" };
    static const char suffix[] = "+json";
    size_t i, end = sizeof suffix - 1;

    for (i = 0; i < type.len && type.p[i] != ';' && type.p[i] != ' ' && type.p[i] != '\t'; i++)
        continue;
    type.len = i;
    for (i = 0; i < VWI_ARRAY_LEN(names); i++)
        if (vwi_span_is_nocase(type, names[i]))
            return true;
    return type.len > end && vwi_span_is_nocase((struct vwi_span){ type.p + type.len - end, end }, suffix);
}

/* Would the platform's client resend for this answer without end? It does so for a 2xx that is neither JSON, nor a stream, nor empty. */
static bool is_resent(const struct vwi_request *rq, const struct vwi_answer *answer, struct vwi_span *ret_type)
{
    size_t i;

    if (!rq->enveloped || answer->status < 200 || answer->status >= 300 || answer->status == 204 || answer->content_length == 0)
        return false;
    *ret_type = (struct vwi_span){ "", 0 };
    for (i = 0; i < answer->header_count; i++)
        if (vwi_span_is_nocase(answer->names[i], "content-type"))
            *ret_type = answer->values[i];
    return !is_json_or_stream(*ret_type) && (!answer->chunked || rq->handler->conf->require_json);
}

static void warn_resent(struct vwi_request *rq, struct vwi_span type)
{
    if (rq->handler->warned_not_json)
        return;
    rq->handler->warned_not_json = true;
    vwi_log_warn(rq->desk->log, "%s: the model answers %.*s; the platform's client resends what is neither JSON nor a stream without "
                 "end. Remedy: requireJson, or a route that answers JSON (said once)" VWI_REQUEST_ID,
                 rq->handler->conf->route, (int)(type.len < 100 ? type.len : 100), type.len ? type.p : "", VWI_REQUEST_ID_OF(rq));
}

/* False always: ends the relay, whose answer is not passed on. */
static bool veto(struct vwi_request *rq, const char *message)
{
    rq->at_work = vwi_relay_at_work(rq->relay);
    rq->relay = NULL;
    fail(rq, VWI_REASON_NOT_JSON, NULL);
    refuse(rq, VWI_REASON_NOT_JSON, message);
    settle(rq, VWI_OUTCOME_ERRORED);
    return false;
}

static bool on_model_head(void *arg, const struct vwi_answer *answer)
{
    struct vwi_request *rq = arg;
    const char *message;
    struct vwi_span type;

    rq->first_us = vwi_mono_us();
    vwi_ledger_first_byte(rq->desk->ledger, &rq->entry, rq->first_us);
    if (is_resent(rq, answer, &type)) {
        if (rq->handler->conf->require_json)
            return veto(rq, NULL);
        vwi_ledger_blame(rq->desk->ledger, vwi_request_route(rq), VWI_REASON_NOT_JSON); /* counted, but relayed */
        warn_resent(rq, type);
    }
    if (rq->heartbeat && !vwi_heartbeat_take(rq, answer, &message))
        return veto(rq, message);
    rq->tunnel = answer->status == 101;
    vwi_request_go(rq, VWI_REQUEST_ANSWERING);
    return true;
}

/* What an unusable answer had wrong is said. Of an unreachable model nothing more is: its address is not the client's business. */
static void refuse_for_model(struct vwi_request *rq, enum vwi_reason reason, const char *text)
{
    char message[300];

    snprintf(message, sizeof message, "No whole answer from the model server (%s); try again, and check its log.", text);
    refuse(rq, reason, reason == VWI_REASON_MODEL_RESET ? message : NULL);
}

static void on_model_end(void *arg, const struct vwi_relay_end *end)
{
    static const enum vwi_reason reasons[] = {
        [VWI_UPSTREAM_OK] = VWI_REASON_NONE,
        [VWI_UPSTREAM_UNREACHABLE] = VWI_REASON_MODEL_UNREACHABLE,
        [VWI_UPSTREAM_TIMEOUT] = VWI_REASON_MODEL_TIMEOUT,
        [VWI_UPSTREAM_RESET] = VWI_REASON_MODEL_RESET,
    };
    struct vwi_request *rq = arg;

    rq->relay = NULL;
    rq->at_work = end->at_work;
    if (end->result == VWI_UPSTREAM_OK) {
        settle(rq, end->status >= 500 ? VWI_OUTCOME_ERRORED : VWI_OUTCOME_SERVED);
        return;
    }
    fail(rq, reasons[end->result], end->text);
    if (!end->head_relayed && rq->ex)
        refuse_for_model(rq, reasons[end->result], end->text);
    settle(rq, VWI_OUTCOME_ERRORED);
}

static const struct vwi_relay_events model_events = { on_model_head, on_model_end };

/* Its turn: holds a slot (or needs none). */
static void run(struct vwi_request *rq, int64_t now_us)
{
    struct vwi_desk *desk = rq->desk;
    struct vwi_upstream_request request;

    vwi_request_go(rq, VWI_REQUEST_RUNNING);
    rq->ran_us = now_us;
    vwi_ledger_run(desk->ledger, &rq->entry, rq->ran_us);
    if (vwi_forward_build(&desk->own.forward, rq->ex, rq->handler->conf, rq->enveloped, rq->body, &request)) {
        request.streamed = rq->streamed;
        request.streamed_length = vwi_exchange_length(rq->ex);
        request.upgrade = rq->upgrade ? "websocket" : NULL;
        rq->relay = vwi_relay_start(desk->upstream, &request, rq->ex, NULL, &model_events, rq);
    }
    if (rq->relay)
        return;
    fail(rq, VWI_REASON_INTERNAL, "out of memory");
    refuse(rq, VWI_REASON_INTERNAL, NULL);
    settle(rq, VWI_OUTCOME_ERRORED);
}

static void start(struct vwi_request *rq, int64_t now_us)
{
    rq->entered = true;
    vwi_ledger_start(rq->desk->ledger, &rq->entry, &rq->work, vwi_wall_s(), now_us);
    if (rq->envelope.has_session)
        vwi_sessions_enter(rq->desk->sessions, rq->envelope.session_id, rq);
    if (rq->handler->conf->heartbeat.enabled)
        vwi_heartbeat_start(rq);
}

/* Verdict 11. */
static void take_turn(struct vwi_request *rq)
{
    struct vwi_desk *desk = rq->desk;
    const struct vwi_handler_conf *conf = rq->handler->conf;
    int64_t now_us = vwi_mono_us(), now_ms = now_us / 1000;
    struct vwi_wish wish = { conf->lane, rq->priority, vwi_wait_deadline(vwi_wait_limit(rq), now_ms) };

    if (conf->control) {
        start(rq, now_us);
        run(rq, now_us);
        return;
    }
    switch (vwi_queue_enter(desk->queue, &rq->ticket, &wish, now_ms)) {
    case VWI_TURN_RUN:
        start(rq, now_us);
        run(rq, now_us);
        return;
    case VWI_TURN_WAIT:
        start(rq, now_us);
        vwi_request_go(rq, VWI_REQUEST_WAITING);
        if (wish.deadline_ms >= 0 && vwi_queue_next_deadline(desk->queue) == wish.deadline_ms)
            watch_deadline(desk);
        return;
    case VWI_TURN_FULL:
        reject(rq, VWI_REASON_QUEUE_FULL, vwi_wait_retry_after(desk, 0));
        return;
    case VWI_TURN_NOMEM:
        vwi_judge_refuse(rq, VWI_REASON_INTERNAL, NULL);
        return;
    }
}

static void expire(struct vwi_desk *desk)
{
    struct vwi_ticket *ticket;

    while (vwi_queue_next_deadline(desk->queue) >= 0 && (ticket = vwi_queue_expired(desk->queue, vwi_mono_ms()))) {
        struct vwi_request *rq = VWI_CONTAINER(ticket, struct vwi_request, ticket);

        vwi_ledger_blame(desk->ledger, vwi_request_route(rq), VWI_REASON_QUEUE_TIMEOUT);
        rq->reason = VWI_REASON_QUEUE_TIMEOUT;
        refuse(rq, VWI_REASON_QUEUE_TIMEOUT, NULL);
        settle(rq, VWI_OUTCOME_QUEUE_TIMEOUT);
    }
}

static void on_deadline(void *arg)
{
    struct vwi_desk *desk = arg;

    expire(desk);
    watch_deadline(desk);
}

/* Verdict 3, and the built-in paths before it. NULL: answered already. */
static struct vwi_handler *find_handler(struct vwi_desk *desk, struct vwi_exchange *ex)
{
    struct vwi_text allow = VWI_TEXT_INIT, headers = VWI_TEXT_INIT, body = VWI_TEXT_INIT;
    enum vwi_reason reason = VWI_REASON_NO_ROUTE;
    size_t index = 0;

    switch (vwi_routes_find(desk->routes, vwi_exchange_method(ex), vwi_exchange_target(ex), &index, &allow)) {
    case VWI_ROUTE_FOUND:
        vwi_text_fini(&allow);
        return &desk->handlers[index];
    case VWI_ROUTE_METHOD:
        reason = VWI_REASON_METHOD_NOT_ALLOWED;
        vwi_text_addf(&headers, "Allow: %s\r\n", allow.p ? allow.p : "");
        break;
    case VWI_ROUTE_BAD:
        reason = VWI_REASON_BAD_REQUEST;
        break;
    case VWI_ROUTE_NONE:
        break;
    }
    vwi_ledger_refuse(desk->ledger, VWI_NO_ROUTE, reason);
    vwi_respond_write(reason, NULL, 0, &headers, &body);
    vwi_exchange_reply(ex, vwi_reason_status(reason), headers.failed ? NULL : headers.p, body.p, body.len);
    vwi_access_refused(desk->log, ex, vwi_reason_code(reason));
    vwi_text_fini(&allow);
    vwi_text_fini(&headers);
    vwi_text_fini(&body);
    return NULL;
}

/* h2c is never switched to: of all protocols one can ask for, only those of the handler's list become a tunnel. */
static bool asks_for_tunnel(const struct vwi_request *rq)
{
    const struct vwi_strings *protocols = &rq->handler->conf->upgrade;

    return protocols->count && vwi_span_is(vwi_exchange_method(rq->ex), "GET") &&
           vwi_exchange_asks_upgrade(rq->ex, protocols->items[0]);
}

static bool identify(struct vwi_request *rq) { return vwi_judge_signature(rq) && vwi_judge_session(rq); }

/* The bracket from where the body is there, or is known to be streamed. */
static void judge(struct vwi_request *rq)
{
    if (!rq->streamed && (!vwi_judge_body(rq) || (rq->form != VWI_FORM_PLAIN && !identify(rq)) || !vwi_judge_payload(rq)))
        return;
    if (rq->form == VWI_FORM_PLAIN && !vwi_judge_session(rq)) /* it may have ended while the body came */
        return;
    vwi_judge_weigh(rq);
    if (admit(rq))
        take_turn(rq);
}

/* More of a body that is collected. */
static void take_in(struct vwi_request *rq)
{
    if (vwi_judge_arriving(rq) && vwi_exchange_whole(rq->ex))
        judge(rq);
}

void vwi_request_arrive(struct vwi_desk *desk, struct vwi_exchange *ex)
{
    struct vwi_handler *handler;
    struct vwi_request *rq;

    if (vwi_sessions_serve(desk->sessions, ex))
        return;
    if (vwi_admin_serve(desk->admin, ex)) {
        vwi_access_built_in(desk->log, ex);
        return;
    }
    handler = find_handler(desk, ex);
    if (!handler)
        return;
    rq = vwi_zalloc(sizeof *rq);
    if (!rq) {
        vwi_ledger_refuse(desk->ledger, (size_t)(handler - desk->handlers), VWI_REASON_INTERNAL);
        vwi_respond_refuse(ex, VWI_REASON_INTERNAL, NULL, 0);
        vwi_access_refused(desk->log, ex, vwi_reason_code(VWI_REASON_INTERNAL));
        return;
    }
    rq->desk = desk;
    rq->ex = ex;
    rq->arrived_us = vwi_mono_us();
    rq->id = vwi_exchange_id(ex);
    rq->handler = handler;
    rq->priority = handler->conf->priority;
    vwi_list_init(&rq->turn);
    vwi_list_init(&rq->inside);
    vwi_list_init(&rq->node);
    vwi_list_add(&desk->own.requests, &rq->node);
    desk->own.others += !handler->conf->control;
    vwi_exchange_bind(ex, &client_events, rq);
    if (!vwi_judge_head(rq) || (rq->form == VWI_FORM_PLAIN && !identify(rq)))
        return;
    rq->upgrade = asks_for_tunnel(rq);
    if (vwi_exchange_whole(ex)) {
        judge(rq);
    } else if (vwi_judge_can_stream(rq)) {
        rq->streamed = true;
        judge(rq);
    } else if (!serves_always(rq) && vwi_startup_view(desk->startup).state == VWI_STATE_DRAINING) {
        vwi_judge_refuse(rq, VWI_REASON_DRAINING, NULL); /* as those are whose bodies were on their way when the drain began */
    } else {
        vwi_exchange_collect(ex); /* goes on in on_client_body */
        take_in(rq);
    }
}

/* Not begun where the client has no byte of it yet: then it gets a whole refusal. */
void vwi_request_cut(struct vwi_request *rq)
{
    struct vwi_relay *relay = rq->relay;

    if (rq->state == VWI_REQUEST_JUDGING) { /* none of it was counted */
        vwi_judge_refuse(rq, VWI_REASON_DRAINING, NULL);
        return;
    }
    rq->at_work = relay && vwi_relay_at_work(relay);
    rq->reason = VWI_REASON_DRAINING;
    vwi_ledger_blame(rq->desk->ledger, vwi_request_route(rq), VWI_REASON_DRAINING);
    if (relay && vwi_relay_break(relay, vwi_reason_code(VWI_REASON_DRAINING), vwi_reason_message(VWI_REASON_DRAINING)))
        rq->relay = NULL;
    else
        refuse(rq, VWI_REASON_DRAINING, NULL);
    vwi_list_del(&rq->turn);
    settle(rq, VWI_OUTCOME_ERRORED);
}

void vwi_request_let_run(struct vwi_desk *desk)
{
    desk->own.giving = false;
    give_turns(desk);
}

static bool has_cancel(const struct vwi_handlers_conf *conf)
{
    size_t i;

    for (i = 0; i < conf->count; i++)
        if (conf->items[i].cancel.path)
            return true;
    return false;
}

vw_err vwi_desk_init(struct vwi_desk *desk, vw_error_t *why)
{
    vwi_list_init(&desk->own.requests);
    vwi_list_init(&desk->own.turns);
    if (vwi_timer_init(&desk->own.deadline, desk->loop, on_deadline, desk) != VW_OK)
        return vwi_fail(why, VW_E_NOMEM, "requests: out of memory");
    if (has_cancel(desk->conf))
        return vwi_cancels_create(desk->loop, desk->model, desk->queue, desk->log, on_cancelled, desk, &desk->own.cancels, why);
    return VW_OK;
}

void vwi_desk_fini(struct vwi_desk *desk)
{
    vwi_cancels_destroy(desk->own.cancels);
    vwi_timer_fini(&desk->own.deadline);
    vwi_forward_fini(&desk->own.forward);
}

size_t vwi_desk_cancels(const struct vwi_desk *desk) { return desk->own.cancels ? vwi_cancels_under_way(desk->own.cancels) : 0; }

bool vwi_desk_has_work(const struct vwi_desk *desk)
{
    return desk->own.others || vwi_desk_cancels(desk) || (desk->sessions && !vwi_sessions_idle(desk->sessions));
}

bool vwi_desk_idle(const struct vwi_desk *desk) { return vwi_list_empty(&desk->own.requests) && !vwi_desk_has_work(desk); }

static void end_with_session(struct vwi_request *rq)
{
    bool answering = rq->state == VWI_REQUEST_ANSWERING;

    rq->reason = VWI_REASON_INVALID_SESSION;
    if (rq->ex && answering)
        vwi_exchange_abort(rq->ex);
    else if (rq->ex)
        refuse(rq, VWI_REASON_INVALID_SESSION, NULL);
    settle(rq, VWI_OUTCOME_CANCELLED);
}

/* All of them are out of it before the first ends: what that brings about may settle another, whose session must not end again. */
void vwi_requests_end_with_session(struct vwi_desk *desk, struct vwi_list *inside)
{
    bool giving = desk->own.giving;
    struct vwi_list *node;

    for (node = inside->next; node != inside; node = node->next)
        VWI_CONTAINER(node, struct vwi_request, inside)->session = NULL;
    desk->own.giving = true; /* a turn that comes free is not for one that is about to end as well */
    while (!vwi_list_empty(inside)) {
        struct vwi_request *rq = VWI_CONTAINER(inside->next, struct vwi_request, inside);

        vwi_list_del(&rq->inside);
        end_with_session(rq);
    }
    if (!giving)
        vwi_request_let_run(desk);
}

size_t vwi_desk_awaiting(const struct vwi_desk *desk)
{
    struct vwi_list *node;
    size_t count = 0;

    for (node = desk->own.requests.next; node != &desk->own.requests; node = node->next) {
        const struct vwi_request *rq = VWI_CONTAINER(node, struct vwi_request, node);

        count += rq->relay && !rq->tunnel && vwi_relay_awaits_model(rq->relay);
    }
    return count;
}
