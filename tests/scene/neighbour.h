/*
 * The client next door: one connection that is served before, while and after others misbehave.
 * Its handler is a route "/m/x" that anybody may call and that never queues.
 */
#ifndef VWS_NEIGHBOUR_H
#define VWS_NEIGHBOUR_H

#include <stdint.h>

/* A handler that lets everything through to the model, "/m" taken off. */
#define OPEN_HANDLER "{'route': '/m/*', 'targetPath': '/*', 'methods': ['*'], 'auth': 'none', 'allowParallelRequests': true}"

struct neighbour {
    int fd;
    unsigned served; /* requests that reached the model */
};

struct neighbour neighbour_begin(uint16_t port);             /* connects and is served */
void neighbour_serve(struct neighbour *n, const char *when); /* once more over the same connection; when: for the message */
void neighbour_end(struct neighbour *n);

/* Of /metrics, asked for over its connection: the sample that begins with this text. */
double neighbour_sees(struct neighbour *n, const char *sample);
void neighbour_wait_alone(struct neighbour *n);              /* every other connection is gone from the worker */
/* Turns of the worker's loop while about a second passes: an idle worker takes a few dozen, one that spins a hundred thousand. */
double neighbour_count_turns(struct neighbour *n);
#define TURNS_AT_REST 3000.0

#endif
