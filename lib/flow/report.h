/*
 * What the control plane is told, and when: a report on the tick when something changed, every 10 s when nothing did, at once on
 * ready, error and drain; finished requests in delete_requests. What was not accepted is kept (bounded) and told again.
 */
#ifndef VWI_FLOW_REPORT_H
#define VWI_FLOW_REPORT_H

#include <stdbool.h>
#include <stdint.h>

#include <vastworker/err.h>

#include "base/conf.h"
#include "base/log.h"
#include "core/histogram.h"
#include "core/ledger.h"
#include "io/courier.h"

struct vwi_report;

/* The part of a report that the ledger does not know. Strings are borrowed for the call. */
struct vwi_report_facts {
    double loadtime_s, max_perf;
    const char *error_msg;
    const char *url;
};

struct vwi_report_events {
    void (*facts)(void *arg, struct vwi_report_facts *ret);
};

struct vwi_report_stats {
    uint64_t accepted, failed, refused;
    const struct vwi_histogram *seconds; /* lives as long as the report */
};

vw_err vwi_report_create(struct vwi_loop *loop, struct vwi_courier *courier, const struct vwi_report_conf *conf, struct vwi_ledger *ledger,
                         const struct vwi_log *log, const struct vwi_report_events *events, void *arg, struct vwi_report **ret,
                         vw_error_t *why);
void vwi_report_start(struct vwi_report *report);
void vwi_report_now(struct vwi_report *report);    /* news that cannot wait for the tick */
/* The worker stops: from now on each finished request's deletion goes out at once, pauses are short, and a second from now a
 * report goes out whatever has happened. */
void vwi_report_hurry(struct vwi_report *report);
void vwi_report_settled(struct vwi_report *report); /* a request was settled; NULL is fine */
/* Send what is left, then call fn once: when all was accepted, or after timeout_ms. */
void vwi_report_flush(struct vwi_report *report, int64_t timeout_ms, vwi_loop_fn fn, void *arg);
bool vwi_report_is_told(const struct vwi_report *report); /* all there is was accepted */
/* Where the worker ends with requests whose end was not acknowledged: names the first of them in the log. NULL: nobody to tell. */
void vwi_report_say_untold(const struct vwi_report *report);
struct vwi_report_stats vwi_report_stats(const struct vwi_report *report);
void vwi_report_destroy(struct vwi_report *report);

#endif
