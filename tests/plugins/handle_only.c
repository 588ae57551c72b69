/* Offers only to answer in process, and says that it may block. */
#include <vastworker/plugin.h>

static vw_err handle(void *self, const struct vw_host *host, struct vw_call *call, vw_error_t *why)
{
    static const struct vw_bytes body = { "{}", 2 };

    (void)self, (void)host, (void)why;
    return call->reply(call, 200, "application/json", body);
}

VW_PLUGIN_EXPORT = { VW_PLUGIN_HEAD("handle_only", "1.0.0"), .flags = VW_PLUGIN_BLOCKING, .handle = handle };
