/* Ready-made log patterns of known model servers, by name. */
#ifndef VWI_CORE_PRESET_H
#define VWI_CORE_PRESET_H

#include <stddef.h>

#include "core/pattern.h"

#define VWI_PRESET_NAMES "vllm tgi llama.cpp tei comfyui sglang ollama" /* as a row of the table of keys has its choices */
#define VWI_PRESET_PATTERNS 10                                           /* at most, of one kind */

struct vwi_preset {
    const char *name;
    const char *patterns[VWI_PATTERN_KINDS][VWI_PRESET_PATTERNS + 1]; /* each list ended by NULL */
};

const struct vwi_preset *vwi_presets(size_t *ret_count);
const struct vwi_preset *vwi_preset_find(const char *name); /* NULL: unknown */

#endif
