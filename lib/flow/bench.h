/*
 * Measures what the model server can do in units per second, or remembers it: warm-up, rounds of requests at once, bodies read to
 * the end, median round. The score is kept in the state directory for the same configuration.
 */
#ifndef VWI_FLOW_BENCH_H
#define VWI_FLOW_BENCH_H

#include <vastworker/err.h>

#include "base/conf.h"
#include "base/log.h"
#include "base/text.h"
#include "io/loop.h"

struct vwi_bench;

/* How payloads become requests; the same rules as for a client's request. All borrowed until destroy. */
struct vwi_bench_hooks {
    bool (*sample)(void *arg, unsigned nth, struct vwi_text *ret);           /* payload where no dataset is given; may be NULL */
    bool (*parse)(void *arg, struct vwi_span payload, struct vwi_text *ret); /* body for the model; NULL: payload as it is */
    double (*weigh)(void *arg, struct vwi_span payload);                     /* of the parsed payload, >= 0; NULL: 100 */
    void *arg;
};

struct vwi_bench_setup {
    struct vwi_loop *loop;
    const struct vwi_model_conf *model;
    const struct vwi_handler_conf *handler; /* with a benchmark */
    unsigned slots;                         /* most requests at once; 0: as the benchmark says */
    const struct vwi_log *log;
    struct vwi_bench_hooks hooks;
    const char *state_dir, *cache_key; /* borrowed; either NULL: nothing is remembered */
};

struct vwi_bench_events {
    void (*on_done)(void *arg, double score);
    void (*on_failed)(void *arg, const char *text); /* fit for error_msg; borrowed */
};

vw_err vwi_bench_create(const struct vwi_bench_setup *setup, const struct vwi_bench_events *events, void *arg,
                        struct vwi_bench **ret, vw_error_t *why);
/* Ends with exactly one event, never inside this call. No effect while running. engine: copied; what the model server calls itself, as
 * far as is known: a score is remembered for it alone. */
void vwi_bench_start(struct vwi_bench *b, const char *engine);
void vwi_bench_cancel(struct vwi_bench *b);  /* no event follows */
void vwi_bench_destroy(struct vwi_bench *b); /* not inside its events */

#endif
