/* Uses a function that nobody has. */
#include <vastworker/plugin.h>

vw_err nobody_has_this(void);

static vw_err weigh(void *self, const struct vw_host *host, struct vw_bytes payload, double *ret_workload, vw_error_t *why)
{
    (void)self, (void)host, (void)payload, (void)ret_workload, (void)why;
    return nobody_has_this();
}

VW_PLUGIN_EXPORT = { VW_PLUGIN_HEAD("unresolved", "1.0.0"), .weigh = weigh };
