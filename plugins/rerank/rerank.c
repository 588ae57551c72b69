/* Workload of a reranking request: how many documents it holds ("documents", or "texts" as some engines call them). */
#include <vastworker/plugin.h>

static vw_err weigh(void *self, const struct vw_host *host, struct vw_bytes payload, double *ret_workload, vw_error_t *why)
{
    struct vw_bytes list;

    (void)self;
    if (host->find(payload, "/documents", &list) != VW_KIND_ARRAY && host->find(payload, "/texts", &list) != VW_KIND_ARRAY)
        return host->refuse(why, VW_E_ENVELOPE, "neither \"documents\" nor \"texts\" is a list");
    *ret_workload = (double)host->count(list);
    return VW_OK;
}

VW_PLUGIN_EXPORT = { VW_PLUGIN_HEAD("rerank", "0.1.0"), .weigh = weigh };
