/*
 * What the config files share while a configuration is loaded; private to them.
 * Nothing stops at the first error: every problem becomes a line and loading goes on, so that all are told at once.
 */
#ifndef VWI_CORE_CONFIG_PARTS_H
#define VWI_CORE_CONFIG_PARTS_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "base/conf.h"
#include "base/text.h"
#include "core/config.h"
#include "core/config_table.h"

struct vwi_fill {
    const struct vwi_config_sources *src;
    struct vwi_config *config;
    struct vwi_text *errors;
    struct vwi_text warnings; /* one line each */
    unsigned error_count;
    bool no_memory;
    size_t expanded_bytes;    /* by references, over the whole file */
};

#define VWI_FILL_PATH 320  /* bytes of a path in an error text; longer ones are cut */
#define VWI_FILL_WHERE 448 /* and with the file's name before it */

/* config_note.c: what is told, and what is kept. */

/* One line each. path "" is the file itself. */
void vwi_fill_line(struct vwi_fill *fill, const char *line);
void vwi_fill_error(struct vwi_fill *fill, const char *path, const char *fmt, ...) VW_PRINTF(3, 4);
bool vwi_fill_told(const struct vwi_fill *fill, const char *path); /* is there a line about it, or an entry of it, already? */
void vwi_fill_env_error(struct vwi_fill *fill, const char *name, const char *fmt, ...) VW_PRINTF(3, 4);
void vwi_fill_warn(struct vwi_fill *fill, const char *fmt, ...) VW_PRINTF(2, 3);

/* NULL when unset or empty; borrowed until the next call. A text that is not UTF-8 is reported and counts as unset. */
const char *vwi_fill_env(struct vwi_fill *fill, const char *name);

/* Zeroed memory that lives as long as the configuration; NULL: no_memory is set. */
void *vwi_fill_keep(struct vwi_fill *fill, size_t size);
char *vwi_fill_keep_text(struct vwi_fill *fill, const char *text, size_t len);
bool vwi_fill_add_string(struct vwi_fill *fill, struct vwi_strings *list, const char *text, size_t len);
/* Entries between separators, trimmed, empty ones left out. */
void vwi_fill_add_split(struct vwi_fill *fill, struct vwi_strings *list, const char *text, char separator);

/* "a.b" or "b" at the top; "a[3]"; with the file's name before it. */
void vwi_fill_path(char out[VWI_FILL_PATH], const char *path, const char *name);
void vwi_fill_path_at(char out[VWI_FILL_PATH], const char *path, size_t index);
void vwi_fill_where(const struct vwi_fill *fill, char out[VWI_FILL_WHERE], const char *path);

/*
 * config_fill.c. Fills base (the struct of the scope) from the members of object; NULL: only environment and defaults. Refuses
 * unknown names, those of later versions, wrong types and values. path is the object's own, "" at the top.
 */
void vwi_fill_object(struct vwi_fill *fill, const char *scope, json_t *object, const char *path, void *base);

/* A text of the environment or the table as the value it stands for, new; NULL: out of memory. */
json_t *vwi_fill_read_text(const struct vwi_config_key *key, const char *text);
/* "where: expected this, got that". A value with "@" in it is not shown, for it may hide a password. */
void vwi_fill_refuse(struct vwi_fill *fill, const char *where, const json_t *value, const char *expected);
void vwi_fill_refuse_text(struct vwi_fill *fill, const char *where, const char *text, const char *expected);

/* config_expand.c: undoes ${NAME} and ${NAME:-default} in every string below root. */
void vwi_fill_expand(struct vwi_fill *fill, json_t *root);

/* config_handlers.c: config->handlers from the file's handlers and lanes. */
void vwi_fill_handlers(struct vwi_fill *fill, json_t *root);
/* config_lanes.c: the queues behind the handlers; list has one entry for each of them, lanes may be NULL. */
void vwi_fill_lanes(struct vwi_fill *fill, json_t *list, json_t *lanes);
/* config_bench.c: what a handler weighs by and is measured with. */
void vwi_fill_workload(struct vwi_fill *fill, json_t *value, const char *path, struct vwi_workload_conf *ret);
void vwi_fill_parser(struct vwi_fill *fill, json_t *value, struct vwi_handler_conf *handler);
void vwi_fill_benchmark(struct vwi_fill *fill, json_t *object, const char *path, struct vwi_handler_conf *handler);
/* config_patterns.c: are the patterns good, and those of the preset. */
void vwi_fill_patterns(struct vwi_fill *fill, json_t *root);
/* config_model.c: host, port or socket out of modelServerUrl. */
void vwi_fill_model(struct vwi_fill *fill, json_t *root);
/* config_modes.c: what the environment says beyond the table, and what platform and local mode ask for. */
void vwi_fill_modes(struct vwi_fill *fill, json_t *root);

#endif
