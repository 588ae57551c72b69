/* The odd thing: asking for a probe "now" drops the running one, whose answer would tell of a moment before the news. */
#include "flow/health.h"

#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "io/probe.h"
#include "io/upstream.h"

struct vwi_health {
    struct vwi_loop *loop;
    struct vwi_model_conf model; /* as configured, with one idle connection */
    struct vwi_timeouts_conf timeouts;
    const char *path;
    struct vwi_health_events events;
    void *arg;
    struct vwi_upstream *upstream; /* NULL without a path */
    struct vwi_lease *lease;
    struct vwi_probe *probe;
    struct vwi_timer timer;
    int64_t gap_ms;
    int status;
    char engine[64];
};

static bool is_running(const struct vwi_health *h) { return h->lease || h->probe; }

static void wait_for_next(struct vwi_health *h)
{
    if (h->gap_ms > 0 && !is_running(h))
        vwi_timer_start(&h->timer, h->gap_ms);
}

/* The timer first: the event may change the pace or ask for a probe now. */
static void judge(struct vwi_health *h, const char *bad)
{
    wait_for_next(h);
    if (bad)
        h->events.on_bad(h->arg, bad);
    else
        h->events.on_good(h->arg);
}

static void keep_engine(struct vwi_health *h, const struct vwi_answer *answer)
{
    size_t i, len;

    h->engine[0] = '\0';
    for (i = 0; i < answer->header_count; i++) {
        if (!vwi_span_is_nocase(answer->names[i], "server"))
            continue;
        len = answer->values[i].len < sizeof h->engine ? answer->values[i].len : sizeof h->engine - 1;
        memcpy(h->engine, answer->values[i].p, len);
        h->engine[len] = '\0';
    }
}

static void on_head(void *arg, const struct vwi_answer *answer)
{
    struct vwi_health *h = arg;

    h->status = answer->status;
    if (answer->status == 200)
        keep_engine(h, answer);
}

static void on_end(void *arg, enum vwi_upstream_result result, const char *text)
{
    struct vwi_health *h = arg;
    char bad[200];

    h->lease = NULL;
    if (result == VWI_UPSTREAM_OK && h->status == 200) {
        judge(h, NULL);
        return;
    }
    if (result == VWI_UPSTREAM_OK)
        snprintf(bad, sizeof bad, "Healthcheck failed with status: %d", h->status);
    else if (result == VWI_UPSTREAM_TIMEOUT)
        snprintf(bad, sizeof bad, "Healthcheck failed: no answer within %g s", VWI_HEALTH_TIMEOUT_S);
    else
        snprintf(bad, sizeof bad, "Healthcheck failed: %s", text && text[0] ? text : "connection lost");
    judge(h, bad);
}

static void on_connected(void *arg, const char *text)
{
    struct vwi_health *h = arg;
    char bad[200];

    h->probe = NULL;
    if (text)
        snprintf(bad, sizeof bad, "Healthcheck failed: %s", text);
    judge(h, text ? bad : NULL);
}

static void begin(void *arg)
{
    static const struct vwi_lease_events lease_events = { .on_head = on_head, .on_end = on_end };
    struct vwi_health *h = arg;
    struct vwi_upstream_request request = { .method = { "GET", 3 }, .headers = "Accept: */*\r\n" };

    if (is_running(h))
        return;
    h->status = 0;
    if (h->path) {
        request.target = (struct vwi_span){ h->path, strlen(h->path) };
        request.timeouts = &h->timeouts;
        h->lease = vwi_upstream_send(h->upstream, &request, &lease_events, h);
    } else {
        h->probe = vwi_probe_start(h->loop, &h->model, (int64_t)(VWI_HEALTH_TIMEOUT_S * 1000), on_connected, h);
    }
    if (!is_running(h))
        judge(h, "Healthcheck failed: out of memory");
}

vw_err vwi_health_create(struct vwi_loop *loop, const struct vwi_model_conf *model, const char *path, const struct vwi_log *log,
                         const struct vwi_health_events *events, void *arg, struct vwi_health **ret, vw_error_t *why)
{
    struct vwi_health *h = vwi_zalloc(sizeof *h);
    vw_err err = VW_E_NOMEM;

    if (!h)
        return vwi_fail(why, VW_E_NOMEM, "health probe: out of memory");
    h->loop = loop;
    h->model = *model;
    h->model.idle_connections = 1;
    h->timeouts.total_s = VWI_HEALTH_TIMEOUT_S;
    h->path = path;
    h->events = *events;
    h->arg = arg;
    if (vwi_timer_init(&h->timer, loop, begin, h) != VW_OK) {
        vwi_fail(why, VW_E_NOMEM, "health probe: out of memory");
        goto out;
    }
    if (path) {
        err = vwi_upstream_create(loop, &h->model, log, &h->upstream, why);
        if (err != VW_OK)
            goto out;
    }
    *ret = h;
    h = NULL;
    err = VW_OK;
out:
    vwi_health_destroy(h);
    return err;
}

void vwi_health_pace(struct vwi_health *h, int64_t gap_ms)
{
    if (gap_ms == h->gap_ms)
        return;
    h->gap_ms = gap_ms;
    if (gap_ms == 0)
        vwi_timer_stop(&h->timer);
    else
        wait_for_next(h);
}

void vwi_health_now(struct vwi_health *h)
{
    if (h->lease)
        vwi_lease_cancel(h->lease);
    vwi_probe_cancel(h->probe);
    h->lease = NULL;
    h->probe = NULL;
    vwi_timer_start(&h->timer, 0);
}

const char *vwi_health_engine(const struct vwi_health *h) { return h->engine; }

void vwi_health_destroy(struct vwi_health *h)
{
    if (!h)
        return;
    if (h->lease)
        vwi_lease_cancel(h->lease);
    vwi_probe_cancel(h->probe);
    vwi_upstream_destroy(h->upstream);
    vwi_timer_fini(&h->timer);
    vwi_free(h);
}
