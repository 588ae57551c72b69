/* Rules of misbehaviour. The same JSON is taken from --behave and from POST /sim/behave. */
#include "sim_fault.h"

#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/vwi.h"

#define DELAY_MAX_MS 3600000
#define COUNT_MAX 1000000000

static bool is_known(const char *key, const char *const *extra)
{
    static const char *const known[] = { "path",  "fail",  "fail_status",  "delay_ms", "times",
                                         "reset", "stall", "after_tokens", "clear" };
    size_t i;

    for (i = 0; i < VWI_ARRAY_LEN(known); i++)
        if (strcmp(key, known[i]) == 0)
            return true;
    for (; extra && *extra; extra++)
        if (strcmp(key, *extra) == 0)
            return true;
    return false;
}

static vw_err take_whole(const json_t *rule, const char *key, long long min, long long max, long long *ret, vw_error_t *why)
{
    const json_t *value = json_object_get(rule, key);

    if (!value || json_is_null(value))
        return VW_OK;
    if (!json_is_integer(value) || json_integer_value(value) < min || json_integer_value(value) > max)
        return vwi_fail(why, VW_E_CONFIG, "behave: %s: expected a whole number from %lld to %lld", key, min, max);
    *ret = json_integer_value(value);
    return VW_OK;
}

static vw_err take_bool(const json_t *rule, const char *key, bool *ret, vw_error_t *why)
{
    const json_t *value = json_object_get(rule, key);

    if (!value || json_is_null(value))
        return VW_OK;
    if (!json_is_boolean(value))
        return vwi_fail(why, VW_E_CONFIG, "behave: %s: expected true or false", key);
    *ret = json_is_true(value);
    return VW_OK;
}

static vw_err take_path(const json_t *rule, char *ret, size_t size, vw_error_t *why)
{
    const json_t *value = json_object_get(rule, "path");
    const char *path = json_string_value(value);

    ret[0] = '\0';
    if (!value || json_is_null(value))
        return VW_OK;
    if (!path || path[0] != '/' || strlen(path) >= size || strncmp(path, "/sim/", 5) == 0)
        return vwi_fail(why, VW_E_CONFIG,
                        "behave: path: expected a path such as \"/worker_status/\", shorter than %zu bytes, not under /sim/",
                        size);
    snprintf(ret, size, "%s", path);
    return VW_OK;
}

static vw_err parse(const json_t *rule, const char *const *extra, struct sim_fault *fault, bool *ret_clear, vw_error_t *why)
{
    long long status = 0;
    const char *key;
    json_t *value;

    *fault = (struct sim_fault){ .times = -1 };
    if (!json_is_object(rule))
        return vwi_fail(why, VW_E_CONFIG, "behave: expected a JSON object");
    json_object_foreach((json_t *)(uintptr_t)rule, key, value) {
        if (!is_known(key, extra))
            return vwi_fail(why, VW_E_CONFIG, "behave: \"%.60s\" is not known here", key);
    }
    if (take_path(rule, fault->path, sizeof fault->path, why) != VW_OK ||
        take_whole(rule, "fail", 400, 599, &status, why) != VW_OK ||
        take_whole(rule, "fail_status", 400, 599, &status, why) != VW_OK ||
        take_whole(rule, "delay_ms", 0, DELAY_MAX_MS, &fault->delay_ms, why) != VW_OK ||
        take_whole(rule, "times", 0, COUNT_MAX, &fault->times, why) != VW_OK ||
        take_whole(rule, "after_tokens", 0, COUNT_MAX, &fault->after_tokens, why) != VW_OK ||
        take_bool(rule, "reset", &fault->reset, why) != VW_OK || take_bool(rule, "stall", &fault->stall, why) != VW_OK ||
        take_bool(rule, "clear", ret_clear, why) != VW_OK)
        return VW_E_CONFIG;
    fault->status = (int)status;
    if ((fault->status != 0) + fault->reset + fault->stall > 1)
        return vwi_fail(why, VW_E_CONFIG, "behave: fail, reset and stall exclude each other");
    if (fault->after_tokens && !fault->reset && !fault->stall)
        return vwi_fail(why, VW_E_CONFIG, "behave: after_tokens goes with reset or stall");
    return VW_OK;
}

static void drop(struct sim_faults *faults, size_t at)
{
    faults->count--;
    memmove(&faults->items[at], &faults->items[at + 1], (faults->count - at) * sizeof faults->items[0]);
}

vw_err sim_faults_take(struct sim_faults *faults, const json_t *rule, const char *const *extra, vw_error_t *why)
{
    struct sim_fault fault;
    bool clear = false, faulty;
    size_t i;
    vw_err err = parse(rule, extra, &fault, &clear, why);

    if (err != VW_OK)
        return err;
    faulty = fault.status || fault.delay_ms || fault.reset || fault.stall;
    if (!faulty && !clear && fault.times != 0)
        return VW_OK;
    if (clear && !fault.path[0])
        faults->count = 0;
    for (i = 0; i < faults->count; i++) {
        if (strcmp(faults->items[i].path, fault.path) == 0) {
            drop(faults, i);
            break;
        }
    }
    if (!faulty || fault.times == 0)
        return VW_OK;
    if (faults->count == SIM_FAULTS_MAX)
        return vwi_fail(why, VW_E_CONFIG, "behave: more than %d rules; clear some", SIM_FAULTS_MAX);
    faults->items[faults->count++] = fault;
    return VW_OK;
}

vw_err sim_faults_take_text(struct sim_faults *faults, const char *text, const char *const *extra, vw_error_t *why)
{
    json_error_t bad;
    json_t *rule = json_loads(text, 0, &bad);
    vw_err err;

    if (!rule)
        return vwi_fail(why, VW_E_CONFIG, "behave: not JSON (%.100s)", bad.text);
    err = sim_faults_take(faults, rule, extra, why);
    json_decref(rule);
    return err;
}

bool sim_faults_hit(struct sim_faults *faults, const char *path, bool plain, struct sim_fault *ret)
{
    size_t i;

    for (i = 0; i < faults->count; i++) {
        struct sim_fault *fault = &faults->items[i];

        if (fault->path[0] ? strcmp(fault->path, path) != 0 : !plain)
            continue;
        *ret = *fault;
        if (fault->times > 0 && --fault->times == 0)
            drop(faults, i);
        return true;
    }
    return false;
}

json_t *sim_faults_json(const struct sim_faults *faults)
{
    json_t *list = json_array();
    size_t i;

    for (i = 0; i < faults->count; i++) {
        const struct sim_fault *f = &faults->items[i];
        json_t *times = f->times < 0 ? json_null() : json_integer(f->times);

        json_array_append_new(list, json_pack("{s:s,s:i,s:I,s:o,s:b,s:b,s:I}", "path", f->path, "fail", f->status, "delay_ms",
                                              (json_int_t)f->delay_ms, "times", times, "reset", f->reset, "stall", f->stall,
                                              "after_tokens", (json_int_t)f->after_tokens));
    }
    return list;
}
