/* Each metric walks the GPUs by itself, since a family's samples stand together. What the driver does not tell has no sample. */
#include "core/exposition_gpu.h"

#include <stdio.h>

#define INDEX_SIZE 12

typedef void (*each_fn)(struct vwi_metric_pen *pen, const struct vwi_gpus *gpus, const struct vwi_gpu *gpu, const char *index);

static void each(struct vwi_metric_pen *pen, const struct vwi_exposition *in, each_fn fn)
{
    char index[INDEX_SIZE];
    size_t i;

    for (i = 0; in->gpus && i < in->gpus->count; i++) {
        snprintf(index, sizeof index, "%u", in->gpus->items[i].now.index);
        fn(pen, in->gpus, &in->gpus->items[i], index);
    }
}

static void count_kind(struct vwi_metric_pen *pen, const char *index, const char *label, const char *value, uint64_t count)
{
    const struct vwi_metric_label labels[] = { { "gpu", index }, { label, value } };

    vwi_metric_count(pen, labels, 2, count);
}

static void add_up(struct vwi_metric_pen *pen, const struct vwi_gpus *gpus, const struct vwi_gpu *gpu, const char *index)
{
    vwi_metric_count(pen, &(struct vwi_metric_label){ "gpu", index }, 1, vwi_gpu_is_up(gpus, gpu));
}

static void add_info(struct vwi_metric_pen *pen, const struct vwi_gpus *gpus, const struct vwi_gpu *gpu, const char *index)
{
    const struct vwi_metric_label labels[] = { { "gpu", index }, { "name", gpu->now.name }, { "uuid", gpu->now.uuid } };

    (void)gpus;
    vwi_metric_count(pen, labels, 3, 1);
}

static void add_memory(struct vwi_metric_pen *pen, const struct vwi_gpus *gpus, const struct vwi_gpu *gpu, const char *index)
{
    (void)gpus;
    if (!(gpu->now.has & VWI_GPU_HAS_MEMORY))
        return;
    count_kind(pen, index, "kind", "used", gpu->now.memory_used);
    count_kind(pen, index, "kind", "total", gpu->now.memory_total);
}

static void add_utilization(struct vwi_metric_pen *pen, const struct vwi_gpus *gpus, const struct vwi_gpu *gpu, const char *index)
{
    (void)gpus;
    if (gpu->now.has & VWI_GPU_HAS_UTILIZATION)
        vwi_metric_real(pen, &(struct vwi_metric_label){ "gpu", index }, 1, gpu->now.utilization);
}

static void add_temperature(struct vwi_metric_pen *pen, const struct vwi_gpus *gpus, const struct vwi_gpu *gpu, const char *index)
{
    (void)gpus;
    if (gpu->now.has & VWI_GPU_HAS_TEMPERATURE)
        vwi_metric_count(pen, &(struct vwi_metric_label){ "gpu", index }, 1, gpu->now.temperature_c);
}

static void add_throttled(struct vwi_metric_pen *pen, const struct vwi_gpus *gpus, const struct vwi_gpu *gpu, const char *index)
{
    const char *name;
    uint64_t bit;
    size_t i;

    (void)gpus;
    for (i = 0; (gpu->now.has & VWI_GPU_HAS_THROTTLE) && (name = vwi_gpu_throttle_name(i, &bit)); i++)
        count_kind(pen, index, "reason", name, (gpu->now.throttle & bit) != 0);
}

static void add_ecc(struct vwi_metric_pen *pen, const struct vwi_gpus *gpus, const struct vwi_gpu *gpu, const char *index)
{
    (void)gpus;
    if (gpu->now.has & VWI_GPU_HAS_CORRECTED)
        count_kind(pen, index, "kind", "corrected", gpu->now.corrected);
    if (gpu->now.has & VWI_GPU_HAS_UNCORRECTED)
        count_kind(pen, index, "kind", "uncorrected", gpu->now.uncorrected);
}

static void add_xids(struct vwi_metric_pen *pen, const struct vwi_gpus *gpus, const struct vwi_gpu *gpu, const char *index)
{
    char xid[INDEX_SIZE];
    size_t i;

    (void)gpus;
    for (i = 0; i < gpu->kind_count; i++) {
        snprintf(xid, sizeof xid, "%u", gpu->kinds[i].xid);
        count_kind(pen, index, "xid", xid, gpu->kinds[i].count);
    }
    if (gpu->other_xids)
        count_kind(pen, index, "xid", "other", gpu->other_xids);
}

void vwi_exposition_nvml_up(struct vwi_metric_pen *pen, const struct vwi_exposition *in)
{
    if (in->gpus && in->gpus->there)
        vwi_metric_count(pen, NULL, 0, !in->gpus->trouble[0]);
}

void vwi_exposition_gpu_xid(struct vwi_metric_pen *pen, const struct vwi_exposition *in)
{
    each(pen, in, add_xids);
    if (in->gpus && in->gpus->strays)
        count_kind(pen, "unknown", "xid", "other", in->gpus->strays);
}

void vwi_exposition_gpu_up(struct vwi_metric_pen *pen, const struct vwi_exposition *in) { each(pen, in, add_up); }
void vwi_exposition_gpu_info(struct vwi_metric_pen *pen, const struct vwi_exposition *in) { each(pen, in, add_info); }
void vwi_exposition_gpu_memory(struct vwi_metric_pen *pen, const struct vwi_exposition *in) { each(pen, in, add_memory); }
void vwi_exposition_gpu_utilization(struct vwi_metric_pen *pen, const struct vwi_exposition *in) { each(pen, in, add_utilization); }
void vwi_exposition_gpu_temperature(struct vwi_metric_pen *pen, const struct vwi_exposition *in) { each(pen, in, add_temperature); }
void vwi_exposition_gpu_throttled(struct vwi_metric_pen *pen, const struct vwi_exposition *in) { each(pen, in, add_throttled); }
void vwi_exposition_gpu_ecc(struct vwi_metric_pen *pen, const struct vwi_exposition *in) { each(pen, in, add_ecc); }
