/* auth_data in the query of a plain request: serverless_url=...&serverless_signature=... among the model's own parameters. */
#include "core/envelope.h"

#include <string.h>

#include "base/vwi.h"
#include "core/auth_param.h"
#include "core/scan.h"

/* One character of a percent-encoded text; a '%' that starts no escape stands for itself, as in browsers and on the platform. */
static char take_encoded(const char **p, const char *end)
{
    char digits[4] = { '0', '0', 0, 0 };
    int value;

    if (**p == '%' && end - *p >= 3) {
        memcpy(digits + 2, *p + 1, 2);
        value = vwi_scan_hex4(digits, digits + 4);
        if (value >= 0) {
            *p += 3;
            return (char)value;
        }
    }
    return *(*p)++;
}

/* Which parameter the name is, or -1. */
static int param_of_query(struct vwi_span name)
{
    char text[sizeof "serverless_request_idx"];
    const char *p = name.p, *end = p + name.len;
    struct vwi_scan_string after_prefix;
    size_t len = 0;

    while (p < end && len < sizeof text)
        text[len++] = take_encoded(&p, end);
    if (p < end || len < 11 || memcmp(text, "serverless_", 11) != 0)
        return -1;
    after_prefix = (struct vwi_scan_string){ { text + 11, len - 11 }, false };
    return vwi_param_find(&after_prefix);
}

/* The next "name=value" of a query; false at its end. */
static bool next_pair(struct vwi_span *rest, struct vwi_span *ret_pair, struct vwi_span *ret_name, struct vwi_span *ret_value)
{
    const char *amp, *equals;

    if (!rest->len)
        return false;
    amp = memchr(rest->p, '&', rest->len);
    *ret_pair = (struct vwi_span){ rest->p, amp ? (size_t)(amp - rest->p) : rest->len };
    rest->p += ret_pair->len + (amp ? 1 : 0);
    rest->len -= ret_pair->len + (amp ? 1 : 0);
    equals = memchr(ret_pair->p, '=', ret_pair->len);
    *ret_name = (struct vwi_span){ ret_pair->p, equals ? (size_t)(equals - ret_pair->p) : ret_pair->len };
    *ret_value = (struct vwi_span){ ret_pair->p + ret_pair->len, 0 };
    if (equals)
        *ret_value = (struct vwi_span){ equals + 1, ret_pair->len - ret_name->len - 1 };
    return true;
}

/* The room is there already. A plus is a space, but base64 has none of those and unescaped pluses are its commonest mishap. */
static struct vwi_span decode(struct vwi_span value, bool base64, struct vwi_text *scratch)
{
    const char *p = value.p, *end = p + value.len;
    size_t from = scratch->len;

    while (p < end) {
        bool plus = *p == '+' && !base64;
        char c = take_encoded(&p, end);

        vwi_text_add(scratch, plus ? " " : &c, 1);
    }
    return (struct vwi_span){ scratch->p + from, scratch->len - from };
}

static bool read_query_param(int param, struct vwi_span text, struct vwi_auth_data *auth)
{
    struct vwi_span *string = &auth->endpoint;

    if (param == VWI_PARAM_URL || param == VWI_PARAM_SIGNATURE)
        string = param == VWI_PARAM_URL ? &auth->url : &auth->signature;
    switch (param) {
    case VWI_PARAM_COST: return vwi_scan_number(text, &auth->cost);
    case VWI_PARAM_REQNUM: return vwi_param_integer(text, &auth->reqnum);
    case VWI_PARAM_REQUEST_IDX: return vwi_param_integer(text, &auth->request_idx);
    default: *string = text; return text.len <= VWI_AUTH_STRING_MAX;
    }
}

enum vwi_envelope_verdict vwi_auth_data_from_query(struct vwi_span query, const struct vwi_envelope_rules *rules,
                                                   struct vwi_envelope *ret, struct vwi_text *ret_body)
{
    struct vwi_span rest = query, pair, name, value;
    struct vwi_span values[VWI_PARAMS] = { { NULL, 0 } };
    unsigned missing = 0, wrong = 0;
    int i;

    memset(ret, 0, sizeof *ret);
    while (next_pair(&rest, &pair, &name, &value)) {
        i = param_of_query(name);
        if (i >= 0) {
            values[i] = value;
            ret->auth.present = true;
        }
    }
    if (!ret->auth.present)
        return VWI_ENVELOPE_OK;
    if (!vwi_text_reserve(&ret->scratch, query.len))
        return VWI_ENVELOPE_NOMEM;
    for (i = 0; i < VWI_PARAMS; i++) {
        if (!values[i].p)
            missing |= rules->partial ? 0 : VWI_BIT(i);
        else if (read_query_param(i, decode(values[i], i == VWI_PARAM_SIGNATURE, &ret->scratch), &ret->auth))
            ret->auth.has |= VWI_BIT(i);
        else
            wrong |= VWI_BIT(i);
    }
    if (!(missing | wrong))
        return VWI_ENVELOPE_OK;
    vwi_text_adds(ret_body, "{\"auth_data\": ");
    vwi_param_describe(missing, wrong, ret_body);
    return vwi_text_adds(ret_body, "}") ? VWI_ENVELOPE_INVALID : VWI_ENVELOPE_NOMEM;
}

bool vwi_query_without_auth(struct vwi_span query, struct vwi_text *out)
{
    struct vwi_span pair, name, value;
    const char *before = "";

    while (next_pair(&query, &pair, &name, &value)) {
        if (param_of_query(name) >= 0)
            continue;
        vwi_text_adds(out, before);
        vwi_text_add(out, pair.p, pair.len);
        before = "&";
    }
    return !out->failed;
}
