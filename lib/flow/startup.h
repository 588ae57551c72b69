/*
 * From "listening" to "ready" and back: log files, patterns, health probes, benchmark and key feed the readiness machine, and its
 * wishes are done here. One object for the life of the worker.
 */
#ifndef VWI_FLOW_STARTUP_H
#define VWI_FLOW_STARTUP_H

#include <vastworker/err.h>

#include "base/conf.h"
#include "base/log.h"
#include "core/pattern.h"
#include "core/ready.h"
#include "flow/bench.h"
#include "io/loop.h"

struct vwi_startup;

struct vwi_startup_events {
    void (*on_change)(void *arg); /* state, error_msg or capacity changed: report at once. Never inside vwi_startup_create() */
};

struct vwi_startup_setup {
    struct vwi_loop *loop;
    const struct vwi_ready_conf *ready;
    const struct vwi_model_conf *model;           /* NULL: in-process handlers only, nothing to probe */
    const struct vwi_handler_conf *bench_handler; /* NULL: none */
    unsigned bench_slots;                         /* the lane's max_concurrency; 0: no limit */
    struct vwi_bench_hooks bench_hooks;
    const char *cache_key;                        /* configuration and model as text; hashed, never written. NULL: no cache */
    bool needs_key;                               /* some handler verifies signatures */
    bool needs_certificate;                       /* one is being obtained */
    bool platform;
    bool fed;    /* lines also come through vwi_startup_line(), so patterns have a source without a log file */
    bool driven; /* ready waits for vwi_startup_loaded() even where no load pattern is set */
    const struct vwi_log *log;
};

/* Everything in setup is borrowed until destroy, except the struct itself. The clock of loadtime starts here. */
vw_err vwi_startup_create(const struct vwi_startup_setup *setup, const struct vwi_startup_events *events, void *arg,
                          struct vwi_startup **ret, vw_error_t *why);
void vwi_startup_destroy(struct vwi_startup *s); /* not inside on_change */

/* Loop thread, all of them. on_change may run inside any of these. */
void vwi_startup_start(struct vwi_startup *s);                                    /* our port is open: watch, probe, measure */
void vwi_startup_key(struct vwi_startup *s, bool present);
void vwi_startup_certificate(struct vwi_startup *s);                              /* there is one now */
void vwi_startup_key_failed(struct vwi_startup *s, const char *text);             /* clears when the key is present */
void vwi_startup_error(struct vwi_startup *s, const char *text);
void vwi_startup_ended(struct vwi_startup *s, const char *text);                  /* the model process; until started, below */
void vwi_startup_started(struct vwi_startup *s);                                  /* the model process, again */
void vwi_startup_line(struct vwi_startup *s, const char *line, size_t len);       /* a line of the model's output */
void vwi_startup_loaded(struct vwi_startup *s);                                   /* as a load line, said by the embedder */
void vwi_startup_capacity(struct vwi_startup *s, double max_perf);                /* units per second, said by the embedder */
void vwi_startup_unloaded(struct vwi_startup *s);                                 /* the model is not there any more, says the embedder */
void vwi_startup_silence(struct vwi_startup *s, bool hung, const char *text);     /* core/pulse */
void vwi_startup_progress(struct vwi_startup *s);
void vwi_startup_live(struct vwi_startup *s, double max_perf);                    /* core/capacity */
void vwi_startup_gpu_lost(struct vwi_startup *s, const char *text);               /* core/gpu */
void vwi_startup_gpu_back(struct vwi_startup *s);                                 /* none is lost any more */
void vwi_startup_gpu_broken(struct vwi_startup *s, const char *text);
void vwi_startup_drain(struct vwi_startup *s);                                    /* final; stops probing and measuring */

struct vwi_ready_view vwi_startup_view(const struct vwi_startup *s);              /* texts valid until the next change */
uint64_t vwi_startup_matches(const struct vwi_startup *s, enum vwi_pattern_kind kind);
uint64_t vwi_startup_truncations(const struct vwi_startup *s);                    /* of all log files */

#endif
