/*
 * The GPUs while the worker runs: io/nvml looks, core/gpu judges, and what matters goes to the readiness machine and into the log,
 * once. Silent where there is no NVIDIA driver.
 */
#ifndef VWI_FLOW_SENTINEL_H
#define VWI_FLOW_SENTINEL_H

#include <vastworker/err.h>

#include "base/conf.h"
#include "base/log.h"
#include "core/gpu.h"
#include "flow/startup.h"
#include "io/loop.h"

struct vwi_sentinel;

/* All borrowed until destroy. Nothing is loaded and no thread is started before start. */
vw_err vwi_sentinel_create(struct vwi_loop *loop, const struct vwi_gpu_conf *conf, struct vwi_startup *startup, const struct vwi_log *log,
                           struct vwi_sentinel **ret, vw_error_t *why);
void vwi_sentinel_start(struct vwi_sentinel *s);
void vwi_sentinel_destroy(struct vwi_sentinel *s); /* waits a second at most; NULL is fine */
const struct vwi_gpus *vwi_sentinel_gpus(const struct vwi_sentinel *s); /* NULL for NULL */

#endif
