/*
 * Connecting to the model server: a unix path, an address, or a name whose addresses are tried in turn.
 * The dialer remembers what the name resolved to until no address answers; a dial is one attempt.
 */
#ifndef VWI_IO_DIAL_H
#define VWI_IO_DIAL_H

#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdbool.h>
#include <stdint.h>

#include <vastworker/err.h>

#include "base/conf.h"
#include "base/list.h"
#include "io/loop.h"

struct vwi_dialer;

/* fd >= 0: connected, nonblocking, the receiver's. Else -1, and text (borrowed for the call) is "where: why". */
typedef void (*vwi_dial_fn)(void *arg, int fd, const char *text);

struct vwi_dial {
    struct vwi_dialer *dialer;
    struct vwi_list node; /* among those who wait for the name */
    struct event ev;
    vwi_dial_fn fn;
    void *arg;
    int fd;
    unsigned next;          /* address to try after this one */
    unsigned generation;    /* of the addresses that are being tried */
    bool active, looked_up, busy; /* busy: the unix listener's queue was full, again at the next tick */
    int64_t deadline_ms;    /* 0: none */
    int64_t try_deadline_ms; /* of this address */
    char text[192];
};

vw_err vwi_dialer_create(struct vwi_loop *loop, const struct vwi_model_conf *conf, struct vwi_dialer **ret, vw_error_t *why);
void vwi_dialer_destroy(struct vwi_dialer *d); /* no dial may be active */

/* Zero the dial first. fn is called once, perhaps before this returns. deadline_ms only shares out the time among several
 * addresses: the caller stops the dial when it has passed. */
void vwi_dial_start(struct vwi_dial *dial, struct vwi_dialer *dialer, int64_t deadline_ms, vwi_dial_fn fn, void *arg);
void vwi_dial_tick(struct vwi_dial *dial, int64_t now_ms);
void vwi_dial_stop(struct vwi_dial *dial); /* fn is not called any more; harmless when over */

#endif
