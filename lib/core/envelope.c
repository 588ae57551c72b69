/*
 * Reading is in two steps: one pass over the bytes notes where each known member stands (a later one of the same name takes its
 * place), then the few noted values are judged. So a repeated or odd member costs nothing and nothing is judged twice.
 */
#include "core/envelope.h"

#include <string.h>

#include "base/vwi.h"
#include "core/auth_param.h"
#include "core/scan.h"

/* Where the known members stand; p is NULL for one that is not there. */
struct places {
    struct vwi_span auth, payload, session_id;
    struct vwi_span params[VWI_PARAMS];
};

struct flaws {
    bool auth_absent, payload_absent, payload_wrong, session_wrong;
    unsigned missing, wrong; /* bits of parameters */
};

/* The value at the cursor. The members of an object are noted; anything else has none, so that all six are missing. */
static bool scan_auth_data(struct vwi_scan *s, struct places *at)
{
    const char *start = s->p;
    struct vwi_scan_string key;
    struct vwi_span value;
    bool more;
    int i;

    memset(at->params, 0, sizeof at->params);
    if (s->p == s->end || *s->p != '{')
        return vwi_scan_value(s, &at->auth);
    if (!vwi_scan_object(s) || !vwi_scan_member(s, true, &key, &more))
        return false;
    while (more) {
        if (!vwi_scan_value(s, &value))
            return false;
        i = vwi_param_find(&key);
        if (i >= 0)
            at->params[i] = value;
        if (!vwi_scan_member(s, false, &key, &more))
            return false;
    }
    at->auth = (struct vwi_span){ start, (size_t)(s->p - start) };
    return true;
}

static bool scan_member_value(struct vwi_scan *s, const struct vwi_scan_string *key, struct places *at)
{
    struct vwi_span ignored;

    if (vwi_scan_string_is(key, "auth_data", 9))
        return scan_auth_data(s, at);
    if (vwi_scan_string_is(key, "payload", 7))
        return vwi_scan_value(s, &at->payload);
    if (vwi_scan_string_is(key, "session_id", 10))
        return vwi_scan_value(s, &at->session_id);
    return vwi_scan_value(s, &ignored);
}

/* False: not JSON. A body that is no object has no members. */
static bool scan_body(struct vwi_span body, int max_depth, struct places *at)
{
    struct vwi_scan_string key;
    struct vwi_span ignored;
    struct vwi_scan s;
    bool more;

    vwi_scan_init(&s, body, max_depth);
    vwi_scan_space(&s);
    if (s.p == s.end || *s.p != '{') {
        if (!vwi_scan_value(&s, &ignored))
            return false;
    } else {
        if (!vwi_scan_object(&s) || !vwi_scan_member(&s, true, &key, &more))
            return false;
        while (more) {
            if (!scan_member_value(&s, &key, at) || !vwi_scan_member(&s, false, &key, &more))
                return false;
        }
    }
    vwi_scan_space(&s);
    return s.p == s.end;
}

static bool is_null(struct vwi_span value) { return value.len && value.p[0] == 'n'; }
static bool is_string(struct vwi_span value) { return value.len && value.p[0] == '"'; }

/* The inside of a JSON string, to be unescaped later. */
static bool read_string(struct vwi_span value, struct vwi_span *ret)
{
    if (!is_string(value) || value.len - 2 > VWI_AUTH_STRING_MAX)
        return false;
    *ret = (struct vwi_span){ value.p + 1, value.len - 2 };
    return true;
}

static bool read_param(int param, struct vwi_span value, struct vwi_auth_data *auth)
{
    switch (param) {
    case VWI_PARAM_COST: return vwi_param_cost(value, &auth->cost);
    case VWI_PARAM_ENDPOINT: return read_string(value, &auth->endpoint);
    case VWI_PARAM_REQNUM: return vwi_param_integer(value, &auth->reqnum);
    case VWI_PARAM_REQUEST_IDX: return vwi_param_integer(value, &auth->request_idx);
    case VWI_PARAM_SIGNATURE: return read_string(value, &auth->signature);
    default: return read_string(value, &auth->url);
    }
}

static void judge_auth_data(const struct places *at, const struct vwi_envelope_rules *rules, struct vwi_auth_data *auth,
                            struct flaws *flaws)
{
    int i;

    if (!at->auth.p || (rules->partial && is_null(at->auth))) {
        flaws->auth_absent = !rules->partial;
        return;
    }
    if (at->auth.p[0] != '{') {
        flaws->missing = VWI_AUTH_ALL;
        return;
    }
    auth->present = true;
    auth->raw = at->auth;
    for (i = 0; i < VWI_PARAMS; i++) {
        if (!at->params[i].p || (rules->partial && is_null(at->params[i])))
            flaws->missing |= rules->partial ? 0 : VWI_BIT(i);
        else if (read_param(i, at->params[i], auth))
            auth->has |= VWI_BIT(i);
        else
            flaws->wrong |= VWI_BIT(i);
    }
}

/*
 * The platform looks an id of any scalar type up among its sessions and finds none for all but strings: those ids stay, empty, so
 * that the answer is the one for an unknown session.
 */
static void judge_session_id(struct vwi_span value, struct vwi_envelope *ret, struct flaws *flaws)
{
    if (!value.p || is_null(value))
        return;
    flaws->session_wrong = value.p[0] == '{' || value.p[0] == '[';
    ret->has_session = true;
    if (!read_string(value, &ret->session_id))
        ret->session_id = (struct vwi_span){ "", 0 };
}

static bool needs_unescaping(struct vwi_span s) { return s.len && memchr(s.p, '\\', s.len); }

/* The room is there already, so that spans into scratch stay where they are. */
static void unescape(struct vwi_span *s, struct vwi_text *scratch)
{
    const char *p = s->p, *end = p + s->len;
    size_t from = scratch->len;
    char utf8[4];

    while (p < end)
        vwi_text_add(scratch, utf8, vwi_scan_encode(vwi_scan_point(&p, end), utf8));
    *s = (struct vwi_span){ scratch->p + from, scratch->len - from };
}

static bool unescape_all(struct vwi_envelope *e)
{
    struct vwi_span *strings[] = { &e->auth.url, &e->auth.signature, &e->auth.endpoint, &e->session_id };
    size_t i, room = 0;

    for (i = 0; i < VWI_ARRAY_LEN(strings); i++)
        room += needs_unescaping(*strings[i]) ? strings[i]->len : 0;
    if (!room)
        return true;
    if (!vwi_text_reserve(&e->scratch, room))
        return false;
    for (i = 0; i < VWI_ARRAY_LEN(strings); i++) {
        if (needs_unescaping(*strings[i]))
            unescape(strings[i], &e->scratch);
    }
    return true;
}

/* The 422 body; OK when there is nothing to say. */
static enum vwi_envelope_verdict describe(const struct flaws *flaws, struct vwi_text *out)
{
    const char *before = "{";

    if (flaws->auth_absent || flaws->missing || flaws->wrong) {
        vwi_text_adds(out, before);
        if (flaws->auth_absent)
            vwi_text_adds(out, "\"auth_data\": \"field missing\"");
        else if (vwi_text_adds(out, "\"auth_data\": "))
            vwi_param_describe(flaws->missing, flaws->wrong, out);
        before = ", ";
    }
    if (flaws->payload_absent || flaws->payload_wrong) {
        vwi_text_adds(out, before);
        vwi_text_adds(out, flaws->payload_absent ? "\"payload\": \"field missing\""
                                                 : "\"payload\": {\"data\": \"payload must be a dictionary\"}");
        before = ", ";
    }
    if (flaws->session_wrong) {
        vwi_text_adds(out, before);
        vwi_text_adds(out, "\"session_id\": \"wrong type\"");
        before = ", ";
    }
    if (before[0] == '{')
        return VWI_ENVELOPE_OK;
    return vwi_text_adds(out, "}") ? VWI_ENVELOPE_INVALID : VWI_ENVELOPE_NOMEM;
}

static enum vwi_envelope_verdict refuse_json(struct vwi_text *out)
{
    return vwi_text_adds(out, "{\"error\": \"invalid JSON\"}") ? VWI_ENVELOPE_INVALID_JSON : VWI_ENVELOPE_NOMEM;
}

static enum vwi_envelope_verdict conclude(struct vwi_envelope *e, const struct flaws *flaws, struct vwi_text *ret_body)
{
    enum vwi_envelope_verdict verdict = describe(flaws, ret_body);

    return verdict == VWI_ENVELOPE_OK && !unescape_all(e) ? VWI_ENVELOPE_NOMEM : verdict;
}

enum vwi_envelope_verdict vwi_envelope_parse(struct vwi_span body, const struct vwi_envelope_rules *rules,
                                             struct vwi_envelope *ret, struct vwi_text *ret_body)
{
    struct flaws flaws = { 0 };
    struct places at = { 0 };

    memset(ret, 0, sizeof *ret);
    if (!scan_body(body, rules->max_depth, &at))
        return refuse_json(ret_body);
    if (rules->partial && !at.payload.p)
        return VWI_ENVELOPE_PLAIN;
    judge_auth_data(&at, rules, &ret->auth, &flaws);
    flaws.payload_absent = !at.payload.p;
    flaws.payload_wrong = at.payload.p && at.payload.p[0] != '{';
    ret->payload = at.payload;
    judge_session_id(at.session_id, ret, &flaws);
    return conclude(ret, &flaws, ret_body);
}

enum vwi_envelope_verdict vwi_auth_data_parse(struct vwi_span json, const struct vwi_envelope_rules *rules,
                                              struct vwi_envelope *ret, struct vwi_text *ret_body)
{
    struct flaws flaws = { 0 };
    struct places at = { 0 };
    struct vwi_scan s;

    memset(ret, 0, sizeof *ret);
    vwi_scan_init(&s, json, rules->max_depth);
    vwi_scan_space(&s);
    if (!scan_auth_data(&s, &at))
        return refuse_json(ret_body);
    vwi_scan_space(&s);
    if (s.p != s.end)
        return refuse_json(ret_body);
    judge_auth_data(&at, rules, &ret->auth, &flaws);
    return conclude(ret, &flaws, ret_body);
}

enum vwi_envelope_peek vwi_envelope_peek(struct vwi_span head, const struct vwi_envelope_rules *rules, struct vwi_envelope *ret)
{
    struct flaws flaws = { 0 };
    struct places at = { 0 };
    struct vwi_scan_string key;
    struct vwi_scan s;
    bool more = true, first = true;

    memset(ret, 0, sizeof *ret);
    vwi_scan_init(&s, head, rules->max_depth);
    vwi_scan_space(&s);
    if (s.p == s.end)
        return VWI_PEEK_MORE;
    if (!vwi_scan_object(&s))
        return VWI_PEEK_NONE;
    while (!at.auth.p) {
        if (!vwi_scan_member(&s, first, &key, &more))
            return VWI_PEEK_MORE;
        if (!more || vwi_scan_string_is(&key, "payload", 7))
            return VWI_PEEK_NONE;
        if (!scan_member_value(&s, &key, &at))
            return VWI_PEEK_MORE;
        first = false;
    }
    judge_auth_data(&at, rules, &ret->auth, &flaws);
    return ret->auth.present && !flaws.missing && !flaws.wrong && unescape_all(ret) ? VWI_PEEK_AUTH : VWI_PEEK_NONE;
}

void vwi_envelope_fini(struct vwi_envelope *envelope)
{
    if (envelope)
        vwi_text_fini(&envelope->scratch);
}
