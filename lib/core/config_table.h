/*
 * The one table of keys: what the file may hold, what it means, where it lands. The loader, --print-config, docs/config.md and
 * docs/config.schema.json all read it. "[]" in a path stands for an entry of a list, "*" for a name of the user's.
 */
#ifndef VWI_CORE_CONFIG_TABLE_H
#define VWI_CORE_CONFIG_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum vwi_key_type {
    VWI_KEY_BOOL,
    VWI_KEY_INTEGER,
    VWI_KEY_NUMBER,
    VWI_KEY_SECONDS,
    VWI_KEY_STRING,
    VWI_KEY_STRINGS,         /* a list of strings; environment lines are added to it */
    VWI_KEY_STRING_OR_LIST,  /* as a list of one; an environment text replaces it */
    VWI_KEY_OBJECT,          /* has rows of its own */
    VWI_KEY_OBJECTS,         /* a list of objects with rows */
    VWI_KEY_MAP,             /* names -> objects with rows */
    VWI_KEY_NAME_OR_OBJECT,  /* a string, or an object with rows */
    VWI_KEY_WORKLOAD,        /* a number, a string, or an object with rows */
    VWI_KEY_FREE_OBJECT,     /* an object that is not looked into */
    VWI_KEY_FREE_LIST        /* a list that is not looked into */
};

#define VWI_KEY_LATER 1u    /* known, but setting it is an error in this version */
#define VWI_KEY_NULLABLE 2u /* null is a value */
#define VWI_KEY_REQUIRED 4u
#define VWI_KEY_APART 8u    /* an object whose rows fill a struct of their own */
#define VWI_KEY_NOWHERE SIZE_MAX

struct vwi_config_key {
    const char *path;
    enum vwi_key_type type;
    const char *unit;          /* "" when there is none */
    const char *initial;       /* the default as text, read as a value of the type; NULL: none, or text says */
    double min, max;           /* of a number; INFINITY: open */
    const char *env;           /* the variable that wins over the file; NULL: none */
    size_t offset, size;       /* in the struct its scope fills; VWI_KEY_NOWHERE: read by hand */
    const char *text;          /* one sentence */
    unsigned flags;
    const char *choices;       /* separated by spaces; NULL: any */
    const char *(*problem)(const char *value); /* of a string or each entry: what it must be, NULL when it is that */
};

/* Variables that stand for no key. */
struct vwi_config_variable {
    const char *name, *text;
};

const struct vwi_config_key *vwi_config_keys(size_t *ret_count);
const struct vwi_config_variable *vwi_config_variables(size_t *ret_count);

/* The row of one name within a scope: "" for the top, "handlers[]", "limits", "handlers[].benchmark"; NULL: unknown. */
const struct vwi_config_key *vwi_config_key_find(const char *scope, const char *name, size_t len);
/* The name of a row that stands directly in scope, else NULL. */
const char *vwi_config_key_name(const struct vwi_config_key *key, const char *scope);
/* The row that an unknown name most likely meant, in its scope, or elsewhere if only there the name is known. */
const struct vwi_config_key *vwi_config_key_nearest(const char *scope, const char *name);

/* Edits from one name to another; case and underscores cost nothing. Names longer than 64 bytes are cut. */
unsigned vwi_config_distance(const char *a, const char *b);

/* Rules of single texts: NULL, or what the text must be. */
const char *vwi_config_path_problem(const char *text);    /* a path at the model server */
const char *vwi_config_method_problem(const char *text);
const char *vwi_config_verb_problem(const char *text); /* one method, not "*" */
const char *vwi_config_pointer_problem(const char *text); /* RFC 6901 */
const char *vwi_config_plugin_problem(const char *text);
const char *vwi_config_upgrade_problem(const char *text);
const char *vwi_config_lane_problem(const char *text);
const char *vwi_config_target_problem(const char *text);
const char *vwi_config_address_problem(const char *text); /* http(s)://HOST[:PORT][/PATH] */
const char *vwi_config_model_problem(const char *text);   /* http://HOST[:PORT] or unix:/path */
const char *vwi_config_nonempty_problem(const char *text);

#endif
