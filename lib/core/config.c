/* From text and environment to a frozen configuration: parse, undo references, fill, then what no single key can say. */
#include "core/config.h"

#include <string.h>

#include "base/mem.h"
#include "core/config_parts.h"
#include "core/json.h"

/* NULL root: no file, or one that is refused. */
static json_t *parse_file(struct vwi_fill *fill)
{
    const char *name = fill->src->name ? fill->src->name : "configuration";
    vw_error_t why = { VW_OK, "" };
    json_t *root = NULL;
    vw_err err;

    if (!fill->src->text)
        return NULL;
    err = vwi_json_parse(fill->src->text, fill->src->len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, name, &root, &why);
    if (err == VW_E_NOMEM)
        fill->no_memory = true;
    else if (err != VW_OK)
        vwi_fill_line(fill, why.text);
    else if (!json_is_object(root)) {
        vwi_fill_refuse(fill, name, root, "an object");
        json_decref(root);
        root = NULL;
    }
    return root;
}

static void keep_warnings(struct vwi_fill *fill)
{
    if (fill->warnings.p)
        vwi_fill_add_split(fill, &fill->config->warnings, fill->warnings.p, '\n');
    if (fill->warnings.failed)
        fill->no_memory = true;
}

static vw_err verdict(const struct vwi_fill *fill)
{
    if (fill->no_memory || fill->errors->failed)
        return VW_E_NOMEM;
    return fill->error_count ? VW_E_CONFIG : VW_OK;
}

/* What to fill is the caller's; root may be NULL. */
static vw_err load(const struct vwi_config_sources *src, void (*fill_all)(struct vwi_fill *fill, json_t *root), struct vwi_config **ret,
                   struct vwi_text *ret_errors)
{
    struct vwi_fill fill = { .src = src, .errors = ret_errors, .warnings = VWI_TEXT_INIT };
    json_t *root = NULL;
    vw_err err;

    fill.config = vwi_zalloc(sizeof *fill.config);
    if (!fill.config)
        return VW_E_NOMEM;
    root = parse_file(&fill);
    err = verdict(&fill);
    if (err != VW_OK)
        goto out;
    vwi_fill_expand(&fill, root);
    fill_all(&fill, root);
    keep_warnings(&fill);
    err = verdict(&fill);
    if (err == VW_OK) {
        *ret = fill.config;
        fill.config = NULL;
    }
out:
    vwi_config_destroy(fill.config);
    vwi_text_fini(&fill.warnings);
    json_decref(root);
    return err;
}

static void fill_whole(struct vwi_fill *fill, json_t *root)
{
    vwi_fill_object(fill, "", root, "", fill->config);
    vwi_fill_patterns(fill, root);
    vwi_fill_model(fill, root);
    vwi_fill_handlers(fill, root);
    vwi_fill_modes(fill, root);
}

static void fill_log_actions(struct vwi_fill *fill, json_t *root)
{
    static const char scope[] = "logActionConfig";
    json_t *object = json_object_get(root, scope);

    if (object && !json_is_object(object))
        vwi_fill_error(fill, scope, "expected an object");
    else
        vwi_fill_object(fill, scope, object, scope, fill->config);
    vwi_fill_patterns(fill, root);
}

vw_err vwi_config_load(const struct vwi_config_sources *src, struct vwi_config **ret, struct vwi_text *ret_errors)
{
    return load(src, fill_whole, ret, ret_errors);
}

vw_err vwi_config_load_patterns(const struct vwi_config_sources *src, struct vwi_config **ret, struct vwi_text *ret_errors)
{
    return load(src, fill_log_actions, ret, ret_errors);
}
