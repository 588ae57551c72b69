/*
 * A small HTTP server on the loopback address: a table of routes, faults before the answer, and one call object a request.
 * A call lives from on_seen until on_over; after an answer or a cut, a handler must not touch it again.
 */
#ifndef SIM_SERVER_H
#define SIM_SERVER_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include <vastworker/err.h>

#include "base/log.h"
#include "base/text.h"
#include "io/exchange.h"
#include "io/loop.h"
#include "sim_fault.h"

struct sim_server;

struct sim_call {
    struct sim_server *server;
    struct vwi_exchange *ex; /* NULL once it is over */
    const struct sim_route *route;
    struct vwi_span query;  /* without '?' */
    double arrived;         /* epoch seconds */
    int status;             /* answered so far; 0 = nothing */
    struct sim_fault fault; /* what of it is left to the handler: reset and stall after_tokens */
    struct vwi_timer timer;
    struct vwi_burial burial;
    /* The handler's, when it answers later. */
    void *user;
    void (*on_drained)(void *user);
    void (*on_gone)(void *user); /* the call is over, answered or not */
};

struct sim_route {
    const char *method, *path; /* exact */
    void (*fn)(void *arg, struct sim_call *call);
    bool plain; /* rules of misbehaviour without a path apply */
};

struct sim_server_conf {
    uint16_t port;
    const struct sim_route *routes;
    size_t route_count;
    struct sim_faults *faults;
    void *arg;
    /* All optional but write_error. */
    void (*on_seen)(void *arg, struct sim_call *call);
    void (*on_answer)(void *arg, struct sim_call *call, int status); /* before the first byte goes out */
    void (*on_fault)(void *arg, struct sim_call *call);              /* call->fault says which */
    void (*on_over)(void *arg, struct sim_call *call, bool gone);
    void (*write_error)(struct vwi_text *body, int status, const char *message); /* a JSON body */
};

vw_err sim_server_create(struct vwi_loop *loop, const struct sim_server_conf *conf, const struct vwi_log *log,
                         struct sim_server **ret, vw_error_t *why);
uint16_t sim_server_port(const struct sim_server *server);
void sim_server_destroy(struct sim_server *server); /* cuts what is left; before the loop goes */

void sim_call_reply(struct sim_call *call, int status, const char *type, const char *body, size_t len);
void sim_call_reply_json_take(struct sim_call *call, int status, json_t *body); /* body: transferred; NULL: 500 */
void sim_call_refuse(struct sim_call *call, int status, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void sim_call_stream(struct sim_call *call, int status, const char *type); /* then vwi_exchange_write and _end */
void sim_call_cut(struct sim_call *call);
/* The body as JSON, new; answers 400 and returns NULL when it is none. */
json_t *sim_call_body_json(struct sim_call *call);
/* A query parameter with its escapes undone; false when absent or malformed. */
bool sim_call_query(const struct sim_call *call, const char *name, struct vwi_text *ret);

#endif
