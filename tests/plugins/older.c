/* Built when the descriptor ended after weigh: the word behind it is not ours to be called. */
#include <vastworker/plugin.h>

struct older {
    uint32_t abi_major, abi_minor;
    size_t struct_size;
    const char *name, *version;
    uint64_t flags;
    vw_err (*open)(const struct vw_host *, struct vw_bytes, void **, vw_error_t *);
    void (*close)(void *, const struct vw_host *);
    vw_err (*weigh)(void *, const struct vw_host *, struct vw_bytes, double *, vw_error_t *);
};

static vw_err weigh(void *self, const struct vw_host *host, struct vw_bytes payload, double *ret_workload, vw_error_t *why)
{
    (void)self, (void)host, (void)why;
    *ret_workload = (double)payload.len;
    return VW_OK;
}

/* The header declares the symbol with today's size; the assembler name is what the loader looks for. */
extern VW_API const struct {
    struct older descriptor;
    uintptr_t behind[8];
} old_descriptor __asm__("vw_plugin_descriptor");

const __typeof__(old_descriptor) old_descriptor = {
    { VW_PLUGIN_ABI_MAJOR, 0, sizeof(struct older), "older", "0.9.0", 0, NULL, NULL, weigh }, { 1, 1, 1, 1, 1, 1, 1, 1 }
};
