/*
 * A crowd: clients that ask for everything a worker serves, leave when they like, and keep book of what they sent and saw. What they do
 * is drawn from a seed; when it happens is up to the machine.
 */
#ifndef VWS_CROWD_H
#define VWS_CROWD_H

#include "actors.h"

/* What a client's answer says about the books. */
enum fate {
    FATE_UNKNOWN,  /* it left, or was cut where several things may have happened */
    FATE_UNBOOKED, /* refused before it was weighed */
    FATE_SERVED,
    FATE_ERRORED,
    FATE_REJECTED, /* on arrival, or for waiting too long */
    FATE_LOST      /* its session ended: before it was booked, or it was cancelled */
};

struct crowd;

/* A request as its client knows it; the index is its request_idx. */
struct deed {
    double units;
    unsigned char kind, fate;
    bool told; /* belongs in a deletion where it was booked */
};

struct crowd_setup {
    struct model *model;
    struct control *control;
    uint16_t port;
    uint32_t seed;
    unsigned requests; /* in all; the last one, which serves to pay what is owed, comes with crowd_last() */
    unsigned at_once;
};

#define CROWD_KEY "key-of-the-crowd" /* to be in VASTWORKER_BEARER_KEYS */

/* The worker's configuration that the crowd counts on, for worker_start(). */
extern const char *const crowd_config;

struct crowd *crowd_gather(const struct crowd_setup *setup);
/* A little of everything, without waiting long; false when all requests were sent. */
bool crowd_act(struct crowd *crowd);
uint32_t crowd_roll(struct crowd *crowd, uint32_t sides);
void crowd_go_home(struct crowd *crowd);    /* who would listen for ever leaves now */
unsigned crowd_left(const struct crowd *crowd); /* requests that are open */
/* Reads until nothing is open, with permits for the model. The worker may close connections without an answer from now on. */
void crowd_wait(struct crowd *crowd);
void crowd_drains(struct crowd *crowd);     /* from now on a request may be cut or not taken */
struct deed crowd_last(struct crowd *crowd, double units); /* one request more that is served */
const struct deed *crowd_deeds(const struct crowd *crowd, unsigned *ret_count);
const char *crowd_path(const struct deed *deed);
unsigned crowd_inside(const struct crowd *crowd); /* open requests in sessions */
void crowd_disperse(struct crowd *crowd);

#endif
