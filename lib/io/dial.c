/*
 * Nonblocking connects. On loopback they succeed or fail at once, so the common case needs no event.
 * The odd thing: when every remembered address failed, the name is looked up once more before giving up.
 */
#include "io/dial.h"

#include <ctype.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/vwi.h"
#include "io/resolve.h"

struct vwi_dialer {
    struct vwi_loop *loop;
    const struct vwi_model_conf *conf;
    bool named; /* addresses come from a lookup */
    struct vwi_addresses found;
    unsigned generation; /* counts lookups */
    struct vwi_resolve *resolve;
    struct vwi_list waiting;
};

static bool unix_address(const char *path, struct vwi_addresses *ret)
{
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    size_t len = strlen(path);

    if (len >= sizeof un.sun_path)
        return false;
    memcpy(un.sun_path, path, len + 1);
    memcpy(&ret->items[0].sa, &un, sizeof un);
    ret->items[0].len = (socklen_t)sizeof un;
    ret->count = 1;
    return true;
}

vw_err vwi_dialer_create(struct vwi_loop *loop, const struct vwi_model_conf *conf, struct vwi_dialer **ret, vw_error_t *why)
{
    struct vwi_dialer *d = vwi_zalloc(sizeof *d);

    if (!d)
        return vwi_fail(why, VW_E_NOMEM, "model server: out of memory");
    d->loop = loop;
    d->conf = conf;
    vwi_list_init(&d->waiting);
    if (conf->unix_path && !unix_address(conf->unix_path, &d->found)) {
        vwi_free(d);
        return vwi_fail(why, VW_E_CONFIG, "model server: unix path \"%s\" is longer than %zu bytes", conf->unix_path,
                        sizeof((struct sockaddr_un *)NULL)->sun_path - 1);
    }
    if (!conf->unix_path)
        d->named = !vwi_resolve_literal(conf->host, conf->port, &d->found);
    *ret = d;
    return VW_OK;
}

void vwi_dialer_destroy(struct vwi_dialer *d)
{
    if (!d)
        return;
    vwi_resolve_cancel(d->resolve);
    vwi_free(d);
}

static void finish(struct vwi_dial *dial, int fd)
{
    dial->active = false;
    dial->fd = -1;
    dial->fn(dial->arg, fd, fd < 0 ? dial->text : NULL);
}

static void say(struct vwi_dial *dial, const struct vwi_address *address, const char *reason)
{
    const struct vwi_model_conf *conf = dial->dialer->conf;
    char host[NI_MAXHOST], *p;
    int at;

    if (conf->unix_path)
        at = snprintf(dial->text, sizeof dial->text, "%s: ", conf->unix_path);
    else if (address && dial->generation == dial->dialer->generation &&
             getnameinfo((const struct sockaddr *)&address->sa, address->len, host, sizeof host, NULL, 0, NI_NUMERICHOST) == 0)
        at = snprintf(dial->text, sizeof dial->text, strchr(host, ':') ? "[%s]:%u: " : "%s:%u: ", host, conf->port);
    else
        at = snprintf(dial->text, sizeof dial->text, "%s: ", conf->host);
    if (at < 0 || (size_t)at >= sizeof dial->text)
        return;
    p = dial->text + at;
    snprintf(p, sizeof dial->text - (size_t)at, "%s", reason);
    *p = (char)tolower((unsigned char)*p);
}

static void step(struct vwi_dial *dial);

static void give_up_address(struct vwi_dial *dial, const char *reason)
{
    if (dial->fd >= 0) {
        event_del(&dial->ev);
        close(dial->fd);
        dial->fd = -1;
    }
    say(dial, &dial->dialer->found.items[dial->next], reason);
    dial->next++;
}

static void on_connected(evutil_socket_t fd, short what, void *arg)
{
    struct vwi_dial *dial = arg;
    socklen_t len = sizeof(int);
    int error = 0;

    (void)what;
    vwi_loop_awake(dial->dialer->loop);
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
        error = errno;
    if (error) {
        give_up_address(dial, strerror(error));
        step(dial);
        return;
    }
    finish(dial, fd);
}

/* What is left of the time, shared by the addresses that are left. */
static int64_t share_of_time(const struct vwi_dial *dial)
{
    int64_t now = vwi_mono_ms();

    if (!dial->deadline_ms)
        return 0;
    return now + (dial->deadline_ms - now) / (int64_t)(dial->dialer->found.count - dial->next);
}

/* True: waiting. False: failed (moved on to the next address) or connected (dial over). */
static bool try_address(struct vwi_dial *dial)
{
    const struct vwi_address *address = &dial->dialer->found.items[dial->next];
    int one = 1;

    dial->fd = socket(address->sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (dial->fd >= 0 && address->sa.ss_family != AF_UNIX)
        setsockopt(dial->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (dial->fd < 0) {
        give_up_address(dial, strerror(errno));
        return false;
    }
    event_assign(&dial->ev, vwi_loop_base(dial->dialer->loop), dial->fd, EV_WRITE, on_connected, dial);
    if (connect(dial->fd, (const struct sockaddr *)&address->sa, address->len) == 0) {
        finish(dial, dial->fd);
        return false;
    }
    if (errno == EAGAIN && address->sa.ss_family == AF_UNIX) {
        close(dial->fd);
        dial->fd = -1;
        dial->busy = true;
        return true;
    }
    if (errno != EINPROGRESS || event_add(&dial->ev, NULL) != 0) {
        give_up_address(dial, strerror(errno));
        return false;
    }
    dial->try_deadline_ms = share_of_time(dial);
    return true;
}

static void on_resolved(void *arg, const struct vwi_addresses *found, const char *text)
{
    struct vwi_dialer *d = arg;
    struct vwi_list woken;

    d->resolve = NULL;
    d->found = *found;
    d->generation++;
    vwi_list_init(&woken);
    while (!vwi_list_empty(&d->waiting)) {
        struct vwi_list *node = d->waiting.next;

        vwi_list_del(node);
        vwi_list_add(&woken, node);
    }
    while (!vwi_list_empty(&woken)) {
        struct vwi_dial *dial = VWI_CONTAINER(woken.next, struct vwi_dial, node);

        vwi_list_del(&dial->node);
        dial->generation = d->generation;
        if (!found->count)
            say(dial, NULL, text);
        step(dial);
    }
}

static bool look_up(struct vwi_dial *dial)
{
    struct vwi_dialer *d = dial->dialer;

    if (!d->resolve)
        d->resolve = vwi_resolve_start(d->loop, d->conf->host, d->conf->port, on_resolved, d);
    if (!d->resolve) {
        say(dial, NULL, "name not resolved: no memory or no thread");
        return false;
    }
    dial->looked_up = true;
    dial->next = 0;
    vwi_list_add(&d->waiting, &dial->node);
    return true;
}

static void step(struct vwi_dial *dial)
{
    struct vwi_dialer *d = dial->dialer;

    if (dial->generation != d->generation && !dial->looked_up) {
        dial->generation = d->generation; /* looked up anew by another dial */
        dial->looked_up = true;
        dial->next = 0;
    }
    while (dial->next < d->found.count) {
        if (try_address(dial) || !dial->active)
            return;
    }
    if (d->named && dial->generation == d->generation)
        d->found.count = 0; /* nobody there: what the name meant is forgotten */
    if (d->named && !dial->looked_up && look_up(dial))
        return;
    finish(dial, -1);
}

void vwi_dial_start(struct vwi_dial *dial, struct vwi_dialer *dialer, int64_t deadline_ms, vwi_dial_fn fn, void *arg)
{
    dial->dialer = dialer;
    dial->fn = fn;
    dial->arg = arg;
    dial->fd = -1;
    dial->active = true;
    dial->deadline_ms = deadline_ms;
    dial->generation = dialer->generation;
    vwi_list_init(&dial->node);
    step(dial);
}

void vwi_dial_tick(struct vwi_dial *dial, int64_t now_ms)
{
    if (!dial->active)
        return;
    if (dial->busy) {
        dial->busy = false;
        step(dial);
    } else if (dial->fd >= 0 && dial->try_deadline_ms && now_ms >= dial->try_deadline_ms &&
               dial->next + 1 < dial->dialer->found.count) {
        give_up_address(dial, "no answer in its share of the time");
        step(dial);
    }
}

void vwi_dial_stop(struct vwi_dial *dial)
{
    if (!dial->active)
        return;
    dial->active = false;
    if (dial->fd >= 0) {
        event_del(&dial->ev);
        close(dial->fd);
        dial->fd = -1;
    }
    vwi_list_del(&dial->node);
}
