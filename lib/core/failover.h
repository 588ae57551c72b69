/*
 * Which of several addresses of one peer is asked: the first in the list that is in order. One that failed is put aside, longer each time,
 * for everybody who asks; one that refused what was said is left alone by that line only, and for longer. One that answers one line and
 * fails another is put aside by that other line alone. `now` is monotonic milliseconds.
 */
#ifndef VWI_CORE_FAILOVER_H
#define VWI_CORE_FAILOVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VWI_FAILOVER_ADDRESSES 16 /* as many as REPORT_ADDR may name */
#define VWI_FAILOVER_LINES 2      /* kinds of things that are said to them */

#define VWI_FAILOVER_FIRST_MS 1000 /* put aside: 0.5 to 1 s, then twice as long each time */
#define VWI_FAILOVER_MAX_MS 15000
#define VWI_FAILOVER_REFUSED_FIRST_MS 60000 /* refused: 30 to 60 s, then twice as long */
#define VWI_FAILOVER_REFUSED_MAX_MS 300000
#define VWI_FAILOVER_ASKED_MAX_MS 60000 /* the most that a Retry-After is worth */

struct vwi_failover_address {
    unsigned failures; /* in a row; 0: in order */
    int64_t aside_until_ms;
    unsigned own_failures[VWI_FAILOVER_LINES]; /* of this line, while others may have been answered */
    int64_t rests_until_ms[VWI_FAILOVER_LINES];
    unsigned refusals[VWI_FAILOVER_LINES];
    int64_t refused_until_ms[VWI_FAILOVER_LINES];
    bool never[VWI_FAILOVER_LINES]; /* this line does not go there at all */
};

/* Zeroed, then count, seed and never filled in. */
struct vwi_failover {
    struct vwi_failover_address addresses[VWI_FAILOVER_ADDRESSES];
    size_t count;
    uint64_t seed;
    bool hurry; /* no pause is longer than the first: there is no time left to be patient */
};

/* What an answer means. status 0: there was none. */
enum vwi_failover_verdict { VWI_FAILOVER_GOOD, VWI_FAILOVER_FAILED, VWI_FAILOVER_REFUSED };
enum vwi_failover_verdict vwi_failover_judge(long status);

/* At least one address takes this line. 0, and in *ret_at whom this line asks now; else for how long nobody is to be asked. What has
 * been put aside is asked again in the order of its pauses, and only while no address is in order. */
int64_t vwi_failover_pick(const struct vwi_failover *f, unsigned line, int64_t now_ms, size_t *ret_at);
/* Besides `at` there is an address that this line could ask now: one that is in order, or in a hurry any. */
bool vwi_failover_has_other(const struct vwi_failover *f, unsigned line, int64_t now_ms, size_t at);
/* An address whose pause is over while another one is in order: to be tried beside it. False: none. */
bool vwi_failover_suspect(const struct vwi_failover *f, unsigned line, int64_t now_ms, size_t *ret_at);

/* asked_s: the peer's own wish for how long to wait; 0: none. */
void vwi_failover_note(struct vwi_failover *f, unsigned line, size_t at, enum vwi_failover_verdict verdict, long asked_s, int64_t now_ms);
/* Something that cannot wait: where no address is in order, the pauses of this line end. It forgives nothing. */
void vwi_failover_wake(struct vwi_failover *f, unsigned line, int64_t now_ms);
void vwi_failover_hurry(struct vwi_failover *f); /* all pauses end */

#endif
