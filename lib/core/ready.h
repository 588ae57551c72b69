/*
 * The readiness machine: evidence in, state and wishes out. It touches nothing; flow/startup feeds it and does what it asks.
 * The table of states, who may follow whom, and every sentence a reader sees are in ready.c.
 */
#ifndef VWI_CORE_READY_H
#define VWI_CORE_READY_H

#include <stdbool.h>
#include <stdint.h>

enum vwi_state {
    VWI_STATE_STARTING,     /* not listening yet */
    VWI_STATE_LOADING,      /* evidence is missing */
    VWI_STATE_BENCHMARKING, /* the model is up, its capacity is being measured */
    VWI_STATE_READY,
    VWI_STATE_DEGRADED,     /* serves, but the last probe failed */
    VWI_STATE_DRAINING,     /* final */
    VWI_STATE_ERROR,
    VWI_STATES
};

const char *vwi_state_name(enum vwi_state state);
bool vwi_state_serves(enum vwi_state state); /* new work is taken */
bool vwi_state_may_follow(enum vwi_state from, enum vwi_state to);

/* Which evidence ready waits for, and what an error needs to clear. Frozen at init. */
struct vwi_ready_needs {
    bool log, health, port, benchmark, key, certificate;
    bool model;      /* there is a model server, which can be probed even where ready does not wait for that */
    bool sticky;     /* an error stays until the process ends; else two good probes in a row clear it */
    double max_perf; /* > 0: capacity is fixed, benchmark is not needed */
    bool platform;   /* an unknown capacity is reported as VWI_READY_UNKNOWN_PERF */
    double load_s;   /* for the sentence of LOAD_TIMEOUT only; the timer is the caller's */
};

#define VWI_READY_UNKNOWN_PERF 100.0
#define VWI_READY_FALL 3 /* bad probes in a row that make a serving worker an error */
#define VWI_READY_RISE 2 /* good probes in a row that clear degraded or error; while loading one is enough */
#define VWI_READY_TEXT 256
#define VWI_READY_CHARGED_MS 20 /* between probes that judge a charge: three bad ones tell within a tenth of a second */

enum vwi_ready_event {
    VWI_READY_LISTENING,    /* our own port is open */
    VWI_READY_LOG_LOADED,
    VWI_READY_UNLOADED,     /* says the embedder: it has to load again */
    VWI_READY_LOG_ERROR,    /* text: the pattern. A verdict if errors are sticky, else a charge that probes judge */
    VWI_READY_PROBE_GOOD,   /* of the health path, or of the port where there is none */
    VWI_READY_PROBE_BAD,    /* text */
    VWI_READY_BENCH_DONE,   /* score > 0 */
    VWI_READY_BENCH_FAILED, /* text */
    VWI_READY_KEY_PRESENT,
    VWI_READY_KEY_LOST,
    VWI_READY_KEY_FAILED,   /* text; cleared by KEY_PRESENT under either policy */
    VWI_READY_CERTIFICATE,  /* TLS can be served; there for good */
    VWI_READY_LOAD_TIMEOUT, /* no effect once ready */
    VWI_READY_SILENCE,      /* text: the model has answered nothing for unusually long: a charge that only PROGRESS clears */
    VWI_READY_HUNG,         /* text: it went on; an error */
    VWI_READY_PROGRESS,     /* it answers again, or nothing waits for it any more */
    VWI_READY_LIVE,         /* score: the capacity that traffic shows; 0: go by the benchmark */
    VWI_READY_GPU_LOST,     /* text: an error that only GPU_BACK ends, and what was loaded has to load again */
    VWI_READY_GPU_BACK,
    VWI_READY_GPU_BROKEN,   /* text: an error until the model is loaded again, or was down and is healthy again */
    VWI_READY_FAILED,       /* text: embedder, start-up */
    VWI_READY_ENDED,        /* text: the model process; an error over any other but a lost GPU, which only STARTED clears, under either policy */
    VWI_READY_STARTED,      /* again: it has to load again, and what was wrong with the one before is forgotten */
    VWI_READY_DRAIN,
    VWI_READY_EVENTS
};

/* What the caller is asked to do, as bits. */
enum vwi_ready_wish {
    VWI_READY_CHANGED = 1u << 0,   /* state, error text or capacity is new: report at once */
    VWI_READY_MEASURE = 1u << 1,   /* start the benchmark; it ends with BENCH_DONE or BENCH_FAILED */
    VWI_READY_PROBE_NOW = 1u << 2, /* do not wait for the next probe's time */
};

struct vwi_ready {
    struct vwi_ready_needs needs;
    enum vwi_state state;
    double start_s, since_s, loadtime_s;
    double score, live;
    double cleared_s;   /* when the last charge was dropped; 0: never */
    bool listening, log, health, key, certificate, measuring, suspect;
    bool fell;          /* since a GPU broke the model was down: good probes are of another process then */
    bool again;         /* the model process was started again and is not ready yet: it may take too long to load, too */
    bool hasty;         /* the charge is judged at once, not at leisure: there was none just before */
    unsigned good, bad; /* probes in a row */
    int charge;         /* enum charge of ready.c; 0: none */
    int fault;          /* enum fault of ready.c; 0: none */
    char charged[VWI_READY_TEXT], error[VWI_READY_TEXT];
    char ended[VWI_READY_TEXT]; /* how the model process ended; "": it runs, or is not ours */
};

struct vwi_ready_view {
    enum vwi_state state;
    const char *name;
    const char *reason;    /* one sentence for /health */
    double since_s;        /* when the state began: here in the clock of `now`, from vwi_startup_view() since the epoch */
    double loadtime_s;     /* process start to first ready; 0 before */
    double max_perf;       /* as reported: 0 before the first ready, while it loads again and while draining */
    double measured;       /* by the benchmark; 0: none */
    bool capacity_known;   /* measured or configured; false: no predicted wait */
    const char *error_msg; /* "" unless in error */
};

/* now_s: any monotonic clock in seconds, the same one in every call. */
void vwi_ready_init(struct vwi_ready *r, const struct vwi_ready_needs *needs, double now_s);
/* text and score as the event says, else NULL and 0. Returns wishes. */
unsigned vwi_ready_feed(struct vwi_ready *r, enum vwi_ready_event event, const char *text, double score, double now_s);
/* Borrowed texts: valid until the next feed. */
struct vwi_ready_view vwi_ready_view(const struct vwi_ready *r);
/* Milliseconds from the end of one probe to the next; 0: none wanted. */
int64_t vwi_ready_probe_gap_ms(const struct vwi_ready *r);

#endif
