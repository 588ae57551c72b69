/* Where the configuration comes from: a file, the environment if asked, and the files it names. */
#ifndef VWI_FLOW_SETTINGS_H
#define VWI_FLOW_SETTINGS_H

#include <stdbool.h>

#include <vastworker/err.h>

#include "core/config.h"

struct vwi_settings {
    const char *path;        /* of the file; NULL: none */
    const char *plugin_path; /* colon list searched first; NULL: none */
    bool environment;        /* whether variables count */
    void (*problem)(void *arg, const char *line); /* one call for each thing that is wrong; may be NULL */
    void *problem_arg;
    bool only_patterns;      /* nothing but logActionConfig is loaded */
    bool has_command;        /* a model process is ours to start */
};

/* A variable, NULL when unset or not to be read. Takes a struct vwi_settings as arg. */
const char *vwi_settings_lookup(void *arg, const char *name);
/* The whole environment for a model process, without what is the worker's own secret. The list is to be freed (vwi_free), the texts are
 * the environment's. NULL: out of memory. */
const char **vwi_settings_environment(void);
/* why gets the first problem. */
vw_err vwi_settings_load(struct vwi_settings *settings, struct vwi_config **ret, vw_error_t *why);

#endif
