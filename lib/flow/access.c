/* Written field by field into the log's own buffer: this is on the path of every request, so nothing is allocated or printed. */
#include "flow/access.h"

#include <math.h>

#include "base/clock.h"
#include "core/literal.h"

#define PRINTED_AS_INTEGER 1e15

/* A line under way, in either format. */
struct pen {
    struct vwi_text *out;
    bool json;
};

static void begin_field(struct pen *pen, const char *name, bool text)
{
    vwi_text_add(pen->out, pen->json ? ",\"" : " ", pen->json ? 2 : 1);
    vwi_text_adds(pen->out, name);
    vwi_text_add(pen->out, pen->json ? "\":\"" : "=", pen->json ? text ? 3 : 2 : 1);
}

/* Only texts that need no escapes: ids and methods are tokens, routes have none of the characters that would. */
static void add_span(struct pen *pen, const char *name, struct vwi_span value)
{
    if (!value.len)
        return;
    begin_field(pen, name, true);
    vwi_text_add(pen->out, value.p, value.len);
    if (pen->json)
        vwi_text_add(pen->out, "\"", 1);
}

static void add_text(struct pen *pen, const char *name, const char *value)
{
    add_span(pen, name, (struct vwi_span){ value, strlen(value) });
}

static void add_integer(struct pen *pen, const char *name, uint64_t value)
{
    begin_field(pen, name, false);
    vwi_text_add_integer(pen->out, (long long)value);
}

static void add_real(struct pen *pen, const char *name, double value)
{
    begin_field(pen, name, false);
    if (fabs(value) < PRINTED_AS_INTEGER && value == floor(value))
        vwi_text_add_integer(pen->out, (long long)value);
    else
        vwi_literal_brief(pen->out, value);
}

/* In seconds, to the microsecond. */
static void add_time(struct pen *pen, const char *name, int64_t us)
{
    begin_field(pen, name, false);
    vwi_literal_micros(pen->out, us > 0 ? (uint64_t)us : 0);
}

static bool open_line(const struct vwi_log *log, vw_log_level_t level, struct pen *ret)
{
    ret->out = vwi_log_open(log, level);
    if (!ret->out)
        return false;
    ret->json = log->json;
    if (ret->json)
        vwi_text_adds(ret->out, ",\"message\":\"request\"");
    else
        vwi_text_adds(ret->out, "request");
    return true;
}

/* 499: it never got one. */
static void add_answer(struct pen *pen, const struct vwi_exchange_figures *figures, const char *outcome, const char *reason)
{
    add_integer(pen, "status", (uint64_t)(figures->status ? figures->status : vwi_reason_status(VWI_REASON_CLIENT_GONE)));
    add_text(pen, "outcome", outcome);
    add_text(pen, "reason", reason);
}

static void add_traffic(struct pen *pen, const struct vwi_exchange_figures *figures, struct vwi_span peer)
{
    add_integer(pen, "bytes_in", figures->bytes_in);
    add_integer(pen, "bytes_out", figures->bytes_out);
    add_span(pen, "peer", peer);
}

static const char *outcome_of(const struct vwi_request *rq)
{
    return rq->entered ? vwi_outcome_name(rq->outcome) : rq->rejected ? "rejected" : "refused";
}

static void add_times(struct pen *pen, const struct vwi_request *rq, int64_t now_us)
{
    if (rq->entered) {
        add_real(pen, "workload", rq->entry.work.workload); /* as booked */
        add_time(pen, "queue_s", (rq->ran_us ? rq->ran_us : now_us) - rq->entry.entered_us);
    }
    if (rq->first_us)
        add_time(pen, "first_byte_s", rq->first_us - rq->arrived_us);
    add_time(pen, "total_s", now_us - rq->arrived_us);
}

void vwi_access_request(const struct vwi_request *rq, const struct vwi_exchange_figures *figures)
{
    const struct vwi_log *log = rq->desk->log;
    struct pen pen;

    if (!open_line(log, VW_LOG_INFO, &pen))
        return;
    add_span(&pen, "id", rq->id);
    add_span(&pen, "method", vwi_exchange_method(rq->ex));
    add_text(&pen, "route", rq->handler->conf->route);
    add_answer(&pen, figures, outcome_of(rq), vwi_reason_code(rq->reason));
    add_times(&pen, rq, vwi_mono_us());
    add_traffic(&pen, figures, vwi_exchange_peer(rq->ex));
    if (figures->cut && !rq->tunnel)
        vwi_text_adds(pen.out, pen.json ? ",\"cut\":true" : " cut");
    vwi_log_close(log, VW_LOG_INFO);
}

void vwi_access_refused(const struct vwi_log *log, const struct vwi_exchange *ex, const char *reason)
{
    struct vwi_exchange_figures figures = vwi_exchange_figures(ex);
    struct pen pen;

    if (!open_line(log, VW_LOG_INFO, &pen))
        return;
    add_span(&pen, "id", vwi_exchange_id(ex));
    add_span(&pen, "method", vwi_exchange_method(ex));
    add_answer(&pen, &figures, "refused", reason);
    add_traffic(&pen, &figures, vwi_exchange_peer(ex));
    vwi_log_close(log, VW_LOG_INFO);
}

void vwi_access_built_in(const struct vwi_log *log, const struct vwi_exchange *ex)
{
    vw_log_level_t level = vwi_span_is(vwi_exchange_method(ex), "POST") ? VW_LOG_INFO : VW_LOG_DEBUG;
    struct vwi_exchange_figures figures = vwi_exchange_figures(ex);
    struct pen pen;

    if (!figures.status || !open_line(log, level, &pen))
        return;
    add_span(&pen, "id", vwi_exchange_id(ex));
    add_span(&pen, "method", vwi_exchange_method(ex));
    add_span(&pen, "route", vwi_span_path(vwi_exchange_target(ex)));
    add_answer(&pen, &figures, "built_in", "");
    add_traffic(&pen, &figures, vwi_exchange_peer(ex));
    vwi_log_close(log, level);
}
