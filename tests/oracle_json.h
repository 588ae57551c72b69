/*
 * A second opinion on JSON: the envelope and the payload readers against jansson's document of the same bytes.
 * RFC 8259 decides. Where jansson refuses what the RFC allows, or the reverse, the case must be one of those listed here.
 */
#ifndef VWT_ORACLE_JSON_H
#define VWT_ORACLE_JSON_H

#include <jansson.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/vwi.h"
#include "core/envelope.h"
#include "core/payload.h"

#define ORACLE_FLAGS (JSON_DECODE_ANY | JSON_ALLOW_NUL)
#define ORACLE_DEPTH 2048 /* jansson's own */

/* What jansson refuses although it is JSON; docs/json.md lists the same rows. */
static const struct oracle_difference {
    enum json_error_code code;
    const char *text; /* how jansson's sentence begins */
    const char *example;
} oracle_differences[] = {
    { json_error_numeric_overflow, "real number overflow", "[1e999]" },
    { json_error_numeric_overflow, "too big integer", "[12345678901234567890]" },
    { json_error_numeric_overflow, "too big negative integer", "[-12345678901234567890]" },
    { json_error_invalid_syntax, "invalid Unicode '", "[\"\\ud800\"]" },
    { json_error_stack_overflow, "maximum parsing depth", NULL }, /* it counts the value in the innermost container too */
    { json_error_null_byte_in_key, "NUL byte in object key", "{\"\\u0000\":1}" },
};

static inline bool oracle_tolerates(const json_error_t *error)
{
    size_t i;

    for (i = 0; i < VWI_ARRAY_LEN(oracle_differences); i++) {
        if (json_error_code(error) == oracle_differences[i].code &&
            strncmp(error->text, oracle_differences[i].text, strlen(oracle_differences[i].text)) == 0)
            return true;
    }
    return false;
}

/* What jansson takes although it is not JSON: it drops a NUL byte right behind a number or a word. */
static inline bool oracle_hides_nul(const char *p, size_t len)
{
    size_t i;

    for (i = 1; i < len; i++) {
        if (p[i] == '\0' && strchr("0123456789el", p[i - 1]))
            return true;
    }
    return false;
}

/* NULL: both agree, or differ as listed. *ret_root is NULL unless both take it. */
static inline const char *oracle_load(const char *p, size_t len, json_t **ret_root)
{
    bool valid = vwi_json_valid((struct vwi_span){ p, len }, ORACLE_DEPTH);
    json_error_t error;

    *ret_root = json_loadb(p, len, ORACLE_FLAGS, &error);
    if (*ret_root && !valid) {
        json_decref(*ret_root);
        *ret_root = NULL;
        return oracle_hides_nul(p, len) ? NULL : "jansson takes what the scanner refuses";
    }
    if (!*ret_root && valid && !oracle_tolerates(&error))
        return "jansson refuses what the scanner takes, and the difference is not listed";
    return NULL;
}

static inline bool oracle_same_text(struct vwi_span s, const json_t *text)
{
    return s.len == json_string_length(text) && memcmp(s.p, json_string_value(text), s.len) == 0;
}

/* A cost string is only judged when it is short. */
static inline bool oracle_cost(const json_t *value, double *ret, bool *ret_sure)
{
    const char *text = json_string_value(value);
    size_t len = json_string_length(value);
    json_t *number;
    bool good;

    *ret_sure = true;
    *ret = json_number_value(value);
    if (!text)
        return json_is_number(value);
    *ret_sure = len <= 10;
    if (!len || !strchr("-0123456789", text[0]) || !strchr("0123456789", text[len - 1]))
        return false;
    number = json_loadb(text, len, ORACLE_FLAGS, NULL);
    *ret_sure = *ret_sure && number;
    good = json_is_number(number);
    *ret = json_number_value(number);
    json_decref(number);
    return good;
}

static inline bool oracle_integer(const json_t *value, long long *ret)
{
    double real = json_real_value(value);

    if (json_is_integer(value))
        *ret = json_integer_value(value);
    else if (json_is_real(value) && real == floor(real) && fabs(real) < 9223372036854775808.0)
        *ret = (long long)real;
    else
        return false;
    return true;
}

static inline const char *const *oracle_params(void)
{
    static const char *const params[] = { "cost", "endpoint", "reqnum", "request_idx", "signature", "url" };

    return params;
}

/* What the refusal says about auth_data: NULL nothing. */
static inline json_t *oracle_auth_flaws(const json_t *auth, bool partial, bool *ret_sure)
{
    json_t *flaws = json_object(), *value;
    long long integer;
    double cost;
    int i;

    for (i = 0; i < 6; i++) {
        const char *name = oracle_params()[i];
        bool good;

        value = json_object_get(auth, name);
        if (!value || (partial && json_is_null(value))) {
            if (!partial || !json_is_object(auth))
                json_object_set_new(flaws, name, json_string("missing parameter"));
            continue;
        }
        if (i == 0) {
            bool sure;

            good = oracle_cost(value, &cost, &sure);
            *ret_sure = *ret_sure && sure;
        } else {
            good = i == 2 || i == 3 ? oracle_integer(value, &integer) : json_is_string(value);
        }
        if (!good)
            json_object_set_new(flaws, name, json_string("wrong type"));
    }
    if (json_object_size(flaws))
        return flaws;
    json_decref(flaws);
    return NULL;
}

static inline json_t *oracle_flaws(const json_t *root, bool partial, bool *ret_sure)
{
    json_t *auth = json_object_get(root, "auth_data"), *payload = json_object_get(root, "payload");
    json_t *flaws = json_object(), *inner;

    if (!auth && !partial)
        json_object_set_new(flaws, "auth_data", json_string("field missing"));
    if (auth && !(partial && json_is_null(auth))) {
        inner = oracle_auth_flaws(auth, partial, ret_sure);
        if (inner)
            json_object_set_new(flaws, "auth_data", inner);
    }
    if (!payload)
        json_object_set_new(flaws, "payload", json_string("field missing"));
    else if (!json_is_object(payload))
        json_object_set_new(flaws, "payload", json_pack("{s:s}", "data", "payload must be a dictionary"));
    if (json_is_object(json_object_get(root, "session_id")) || json_is_array(json_object_get(root, "session_id")))
        json_object_set_new(flaws, "session_id", json_string("wrong type"));
    return flaws;
}

static inline const char *oracle_compare_auth(const struct vwi_auth_data *auth, const json_t *want)
{
    const json_t *value;
    long long integer;
    double cost;
    bool sure;
    int i;

    if (auth->present != json_is_object(want))
        return "auth_data is there for one only";
    for (i = 0; i < 6; i++) {
        value = json_object_get(want, oracle_params()[i]);
        if (!(auth->has & VWI_BIT(i)) != (!value || json_is_null(value)))
            return "a parameter is there for one only";
        if (!(auth->has & VWI_BIT(i)))
            continue;
        if ((i == 0 && oracle_cost(value, &cost, &sure) && cost != auth->cost) ||
            (i == 1 && !oracle_same_text(auth->endpoint, value)) ||
            (i == 2 && oracle_integer(value, &integer) && integer != auth->reqnum) ||
            (i == 3 && oracle_integer(value, &integer) && integer != auth->request_idx) ||
            (i == 4 && !oracle_same_text(auth->signature, value)) || (i == 5 && !oracle_same_text(auth->url, value)))
            return "a parameter differs";
    }
    return NULL;
}

static inline const char *oracle_compare(const struct vwi_envelope *e, const json_t *root)
{
    const json_t *session = json_object_get(root, "session_id");
    const char *complaint = oracle_compare_auth(&e->auth, json_object_get(root, "auth_data"));
    json_t *payload;
    bool same;

    if (complaint)
        return complaint;
    payload = json_loadb(e->payload.p, e->payload.len, ORACLE_FLAGS, NULL);
    same = json_equal(payload, json_object_get(root, "payload"));
    json_decref(payload);
    if (!same)
        return "the payload's bytes are another document";
    if (e->has_session != (session && !json_is_null(session)))
        return "a session is there for one only";
    if (e->has_session && (json_is_string(session) ? !oracle_same_text(e->session_id, session) : e->session_id.len != 0))
        return "session_id differs";
    return NULL;
}

/* The whole envelope: verdict, answer and every field. NULL: no complaint. */
static inline const char *oracle_check_envelope(const char *p, size_t len, bool partial)
{
    struct vwi_envelope_rules rules = { .max_depth = ORACLE_DEPTH, .partial = partial };
    struct vwi_text body = VWI_TEXT_INIT;
    struct vwi_envelope e;
    enum vwi_envelope_verdict verdict = vwi_envelope_parse((struct vwi_span){ p, len }, &rules, &e, &body), want;
    json_t *root = NULL, *flaws = NULL;
    const char *complaint = oracle_load(p, len, &root);
    char *text = NULL;
    bool sure = true;

    if (!complaint && (verdict == VWI_ENVELOPE_INVALID_JSON) == vwi_json_valid((struct vwi_span){ p, len }, ORACLE_DEPTH))
        complaint = "the envelope and the scanner disagree on what is JSON";
    if (complaint || !root)
        goto out;
    flaws = oracle_flaws(root, partial, &sure);
    text = json_dumps(flaws, 0);
    want = partial && !json_object_get(root, "payload") ? VWI_ENVELOPE_PLAIN
           : json_object_size(flaws)                    ? VWI_ENVELOPE_INVALID
                                                        : VWI_ENVELOPE_OK;
    if (!sure)
        goto out;
    if (verdict != want)
        complaint = "another verdict";
    else if (verdict == VWI_ENVELOPE_INVALID && strcmp(text, body.p) != 0)
        complaint = "another answer";
    else if (verdict == VWI_ENVELOPE_OK)
        complaint = oracle_compare(&e, root);
out:
    free(text);
    json_decref(flaws);
    json_decref(root);
    vwi_text_fini(&body);
    vwi_envelope_fini(&e);
    return complaint;
}

/* The value at a pointer without tildes, in jansson's document. */
static inline const json_t *oracle_find(const json_t *at, const char *pointer)
{
    char token[256];

    while (at && *pointer) {
        size_t len = strcspn(++pointer, "/");

        if (len >= sizeof token)
            return NULL;
        memcpy(token, pointer, len);
        token[len] = '\0';
        pointer += len;
        if (json_is_object(at)) {
            at = json_object_get(at, token);
        } else {
            bool index = len && strspn(token, "0123456789") == len && (len == 1 || token[0] != '0');

            at = index && json_is_array(at) ? json_array_get(at, strtoull(token, NULL, 10)) : NULL;
        }
    }
    return at;
}

static inline enum vwi_kind oracle_kind(const json_t *value)
{
    if (!value)
        return VWI_KIND_ABSENT;
    switch (json_typeof(value)) {
    case JSON_OBJECT: return VWI_KIND_OBJECT;
    case JSON_ARRAY: return VWI_KIND_ARRAY;
    case JSON_STRING: return VWI_KIND_STRING;
    case JSON_INTEGER: case JSON_REAL: return VWI_KIND_NUMBER;
    case JSON_TRUE: case JSON_FALSE: return VWI_KIND_BOOL;
    default: return VWI_KIND_NULL;
    }
}

static inline const char *oracle_compare_value(struct vwi_span value, enum vwi_kind kind, const json_t *want)
{
    size_t room = value.len + 1, len = 0;
    json_t *again = json_loadb(value.p, value.len, ORACLE_FLAGS, NULL);
    bool same = json_equal(again, want);
    const char *complaint = same ? NULL : "the value's bytes are another document";
    char *text = malloc(room);
    double number = 0;

    json_decref(again);
    if (kind == VWI_KIND_STRING && (!vwi_payload_string(value, text, room, &len) ||
                                    !oracle_same_text((struct vwi_span){ text, len }, want)))
        complaint = "the string differs";
    if (kind == VWI_KIND_NUMBER && (!vwi_payload_number(value, &number) || number != json_number_value(want)))
        complaint = "the number differs";
    if (kind == VWI_KIND_ARRAY && vwi_payload_count(value) != json_array_size(want))
        complaint = "the count differs";
    if (kind == VWI_KIND_OBJECT && vwi_payload_count(value) < json_object_size(want))
        complaint = "the members are too few";
    free(text);
    return complaint;
}

/* One pointer into one text, which need not be JSON. NULL: no complaint. */
static inline const char *oracle_check_payload(const char *p, size_t len, const char *pointer)
{
    struct vwi_span json = { p, len }, value = { NULL, 0 };
    enum vwi_kind kind = vwi_payload_find(json, pointer, &value);
    json_t *root = NULL;
    const char *complaint = oracle_load(p, len, &root);
    const json_t *want;

    if (!complaint && kind != VWI_KIND_ABSENT && (value.p < p || value.p + value.len > p + len))
        complaint = "the value lies outside the payload";
    if (complaint || !root || (*pointer && *pointer != '/') || strpbrk(pointer, "~"))
        goto out;
    want = oracle_find(root, pointer);
    if (kind != oracle_kind(want))
        complaint = "another kind";
    else if (want)
        complaint = oracle_compare_value(value, kind, want);
out:
    json_decref(root);
    return complaint;
}

#endif
