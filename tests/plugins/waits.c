/* Holds the loop up on purpose: where the file FILE exists, weigh renames it to FILE.held and waits until that is gone. */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <vastworker/plugin.h>

struct waits {
    char gate[200], held[208];
};

static vw_err open_it(const struct vw_host *host, struct vw_bytes options, void **ret_self, vw_error_t *why)
{
    struct waits *self = host->alloc(sizeof *self);
    size_t len;

    if (!self)
        return host->refuse(why, VW_E_NOMEM, "out of memory");
    memset(self, 0, sizeof *self);
    if (!vw_string_at(host, options, "/file", self->gate, sizeof self->gate, &len)) {
        host->free(self);
        return host->refuse(why, VW_E_CONFIG, "option \"file\" is required");
    }
    snprintf(self->held, sizeof self->held, "%s.held", self->gate);
    *ret_self = self;
    return VW_OK;
}

static void close_it(void *self, const struct vw_host *host) { host->free(self); }

static vw_err weigh(void *arg, const struct vw_host *host, struct vw_bytes payload, double *ret_workload, vw_error_t *why)
{
    const struct waits *self = arg;
    struct timespec moment = { 0, 1000000 };
    int patience = 30000;

    (void)host, (void)payload, (void)why;
    *ret_workload = 1;
    if (rename(self->gate, self->held) != 0)
        return VW_OK;
    while (access(self->held, F_OK) == 0 && patience-- > 0)
        nanosleep(&moment, NULL);
    return VW_OK;
}

VW_PLUGIN_EXPORT = { VW_PLUGIN_HEAD("waits", "1.0.0"), .open = open_it, .close = close_it, .weigh = weigh };
