/*
 * One detached thread a lookup, since getaddrinfo can neither be waited for without blocking nor be stopped.
 * The odd thing: a cancelled lookup lives on until its thread comes home, and only then frees itself.
 */
#include "io/resolve.h"

#include <netdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "io/thread.h"

struct vwi_resolve {
    struct vwi_loop *loop;
    vwi_resolve_fn fn;
    void *arg;
    char *host;
    uint16_t port;
    atomic_int refs;      /* the thread's and the delivery's */
    pthread_mutex_t lock; /* guards cancelled: a cancelled lookup touches the loop no more */
    bool cancelled;
    struct vwi_addresses found;
    char text[96];
};

static void unref(struct vwi_resolve *r)
{
    if (atomic_fetch_sub(&r->refs, 1) != 1)
        return;
    pthread_mutex_destroy(&r->lock);
    vwi_free(r->host);
    vwi_free(r);
}

static int look_up(const char *host, uint16_t port, int flags, struct vwi_addresses *ret)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = flags | AI_NUMERICSERV }, *list = NULL, *one;
    char service[8];
    int rc;

    snprintf(service, sizeof service, "%u", port);
    rc = getaddrinfo(host, service, &hints, &list);
    if (rc != 0)
        return rc;
    ret->count = 0;
    for (one = list; one && ret->count < VWI_ADDRESSES; one = one->ai_next) {
        struct vwi_address *address = &ret->items[ret->count];

        if (one->ai_addrlen > sizeof address->sa)
            continue;
        memcpy(&address->sa, one->ai_addr, one->ai_addrlen);
        address->len = one->ai_addrlen;
        ret->count++;
    }
    freeaddrinfo(list);
    return ret->count ? 0 : EAI_NONAME;
}

bool vwi_resolve_literal(const char *host, uint16_t port, struct vwi_addresses *ret)
{
    return look_up(host, port, AI_NUMERICHOST, ret) == 0;
}

static void on_found(void *arg)
{
    struct vwi_resolve *r = arg;

    if (!r->cancelled) /* set on this thread only */
        r->fn(r->arg, &r->found, r->text);
    unref(r);
}

static bool hand_over(struct vwi_resolve *r)
{
    bool over;

    pthread_mutex_lock(&r->lock);
    if (r->cancelled) {
        unref(r); /* nobody waits; the thread's own reference remains */
        over = true;
    } else {
        over = vwi_loop_post(r->loop, on_found, r);
    }
    pthread_mutex_unlock(&r->lock);
    return over;
}

static void *run(void *arg)
{
    static const struct timespec pause = { 0, 50 * 1000 * 1000 };
    struct vwi_resolve *r = arg;
    int rc = look_up(r->host, r->port, AI_ADDRCONFIG, &r->found);

    if (rc != 0) {
        r->found.count = 0;
        snprintf(r->text, sizeof r->text, "name not resolved: %s", gai_strerror(rc));
    }
    while (!hand_over(r))
        nanosleep(&pause, NULL); /* out of memory */
    unref(r);
    return NULL;
}

static bool start_thread(struct vwi_resolve *r)
{
    pthread_t thread;

    if (!vwi_thread_start(&thread, run, r))
        return false;
    pthread_detach(thread);
    return true;
}

struct vwi_resolve *vwi_resolve_start(struct vwi_loop *loop, const char *host, uint16_t port, vwi_resolve_fn fn, void *arg)
{
    struct vwi_resolve *r = vwi_zalloc(sizeof *r);

    if (!r)
        return NULL;
    r->loop = loop;
    r->fn = fn;
    r->arg = arg;
    r->port = port;
    pthread_mutex_init(&r->lock, NULL);
    atomic_init(&r->refs, 2);
    r->host = vwi_strdup(host);
    if (r->host && start_thread(r))
        return r;
    atomic_store(&r->refs, 1);
    unref(r);
    return NULL;
}

void vwi_resolve_cancel(struct vwi_resolve *r)
{
    if (!r)
        return;
    pthread_mutex_lock(&r->lock);
    r->cancelled = true;
    pthread_mutex_unlock(&r->lock);
}
