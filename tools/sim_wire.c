/* Fields of the two bodies as tables. A report that lacks one field of seventeen is refused: a silent 0 would be believed. */
#include "sim_wire.h"

#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/text.h"
#include "base/vwi.h"

#define DELETIONS_MAX 100000

enum kind { TEXT, WHOLE, NUMBER, AMOUNT, IDS, TRUTH };

struct field {
    const char *name;
    enum kind kind;
    size_t offset; /* NOWHERE: checked, not kept */
    bool in_beacon;
};

#define NOWHERE SIZE_MAX
#define AT(member) offsetof(struct sim_report, member)

static const struct field report_fields[] = {
    { "id", WHOLE, AT(id), true },
    { "mtoken", TEXT, AT(mtoken), true },
    { "version", TEXT, AT(version), true },
    { "loadtime", AMOUNT, AT(loadtime), false },
    { "cur_load", AMOUNT, AT(cur_load), false },
    { "new_load", AMOUNT, AT(new_load), false },
    { "rej_load", AMOUNT, AT(rej_load), false },
    { "cur_perf", AMOUNT, AT(cur_perf), false },
    { "max_perf", AMOUNT, AT(max_perf), false },
    { "error_msg", TEXT, AT(error_msg), true },
    { "num_requests_working", WHOLE, AT(working), false },
    { "num_requests_recieved", WHOLE, AT(received), false },
    { "working_request_idxs", IDS, NOWHERE, false },
    { "additional_disk_usage", NUMBER, AT(disk_usage), false },
    { "cur_capacity", AMOUNT, NOWHERE, false },
    { "max_capacity", AMOUNT, NOWHERE, false },
    { "url", TEXT, AT(url), true },
};

static const char *const status_names[SIM_STATUSES] = { "Success", "Error", "Cancelled", "Rejected", "Started", "unstated" };

const char *sim_status_name(enum sim_status status) { return status_names[status]; }

static const char *expected(enum kind kind)
{
    switch (kind) {
    case TEXT: return "a string";
    case WHOLE: return "a whole number >= 0";
    case NUMBER: return "a number";
    case AMOUNT: return "a number >= 0";
    case IDS: return "a list of whole numbers";
    case TRUTH: return "true or false";
    }
    return "something else";
}

static const char *type_name(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT: return "an object";
    case JSON_ARRAY: return "a list";
    case JSON_STRING: return "a string";
    case JSON_INTEGER: return json_integer_value(value) < 0 ? "a negative number" : "a whole number";
    case JSON_REAL: return json_real_value(value) < 0 ? "a negative number" : "a number with a fraction";
    case JSON_TRUE: return "true";
    case JSON_FALSE: return "false";
    case JSON_NULL: return "null";
    }
    return "unknown";
}

static bool fits(const json_t *value, enum kind kind)
{
    size_t i;

    switch (kind) {
    case TEXT: return json_is_string(value);
    case WHOLE: return json_is_integer(value) && json_integer_value(value) >= 0;
    case NUMBER: return json_is_number(value);
    case AMOUNT: return json_is_number(value) && json_number_value(value) >= 0;
    case TRUTH: return json_is_boolean(value);
    case IDS: break;
    }
    for (i = 0; i < json_array_size(value); i++)
        if (!json_is_integer(json_array_get(value, i)))
            return false;
    return json_is_array(value);
}

/* Adds "x is missing" or "x is a string, expected a number" to the sentence. */
static bool check(const json_t *object, const char *name, enum kind kind, struct vwi_text *faults)
{
    const json_t *value = json_object_get(object, name);

    if (value && fits(value, kind))
        return true;
    vwi_text_adds(faults, faults->len ? "; " : "");
    if (!value)
        vwi_text_addf(faults, "%s is missing, expected %s", name, expected(kind));
    else
        vwi_text_addf(faults, "%s is %s, expected %s", name, type_name(value), expected(kind));
    return false;
}

static void keep(const json_t *value, const struct field *field, struct sim_report *report)
{
    void *at = (char *)report + field->offset;

    if (field->offset == NOWHERE)
        return;
    if (field->kind == TEXT)
        *(const char **)at = json_string_value(value);
    else if (field->kind == WHOLE)
        *(long long *)at = json_integer_value(value);
    else
        *(double *)at = json_number_value(value);
}

static vw_err finish(struct vwi_text *faults, const char *what, vw_error_t *why)
{
    vw_err err = VW_OK;

    if (faults->failed)
        err = vwi_fail(why, VW_E_NOMEM, "%s: out of memory", what);
    else if (faults->len)
        err = vwi_fail(why, VW_E_PARSE, "%s: %s", what, faults->p);
    vwi_text_fini(faults);
    return err;
}

/* The boot script's beacon has id, mtoken, version, error_msg and url at most, and something to complain of. */
static bool is_beacon(const json_t *body)
{
    size_t i;

    for (i = 0; i < VWI_ARRAY_LEN(report_fields); i++)
        if (!report_fields[i].in_beacon && json_object_get(body, report_fields[i].name))
            return false;
    return json_string_length(json_object_get(body, "error_msg")) > 0;
}

vw_err sim_wire_report(const json_t *body, struct sim_report *ret, vw_error_t *why)
{
    struct vwi_text faults = VWI_TEXT_INIT;
    size_t i;

    *ret = (struct sim_report){ .mtoken = "", .version = "", .error_msg = "", .url = "" };
    if (!json_is_object(body))
        return vwi_fail(why, VW_E_PARSE, "worker_status: expected a JSON object");
    ret->beacon = is_beacon(body);
    for (i = 0; i < VWI_ARRAY_LEN(report_fields); i++) {
        const struct field *field = &report_fields[i];
        bool optional = ret->beacon && strcmp(field->name, "id") != 0 && !json_object_get(body, field->name);

        if (!optional && check(body, field->name, field->kind, &faults))
            keep(json_object_get(body, field->name), field, ret);
    }
    if (!faults.len && json_array_size(json_object_get(body, "working_request_idxs")) != (size_t)ret->working)
        vwi_text_addf(&faults, "num_requests_working is %lld but working_request_idxs has %zu", ret->working,
                      json_array_size(json_object_get(body, "working_request_idxs")));
    return finish(&faults, "worker_status", why);
}

static bool is_true_by_rule(enum sim_status status) { return status == SIM_SUCCESS || status == SIM_CANCELLED; }

static bool check_all(const json_t *entry, struct vwi_text *faults)
{
    static const struct {
        const char *name;
        enum kind kind;
    } fields[] = { { "request_idx", WHOLE },       { "success", TRUTH },          { "status", TEXT },
                   { "entered_queue_at", AMOUNT }, { "work_started_at", AMOUNT }, { "work_completed_at", AMOUNT } };
    bool good = true;
    size_t i;

    for (i = 0; i < VWI_ARRAY_LEN(fields); i++)
        good = check(entry, fields[i].name, fields[i].kind, faults) && good;
    return good;
}

static bool take_deletion(const json_t *entry, struct sim_deletion *ret, struct vwi_text *faults)
{
    const char *status = json_string_value(json_object_get(entry, "status"));
    size_t before = faults->len;

    if (!json_is_object(entry))
        vwi_text_adds(faults, "expected an object");
    else if (check_all(entry, faults)) {
        ret->request_idx = json_integer_value(json_object_get(entry, "request_idx"));
        ret->success = json_is_true(json_object_get(entry, "success"));
        ret->entered = json_number_value(json_object_get(entry, "entered_queue_at"));
        ret->started = json_number_value(json_object_get(entry, "work_started_at"));
        ret->completed = json_number_value(json_object_get(entry, "work_completed_at"));
        for (ret->status = SIM_SUCCESS; ret->status < SIM_UNSTATED && strcmp(status, status_names[ret->status]) != 0;)
            ret->status++;
        if (ret->status == SIM_UNSTATED)
            vwi_text_addf(faults, "status is \"%.40s\", expected Success, Error, Cancelled, Rejected or Started", status);
        else if (ret->status != SIM_STARTED && ret->success != is_true_by_rule(ret->status))
            vwi_text_addf(faults, "status %s goes with success %s", status, is_true_by_rule(ret->status) ? "true" : "false");
    }
    return faults->len == before;
}

static void take_list(const json_t *list, struct sim_deletions *ret, struct vwi_text *faults)
{
    for (; ret->count < json_array_size(list); ret->count++) {
        struct vwi_text own = VWI_TEXT_INIT;
        bool good = take_deletion(json_array_get(list, ret->count), &ret->items[ret->count], &own);

        if (!good)
            vwi_text_addf(faults, "%srequests[%zu]: %s", faults->len ? "; " : "", ret->count, own.p ? own.p : "out of memory");
        vwi_text_fini(&own);
        if (!good)
            return;
    }
}

static void take_old_list(const json_t *body, const json_t *list, struct sim_deletions *ret)
{
    for (; ret->count < json_array_size(list); ret->count++)
        ret->items[ret->count] = (struct sim_deletion){ .request_idx = json_integer_value(json_array_get(list, ret->count)),
                                                        .success = json_is_true(json_object_get(body, "success")),
                                                        .status = SIM_UNSTATED };
}

vw_err sim_wire_deletions(const json_t *body, struct sim_deletions *ret, vw_error_t *why)
{
    struct vwi_text faults = VWI_TEXT_INIT;
    const json_t *list, *old;

    *ret = (struct sim_deletions){ .mtoken = "" };
    if (!json_is_object(body))
        return vwi_fail(why, VW_E_PARSE, "delete_requests: expected a JSON object");
    if (check(body, "worker_id", WHOLE, &faults))
        ret->worker_id = json_integer_value(json_object_get(body, "worker_id"));
    if (check(body, "mtoken", TEXT, &faults))
        ret->mtoken = json_string_value(json_object_get(body, "mtoken"));
    old = json_object_get(body, "request_idxs");
    list = old ? old : json_object_get(body, "requests");
    if (old && check(body, "request_idxs", IDS, &faults))
        check(body, "success", TRUTH, &faults);
    if (!old && !json_is_array(list))
        vwi_text_addf(&faults, "%srequests is %s, expected a list", faults.len ? "; " : "", list ? type_name(list) : "missing");
    if (faults.len || faults.failed)
        return finish(&faults, "delete_requests", why);
    if (json_array_size(list) > DELETIONS_MAX)
        return vwi_fail(why, VW_E_PARSE, "delete_requests: more than %d requests in one body", DELETIONS_MAX);
    ret->items = vwi_zalloc(json_array_size(list) * sizeof *ret->items);
    if (!ret->items)
        return vwi_fail(why, VW_E_NOMEM, "delete_requests: out of memory");
    if (old)
        take_old_list(body, list, ret);
    else
        take_list(list, ret, &faults);
    return finish(&faults, "delete_requests", why);
}

void sim_deletions_fini(struct sim_deletions *deletions)
{
    vwi_free(deletions->items);
    *deletions = (struct sim_deletions){ .mtoken = "" };
}
