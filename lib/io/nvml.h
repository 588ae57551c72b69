/*
 * Watches the GPUs on a thread of its own, since a call of NVIDIA's library may hang. Looks come back through the loop's door, one
 * at a time; a look that does not come is seen by asking. What a look means is core/gpu's business.
 */
#ifndef VWI_IO_NVML_H
#define VWI_IO_NVML_H

#include <stdint.h>

#include "base/gpu_look.h"
#include "io/loop.h"

#define VWI_NVML_GOODBYE_MS 1000 /* how long stop waits for the thread at most */
#define VWI_NVML_HUNG_S 5.0      /* a call that took longer is not waited for at all */

struct vwi_nvml;

/* On the loop thread. look: borrowed for the call. After VWI_GPU_ABSENT no other comes. */
typedef void (*vwi_nvml_fn)(void *arg, const struct vwi_gpu_look *look);

/* library: a path or a name for the loader; copied. The first look is taken at once, the others every interval, and within a second
 * of an Xid. NULL: no memory or no thread. */
struct vwi_nvml *vwi_nvml_start(struct vwi_loop *loop, const char *library, int64_t interval_ms, vwi_nvml_fn fn, void *arg);
void vwi_nvml_renew(struct vwi_nvml *n); /* the next look starts the library anew */
/* The call that the library is in now, a constant text, and for how long; NULL: it is in none. */
const char *vwi_nvml_call(const struct vwi_nvml *n, double *ret_s);
/* Loop thread, not inside fn. NULL is fine. A thread that does not come back from a call is left behind with what it holds. */
void vwi_nvml_stop(struct vwi_nvml *n);

#endif
