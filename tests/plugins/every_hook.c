/* All hooks in good order: weighs by an option, parses in both ways, makes samples, logs its opening and closing. */
#include <stdio.h>
#include <string.h>

#include <vastworker/plugin.h>

struct every_hook {
    double weight;
    char label[16];
};

static vw_err open_it(const struct vw_host *host, struct vw_bytes options, void **ret_self, vw_error_t *why)
{
    struct every_hook *self = host->alloc(sizeof *self);
    size_t len;

    if (!self)
        return host->refuse(why, VW_E_NOMEM, "out of memory");
    memset(self, 0, sizeof *self);
    if (!vw_number_at(host, options, "/weight", &self->weight)) {
        host->free(self);
        return host->refuse(why, VW_E_CONFIG, "option \"weight\" is required");
    }
    vw_string_at(host, options, "/label", self->label, sizeof self->label, &len);
    host->log(host, 2, "opened\nand this is cut");
    *ret_self = self;
    return VW_OK;
}

static void close_it(void *self, const struct vw_host *host)
{
    host->log(host, 1, "closed");
    host->free(self);
}

static vw_err weigh(void *arg, const struct vw_host *host, struct vw_bytes payload, double *ret_workload, vw_error_t *why)
{
    const struct every_hook *self = arg;

    (void)host, (void)payload, (void)why;
    *ret_workload = self->weight;
    return VW_OK;
}

/* {"inner": x} gives x as it lies there, anything else is wrapped into {"LABEL": ...}; null is refused. */
static vw_err parse(void *arg, const struct vw_host *host, struct vw_bytes payload, struct vw_bytes *ret_payload,
                    void **ret_owned, vw_error_t *why)
{
    const struct every_hook *self = arg;
    size_t size = payload.len + sizeof self->label + 8;
    char *text;
    int len;

    if (vw_kind_at(host, payload, "") == VW_KIND_NULL)
        return host->refuse(why, VW_E_ENVELOPE, "nothing to do");
    if (host->find(payload, "/inner", ret_payload) != VW_KIND_ABSENT)
        return VW_OK;
    text = host->alloc(size);
    if (!text)
        return host->refuse(why, VW_E_NOMEM, "out of memory");
    len = snprintf(text, size, "{\"%s\":%.*s}", self->label, (int)payload.len, payload.p);
    ret_payload->p = text;
    ret_payload->len = (size_t)len;
    *ret_owned = text;
    return VW_OK;
}

static vw_err sample(void *arg, const struct vw_host *host, unsigned nth, char **ret, vw_error_t *why)
{
    char *text = host->alloc(32);

    (void)arg;
    if (!text)
        return host->refuse(why, VW_E_NOMEM, "out of memory");
    snprintf(text, 32, "{\"n\":%u}", nth);
    *ret = text;
    return VW_OK;
}

VW_PLUGIN_EXPORT = {
    VW_PLUGIN_HEAD("every_hook", "2.5.0"), .open = open_it, .close = close_it, .weigh = weigh, .parse = parse, .sample = sample
};
