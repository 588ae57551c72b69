/* The odd thing: an error of a GPU is logged by the change of state that it makes, and here only if it makes none. */
#include "flow/sentinel.h"

#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "io/nvml.h"

#define LOOK_MS 1000 /* whether a look is overdue */

struct vwi_sentinel {
    struct vwi_loop *loop;
    const struct vwi_gpu_conf *conf;
    struct vwi_startup *startup;
    const struct vwi_log *log;
    struct vwi_nvml *nvml; /* NULL: not started, or there is nothing to watch */
    struct vwi_timer timer;
    struct vwi_gpus gpus;
    bool lost; /* the readiness machine knows of it */
    char told[VWI_GPU_SENTENCE]; /* the last error that was said */
};

static double now_s(void) { return (double)vwi_mono_us() / 1e6; }

static void log_error_once(struct vwi_sentinel *s, const char *text)
{
    if (strcmp(text, s->told) == 0)
        return;
    memcpy(s->told, text, strlen(text) + 1);
    if (strcmp(vwi_startup_view(s->startup).error_msg, text) != 0)
        vwi_log_error(s->log, "%s", text);
}

/* Whoever names a library wants it to be there. */
static void log_absence(const struct vwi_sentinel *s, const char *text)
{
    if (strcmp(s->conf->library_path, VWI_NVML_LIBRARY) == 0)
        vwi_log_debug(s->log, "no GPU is watched: %s", text);
    else
        vwi_log_warn(s->log, "gpu.libraryPath: no GPU is watched: %s", text);
}

static void on_news(void *arg, enum vwi_gpu_news news, const char *text)
{
    struct vwi_sentinel *s = arg;

    switch (news) {
    case VWI_GPU_NEWS_ABSENT:
        log_absence(s, text);
        break;
    case VWI_GPU_NEWS_GONE:
        if (!s->lost)
            vwi_startup_gpu_lost(s->startup, text);
        s->lost = true;
        log_error_once(s, text);
        break;
    case VWI_GPU_NEWS_BROKEN:
        vwi_startup_gpu_broken(s->startup, text);
        log_error_once(s, text);
        break;
    case VWI_GPU_NEWS_FOUND:
    case VWI_GPU_NEWS_WELL:
    case VWI_GPU_NEWS_BACK:
        vwi_log_info(s->log, "%s", text);
        break;
    case VWI_GPU_NEWS_TROUBLE:
    case VWI_GPU_NEWS_FAILS:
    case VWI_GPU_NEWS_FAULT:
        vwi_log_warn(s->log, "%s", text);
        break;
    }
}

/* Of several that were lost one may be back. */
static void tell_what_is_left(struct vwi_sentinel *s)
{
    const char *lost = vwi_gpus_lost(&s->gpus);

    if (lost) {
        vwi_startup_gpu_lost(s->startup, lost);
    } else if (s->lost) {
        s->told[0] = '\0';
        vwi_startup_gpu_back(s->startup);
    }
    s->lost = lost != NULL;
}

static void on_look(void *arg, const struct vwi_gpu_look *look)
{
    struct vwi_sentinel *s = arg;

    vwi_gpus_judge(&s->gpus, look, now_s(), on_news, s);
    tell_what_is_left(s);
    if (look->outcome == VWI_GPU_ABSENT)
        vwi_timer_stop(&s->timer);
    else if (vwi_gpus_ask_anew(&s->gpus))
        vwi_nvml_renew(s->nvml);
}

static void on_timer(void *arg)
{
    struct vwi_sentinel *s = arg;
    double waited_s = 0;
    const char *call = vwi_nvml_call(s->nvml, &waited_s);

    vwi_timer_start(&s->timer, LOOK_MS);
    vwi_gpus_wait(&s->gpus, call, waited_s, on_news, s);
}

vw_err vwi_sentinel_create(struct vwi_loop *loop, const struct vwi_gpu_conf *conf, struct vwi_startup *startup, const struct vwi_log *log,
                           struct vwi_sentinel **ret, vw_error_t *why)
{
    struct vwi_sentinel *s = vwi_zalloc(sizeof *s);

    if (!s || vwi_timer_init(&s->timer, loop, on_timer, s) != VW_OK) {
        vwi_free(s);
        return vwi_fail(why, VW_E_NOMEM, "GPUs: out of memory");
    }
    s->loop = loop;
    s->conf = conf;
    s->startup = startup;
    s->log = log;
    *ret = s;
    return VW_OK;
}

void vwi_sentinel_start(struct vwi_sentinel *s)
{
    if (!s)
        return;
    s->nvml = vwi_nvml_start(s->loop, s->conf->library_path, (int64_t)(s->conf->interval_s * 1000), on_look, s);
    if (s->nvml)
        vwi_timer_start(&s->timer, LOOK_MS);
    else
        vwi_log_warn(s->log, "no GPU is watched: there is no memory or no thread for it");
}

const struct vwi_gpus *vwi_sentinel_gpus(const struct vwi_sentinel *s) { return s ? &s->gpus : NULL; }

void vwi_sentinel_destroy(struct vwi_sentinel *s)
{
    if (!s)
        return;
    vwi_nvml_stop(s->nvml);
    vwi_timer_fini(&s->timer);
    vwi_free(s);
}
