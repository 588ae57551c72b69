/*
 * Reading is in two steps: one pass over the bytes, as they come, notes where each known member stands (a later one of the same name
 * takes its place), then the few noted values are judged. So a repeated or odd member costs nothing and nothing is judged twice.
 */
#include "core/envelope.h"

#include <string.h>

#include "base/vwi.h"

/* Where the known members stand; p is NULL for one that is not there. */
struct places {
    struct vwi_span auth, payload, session_id;
    struct vwi_span params[VWI_PARAMS];
};

struct flaws {
    bool auth_absent, payload_absent, payload_wrong, session_wrong;
    unsigned missing, wrong; /* bits of parameters */
};

void vwi_envelope_feed_init(struct vwi_envelope_feed *f, const struct vwi_envelope_rules *rules)
{
    memset(f, 0, offsetof(struct vwi_envelope_feed, scan));
    f->rules = *rules;
    vwi_scan_init(&f->scan, rules->max_depth, 1);
}

void vwi_envelope_feed_fini(struct vwi_envelope_feed *f)
{
    if (f)
        vwi_scan_fini(&f->scan);
}

/* A key of the body itself, or of auth_data, whose members are told while its value is under way. */
static void note_key(struct vwi_envelope_feed *f, const struct vwi_scan_string *key)
{
    if (f->scan.depth == 2) {
        f->param = vwi_param_find(key);
    } else if (vwi_scan_string_is(key, "auth_data", 9)) {
        f->member = VWI_MEMBER_AUTH;
        memset(f->params, 0, sizeof f->params);
        f->scan.tell = 2;
    } else if (vwi_scan_string_is(key, "payload", 7)) {
        f->member = VWI_MEMBER_PAYLOAD;
        f->payload_seen = true;
    } else {
        f->member = vwi_scan_string_is(key, "session_id", 10) ? VWI_MEMBER_SESSION : VWI_MEMBER_OTHER;
    }
}

/* True: auth_data has just ended, and no payload came before it. */
static bool note_value(struct vwi_envelope_feed *f)
{
    struct vwi_scan_range value = vwi_scan_value(&f->scan);

    if (!f->scan.in_object || f->scan.depth == 0)
        return false; /* an entry of a list has no name */
    if (f->scan.depth == 2) {
        if (f->param >= 0)
            f->params[f->param] = value;
        return false;
    }
    f->scan.tell = 1;
    switch (f->member) {
    case VWI_MEMBER_AUTH: f->auth = value; break;
    case VWI_MEMBER_PAYLOAD: f->payload = value; break;
    case VWI_MEMBER_SESSION: f->session_id = value; break;
    case VWI_MEMBER_OTHER: break;
    }
    return f->member == VWI_MEMBER_AUTH && !f->payload_seen;
}

enum vwi_envelope_fed vwi_envelope_feed(struct vwi_envelope_feed *f, const char *body, size_t len)
{
    struct vwi_scan_string key;

    for (;;) {
        switch (vwi_scan_run(&f->scan, body, len)) {
        case VWI_SCAN_KEY:
            key = vwi_scan_key(&f->scan, body);
            note_key(f, &key);
            break;
        case VWI_SCAN_VALUE:
            if (note_value(f))
                return VWI_FED_AUTH;
            break;
        case VWI_SCAN_BAD:
            return VWI_FED_BAD;
        case VWI_SCAN_NOMEM:
            return VWI_FED_NOMEM;
        default:
            return VWI_FED_MORE;
        }
    }
}

static struct vwi_span span_of(const char *body, struct vwi_scan_range range)
{
    return range.to ? (struct vwi_span){ body + range.from, range.to - range.from } : (struct vwi_span){ NULL, 0 };
}

static void find_places(const struct vwi_envelope_feed *f, const char *body, struct places *ret)
{
    int i;

    ret->auth = span_of(body, f->auth);
    ret->payload = span_of(body, f->payload);
    ret->session_id = span_of(body, f->session_id);
    for (i = 0; i < VWI_PARAMS; i++)
        ret->params[i] = span_of(body, f->params[i]);
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

/* What is left of the body, whether or not auth_data ends in it. */
static enum vwi_envelope_fed feed_rest(struct vwi_envelope_feed *f, const char *body, size_t len)
{
    enum vwi_envelope_fed fed;

    do
        fed = vwi_envelope_feed(f, body, len);
    while (fed == VWI_FED_AUTH);
    return fed;
}

bool vwi_envelope_feed_is_json(struct vwi_envelope_feed *f, const char *body, size_t len)
{
    return feed_rest(f, body, len) == VWI_FED_MORE && vwi_scan_is_whole(&f->scan);
}

enum vwi_envelope_verdict vwi_envelope_feed_end(struct vwi_envelope_feed *f, const char *body, size_t len, struct vwi_envelope *ret,
                                                struct vwi_text *ret_body)
{
    struct flaws flaws = { 0 };
    enum vwi_envelope_fed fed = feed_rest(f, body, len);
    struct places at;

    memset(ret, 0, sizeof *ret);
    if (fed == VWI_FED_NOMEM)
        return VWI_ENVELOPE_NOMEM;
    if (fed == VWI_FED_BAD || !vwi_scan_is_whole(&f->scan))
        return refuse_json(ret_body);
    find_places(f, body, &at);
    if (f->rules.partial && !at.payload.p)
        return VWI_ENVELOPE_PLAIN;
    judge_auth_data(&at, &f->rules, &ret->auth, &flaws);
    flaws.payload_absent = !at.payload.p;
    flaws.payload_wrong = at.payload.p && at.payload.p[0] != '{';
    ret->payload = at.payload;
    judge_session_id(at.session_id, ret, &flaws);
    return conclude(ret, &flaws, ret_body);
}

enum vwi_envelope_verdict vwi_envelope_parse(struct vwi_span body, const struct vwi_envelope_rules *rules,
                                             struct vwi_envelope *ret, struct vwi_text *ret_body)
{
    struct vwi_envelope_feed f;
    enum vwi_envelope_verdict verdict;

    vwi_envelope_feed_init(&f, rules);
    verdict = vwi_envelope_feed_end(&f, body.p, body.len, ret, ret_body);
    vwi_envelope_feed_fini(&f);
    return verdict;
}

bool vwi_envelope_feed_auth(const struct vwi_envelope_feed *f, const char *body, struct vwi_envelope *ret)
{
    struct flaws flaws = { 0 };
    struct places at;

    memset(ret, 0, sizeof *ret);
    find_places(f, body, &at);
    judge_auth_data(&at, &f->rules, &ret->auth, &flaws);
    return ret->auth.present && !flaws.missing && !flaws.wrong && unescape_all(ret);
}

/* auth_data alone: told as the envelope's member is, one level further out. */
static enum vwi_envelope_fed scan_auth_data(struct vwi_envelope_feed *f, struct vwi_span json)
{
    enum vwi_scan_told told;

    while ((told = vwi_scan_run(&f->scan, json.p, json.len)) == VWI_SCAN_KEY || told == VWI_SCAN_VALUE) {
        if (told == VWI_SCAN_KEY) {
            struct vwi_scan_string key = vwi_scan_key(&f->scan, json.p);

            f->param = vwi_param_find(&key);
        } else if (f->scan.depth == 0) {
            f->auth = vwi_scan_value(&f->scan);
        } else if (f->scan.in_object && f->param >= 0) {
            f->params[f->param] = vwi_scan_value(&f->scan);
        }
    }
    return told == VWI_SCAN_NOMEM ? VWI_FED_NOMEM : told == VWI_SCAN_BAD || !vwi_scan_is_whole(&f->scan) ? VWI_FED_BAD : VWI_FED_MORE;
}

enum vwi_envelope_verdict vwi_auth_data_parse(struct vwi_span json, const struct vwi_envelope_rules *rules,
                                              struct vwi_envelope *ret, struct vwi_text *ret_body)
{
    struct flaws flaws = { 0 };
    struct vwi_envelope_feed f;
    enum vwi_envelope_fed fed;
    struct places at;

    memset(ret, 0, sizeof *ret);
    vwi_envelope_feed_init(&f, rules);
    fed = scan_auth_data(&f, json);
    if (fed == VWI_FED_MORE && !f.auth.to)
        f.auth = (struct vwi_scan_range){ 0, json.len }; /* a number, which nothing ended */
    find_places(&f, json.p, &at);
    vwi_envelope_feed_fini(&f);
    if (fed == VWI_FED_NOMEM)
        return VWI_ENVELOPE_NOMEM;
    if (fed == VWI_FED_BAD)
        return refuse_json(ret_body);
    judge_auth_data(&at, rules, &ret->auth, &flaws);
    return conclude(ret, &flaws, ret_body);
}

void vwi_envelope_fini(struct vwi_envelope *envelope)
{
    if (envelope)
        vwi_text_fini(&envelope->scratch);
}
