/*
 * A model that keeps what it was sent, byte for byte, and answers 200 to each request it can make out in it. So a request within a
 * request, if one came through, would be counted. What else it does is in the path:
 * /silent        no answer until the other side leaves
 * /stall-head    half a head, then as /silent
 * /stall-body    a head and half a body, then as /silent
 * /stall-events  the head of an event stream and one event, then as /silent
 * /vanish        no answer, closed
 * /once          200, and closed without having said so
 */
#ifndef VWS_WIRE_H
#define VWS_WIRE_H

#include <stdint.h>

struct wire;
struct wire *wire_start(void);
struct wire *wire_start_unix(const char *path);
uint16_t wire_port(const struct wire *x);
void wire_stop(struct wire *x);
unsigned wire_requests(struct wire *x);
void wire_wait_requests(struct wire *x, unsigned n);
char *wire_take(struct wire *x); /* all bytes since the last time, to be freed */

#endif
