/*
 * The whole configuration: filled from the file's text and looked-up environment by the table of keys, then frozen.
 * Core reads no file and no environment itself: both come in through callbacks. Only worker.c sees the whole; rooms get slices.
 */
#ifndef VWI_CORE_CONFIG_H
#define VWI_CORE_CONFIG_H

#include <stdbool.h>
#include <stddef.h>

#include <vastworker/err.h>

#include "base/conf.h"
#include "base/text.h"

struct vwi_config_chunk;

struct vwi_config {
    struct vwi_model_conf model;
    struct vwi_front_conf front;
    struct vwi_tls_conf tls;
    struct vwi_handlers_conf handlers;
    struct vwi_auth_conf auth;
    struct vwi_report_conf report;
    struct vwi_session_conf session;
    struct vwi_ready_conf ready;
    struct vwi_gpu_conf gpu;
    struct vwi_supervise_conf supervise;
    struct vwi_strings plugin_path; /* in search order */
    double drain_s;
    char *update_file; /* what POST /pyworker/update creates */
    bool platform;                  /* CONTAINER_ID was set; same as report.platform */
    bool catch_all;                 /* no handlers were configured: the only one is the built-in catch-all */
    struct vwi_strings warnings;    /* one line each, to be said once; never a secret */
    struct vwi_config_chunk *chunks; /* owns every string and array above */
};

/* The value of an environment variable, NULL when unset; borrowed until the next call. Empty counts as unset. */
typedef const char *(*vwi_lookup_fn)(void *arg, const char *name);
/* The bytes of a file named in the configuration (path as written there), allocated with vwi_alloc and then ours. */
typedef vw_err (*vwi_read_file_fn)(void *arg, const char *path, char **ret, size_t *ret_len, vw_error_t *why);

/* All borrowed for the call. A zeroed struct is valid: defaults only. */
struct vwi_config_sources {
    const char *name; /* what errors call the file, e.g. "worker.json"; NULL: no prefix */
    const char *text; /* the file's bytes; NULL: environment only */
    size_t len;
    vwi_lookup_fn lookup; /* NULL: nothing is set */
    void *lookup_arg;
    vwi_read_file_fn read_file; /* NULL: datasetFile is refused */
    void *read_file_arg;
    const struct vwi_strings *cli_plugin_path; /* --plugin-path; may be NULL */
    const char *prefix_plugin_dir;             /* searched last; may be NULL */
    bool has_command;                          /* a model process is ours to start */
};

/*
 * VW_OK, VW_E_CONFIG or VW_E_NOMEM. ret_errors gets one line (ended by \n) for each thing that is wrong, all at once; it is
 * appended to and stays the caller's. *ret is untouched on failure.
 */
vw_err vwi_config_load(const struct vwi_config_sources *src, struct vwi_config **ret, struct vwi_text *ret_errors);
/* As far as logActionConfig goes, for a trial of its patterns: nothing else of the file is judged or filled. */
vw_err vwi_config_load_patterns(const struct vwi_config_sources *src, struct vwi_config **ret, struct vwi_text *ret_errors);
void vwi_config_destroy(struct vwi_config *config);

/* The effective configuration as indented JSON ending in a newline, under the file's keys; secrets read "***". */
vw_err vwi_config_print(const struct vwi_config *config, struct vwi_text *out);

const char *vwi_config_auth_name(enum vwi_auth_kind auth); /* as in the file */

/* docs/config.md and docs/config.schema.json, both grown from the table of keys. */
void vwi_config_docs(struct vwi_text *out);
void vwi_config_schema(struct vwi_text *out);

#endif
