/* Has a tail that this host does not know, in the same minor version: the tail is left alone. */
#include <vastworker/plugin.h>

struct longer {
    struct vw_plugin known;
    uintptr_t tail[4];
};

static vw_err weigh(void *self, const struct vw_host *host, struct vw_bytes payload, double *ret_workload, vw_error_t *why)
{
    (void)self, (void)host, (void)payload, (void)why;
    *ret_workload = 7;
    return VW_OK;
}

extern VW_API const struct longer long_descriptor __asm__("vw_plugin_descriptor");

const struct longer long_descriptor = {
    { VW_PLUGIN_ABI_MAJOR, VW_PLUGIN_ABI_MINOR, sizeof(struct longer), "longer", "1.0.0", .weigh = weigh }, { 1, 2, 3, 4 }
};
