/*
 * Loading a plugin: find the file, pass the gate (versions, then sizes), open it, call its hooks with checked results.
 * Each load is an instance with its own options and host table, also of a file that is loaded already. Loop thread.
 * How JSON is read is not known here: the readers come in as a table.
 */
#ifndef VWI_IO_PLUGIN_H
#define VWI_IO_PLUGIN_H

#include <stdbool.h>
#include <stddef.h>

#include <vastworker/plugin.h>

#include "base/conf.h"
#include "base/log.h"
#include "base/text.h"

struct vwi_plugin;

/* The readers of struct vw_host, with their contract. All four are required. */
struct vwi_plugin_access {
    enum vw_kind (*find)(struct vw_bytes json, const char *pointer, struct vw_bytes *ret_value);
    size_t (*count)(struct vw_bytes value);
    bool (*number)(struct vw_bytes value, double *ret);
    bool (*string)(struct vw_bytes value, char *out, size_t size, size_t *ret_len);
};

/*
 * dirs are searched in order, the first name.so wins. options_json: a JSON object, NULL for {}. dirs, name and options_json are
 * borrowed for the call, log until the plugin is closed.
 *
 * Errors  VW_E_CONFIG  a name that is none, no such file, a file that does not load, options refused
 *         VW_E_ABI     not a plugin, or one for another interface
 *         VW_E_NOMEM; else what the plugin's open returned
 */
vw_err vwi_plugin_load(const struct vwi_strings *dirs, const char *name, const char *options_json,
                       const struct vwi_plugin_access *access, const struct vwi_log *log, struct vwi_plugin **ret,
                       vw_error_t *why);
void vwi_plugin_close(struct vwi_plugin *p);

const char *vwi_plugin_name(const struct vwi_plugin *p);    /* the name it was loaded by */
const char *vwi_plugin_version(const struct vwi_plugin *p);
const char *vwi_plugin_path(const struct vwi_plugin *p);
bool vwi_plugin_can_weigh(const struct vwi_plugin *p);
bool vwi_plugin_can_parse(const struct vwi_plugin *p);
bool vwi_plugin_can_sample(const struct vwi_plugin *p);
bool vwi_plugin_blocks(const struct vwi_plugin *p);         /* it says that its hooks may wait: worth a warning */

/* payload: valid JSON. A hook that is not offered is VW_E_STATE, a result out of contract VW_E_ARG. *ret is finite and >= 0. */
vw_err vwi_plugin_weigh(struct vwi_plugin *p, struct vwi_span payload, double *ret, vw_error_t *why);
/* *ret lies in payload (*ret_owned is NULL) or in *ret_owned, to be freed with vwi_plugin_free. why is for the client. */
vw_err vwi_plugin_parse(struct vwi_plugin *p, struct vwi_span payload, struct vwi_span *ret, void **ret_owned, vw_error_t *why);
/* *ret: NUL-terminated, to be freed with vwi_plugin_free. */
vw_err vwi_plugin_sample(struct vwi_plugin *p, unsigned nth, char **ret, vw_error_t *why);
void vwi_plugin_free(void *owned);

#endif
