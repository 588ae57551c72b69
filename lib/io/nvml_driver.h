/*
 * NVIDIA's management library, opened at run time: what it says of the GPUs, in one look. For one thread alone, since each of its
 * calls may take long or for ever. Only the few types and names that are used are declared, from its public documentation.
 */
#ifndef VWI_IO_NVML_DRIVER_H
#define VWI_IO_NVML_DRIVER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/gpu_look.h"

struct vwi_nvml_driver;

/* Read by another thread: in which call the library is, and since when. */
struct vwi_nvml_beat {
    _Atomic(const char *) call; /* the last one begun; a constant text */
    atomic_llong since_us;      /* of the monotonic clock; 0: it is in none */
};

/* library: copied. beat: borrowed until close. NULL: out of memory. Nothing is opened yet. */
struct vwi_nvml_driver *vwi_nvml_driver_create(const char *library, struct vwi_nvml_beat *beat);
/* Opens and starts what is not yet; renew: starts anew, so that a GPU that was lost and is back can be seen. */
void vwi_nvml_driver_look(struct vwi_nvml_driver *d, bool renew, struct vwi_gpu_look *ret);
bool vwi_nvml_driver_has_news(struct vwi_nvml_driver *d); /* takes in Xids that came; true: a look is due */
void vwi_nvml_driver_close(struct vwi_nvml_driver *d);    /* NULL is fine */

#endif
