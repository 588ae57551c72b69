/*
 * One event base. Other threads come in through an eventfd: posts are a locked list, signals an atomic word.
 * The odd thing: burials run from a zero-delay event after the callbacks that are active now, so a callback may bury
 * the object it was called with.
 */
#include "io/loop.h"

#include <errno.h>
#include <event2/event.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/vwi.h"

struct post {
    struct post *next;
    vwi_loop_fn fn;
    void *arg;
};

struct vwi_loop {
    struct event_base *base;
    struct event *wake_ev, *bury_ev;
    int wake_fd;
    atomic_uint signals;
    void (*on_signal)(void *arg, unsigned bits);
    void *on_signal_arg;
    void (*on_turn)(void *arg, double cpu_s, double wall_s);
    void *on_turn_arg;
    int64_t awake_us; /* since when this turn works; 0: it waits, or nobody asked yet */
    bool stopping;
    pthread_mutex_t lock; /* guards posts */
    struct post *posts, **posts_tail;
    struct vwi_burial *burials, **burials_tail;
};

static void run_posts(struct vwi_loop *loop)
{
    struct post *list;

    pthread_mutex_lock(&loop->lock);
    list = loop->posts;
    loop->posts = NULL;
    loop->posts_tail = &loop->posts;
    pthread_mutex_unlock(&loop->lock);
    while (list) {
        struct post *post = list;

        list = post->next;
        post->fn(post->arg);
        vwi_free(post);
    }
}

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
    struct vwi_loop *loop = arg;
    uint64_t n;
    unsigned bits;

    (void)what;
    vwi_loop_awake(loop);
    if (read(fd, &n, sizeof n) < 0 && errno != EAGAIN)
        return;
    bits = atomic_exchange(&loop->signals, 0);
    if (bits && loop->on_signal)
        loop->on_signal(loop->on_signal_arg, bits);
    run_posts(loop);
}

void vwi_loop_run_burials(struct vwi_loop *loop)
{
    while (loop->burials) {
        struct vwi_burial *list = loop->burials;

        loop->burials = NULL;
        loop->burials_tail = &loop->burials;
        while (list) {
            struct vwi_burial *node = list;

            list = node->next;
            node->fn(node->arg);
        }
    }
}

static void on_bury(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    vwi_loop_run_burials(arg);
}

static void wake(struct vwi_loop *loop)
{
    uint64_t one = 1;
    ssize_t ignored = write(loop->wake_fd, &one, sizeof one);

    (void)ignored; /* EAGAIN: already awake */
}

vw_err vwi_loop_create(struct vwi_loop **ret, vw_error_t *why)
{
    struct vwi_loop *loop = vwi_zalloc(sizeof *loop);
    struct event_config *config = NULL;
    vw_err err = VW_E_NOMEM;

    if (!loop)
        return vwi_fail(why, VW_E_NOMEM, "event loop: out of memory");
    loop->wake_fd = -1;
    loop->posts_tail = &loop->posts;
    loop->burials_tail = &loop->burials;
    pthread_mutex_init(&loop->lock, NULL);
    config = event_config_new();
    if (!config)
        goto out;
    event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
    loop->base = event_base_new_with_config(config);
    loop->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (!loop->base || loop->wake_fd < 0) {
        err = vwi_fail(why, VW_E_IO, "event loop: %s", strerror(errno));
        goto out;
    }
    loop->wake_ev = event_new(loop->base, loop->wake_fd, EV_READ | EV_PERSIST, on_wake, loop);
    loop->bury_ev = event_new(loop->base, -1, 0, on_bury, loop);
    if (!loop->wake_ev || !loop->bury_ev || event_add(loop->wake_ev, NULL) != 0)
        goto out;
    *ret = loop;
    loop = NULL;
    err = VW_OK;
out:
    if (config)
        event_config_free(config);
    vwi_loop_destroy(loop);
    return err == VW_OK ? VW_OK : vwi_fail(why, err, "event loop: out of memory");
}

void vwi_loop_destroy(struct vwi_loop *loop)
{
    if (!loop)
        return;
    run_posts(loop); /* what they carry is freed by their functions */
    vwi_loop_run_burials(loop);
    if (loop->wake_ev)
        event_free(loop->wake_ev);
    if (loop->bury_ev)
        event_free(loop->bury_ev);
    if (loop->base)
        event_base_free(loop->base);
    if (loop->wake_fd >= 0)
        close(loop->wake_fd);
    pthread_mutex_destroy(&loop->lock);
    vwi_free(loop);
}

static double thread_cpu_s(void)
{
    struct timespec ts = { 0, 0 };

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

bool vwi_loop_turn(struct vwi_loop *loop, bool wait)
{
    loop->awake_us = 0;
    return event_base_loop(loop->base, EVLOOP_NO_EXIT_ON_EMPTY | (wait ? EVLOOP_ONCE : EVLOOP_NONBLOCK)) >= 0;
}

vw_err vwi_loop_run(struct vwi_loop *loop)
{
    double before = thread_cpu_s(), after;
    bool good = true;

    while (good && !loop->stopping) {
        good = vwi_loop_turn(loop, true);
        if (loop->on_turn) {
            after = thread_cpu_s();
            loop->on_turn(loop->on_turn_arg, after - before, loop->awake_us ? (double)(vwi_mono_us() - loop->awake_us) / 1e6 : 0);
            before = after;
        }
    }
    loop->stopping = false;
    vwi_loop_run_burials(loop);
    return good ? VW_OK : VW_E_IO;
}

void vwi_loop_awake(struct vwi_loop *loop)
{
    if (!loop->awake_us)
        loop->awake_us = vwi_mono_us();
}

int64_t vwi_loop_ms(struct vwi_loop *loop)
{
    vwi_loop_awake(loop);
    return loop->awake_us / 1000;
}

void vwi_loop_stop(struct vwi_loop *loop)
{
    loop->stopping = true;
    event_base_loopbreak(loop->base);
}

struct event_base *vwi_loop_base(struct vwi_loop *loop) { return loop->base; }

bool vwi_loop_post(struct vwi_loop *loop, vwi_loop_fn fn, void *arg)
{
    struct post *post = vwi_zalloc(sizeof *post);

    if (!post)
        return false;
    post->fn = fn;
    post->arg = arg;
    pthread_mutex_lock(&loop->lock);
    *loop->posts_tail = post;
    loop->posts_tail = &post->next;
    pthread_mutex_unlock(&loop->lock);
    wake(loop);
    return true;
}

void vwi_loop_signal(struct vwi_loop *loop, unsigned bits)
{
    int saved = errno;

    atomic_fetch_or(&loop->signals, bits);
    wake(loop);
    errno = saved;
}

void vwi_loop_on_signal(struct vwi_loop *loop, void (*fn)(void *arg, unsigned bits), void *arg)
{
    loop->on_signal = fn;
    loop->on_signal_arg = arg;
}

void vwi_loop_bury(struct vwi_loop *loop, struct vwi_burial *node, vwi_loop_fn fn, void *arg)
{
    if (!loop->burials)
        event_active(loop->bury_ev, EV_TIMEOUT, 1);
    node->fn = fn;
    node->arg = arg;
    node->next = NULL;
    *loop->burials_tail = node;
    loop->burials_tail = &node->next;
}

void vwi_loop_on_turn(struct vwi_loop *loop, void (*fn)(void *arg, double cpu_s, double wall_s), void *arg)
{
    loop->on_turn = fn;
    loop->on_turn_arg = arg;
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct vwi_timer *t = arg;

    (void)fd, (void)what;
    vwi_loop_awake(t->loop);
    t->fn(t->arg);
}

vw_err vwi_timer_init(struct vwi_timer *t, struct vwi_loop *loop, vwi_loop_fn fn, void *arg)
{
    t->fn = fn;
    t->arg = arg;
    t->loop = loop;
    t->ev = event_new(loop->base, -1, 0, on_timer, t);
    return t->ev ? VW_OK : VW_E_NOMEM;
}

void vwi_timer_start(struct vwi_timer *t, int64_t ms)
{
    struct timeval tv = { ms / 1000, (ms % 1000) * 1000 };

    event_add(t->ev, &tv);
}

void vwi_timer_stop(struct vwi_timer *t)
{
    if (t->ev)
        event_del(t->ev);
}

void vwi_timer_fini(struct vwi_timer *t)
{
    if (t->ev)
        event_free(t->ev);
    t->ev = NULL;
}
