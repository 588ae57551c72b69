/* What /health says of the GPUs. A value that the driver does not tell has no member. */
#include "core/gpu.h"

#include "core/literal.h"

static void add_throttle(const struct vwi_gpu_reading *now, struct vwi_text *out)
{
    const char *name, *comma = "";
    uint64_t bit;
    size_t i;

    vwi_text_adds(out, ", \"throttled\": [");
    for (i = 0; (name = vwi_gpu_throttle_name(i, &bit)); i++)
        if (now->throttle & bit) {
            vwi_text_addf(out, "%s\"%s\"", comma, name);
            comma = ", ";
        }
    vwi_text_adds(out, "]");
}

static void add_values(const struct vwi_gpu_reading *now, struct vwi_text *out)
{
    if (now->has & VWI_GPU_HAS_MEMORY)
        vwi_text_addf(out, ", \"memory_used\": %llu, \"memory_total\": %llu", (unsigned long long)now->memory_used,
                      (unsigned long long)now->memory_total);
    if (now->has & VWI_GPU_HAS_UTILIZATION) {
        vwi_text_adds(out, ", \"utilization\": ");
        vwi_literal_number(out, now->utilization);
    }
    if (now->has & VWI_GPU_HAS_TEMPERATURE)
        vwi_text_addf(out, ", \"temperature\": %u", now->temperature_c);
    if (now->has & VWI_GPU_HAS_THROTTLE)
        add_throttle(now, out);
    if (now->has & VWI_GPU_HAS_CORRECTED)
        vwi_text_addf(out, ", \"ecc_corrected\": %llu", (unsigned long long)now->corrected);
    if (now->has & VWI_GPU_HAS_UNCORRECTED)
        vwi_text_addf(out, ", \"ecc_uncorrected\": %llu", (unsigned long long)now->uncorrected);
}

static void add_xids(const struct vwi_gpu *gpu, struct vwi_text *out)
{
    size_t i;

    if (!gpu->kind_count && !gpu->other_xids)
        return;
    vwi_text_adds(out, ", \"xids\": {");
    for (i = 0; i < gpu->kind_count; i++)
        vwi_text_addf(out, "%s\"%u\": %llu", i ? ", " : "", gpu->kinds[i].xid, (unsigned long long)gpu->kinds[i].count);
    if (gpu->other_xids)
        vwi_text_addf(out, "%s\"other\": %llu", i ? ", " : "", (unsigned long long)gpu->other_xids);
    vwi_text_adds(out, "}");
}

void vwi_gpus_add_health(const struct vwi_gpus *g, struct vwi_text *out)
{
    size_t i;

    if (!g->there)
        return;
    vwi_text_adds(out, ", \"gpus\": [");
    for (i = 0; i < g->count; i++) {
        const struct vwi_gpu *gpu = &g->items[i];

        vwi_text_addf(out, "%s{\"index\": %u, \"name\": ", i ? ", " : "", gpu->now.index);
        vwi_literal_string(out, gpu->now.name);
        vwi_text_addf(out, ", \"up\": %s", vwi_gpu_is_up(g, gpu) ? "true" : "false");
        add_values(&gpu->now, out);
        add_xids(gpu, out);
        if (gpu->finding[0]) {
            vwi_text_adds(out, ", \"finding\": ");
            vwi_literal_string(out, gpu->finding);
        }
        vwi_text_adds(out, "}");
    }
    vwi_text_adds(out, "]");
    if (g->trouble[0]) {
        vwi_text_adds(out, ", \"nvml\": ");
        vwi_literal_string(out, g->trouble);
    }
}
