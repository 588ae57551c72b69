/* A configured handler at work: its calculator and its parser, built in or plugin. Requests and the benchmark weigh by the same rules. */
#ifndef VWI_FLOW_HANDLER_H
#define VWI_FLOW_HANDLER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vastworker/err.h>

#include "base/conf.h"
#include "base/log.h"
#include "base/text.h"

struct vwi_plugin;

struct vwi_handler {
    const struct vwi_handler_conf *conf;
    const struct vwi_log *log;
    struct vwi_plugin *calculator, *parser; /* NULL: built in */
    struct vwi_hook_time {
        double seconds;
        uint64_t calls;
    } weighing, parsing;      /* spent in the plugins */
    uint64_t fallbacks;       /* workloads that failed and became 100 */
    bool warned_cancel;       /* said once: the model server was not reached to be told */
    bool warned_not_json;     /* said once: an answer the platform's client resends without end */
};

/* One handler for each row of conf, in its order. conf and log are borrowed until destroy. */
vw_err vwi_handlers_create(const struct vwi_handlers_conf *conf, const struct vwi_strings *plugin_dirs, const struct vwi_log *log,
                           struct vwi_handler **ret, vw_error_t *why);
void vwi_handlers_destroy(struct vwi_handler *handlers, size_t count);

/* Cannot fail: what is no workload counts 100. */
double vwi_handler_weigh(struct vwi_handler *handler, struct vwi_span payload, size_t body_bytes);
/* The body for the model: inside payload, or in *ret_owned (vwi_plugin_free). A refusal's text is for the client. */
vw_err vwi_handler_parse(struct vwi_handler *handler, struct vwi_span payload, struct vwi_span *ret, void **ret_owned, vw_error_t *why);

#endif
