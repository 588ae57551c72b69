/* How the samples of the GPU metrics are taken; their rows are in exposition.c. */
#ifndef VWI_CORE_EXPOSITION_GPU_H
#define VWI_CORE_EXPOSITION_GPU_H

#include "core/exposition.h"
#include "core/metric.h"

void vwi_exposition_nvml_up(struct vwi_metric_pen *pen, const struct vwi_exposition *in);
void vwi_exposition_gpu_up(struct vwi_metric_pen *pen, const struct vwi_exposition *in);
void vwi_exposition_gpu_info(struct vwi_metric_pen *pen, const struct vwi_exposition *in);
void vwi_exposition_gpu_memory(struct vwi_metric_pen *pen, const struct vwi_exposition *in);
void vwi_exposition_gpu_utilization(struct vwi_metric_pen *pen, const struct vwi_exposition *in);
void vwi_exposition_gpu_temperature(struct vwi_metric_pen *pen, const struct vwi_exposition *in);
void vwi_exposition_gpu_throttled(struct vwi_metric_pen *pen, const struct vwi_exposition *in);
void vwi_exposition_gpu_ecc(struct vwi_metric_pen *pen, const struct vwi_exposition *in);
void vwi_exposition_gpu_xid(struct vwi_metric_pen *pen, const struct vwi_exposition *in);

#endif
