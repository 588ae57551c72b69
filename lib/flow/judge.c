/*
 * The verdicts of the bracket that only look at what the client sent. All false returns have answered the client already.
 * The odd thing: nothing of a refusal here reaches the control plane (design.md 7), or anybody could write into its books.
 */
#include "flow/judge.h"

#include <string.h>

#include "base/mem.h"
#include "core/bearer.h"
#include "core/payload.h"
#include "flow/respond.h"
#include "flow/sessions.h"
#include "flow/wait.h"
#include "io/plugin.h"

bool vwi_judge_refuse(struct vwi_request *rq, enum vwi_reason reason, const char *message)
{
    vwi_ledger_refuse(rq->desk->ledger, vwi_request_route(rq), reason);
    rq->reason = reason;
    vwi_respond_refuse(rq->ex, reason, message, 0);
    vwi_request_go(rq, VWI_REQUEST_SETTLED);
    return false;
}

/* The same with the platform's own body. */
static bool refuse_as_platform(struct vwi_request *rq, enum vwi_reason reason, const char *json, size_t len)
{
    vwi_ledger_refuse(rq->desk->ledger, vwi_request_route(rq), reason);
    rq->reason = reason;
    vwi_respond_platform(rq->ex, reason, json, len);
    vwi_request_go(rq, VWI_REQUEST_SETTLED);
    return false;
}

#define EARLY_BYTES (1024 * 1024) /* a body beyond this is judged as soon as its credentials are there (design.md 7) */

static bool envelope_verdict(struct vwi_request *rq, enum vwi_envelope_verdict verdict, struct vwi_text *json)
{
    bool ok = verdict == VWI_ENVELOPE_OK;

    if (!ok && (verdict == VWI_ENVELOPE_NOMEM || json->failed))
        vwi_judge_refuse(rq, VWI_REASON_INTERNAL, NULL);
    else if (!ok)
        refuse_as_platform(rq, verdict == VWI_ENVELOPE_INVALID_JSON ? VWI_REASON_INVALID_JSON : VWI_REASON_INVALID_ENVELOPE, json->p,
                           json->len);
    vwi_text_fini(json);
    return ok;
}

static void take_plain_session(struct vwi_request *rq)
{
    struct vwi_span id = vwi_exchange_header(rq->ex, "x-vast-session");

    if (!id.p)
        return;
    rq->envelope.has_session = true;
    rq->envelope.session_id = id;
}

static bool read_auth_header(struct vwi_request *rq, struct vwi_span header, const struct vwi_envelope_rules *rules)
{
    enum vwi_envelope_verdict verdict;
    struct vwi_text answer = VWI_TEXT_INIT;
    struct vwi_span json;

    if (vwi_base64_decode(header, true, &rq->auth_json) != VW_OK)
        return vwi_judge_refuse(rq, VWI_REASON_INVALID_ENVELOPE, "X-Vast-Auth: not base64; send the base64 of auth_data's JSON.");
    json = (struct vwi_span){ rq->auth_json.p ? rq->auth_json.p : "", rq->auth_json.len };
    verdict = vwi_auth_data_parse(json, rules, &rq->envelope, &answer);
    take_plain_session(rq); /* after the parse, which begins with an empty envelope */
    return envelope_verdict(rq, verdict, &answer);
}

static bool presented_key(const struct vwi_request *rq, struct vwi_span *ret)
{
    return vwi_bearer_token(vwi_exchange_header(rq->ex, "authorization"), ret);
}

/* A slip of the pen must not become an endless wait, so it is told. */
static bool read_patience(struct vwi_request *rq)
{
    return vwi_wait_read(rq) ||
           vwi_judge_refuse(rq, VWI_REASON_BAD_REQUEST, "X-Request-Timeout: not a number of seconds of at least 0; send one such as 2.5, "
                                                        "once, or leave the header out.");
}

/* Verdict 4, as far as the head tells: credentials in it make a plain request. */
bool vwi_judge_head(struct vwi_request *rq)
{
    const struct vwi_auth_conf *auth = rq->desk->auth;
    struct vwi_envelope_rules rules = { auth->json_max_depth, auth->unsecured };
    struct vwi_span header, query;
    struct vwi_text answer = VWI_TEXT_INIT;

    if (!read_patience(rq))
        return false;
    if (rq->handler->conf->auth != VWI_AUTH_VAST)
        take_plain_session(rq);
    if (rq->handler->conf->auth == VWI_AUTH_BEARER)
        return presented_key(rq, &header) || vwi_judge_refuse(rq, VWI_REASON_NO_CREDENTIALS, NULL);
    if (rq->handler->conf->auth != VWI_AUTH_VAST)
        return true;
    header = vwi_exchange_header(rq->ex, "x-vast-auth");
    if (header.p)
        return read_auth_header(rq, header, &rules);
    query = vwi_span_query(vwi_exchange_target(rq->ex));
    if (query.len) {
        enum vwi_envelope_verdict verdict = vwi_auth_data_from_query(query, &rules, &rq->envelope, &answer);

        if (verdict != VWI_ENVELOPE_OK || rq->envelope.auth.present) {
            take_plain_session(rq);
            return envelope_verdict(rq, verdict, &answer);
        }
        vwi_text_fini(&answer);
        vwi_envelope_fini(&rq->envelope);
    }
    rq->form = auth->unsecured ? VWI_FORM_LOOSE : VWI_FORM_ENVELOPE;
    return true;
}

static bool reads_json(const struct vwi_workload_conf *workload)
{
    return workload->kind == VWI_WORKLOAD_PLUGIN || workload->kind == VWI_WORKLOAD_FIELD || workload->kind == VWI_WORKLOAD_COUNT;
}

static bool is_read(const struct vwi_handler_conf *conf) { return conf->parser || reads_json(&conf->workload); }

static enum vwi_envelope_verdict read_envelope(struct vwi_request *rq, struct vwi_text *answer)
{
    struct vwi_envelope_rules rules = { rq->desk->auth->json_max_depth, rq->form == VWI_FORM_LOOSE };

    return rq->feed ? vwi_envelope_feed_end(rq->feed, rq->body.p, rq->body.len, &rq->envelope, answer)
                    : vwi_envelope_parse(rq->body, &rules, &rq->envelope, answer);
}

/* Unsecured: an envelope where the body is JSON with a payload, else a plain request. */
static bool read_loose(struct vwi_request *rq)
{
    struct vwi_text answer = VWI_TEXT_INIT;
    enum vwi_envelope_verdict verdict = read_envelope(rq, &answer);

    if (verdict == VWI_ENVELOPE_PLAIN || verdict == VWI_ENVELOPE_INVALID_JSON) {
        vwi_text_fini(&answer);
        take_plain_session(rq);
        rq->is_json = verdict == VWI_ENVELOPE_PLAIN;
        return true;
    }
    rq->enveloped = verdict == VWI_ENVELOPE_OK;
    return envelope_verdict(rq, verdict, &answer);
}

/* Verdict 4 for credentials in the body, which is there in full. */
bool vwi_judge_body(struct vwi_request *rq)
{
    struct vwi_text answer = VWI_TEXT_INIT;

    rq->body = vwi_exchange_body(rq->ex);
    switch (rq->form) {
    case VWI_FORM_ENVELOPE:
        rq->enveloped = true;
        return envelope_verdict(rq, read_envelope(rq, &answer), &answer);
    case VWI_FORM_LOOSE:
        return read_loose(rq);
    case VWI_FORM_PLAIN:
        break;
    }
    rq->is_json = is_read(rq->handler->conf) && (rq->feed ? vwi_envelope_feed_is_json(rq->feed, rq->body.p, rq->body.len)
                                                          : vwi_json_valid(rq->body, rq->desk->auth->json_max_depth));
    return true;
}

/* auth_data of a large envelope, before its payload has come: is it worth waiting for? What is malformed is left to the end. */
static bool judge_early(struct vwi_request *rq, struct vwi_span body)
{
    int64_t length = vwi_exchange_length(rq->ex);
    bool good = true;

    if (length < 0 ? body.len <= EARLY_BYTES : length <= EARLY_BYTES)
        return true; /* of unknown length: again when more has come */
    rq->early = false;
    if (vwi_envelope_feed_auth(rq->feed, body.p, &rq->envelope))
        good = vwi_judge_signature(rq);
    vwi_envelope_fini(&rq->envelope);
    memset(&rq->envelope, 0, sizeof rq->envelope);
    return good;
}

bool vwi_judge_arriving(struct vwi_request *rq)
{
    struct vwi_envelope_rules rules = { rq->desk->auth->json_max_depth, rq->form != VWI_FORM_ENVELOPE };
    struct vwi_span body = vwi_exchange_body(rq->ex);
    struct vwi_text answer = VWI_TEXT_INIT;
    enum vwi_envelope_fed fed;

    if (rq->form == VWI_FORM_PLAIN && !is_read(rq->handler->conf))
        return true;
    if (!rq->feed) {
        rq->feed = vwi_alloc(sizeof *rq->feed);
        if (!rq->feed)
            return rq->form != VWI_FORM_ENVELOPE || vwi_judge_refuse(rq, VWI_REASON_INTERNAL, NULL); /* others can wait for the end */
        vwi_envelope_feed_init(rq->feed, &rules);
    }
    while ((fed = vwi_envelope_feed(rq->feed, body.p, body.len)) == VWI_FED_AUTH)
        rq->early = true;
    if (rq->form != VWI_FORM_ENVELOPE)
        return true; /* nothing is refused, and what it is shows at the end */
    if (fed == VWI_FED_BAD || fed == VWI_FED_NOMEM)
        return envelope_verdict(rq, vwi_envelope_feed_end(rq->feed, body.p, body.len, &rq->envelope, &answer), &answer);
    return !rq->early || judge_early(rq, body);
}

void vwi_judge_forget(struct vwi_request *rq)
{
    vwi_envelope_feed_fini(rq->feed);
    vwi_free(rq->feed);
    rq->feed = NULL;
    vwi_envelope_fini(&rq->envelope);
    vwi_text_fini(&rq->auth_json);
    vwi_plugin_free(rq->parsed);
}

/* Types of which no payload is JSON; anything else might be, whatever it says (curl -d calls it a form). */
static bool cannot_be_json(struct vwi_span type)
{
    static const char *const families[] = { "multipart/", "image/", "audio/", "video/", "application/octet-stream" };
    size_t i, len;

    for (i = 0; i < VWI_ARRAY_LEN(families); i++) {
        len = strlen(families[i]);
        if (type.len >= len && vwi_span_is_nocase((struct vwi_span){ type.p, len }, families[i]))
            return true;
    }
    return false;
}

bool vwi_judge_can_stream(const struct vwi_request *rq)
{
    const struct vwi_handler_conf *conf = rq->handler->conf;
    bool binary = cannot_be_json(vwi_exchange_header(rq->ex, "content-type"));
    bool looked_at = conf->parser || conf->heartbeat.enabled; /* which wants to know whether a stream is asked for */

    if (rq->form != VWI_FORM_PLAIN || (looked_at && !binary))
        return false;
    if (conf->workload.kind == VWI_WORKLOAD_BYTES)
        return vwi_exchange_length(rq->ex) >= 0;
    return binary || !reads_json(&conf->workload);
}

static bool knows_key(struct vwi_request *rq)
{
    struct vwi_bearer_rank rank;
    struct vwi_span key;

    if (!presented_key(rq, &key) || !vwi_keyring_holds(rq->desk->keyring, key, &rank))
        return false;
    if (rank.has_priority)
        rq->priority = rank.priority;
    return true;
}

enum vwi_reason vwi_judge_pair(const struct vwi_desk *desk, const struct vwi_auth_data *auth)
{
    const char *url = desk->auth->strict_url ? desk->auth->advertised_url : NULL;
    struct vwi_span expected = { url, url ? strlen(url) : 0 };

    if (desk->auth->unsecured)
        return VWI_REASON_NONE;
    switch (vwi_verifier_judge(desk->verifier, expected, auth->url, auth->signature)) {
    case VWI_AUTH_GOOD:
        return VWI_REASON_NONE;
    case VWI_AUTH_NO_KEY:
        return VWI_REASON_KEY_UNAVAILABLE;
    case VWI_AUTH_FOREIGN_URL:
        return VWI_REASON_FOREIGN_URL;
    case VWI_AUTH_BAD_SIGNATURE:
        break;
    }
    vwi_pubkey_doubt(desk->pubkey);
    return VWI_REASON_BAD_SIGNATURE;
}

/* Verdict 5. */
bool vwi_judge_signature(struct vwi_request *rq)
{
    struct vwi_desk *desk = rq->desk;
    enum vwi_reason reason;

    if (rq->handler->conf->auth == VWI_AUTH_BEARER)
        return knows_key(rq) || vwi_judge_refuse(rq, VWI_REASON_BAD_KEY, NULL);
    if (rq->handler->conf->auth != VWI_AUTH_VAST)
        return true;
    reason = vwi_judge_pair(desk, &rq->envelope.auth);
    return reason == VWI_REASON_NONE || vwi_judge_refuse(rq, reason, NULL);
}

/* Verdict 6. */
bool vwi_judge_session(struct vwi_request *rq)
{
    static const char unknown[] = "{\"error\": \"invalid session\"}";

    if (!rq->envelope.has_session || vwi_sessions_know(rq->desk->sessions, rq->envelope.session_id))
        return true;
    return refuse_as_platform(rq, VWI_REASON_INVALID_SESSION, unknown, sizeof unknown - 1);
}

/* What the scanner has been through is not walked through again: each time would hold everybody up, for a millisecond in 15 MB of an image,
 * for ten times that in a list of words. */
static void know_longs(const struct vwi_request *rq, struct vwi_scan_long longs[VWI_SCAN_LONG_MAX])
{
    if (rq->feed)
        vwi_payload_know(longs, vwi_scan_longs(vwi_envelope_feed_scan(rq->feed), vwi_exchange_body(rq->ex).p, longs));
}

static void forget_longs(void) { vwi_payload_know(NULL, 0); }

/* Verdict 7. */
bool vwi_judge_payload(struct vwi_request *rq)
{
    vw_error_t why = { VW_OK, "" };
    struct vwi_span payload = rq->enveloped ? rq->envelope.payload : rq->body;
    struct vwi_scan_long longs[VWI_SCAN_LONG_MAX];
    vw_err err;

    rq->body = payload;
    if (!rq->handler->conf->parser || !(rq->enveloped || rq->is_json))
        return true;
    know_longs(rq, longs);
    err = vwi_handler_parse(rq->handler, payload, &rq->body, &rq->parsed, &why);
    forget_longs();
    if (err == VW_E_NOMEM)
        return vwi_judge_refuse(rq, VWI_REASON_INTERNAL, NULL);
    return err == VW_OK || vwi_judge_refuse(rq, VWI_REASON_PARSER_REFUSED, why.text[0] ? why.text : NULL);
}

/* Step 8. A calculator that reads JSON gets null for a plain body that is none, or that is streamed. */
void vwi_judge_weigh(struct vwi_request *rq)
{
    struct vwi_scan_long longs[VWI_SCAN_LONG_MAX];
    struct vwi_span payload = rq->body;
    size_t bytes = rq->streamed && vwi_exchange_length(rq->ex) > 0 ? (size_t)vwi_exchange_length(rq->ex) : rq->body.len;

    if (!rq->enveloped && !rq->is_json && reads_json(&rq->handler->conf->workload))
        payload = (struct vwi_span){ "null", 4 };
    rq->work.kind = rq->handler->conf->control ? VWI_WORK_CONTROL : rq->envelope.has_session ? VWI_WORK_INSIDE : VWI_WORK_PLAIN;
    rq->work.route = vwi_request_route(rq);
    know_longs(rq, longs);
    rq->work.workload = vwi_handler_weigh(rq->handler, payload, bytes);
    forget_longs();
    rq->work.has_request_idx = rq->envelope.auth.has & VWI_AUTH_REQUEST_IDX;
    rq->work.request_idx = rq->envelope.auth.request_idx;
}
