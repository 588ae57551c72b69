/*
 * One look is under way at a time: the thread fills it, posts it, and waits until the loop has taken it, so nothing piles up behind a
 * busy loop. The odd thing: a thread that hangs in the library when it is stopped is left behind on purpose, with its memory, since
 * it can neither be waited for nor ended; whoever is last of thread, post and owner frees the rest.
 */
#include "io/nvml.h"

#include <errno.h>
#include <pthread.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"
#include "io/nvml_driver.h"
#include "io/thread.h"

#define NEWS_MS 1000 /* between two looks for Xids */
#define NO_MEMORY_MS 50

struct vwi_nvml {
    struct vwi_loop *loop;
    vwi_nvml_fn fn;
    void *arg;
    int64_t interval_ms;
    pthread_t thread;
    atomic_int refs;
    atomic_bool renew;
    pthread_mutex_t lock; /* guards stopping, posted and home; a stopped watch touches the loop no more */
    pthread_cond_t turn;  /* one of them has changed */
    bool stopping, posted, home;
    struct vwi_nvml_beat beat;
    struct vwi_nvml_driver *driver; /* the thread's */
    struct vwi_gpu_look look;       /* the loop's while posted, else the thread's */
};

static void unref(struct vwi_nvml *n)
{
    if (atomic_fetch_sub(&n->refs, 1) != 1)
        return;
    vwi_nvml_driver_close(n->driver);
    pthread_cond_destroy(&n->turn);
    pthread_mutex_destroy(&n->lock);
    vwi_free(n);
}

static struct timespec after_ms(int64_t ms)
{
    struct timespec at;

    clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_sec += ms / 1000;
    at.tv_nsec += (long)(ms % 1000) * 1000000;
    if (at.tv_nsec >= 1000000000) {
        at.tv_sec++;
        at.tv_nsec -= 1000000000;
    }
    return at;
}

/* ---- the thread ---- */

static void on_look(void *arg)
{
    struct vwi_nvml *n = arg;

    if (!n->stopping) /* set on this thread only */
        n->fn(n->arg, &n->look);
    pthread_mutex_lock(&n->lock);
    n->posted = false;
    pthread_cond_broadcast(&n->turn);
    pthread_mutex_unlock(&n->lock);
    unref(n);
}

/* Posts and waits for the loop to take it. False: it is time to go home. */
static bool deliver(struct vwi_nvml *n)
{
    bool goes_on;

    pthread_mutex_lock(&n->lock);
    while (!n->stopping && !n->posted) {
        struct timespec soon = after_ms(NO_MEMORY_MS);

        atomic_fetch_add(&n->refs, 1);
        n->posted = vwi_loop_post(n->loop, on_look, n);
        if (n->posted)
            break;
        atomic_fetch_sub(&n->refs, 1); /* never the last: the thread has one */
        pthread_cond_timedwait(&n->turn, &n->lock, &soon);
    }
    while (!n->stopping && n->posted)
        pthread_cond_wait(&n->turn, &n->lock);
    goes_on = !n->stopping;
    pthread_mutex_unlock(&n->lock);
    return goes_on;
}

/* False: it is time to go home. */
static bool sleep_ms(struct vwi_nvml *n, int64_t ms)
{
    struct timespec until = after_ms(ms);
    bool goes_on;
    int rc = 0;

    pthread_mutex_lock(&n->lock);
    while (!n->stopping && rc != ETIMEDOUT)
        rc = pthread_cond_timedwait(&n->turn, &n->lock, &until);
    goes_on = !n->stopping;
    pthread_mutex_unlock(&n->lock);
    return goes_on;
}

/* Until the next look is due. */
static bool rest(struct vwi_nvml *n)
{
    int64_t left_ms = n->interval_ms, nap_ms;

    while (left_ms > 0) {
        nap_ms = left_ms < NEWS_MS ? left_ms : NEWS_MS;
        if (!sleep_ms(n, nap_ms))
            return false;
        left_ms -= nap_ms;
        if (left_ms > 0 && vwi_nvml_driver_has_news(n->driver))
            return true;
    }
    return true;
}

static void *run(void *arg)
{
    struct vwi_nvml *n = arg;

    do
        vwi_nvml_driver_look(n->driver, atomic_exchange(&n->renew, false), &n->look);
    while (deliver(n) && n->look.outcome != VWI_GPU_ABSENT && rest(n));
    vwi_nvml_driver_close(n->driver);
    n->driver = NULL;
    pthread_mutex_lock(&n->lock);
    n->home = true;
    pthread_cond_broadcast(&n->turn);
    pthread_mutex_unlock(&n->lock);
    unref(n);
    return NULL;
}

/* ---- the loop ---- */

static void init_waiting(struct vwi_nvml *n)
{
    pthread_condattr_t attr;

    pthread_mutex_init(&n->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&n->turn, &attr);
    pthread_condattr_destroy(&attr);
}

struct vwi_nvml *vwi_nvml_start(struct vwi_loop *loop, const char *library, int64_t interval_ms, vwi_nvml_fn fn, void *arg)
{
    struct vwi_nvml *n = vwi_zalloc(sizeof *n);

    if (!n)
        return NULL;
    n->loop = loop;
    n->fn = fn;
    n->arg = arg;
    n->interval_ms = interval_ms;
    init_waiting(n);
    atomic_init(&n->refs, 2); /* the thread's and the owner's */
    n->driver = vwi_nvml_driver_create(library, &n->beat);
    if (n->driver && vwi_thread_start(&n->thread, run, n))
        return n;
    atomic_store(&n->refs, 1);
    unref(n);
    return NULL;
}

void vwi_nvml_renew(struct vwi_nvml *n) { atomic_store(&n->renew, true); }

const char *vwi_nvml_call(const struct vwi_nvml *n, double *ret_s)
{
    int64_t since_us = atomic_load(&n->beat.since_us);

    if (!since_us)
        return NULL;
    *ret_s = (double)(vwi_mono_us() - since_us) / 1e6;
    return atomic_load(&n->beat.call);
}

void vwi_nvml_stop(struct vwi_nvml *n)
{
    struct timespec until = after_ms(VWI_NVML_GOODBYE_MS);
    double busy_s = 0;
    bool home, hung;
    int rc = 0;

    if (!n)
        return;
    hung = vwi_nvml_call(n, &busy_s) && busy_s >= VWI_NVML_HUNG_S;
    pthread_mutex_lock(&n->lock);
    n->stopping = true;
    pthread_cond_broadcast(&n->turn);
    while (!n->home && !hung && rc != ETIMEDOUT)
        rc = pthread_cond_timedwait(&n->turn, &n->lock, &until);
    home = n->home;
    pthread_mutex_unlock(&n->lock);
    if (home)
        pthread_join(n->thread, NULL);
    else
        pthread_detach(n->thread);
    unref(n);
}
