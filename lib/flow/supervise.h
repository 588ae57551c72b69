/*
 * The model process, where it is ours to start: started with the worker, read for the patterns, told of when it ends, started again after a
 * while, and stopped when the last request is over. Nothing of this happens to a program that did not ask for it.
 */
#ifndef VWI_FLOW_SUPERVISE_H
#define VWI_FLOW_SUPERVISE_H

#include <stdbool.h>
#include <stdint.h>

#include <vastworker/err.h>

#include "base/conf.h"
#include "base/log.h"
#include "base/text.h"
#include "flow/startup.h"
#include "io/loop.h"

struct vwi_supervise;

struct vwi_supervise_setup {
    struct vwi_loop *loop;
    const struct vwi_supervise_conf *conf;
    const struct vwi_model_conf *model; /* where it is going to listen */
    const char *const *command; /* program and arguments, NULL-terminated; copied. NULL: none, only orphans are looked after. It gets the
                                 * environment of this process, but for what is secret to the worker */
    bool echo;                  /* its lines go to standard output */
    bool orphans;               /* processes that were left to us are waited for */
    struct vwi_startup *startup;
    const struct vwi_log *log;
};

struct vwi_supervise_events {
    void (*on_lost)(void *arg, const char *text); /* it has ended and is not started again; text as in error_msg */
};

/* Looks the program up; starts nothing. Everything in setup that is not copied is borrowed until destroy. */
vw_err vwi_supervise_create(const struct vwi_supervise_setup *setup, const struct vwi_supervise_events *events, void *arg,
                            struct vwi_supervise **ret, vw_error_t *why);
void vwi_supervise_destroy(struct vwi_supervise *s); /* kills what still runs; NULL is fine here and below */

void vwi_supervise_start(struct vwi_supervise *s);
void vwi_supervise_leave(struct vwi_supervise *s); /* from now on it is not started again */
void vwi_supervise_stop(struct vwi_supervise *s);  /* SIGTERM to its group, after the grace time SIGKILL */
void vwi_supervise_kill(struct vwi_supervise *s);  /* SIGKILL now */
bool vwi_supervise_is_over(const struct vwi_supervise *s); /* nothing runs, and nothing will */
void vwi_supervise_flush(struct vwi_supervise *s); /* after each turn: what it said is passed on as far as somebody reads it */

void vwi_supervise_describe(const struct vwi_supervise *s, struct vwi_text *out); /* a line for --check */
uint64_t vwi_supervise_restarts(const struct vwi_supervise *s);
uint64_t vwi_supervise_dropped(const struct vwi_supervise *s); /* lines that nobody read in time */

#endif
