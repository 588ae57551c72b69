#include "flow/cancel.h"

#include <string.h>

#include "base/err.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/vwi.h"
#include "io/upstream.h"

struct vwi_cancels {
    struct vwi_model_conf model; /* as configured, with no connection kept */
    struct vwi_upstream *upstream;
    struct vwi_queue *queue;
    const struct vwi_log *log;
    vwi_cancels_fn fn;
    void *arg;
    struct vwi_list calls;
    size_t count;
    struct vwi_cancels_stats stats;
};

struct call {
    struct vwi_list node;
    struct vwi_cancels *cancels;
    struct vwi_handler *handler;
    struct vwi_ticket slot;
    struct vwi_lease *lease;
};

/* Once for each handler: the next ones fail for the same reason. */
static void warn(struct vwi_cancels *cancels, struct vwi_handler *handler, const char *text)
{
    if (handler->warned_cancel)
        return;
    handler->warned_cancel = true;
    vwi_log_warn(cancels->log, "%s: cancel %s: %s; the model server may still be at work for a client that has left (said once)",
                 handler->conf->route, handler->conf->cancel.path, text);
}

static void on_end(void *arg, enum vwi_upstream_result result, const char *text)
{
    struct call *call = arg;
    struct vwi_cancels *cancels = call->cancels;

    if (result == VWI_UPSTREAM_OK)
        cancels->stats.answered++;
    else if (result == VWI_UPSTREAM_TIMEOUT)
        cancels->stats.timed_out++;
    else
        cancels->stats.failed++;
    if (result != VWI_UPSTREAM_OK)
        warn(cancels, call->handler, text);
    vwi_list_del(&call->node);
    cancels->count--;
    cancels->fn(cancels->arg, &call->slot);
    vwi_free(call);
}

static struct vwi_lease *send_call(struct call *call, struct vwi_span id)
{
    static const struct vwi_lease_events events = { .on_end = on_end };
    const struct vwi_cancel_conf *conf = &call->handler->conf->cancel;
    struct vwi_timeouts_conf limits = { .connect_s = conf->grace_s, .total_s = conf->grace_s };
    struct vwi_upstream_request request = { .method = { conf->method, strlen(conf->method) },
                                            .target = { conf->path, strlen(conf->path) },
                                            .has_body = strcmp(conf->method, "POST") == 0,
                                            .timeouts = &limits };
    struct vwi_text headers = VWI_TEXT_INIT;
    struct vwi_lease *lease = NULL;

    vwi_text_adds(&headers, "Accept: */*\r\n");
    if (id.len)
        vwi_text_add_field(&headers, (struct vwi_span){ "X-Request-Id", 12 }, id);
    request.headers = headers.p;
    if (!headers.failed)
        lease = vwi_upstream_send(call->cancels->upstream, &request, &events, call);
    vwi_text_fini(&headers);
    return lease;
}

bool vwi_cancels_call(struct vwi_cancels *cancels, struct vwi_handler *handler, struct vwi_span id, struct vwi_ticket *slot)
{
    struct call *call;

    if (cancels->count >= VWI_CANCELS_MAX) {
        cancels->stats.dropped++;
        warn(cancels, handler, "too many calls wait for their answers");
        return false;
    }
    call = vwi_zalloc(sizeof *call);
    if (call) {
        call->cancels = cancels;
        call->handler = handler;
        call->lease = send_call(call, id);
    }
    if (!call || !call->lease) {
        vwi_free(call);
        cancels->stats.failed++;
        warn(cancels, handler, "out of memory");
        return false;
    }
    vwi_queue_hand_over(cancels->queue, slot, &call->slot);
    vwi_list_add(&cancels->calls, &call->node);
    cancels->count++;
    return true;
}

size_t vwi_cancels_under_way(const struct vwi_cancels *cancels) { return cancels->count; }
struct vwi_cancels_stats vwi_cancels_stats(const struct vwi_cancels *cancels) { return cancels->stats; }

vw_err vwi_cancels_create(struct vwi_loop *loop, const struct vwi_model_conf *model, struct vwi_queue *queue, const struct vwi_log *log,
                          vwi_cancels_fn fn, void *arg, struct vwi_cancels **ret, vw_error_t *why)
{
    struct vwi_cancels *cancels = vwi_zalloc(sizeof *cancels);
    vw_err err;

    if (!cancels)
        return vwi_fail(why, VW_E_NOMEM, "cancel: out of memory");
    cancels->model = *model;
    cancels->model.idle_connections = 0;
    cancels->queue = queue;
    cancels->log = log;
    cancels->fn = fn;
    cancels->arg = arg;
    vwi_list_init(&cancels->calls);
    err = vwi_upstream_create(loop, &cancels->model, log, &cancels->upstream, why);
    if (err != VW_OK) {
        vwi_free(cancels);
        return err;
    }
    *ret = cancels;
    return VW_OK;
}

void vwi_cancels_destroy(struct vwi_cancels *cancels)
{
    if (!cancels)
        return;
    while (!vwi_list_empty(&cancels->calls)) {
        struct call *call = VWI_CONTAINER(cancels->calls.next, struct call, node);

        vwi_list_del(&call->node);
        vwi_lease_cancel(call->lease);
        vwi_free(call);
    }
    vwi_upstream_destroy(cancels->upstream);
    vwi_free(cancels);
}
