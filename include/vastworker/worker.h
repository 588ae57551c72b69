/*
 * A worker: takes signed requests, weighs, admits, queues and forwards them to a model server, and reports to the control plane.
 *
 * The library is a guest in the process: it installs no signal handler, never exits, and forks, waits for processes, writes to standard
 * output and reads the environment only where an option asks for it. Several workers in one process are independent of each other.
 */
#ifndef VASTWORKER_WORKER_H
#define VASTWORKER_WORKER_H

#include <stddef.h>

#include <vastworker/err.h>
#include <vastworker/export.h>
#include <vastworker/log.h>
#include <vastworker/status.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct vw_worker vw_worker_t;

/* One line of text without its newline; borrowed for the call. */
typedef void (*vw_line_fn)(void *arg, const char *line);

typedef struct vw_worker_options {
    size_t struct_size;       /* set by VW_WORKER_OPTIONS_INIT, do not edit */
    const char *config_path;  /* borrowed for the call; NULL: no file, the environment and the defaults only */
    const char *plugin_path;  /* borrowed for the call; colon list searched before any other; NULL: none */
    int read_environment;     /* 1: the variables of docs/config.md count (CONTAINER_ID, REPORT_ADDR, ...); 0: none is read */
    vw_log_level_t log_level; /* lines above it are dropped */
    int log_json;             /* 1: each log line is a JSON object */
    vw_log_fn log_fn;         /* NULL: standard error */
    void *log_arg;            /* borrowed until vw_worker_destroy() returns */
    vw_line_fn problem_fn;    /* called by create once per configuration error; NULL: only the first, in `why` */
    void *problem_arg;        /* borrowed for the call of create */
    int tell_failure;         /* 1: a create that fails on the platform tells the control plane so, which can take some seconds */
    int driven;               /* 1: ready waits for vw_worker_set_state(READY), too; feed_log then is a log like others */
    const char *const *model_command; /* copied; program and arguments, NULL-terminated: vw_worker_run() starts the model server and looks
                                       * after it (docs/supervision.md), in the process's environment without the worker's secrets. The
                                       * thread of vw_worker_run() has to be the one that lasts. NULL: none */
    int model_echo;           /* 1: the lines it writes go to standard output as well */
    int reap_orphans;         /* 1: any child of this process that ends is waited for, as process 1 has to; not where you have some */
} vw_worker_options_t;

#define VW_WORKER_OPTIONS_INIT { sizeof(vw_worker_options_t), NULL, NULL, 1, VW_LOG_INFO, 0, NULL, NULL, NULL, NULL, 0, 0, NULL, 0, 0 }

/*
 * Load the configuration and the plugins, and bind the listening port. Nothing is served or reported before vw_worker_run().
 *
 * Ownership  options are borrowed for the call but for log_arg; *ret is yours until vw_worker_destroy().
 * Thread     any.
 * Errors     VW_E_CONFIG  the file, the environment or a plugin's options are wrong; every problem goes to problem_fn
 *            VW_E_ABI     a plugin is for another version of the interface
 *            VW_E_IO      the port cannot be bound, or the system refused something
 *            VW_E_ARG     struct_size is not one this library knows, or options of a later version are set
 * Since      0.1
 */
VW_API VW_MUST_USE vw_err vw_worker_create(const vw_worker_options_t *options, vw_worker_t **ret, vw_error_t *why);

/*
 * Serve until vw_worker_stop(), or until a drain is over.
 *
 * Thread     the caller's becomes the loop thread. One call per worker. Where there is NVIDIA's driver library, GPUs are looked at on a
 *            thread beside it, unless gpu.enabled is false (docs/gpu.md).
 * Errors     VW_E_STATE  it runs already, or has run
 *            VW_E_IO     the event loop failed
 * Since      0.1
 */
VW_API VW_MUST_USE vw_err vw_worker_run(vw_worker_t *worker);

/*
 * Take no new request, finish the accepted ones within drainTimeout, flush the reports, then let vw_worker_run() return.
 * Returns at once. A second call changes nothing.
 *
 * Thread     any; async-signal-safe.
 * Since      0.1
 */
VW_API void vw_worker_drain(vw_worker_t *worker);

/*
 * Let vw_worker_run() return soon; what is in flight is cut and booked as errored. Returns at once.
 *
 * Thread     any; async-signal-safe.
 * Since      0.1
 */
VW_API void vw_worker_stop(vw_worker_t *worker);

/*
 * Copy a snapshot, at most half a second old while the worker runs.
 *
 * Ownership  ret is yours, begun with VW_STATUS_INIT.
 * Thread     any.
 * Errors     VW_E_ARG  struct_size is not one this library knows
 * Since      0.1
 */
VW_API vw_err vw_worker_status(vw_worker_t *worker, vw_status_t *ret);

/*
 * Say yourself how the model is. VW_STATE_READY: it is loaded, as a load line says; what else is configured (probe, benchmark, key) is
 * waited for as always. VW_STATE_LOADING: it has to load again. VW_STATE_ERROR: it failed; reason goes to the control plane as error_msg,
 * and the next READY clears it. Takes effect on the loop thread, in the order of the calls; once draining it changes nothing.
 *
 * Ownership  reason is copied (at most 255 bytes count); NULL is fine.
 * Thread     any.
 * Errors     VW_E_ARG   another state
 *            VW_E_BUSY  1 MiB of calls and lines wait for the loop: nothing was taken
 *            VW_E_NOMEM
 * Since      0.1
 */
VW_API vw_err vw_worker_set_state(vw_worker_t *worker, vw_state_t state, const char *reason);

/*
 * Units of work a second that the model can do, as measured by you. Ignored where maxPerf fixes it.
 *
 * Thread     any.
 * Errors     VW_E_ARG  not finite or not above 0; else as vw_worker_set_state()
 * Since      0.1
 */
VW_API vw_err vw_worker_set_capacity(vw_worker_t *worker, double units_per_s);

/*
 * A line of the model's output, without its line end, for the patterns of logActionConfig. They have a source then, so an onLoad is
 * waited for if `driven` is set.
 *
 * Ownership  line is copied.
 * Thread     any.
 * Errors     as vw_worker_set_state()
 * Since      0.1
 */
VW_API vw_err vw_worker_feed_log(vw_worker_t *worker, const char *line, size_t len);

/* "ready" and so on; "unknown" for others. Static; any thread. */
VW_API const char *vw_state_name(vw_state_t state);

/*
 * What the worker would do, in sentences (describe), and its effective configuration as JSON with secrets masked (print_config).
 *
 * Thread     any, before vw_worker_run() is called.
 * Since      0.1
 */
VW_API vw_err vw_worker_describe(const vw_worker_t *worker, vw_line_fn fn, void *arg);
VW_API vw_err vw_worker_print_config(const vw_worker_t *worker, vw_line_fn fn, void *arg);

/*
 * Which lines of a log the patterns of logActionConfig would match, and as what: one call of fn for each, then one with the sum. Of
 * options config_path, read_environment, problem_fn and problem_arg count; the rest of the configuration is not judged. Blocks.
 *
 * Ownership  all borrowed for the call; log_path "-" is standard input. *ret_loaded is 1 when a load pattern was found, else 0.
 * Thread     any.
 * Errors     VW_E_CONFIG  logActionConfig is wrong
 *            VW_E_IO      the log cannot be read
 *            VW_E_ARG     struct_size is not one this library knows
 * Since      0.1
 */
VW_API vw_err vw_config_test_patterns(const vw_worker_options_t *options, const char *log_path, vw_line_fn fn, void *arg, int *ret_loaded,
                                      vw_error_t *why);

/* docs/config.md and docs/config.schema.json, written from the library's own table of keys. Any thread. */
VW_API vw_err vw_config_docs(vw_line_fn fn, void *arg);
VW_API vw_err vw_config_schema(vw_line_fn fn, void *arg);

/* Cuts what is left and frees everything. Not from inside a callback, not while vw_worker_run() is under way. NULL is fine. */
VW_API void vw_worker_destroy(vw_worker_t *worker);

#ifdef __cplusplus
}
#endif

#endif
