/*
 * The way to the control plane: two lines of bodies, status and deletions, each with at most one errand under way; and the addresses, which
 * both share. A try that failed puts its address aside (core/failover.h), so that the next body goes to one that works, at once.
 */
#ifndef VWI_FLOW_POST_H
#define VWI_FLOW_POST_H

#include <stdbool.h>
#include <stdint.h>

#include <vastworker/err.h>

#include "base/conf.h"
#include "base/log.h"
#include "base/text.h"
#include "core/histogram.h"
#include "io/courier.h"

struct vwi_post;
enum vwi_post_line { VWI_POST_STATUS, VWI_POST_DELETIONS };

/* Never from inside a call of this header. */
struct vwi_post_events {
    void (*on_end)(void *arg, enum vwi_post_line line, bool accepted); /* of what was sent, once */
    void (*on_free)(void *arg, enum vwi_post_line line);               /* a line that vwi_post_is_free() denied because of a pause */
};

struct vwi_post_stats {
    uint64_t accepted, failed, refused;  /* calls of both lines */
    const struct vwi_histogram *seconds; /* of status calls; lives as long as the post */
};

/* conf, log: borrowed. */
vw_err vwi_post_create(struct vwi_loop *loop, struct vwi_courier *courier, const struct vwi_report_conf *conf, const struct vwi_log *log,
                       const struct vwi_post_events *events, void *arg, struct vwi_post **ret, vw_error_t *why);
void vwi_post_destroy(struct vwi_post *post); /* what is under way is dropped */

bool vwi_post_has_takers(const struct vwi_post *post, enum vwi_post_line line); /* false: no address takes this line at all */
bool vwi_post_is_busy(const struct vwi_post *post, enum vwi_post_line line);    /* an errand is under way */
bool vwi_post_is_free(struct vwi_post *post, enum vwi_post_line line);          /* there is none, and an address to ask now */
/* For a line that is free. False: out of memory. */
bool vwi_post_send(struct vwi_post *post, enum vwi_post_line line, const struct vwi_text *body);

/* An address that was put aside is due to be tried, beside the one that works. What it is sent must not count anything: it may be taken
 * without our hearing of it. */
bool vwi_post_wants_probe(const struct vwi_post *post);
void vwi_post_probe(struct vwi_post *post, const struct vwi_text *body);

void vwi_post_wake(struct vwi_post *post, enum vwi_post_line line); /* for news: this line does not pause now */
void vwi_post_hurry(struct vwi_post *post);                         /* the worker stops: no pause now, and short ones from now on */
struct vwi_post_stats vwi_post_stats(const struct vwi_post *post);

#endif
