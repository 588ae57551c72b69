/* Written by hand, field by field in the platform's own order; reals are written as reals, since some readers are strict. */
#include "core/wire.h"

#include "core/literal.h"

static vw_err finish(struct vwi_text *out)
{
    if (!out->failed)
        return VW_OK;
    vwi_text_clear(out);
    return VW_E_NOMEM;
}

static void add_string(struct vwi_text *out, const char *key, const char *value)
{
    vwi_text_addf(out, ",\"%s\":", key);
    vwi_literal_string(out, value);
}

static void add_real(struct vwi_text *out, const char *key, double value)
{
    vwi_text_addf(out, ",\"%s\":", key);
    vwi_literal_real(out, value);
}

static const char *status_name(enum vwi_deletion_status status)
{
    switch (status) {
    case VWI_DELETION_SUCCESS:
        return "Success";
    case VWI_DELETION_CANCELLED:
        return "Cancelled";
    case VWI_DELETION_REJECTED:
        return "Rejected";
    case VWI_DELETION_ERROR:
        break;
    }
    return "Error";
}

/* printf's parsing of its format would be a third of what a whole request costs: these are written piece by piece. */
static void add_deletion(struct vwi_text *out, const struct vwi_deletion *d)
{
    vwi_text_adds(out, "{\"request_idx\":");
    vwi_text_add_integer(out, d->request_idx);
    vwi_text_adds(out, d->success ? ",\"success\":true,\"status\":\"" : ",\"success\":false,\"status\":\"");
    vwi_text_adds(out, status_name(d->status));
    vwi_text_adds(out, "\",\"entered_queue_at\":");
    vwi_literal_seconds(out, d->entered_s);
    vwi_text_adds(out, ",\"work_started_at\":");
    vwi_literal_seconds(out, d->started_s);
    vwi_text_adds(out, ",\"work_completed_at\":");
    vwi_literal_seconds(out, d->completed_s);
    vwi_text_adds(out, "}");
}

static void add_identity(struct vwi_text *out, const struct vwi_wire_status *in)
{
    vwi_text_addf(out, "{\"id\":%lld", in->id);
    add_string(out, "mtoken", in->mtoken);
    add_string(out, "version", in->version);
}

vw_err vwi_wire_status(const struct vwi_wire_status *in, struct vwi_text *out)
{
    const struct vwi_report_snapshot *counts = in->counts;
    size_t i;

    vwi_text_clear(out);
    add_identity(out, in);
    add_real(out, "loadtime", in->loadtime_s);
    add_real(out, "cur_load", counts->cur_load);
    add_real(out, "rej_load", counts->rej_load);
    add_real(out, "new_load", counts->new_load);
    add_string(out, "error_msg", in->error_msg);
    add_real(out, "max_perf", in->max_perf);
    add_real(out, "cur_perf", counts->cur_perf);
    vwi_text_adds(out, ",\"cur_capacity\":0,\"max_capacity\":0");
    vwi_text_addf(out, ",\"num_requests_working\":%llu", (unsigned long long)counts->working);
    vwi_text_addf(out, ",\"num_requests_recieved\":%llu", (unsigned long long)counts->requests_received);
    add_real(out, "additional_disk_usage", in->disk_usage_gib);
    vwi_text_adds(out, ",\"working_request_idxs\":[");
    for (i = 0; i < counts->idx_count; i++) {
        vwi_text_adds(out, i ? "," : "");
        vwi_text_add_integer(out, counts->idxs[i]);
    }
    vwi_text_adds(out, "]");
    add_string(out, "url", in->url);
    vwi_text_adds(out, "}");
    return finish(out);
}

vw_err vwi_wire_beacon(const struct vwi_wire_status *in, struct vwi_text *out)
{
    vwi_text_clear(out);
    add_identity(out, in);
    add_string(out, "error_msg", in->error_msg);
    add_string(out, "url", in->url);
    vwi_text_adds(out, "}");
    return finish(out);
}

vw_err vwi_wire_deletions(long long worker_id, const char *mtoken, const struct vwi_deletion *deletions, size_t count,
                          struct vwi_text *out)
{
    size_t i;

    vwi_text_clear(out);
    vwi_text_addf(out, "{\"worker_id\":%lld", worker_id);
    add_string(out, "mtoken", mtoken);
    vwi_text_adds(out, ",\"requests\":[");
    for (i = 0; i < count && !out->failed; i++) {
        vwi_text_adds(out, i ? "," : "");
        add_deletion(out, &deletions[i]);
    }
    vwi_text_adds(out, "]}");
    return finish(out);
}

vw_err vwi_wire_deletions_legacy(long long worker_id, const char *mtoken, const struct vwi_deletion *deletions, size_t count,
                                 bool success, struct vwi_text *out, size_t *ret_count)
{
    size_t i, named = 0;
    vw_err err;

    vwi_text_clear(out);
    vwi_text_addf(out, "{\"worker_id\":%lld", worker_id);
    add_string(out, "mtoken", mtoken);
    vwi_text_adds(out, ",\"request_idxs\":[");
    for (i = 0; i < count; i++)
        if (deletions[i].success == success)
            vwi_text_addf(out, named++ ? ",%lld" : "%lld", deletions[i].request_idx);
    vwi_text_addf(out, "],\"success\":%s}", success ? "true" : "false");
    err = finish(out);
    if (err == VW_OK)
        *ret_count = named;
    return err;
}
