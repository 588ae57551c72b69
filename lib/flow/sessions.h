/*
 * Sessions: the calls that create, show and end them, the requests inside, and the model server that is told of their end.
 * Source: docs/sessions.md.
 */
#ifndef VWI_FLOW_SESSIONS_H
#define VWI_FLOW_SESSIONS_H

#include <stdbool.h>

#include <vastworker/err.h>

#include "base/conf.h"
#include "core/session.h"
#include "io/exchange.h"

struct vwi_sessions;
struct vwi_desk;
struct vwi_request;

/* Borrows all of it until destroy. What the desk points to may still be missing here, and is looked at when a call comes. */
vw_err vwi_sessions_create(struct vwi_desk *desk, const struct vwi_session_conf *conf, const struct vwi_model_conf *model,
                           struct vwi_sessions **ret, vw_error_t *why);
void vwi_sessions_destroy(struct vwi_sessions *sessions); /* no exchange of ours may be left: destroy the fronts first */

/* True: it was POST /session/create, get, health or end, and is answered now or later. */
bool vwi_sessions_serve(struct vwi_sessions *sessions, struct vwi_exchange *ex);
/* The port for the model server: /session/end, and 404 for all else. */
void vwi_sessions_serve_local(struct vwi_sessions *sessions, struct vwi_exchange *ex);

/* Requests inside. */
bool vwi_sessions_know(const struct vwi_sessions *sessions, struct vwi_span id);
void vwi_sessions_enter(struct vwi_sessions *sessions, struct vwi_span id, struct vwi_request *rq); /* admitted: a lifetime more */
void vwi_sessions_leave(struct vwi_sessions *sessions, struct vwi_request *rq);                     /* safe when it is in none */

size_t vwi_sessions_open(const struct vwi_sessions *sessions);
void vwi_sessions_drain(struct vwi_sessions *sessions); /* no new ones; each ends when nothing runs in it */
void vwi_sessions_cut(struct vwi_sessions *sessions);   /* all of them end now */
void vwi_sessions_give_up(struct vwi_sessions *sessions); /* who waits for the model server to be told is answered now */
bool vwi_sessions_idle(const struct vwi_sessions *sessions); /* none is open, and nobody has still to be told */

#endif
