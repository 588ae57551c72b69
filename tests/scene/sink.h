/*
 * A model that takes bodies as they come, and one that speaks another protocol after a handshake. What it does is in the path:
 * /sink       reads the body, then 200 {"bytes": N, "sum": S, "framing": "chunked" or the Content-Length}
 * /held       the same, but reads nothing of the body before a permit
 * /early      answers 413 before it reads any of the body, and closes
 * /ws         101, then every byte comes back until the other side ends
 * /ws-hello   101 and "hello" in one piece, then as /ws
 * /ws-no      403
 * /ws-end     101, takes one piece, then says "bye" and closes
 * /ws-break   101, takes one piece, then resets the connection
 * /ws-deaf    101, then nothing is read before a permit, then as /ws
 */
#ifndef VWS_SINK_H
#define VWS_SINK_H

#include <stdint.h>
#include <sys/types.h>

struct sink;
struct sink *sink_start(void);
struct sink *sink_start_unix(const char *path);
uint16_t sink_port(const struct sink *s);
void sink_stop(struct sink *s);
void sink_permit(struct sink *s);
unsigned sink_requests(struct sink *s);
void sink_wait_requests(struct sink *s, unsigned n); /* heads that have arrived */
uint64_t sink_bytes(struct sink *s);                 /* of bodies and tunnels, so far */
void sink_wait_bytes(struct sink *s, uint64_t n);
void sink_wait_gone(struct sink *s, unsigned n);     /* bodies and tunnels that the other side left before their end, or ended */
uint32_t sink_sum(uint32_t sum, const char *data, size_t len); /* of a body, piece by piece, from 0 */

#endif
