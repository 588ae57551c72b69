/* Every hook breaks its contract in the way that the payload, the options or nth ask for. */
#include <math.h>
#include <string.h>

#include <vastworker/plugin.h>

static const char elsewhere[] = "{}";

static bool is(struct vw_bytes b, const char *text) { return b.len == strlen(text) && memcmp(b.p, text, b.len) == 0; }

static vw_err open_it(const struct vw_host *host, struct vw_bytes options, void **ret_self, vw_error_t *why)
{
    (void)host, (void)ret_self, (void)why;
    return is(options, "{\"silent\":1}") ? VW_E_IO : VW_OK;
}

static vw_err weigh(void *self, const struct vw_host *host, struct vw_bytes payload, double *ret_workload, vw_error_t *why)
{
    (void)self, (void)host, (void)why;
    if (is(payload, "\"nothing\""))
        return VW_OK;
    if (is(payload, "\"silent\""))
        return VW_E_PARSE;
    *ret_workload = is(payload, "\"negative\"") ? -1 : is(payload, "\"infinite\"") ? INFINITY : NAN;
    return VW_OK;
}

static vw_err parse(void *self, const struct vw_host *host, struct vw_bytes payload, struct vw_bytes *ret_payload,
                    void **ret_owned, vw_error_t *why)
{
    (void)self, (void)why;
    if (is(payload, "\"nothing\""))
        return VW_OK;
    if (is(payload, "\"silent\""))
        return VW_E_PARSE;
    if (is(payload, "\"null\"")) { /* hands memory over and shows none of it */
        *ret_owned = host->alloc(4);
        return VW_OK;
    }
    *ret_payload = payload;
    if (is(payload, "\"before\""))
        ret_payload->p--;
    else if (is(payload, "\"longer\""))
        ret_payload->len++;
    else if (is(payload, "\"after\""))
        ret_payload->p += payload.len + 1;
    else
        ret_payload->p = elsewhere;
    return VW_OK;
}

static vw_err sample(void *self, const struct vw_host *host, unsigned nth, char **ret, vw_error_t *why)
{
    (void)self, (void)host, (void)ret, (void)why;
    return nth ? VW_E_PARSE : VW_OK;
}

VW_PLUGIN_EXPORT = {
    VW_PLUGIN_HEAD("misbehaves", "1.0.0"), .open = open_it, .weigh = weigh, .parse = parse, .sample = sample
};
