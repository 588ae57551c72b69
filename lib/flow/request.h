/*
 * A request's life, from arrival to settling: the file to read first is request.c.
 * The desk is what all requests of one worker share; everything in it but `own` is borrowed.
 */
#ifndef VWI_FLOW_REQUEST_H
#define VWI_FLOW_REQUEST_H

#include <stdbool.h>

#include <vastworker/err.h>

#include "base/conf.h"
#include "base/list.h"
#include "base/log.h"
#include "core/auth.h"
#include "core/ledger.h"
#include "core/queue.h"
#include "core/route.h"
#include "flow/cancel.h"
#include "flow/forward.h"
#include "flow/handler.h"
#include "flow/keyring.h"
#include "flow/pubkey.h"
#include "flow/report.h"
#include "flow/startup.h"
#include "io/exchange.h"
#include "io/loop.h"
#include "io/upstream.h"

struct vwi_admin;
struct vwi_master;
struct vwi_sessions;
struct vwi_supervise;

struct vwi_desk {
    struct vwi_loop *loop;
    const struct vwi_log *log;
    const struct vwi_auth_conf *auth;
    const struct vwi_handlers_conf *conf;
    const struct vwi_model_conf *model;
    struct vwi_handler *handlers;
    struct vwi_routes *routes;
    struct vwi_verifier *verifier;
    struct vwi_keyring *keyring; /* NULL: no bearer handler */
    struct vwi_queue *queue;
    struct vwi_ledger *ledger;
    struct vwi_upstream *upstream;
    struct vwi_startup *startup;
    struct vwi_sentinel *sentinel; /* NULL: GPUs are not watched */
    struct vwi_report *report; /* NULL: nobody to report to */
    struct vwi_pubkey *pubkey; /* NULL: nowhere to fetch a key from */
    struct vwi_admin *admin;
    struct vwi_master *master;
    struct vwi_sessions *sessions;
    struct vwi_supervise *supervise; /* NULL: no process is ours to look after */
    size_t session_route; /* of the session calls in the books */
    void (*on_idle)(void *arg); /* no request is left, or none but those of control handlers; or no call of cancels */
    void *on_idle_arg;

    struct {
        struct vwi_list requests, turns; /* turns: got a slot, not begun yet */
        struct vwi_timer deadline;
        struct vwi_forward forward; /* of the request that is being sent */
        struct vwi_cancels *cancels; /* NULL: no handler has a cancel */
        size_t others; /* requests that are not of control handlers */
        bool giving, cut;
        bool last_call; /* control handlers take no more */
    } own;
};

/* Fill the borrowed part of a zeroed desk, then init. */
vw_err vwi_desk_init(struct vwi_desk *desk, vw_error_t *why);
void vwi_desk_fini(struct vwi_desk *desk); /* requests are over by then: destroy the front first */
bool vwi_desk_idle(const struct vwi_desk *desk); /* no request is left, and no call of cancels */
bool vwi_desk_has_work(const struct vwi_desk *desk); /* of any kind but requests of control handlers */
size_t vwi_desk_cancels(const struct vwi_desk *desk); /* under way */
size_t vwi_desk_awaiting(const struct vwi_desk *desk); /* requests for which the model owes the next byte; tunnels owe none. Walks all */

void vwi_request_arrive(struct vwi_desk *desk, struct vwi_exchange *ex);

#endif
