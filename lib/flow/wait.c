#include "flow/wait.h"

#include <math.h>

#include "core/scan.h"

#define PATIENCE "x-request-timeout"
#define LONGEST_MS 1e12 /* thirty years */

static bool stands_twice(const struct vwi_exchange *ex, const char *header)
{
    size_t i, count = vwi_exchange_header_count(ex), found = 0;
    struct vwi_span name, value;

    for (i = 0; i < count; i++) {
        vwi_exchange_header_at(ex, i, &name, &value);
        found += vwi_span_is_nocase(name, header);
    }
    return found > 1;
}

bool vwi_wait_read(struct vwi_request *rq)
{
    struct vwi_span text = { NULL, 0 };

    rq->patience_s = INFINITY;
    if (!rq->handler->conf->control)
        text = vwi_exchange_header(rq->ex, PATIENCE);
    if (!text.p)
        return true;
    return vwi_scan_number(text, &rq->patience_s) && text.p[0] != '-' && isfinite(rq->patience_s) && !stands_twice(rq->ex, PATIENCE);
}

double vwi_wait_limit(const struct vwi_request *rq)
{
    const struct vwi_handler_conf *conf = rq->handler->conf;

    return fmin(conf->has_max_queue_time ? conf->max_queue_time_s : INFINITY, rq->patience_s);
}

int64_t vwi_wait_deadline(double limit_s, int64_t now_ms)
{
    if (!(limit_s > 0) || !isfinite(limit_s))
        return -1; /* 0: it was asked whether it can start now */
    return now_ms + (int64_t)fmin(fmax(limit_s * 1000, 1), LONGEST_MS);
}

double vwi_wait_predict(const struct vwi_desk *desk, const struct vwi_ready_view *ready)
{
    return vwi_queue_predicted_wait(vwi_ledger_waiting_load(desk->ledger), ready->capacity_known ? ready->max_perf : 0);
}

double vwi_wait_retry_after(const struct vwi_desk *desk, double own)
{
    struct vwi_ready_view ready = vwi_startup_view(desk->startup);
    double per_s = ready.capacity_known ? ready.max_perf : vwi_ledger_rate(desk->ledger);

    return vwi_queue_predicted_wait(vwi_ledger_waiting_load(desk->ledger) - own, per_s);
}
