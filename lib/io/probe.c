/* A dial whose connection is closed at once, which a server sees as a client that left without a request. */
#include "io/probe.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "io/dial.h"

#define TICK_MS 200

struct vwi_probe {
    struct vwi_dialer *dialer;
    struct vwi_dial dial;
    struct vwi_timer timer;
    struct vwi_loop *loop;
    struct vwi_burial burial;
    vwi_probe_fn fn;
    void *arg;
    bool begun;
    int64_t timeout_ms, deadline_ms;
};

void vwi_probe_cancel(struct vwi_probe *p)
{
    if (!p)
        return;
    if (p->begun)
        vwi_dial_stop(&p->dial);
    vwi_dialer_destroy(p->dialer);
    vwi_timer_fini(&p->timer);
    vwi_free(p);
}

static void free_probe(void *arg) { vwi_probe_cancel(arg); }

/* Freed after the turn: the dial that calls us looks at itself once more. */
static void finish(struct vwi_probe *p, const char *text)
{
    vwi_timer_stop(&p->timer);
    vwi_loop_bury(p->loop, &p->burial, free_probe, p);
    p->fn(p->arg, text);
}

/* On loopback a connect to a free port of the ephemeral range can meet itself: nobody listens there. */
static bool met_itself(int fd)
{
    struct sockaddr_storage here = { 0 }, there = { 0 };
    socklen_t here_len = sizeof here, there_len = sizeof there;

    return getsockname(fd, (struct sockaddr *)&here, &here_len) == 0 &&
           getpeername(fd, (struct sockaddr *)&there, &there_len) == 0 && here.ss_family != AF_UNIX &&
           here_len == there_len && memcmp(&here, &there, here_len) == 0;
}

static void on_dialled(void *arg, int fd, const char *text)
{
    struct vwi_probe *p = arg;
    bool itself = fd >= 0 && met_itself(fd);

    if (fd >= 0)
        close(fd);
    finish(p, itself ? "connection refused" : text);
}

/* The first tick is the beginning, so that starting never calls back. */
static void on_tick(void *arg)
{
    struct vwi_probe *p = arg;
    int64_t now_ms = vwi_mono_ms();

    if (p->begun && now_ms >= p->deadline_ms) {
        vwi_dial_stop(&p->dial);
        finish(p, "connect timed out");
        return;
    }
    vwi_timer_start(&p->timer, TICK_MS);
    if (p->begun) {
        vwi_dial_tick(&p->dial, now_ms);
        return;
    }
    p->begun = true;
    p->deadline_ms = now_ms + p->timeout_ms;
    vwi_dial_start(&p->dial, p->dialer, p->deadline_ms, on_dialled, p); /* may be over when it returns */
}

struct vwi_probe *vwi_probe_start(struct vwi_loop *loop, const struct vwi_model_conf *model, int64_t timeout_ms,
                                  vwi_probe_fn fn, void *arg)
{
    struct vwi_probe *p = vwi_zalloc(sizeof *p);

    if (!p)
        return NULL;
    p->loop = loop;
    p->fn = fn;
    p->arg = arg;
    p->timeout_ms = timeout_ms;
    if (vwi_dialer_create(loop, model, &p->dialer, NULL) != VW_OK || vwi_timer_init(&p->timer, loop, on_tick, p) != VW_OK) {
        vwi_probe_cancel(p);
        return NULL;
    }
    vwi_timer_start(&p->timer, 0);
    return p;
}
