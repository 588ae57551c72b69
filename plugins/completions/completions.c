/*
 * Workload of a completions request: the tokens it asks for, else the option "default", else 256.
 *
 * The names under which engines take that limit are tried in turn. A limit that is not positive (llama.cpp writes "no limit" as
 * -1) says nothing about the work, so the default stands for it.
 */
#include <vastworker/plugin.h>

struct completions {
    double fallback;
};

static vw_err open_completions(const struct vw_host *host, struct vw_bytes options, void **ret_self, vw_error_t *why)
{
    double fallback = 256;
    bool given = vw_kind_at(host, options, "/default") != VW_KIND_ABSENT;
    struct completions *self;

    if (host->count(options) > (given ? 1 : 0))
        return host->refuse(why, VW_E_CONFIG, "unknown option; the only one is \"default\" (tokens)");
    if (given && (!vw_number_at(host, options, "/default", &fallback) || fallback <= 0))
        return host->refuse(why, VW_E_CONFIG, "option \"default\": expected tokens > 0");
    self = (struct completions *)host->alloc(sizeof *self);
    if (!self)
        return host->refuse(why, VW_E_NOMEM, "out of memory");
    self->fallback = fallback;
    *ret_self = self;
    return VW_OK;
}

static void close_completions(void *self, const struct vw_host *host) { host->free(self); }

static vw_err weigh(void *arg, const struct vw_host *host, struct vw_bytes payload, double *ret_workload, vw_error_t *why)
{
    static const char *const limits[] = { "/max_tokens", "/max_completion_tokens", "/n_predict" };
    const struct completions *self = (const struct completions *)arg;
    double tokens;
    size_t i;

    (void)why;
    for (i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        if (vw_number_at(host, payload, limits[i], &tokens) && tokens > 0) {
            *ret_workload = tokens;
            return VW_OK;
        }
    }
    *ret_workload = self->fallback;
    return VW_OK;
}

VW_PLUGIN_EXPORT = {
    VW_PLUGIN_HEAD("completions", "0.1.0"), .open = open_completions, .close = close_completions, .weigh = weigh
};
