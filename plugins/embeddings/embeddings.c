/*
 * Workload of an embeddings request: how many inputs it holds.
 *
 * "input" may be one text, a list of texts, one text as a list of token numbers, or a list of such lists.
 */
#include <vastworker/plugin.h>

static vw_err weigh(void *self, const struct vw_host *host, struct vw_bytes payload, double *ret_workload, vw_error_t *why)
{
    struct vw_bytes input;

    (void)self;
    switch (host->find(payload, "/input", &input)) {
    case VW_KIND_STRING:
        *ret_workload = 1;
        return VW_OK;
    case VW_KIND_ARRAY: /* numbers are the tokens of one text */
        *ret_workload = vw_kind_at(host, input, "/0") == VW_KIND_NUMBER ? 1 : (double)host->count(input);
        return VW_OK;
    default:
        return host->refuse(why, VW_E_ENVELOPE, "\"input\" is neither a text nor a list");
    }
}

VW_PLUGIN_EXPORT = { VW_PLUGIN_HEAD("embeddings", "0.1.0"), .weigh = weigh };
