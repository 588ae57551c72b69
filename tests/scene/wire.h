/*
 * A model that keeps what it was sent, byte for byte, and answers 200 to each request it can make out in it. So a request within a
 * request, if one came through, would be counted.
 */
#ifndef VWS_WIRE_H
#define VWS_WIRE_H

#include <stdint.h>

struct wire;
struct wire *wire_start(void);
uint16_t wire_port(const struct wire *x);
void wire_stop(struct wire *x);
unsigned wire_requests(struct wire *x);
char *wire_take(struct wire *x); /* all bytes since the last time, to be freed */

#endif
