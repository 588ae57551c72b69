/* Asks one thing of the model server: does its port accept a connection? Nothing is sent. */
#ifndef VWI_IO_PROBE_H
#define VWI_IO_PROBE_H

#include "base/conf.h"
#include "io/loop.h"

struct vwi_probe;

/* text: NULL when accepted, else one clause ("Connection refused"); borrowed. The probe is over: drop the pointer. */
typedef void (*vwi_probe_fn)(void *arg, const char *text);

/* model: borrowed until the end. fn is called once, never inside this call. NULL: out of memory. */
struct vwi_probe *vwi_probe_start(struct vwi_loop *loop, const struct vwi_model_conf *model, int64_t timeout_ms,
                                  vwi_probe_fn fn, void *arg);
void vwi_probe_cancel(struct vwi_probe *p); /* NULL is fine; no call follows */

#endif
