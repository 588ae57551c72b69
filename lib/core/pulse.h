/*
 * Does the model still answer? Looked at now and then while requests wait for it: how long has no byte come, and how long has that
 * taken at its worst so far. What is usual is learnt from traffic alone, so a slow model is not a dead one.
 */
#ifndef VWI_CORE_PULSE_H
#define VWI_CORE_PULSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VWI_PULSE_LEARN 10     /* silences that have to have ended well before one is judged */
#define VWI_PULSE_KEPT 256     /* silences after which the worst of the older ones is forgotten */
#define VWI_PULSE_FLOOR_S 30.0 /* shorter ones are never unusual */

enum vwi_pulse_news {
    VWI_PULSE_NONE,
    VWI_PULSE_SILENT, /* unusually long: once for each silence */
    VWI_PULSE_HUNG,   /* twice as long: once */
    VWI_PULSE_AGAIN   /* bytes came, or nothing waits any more, after SILENT */
};

struct vwi_pulse {
    double factor;       /* of the usual worst; 0: never judged */
    double since_s;      /* the present silence's begin */
    uint64_t bytes;      /* as of the last look */
    size_t learnt;
    double worst[2];     /* of the silences that ended: lately, and of those before */
    size_t lately;
    bool waiting;        /* something waited at the last look */
    enum vwi_pulse_news told;
};

void vwi_pulse_init(struct vwi_pulse *p, double factor);
/* waiting: requests that the model owes a byte; bytes: all that ever came from it; heard: SILENT and HUNG would be of use now, else they
 * are told at a later look. */
enum vwi_pulse_news vwi_pulse_look(struct vwi_pulse *p, size_t waiting, uint64_t bytes, bool heard, double now_s);
double vwi_pulse_silence_s(const struct vwi_pulse *p, double now_s); /* 0 when nothing waits */
double vwi_pulse_worst_s(const struct vwi_pulse *p);                 /* usual worst; 0: not learnt yet */

#endif
