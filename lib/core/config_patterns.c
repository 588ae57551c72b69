/* The patterns of logActionConfig: each is tried here, where its place is known, and those of the preset go before the user's. */
#include <string.h>

#include "core/config_parts.h"
#include "core/preset.h"

static const struct kind {
    const char *key, *env;
    size_t offset; /* of the list */
} kinds[] = {
    [VWI_PATTERN_LOAD] = { "onLoad", "MODEL_LOAD_LOG_MSG", offsetof(struct vwi_config, ready.on_load) },
    [VWI_PATTERN_ERROR] = { "onError", "MODEL_ERROR_LOG_MSGS", offsetof(struct vwi_config, ready.on_error) },
    [VWI_PATTERN_INFO] = { "onInfo", "MODEL_INFO_LOG_MSGS", offsetof(struct vwi_config, ready.on_info) },
};
_Static_assert(sizeof kinds / sizeof kinds[0] == VWI_PATTERN_KINDS, "one row per kind");

static void note(struct vwi_fill *fill, const char *path, const char *env, const char *text)
{
    vw_error_t why = { VW_OK, "" };
    vw_err err = vwi_pattern_check(text, &why);

    if (err == VW_E_NOMEM)
        fill->no_memory = true;
    else if (err != VW_OK && env)
        vwi_fill_env_error(fill, env, "\"%s\" %s", text, why.text);
    else if (err != VW_OK && !vwi_fill_told(fill, path))
        vwi_fill_error(fill, path, "%s", why.text);
}

/* Those of the file by their index, those of the environment by their text. */
static void check(struct vwi_fill *fill, json_t *list, const struct kind *kind)
{
    char all[VWI_FILL_PATH], path[VWI_FILL_PATH];
    const char *env = vwi_fill_env(fill, kind->env);
    struct vwi_strings lines = { NULL, 0 };
    json_t *entry;
    size_t i;

    vwi_fill_path(all, "logActionConfig", kind->key);
    json_array_foreach(list, i, entry)
    {
        vwi_fill_path_at(path, all, i);
        if (json_is_string(entry))
            note(fill, path, NULL, json_string_value(entry));
    }
    if (env)
        vwi_fill_add_split(fill, &lines, env, '\n');
    for (i = 0; i < lines.count; i++)
        note(fill, NULL, kind->env, lines.items[i]);
}

static bool has(const struct vwi_strings *list, const char *text)
{
    size_t i;

    for (i = 0; i < list->count; i++)
        if (strcmp(list->items[i], text) == 0)
            return true;
    return false;
}

static void add_preset(struct vwi_fill *fill, const char *const *patterns, struct vwi_strings *list)
{
    const struct vwi_strings own = *list;
    size_t i;

    *list = (struct vwi_strings){ NULL, 0 };
    for (; *patterns; patterns++)
        vwi_fill_add_string(fill, list, *patterns, strlen(*patterns));
    for (i = 0; i < own.count; i++)
        if (!has(list, own.items[i]))
            vwi_fill_add_string(fill, list, own.items[i], strlen(own.items[i]));
}

void vwi_fill_patterns(struct vwi_fill *fill, json_t *root)
{
    const char *name = fill->config->ready.preset;
    const struct vwi_preset *preset = name ? vwi_preset_find(name) : NULL;
    json_t *object = json_object_get(root, "logActionConfig");
    size_t i;

    for (i = 0; i < VWI_PATTERN_KINDS; i++) {
        check(fill, json_object_get(object, kinds[i].key), &kinds[i]);
        if (preset)
            add_preset(fill, preset->patterns[i], (struct vwi_strings *)(void *)((char *)fill->config + kinds[i].offset));
    }
}
