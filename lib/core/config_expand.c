/*
 * ${NAME} and ${NAME:-default} in the strings of the file, "$${" for a plain "${". Secrets stay out: a value that is written
 * into the configuration would show in --print-config, in errors and at the model server.
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "core/config_parts.h"

#define MAX_EXPANDED (1024u * 1024u) /* bytes that references may bring into one file */

struct reference {
    const char *initial; /* NULL: none */
    size_t initial_len;
    char text[128]; /* the name, terminated */
};

/* at: behind "${". Returns what follows the brace; NULL: not well-formed. */
static const char *read_reference(const char *at, struct reference *ret)
{
    const char *end = strchr(at, '}');
    size_t len = 0;

    while (isalnum((unsigned char)at[len]) || at[len] == '_')
        len++;
    if (!end || !len || len >= sizeof ret->text || isdigit((unsigned char)at[0]))
        return NULL;
    memcpy(ret->text, at, len);
    ret->text[len] = '\0';
    ret->initial = NULL;
    ret->initial_len = 0;
    if (at + len == end)
        return end + 1;
    if (at[len] != ':' || at[len + 1] != '-')
        return NULL;
    ret->initial = at + len + 2;
    ret->initial_len = (size_t)(end - ret->initial);
    return memchr(ret->initial, '$', ret->initial_len) ? NULL : end + 1;
}

static bool is_secret(const char *name)
{
    size_t len = strlen(name);

    return strcmp(name, "MASTER_TOKEN") == 0 || strcmp(name, "HF_TOKEN") == 0 || strcmp(name, "VASTWORKER_BEARER_KEYS") == 0 ||
           (len >= 4 && strcmp(name + len - 4, "_KEY") == 0);
}

static void add(struct vwi_fill *fill, const char *path, const char *text, size_t len, struct vwi_text *out)
{
    bool fitted = fill->expanded_bytes <= MAX_EXPANDED;

    fill->expanded_bytes += len;
    if (fill->expanded_bytes <= MAX_EXPANDED)
        vwi_text_add(out, text, len);
    else if (fitted)
        vwi_fill_error(fill, path, "references bring more than %u bytes into the file", MAX_EXPANDED);
}

static void resolve(struct vwi_fill *fill, const char *path, const struct reference *ref, struct vwi_text *out)
{
    const char *value;

    if (fill->expanded_bytes > MAX_EXPANDED)
        return;
    if (is_secret(ref->text)) {
        vwi_fill_error(fill, path,
                       "${%s} is a secret, which has no place in a configuration; the worker reads it from the "
                       "environment where it needs it",
                       ref->text);
        return;
    }
    value = vwi_fill_env(fill, ref->text);
    if (value)
        add(fill, path, value, strlen(value), out);
    else if (ref->initial)
        add(fill, path, ref->initial, ref->initial_len, out);
    else
        vwi_fill_error(fill, path, "${%s} is not set and has no default (${%s:-default})", ref->text, ref->text);
}

static void expand_string(struct vwi_fill *fill, json_t *string, const char *path)
{
    const char *at = json_string_value(string), *dollar;
    struct vwi_text out = VWI_TEXT_INIT;
    struct reference ref;

    for (; (dollar = strstr(at, "${"));) {
        if (dollar > at && dollar[-1] == '$') {
            vwi_text_add(&out, at, (size_t)(dollar - at) - 1);
            vwi_text_adds(&out, "${");
            at = dollar + 2;
            continue;
        }
        vwi_text_add(&out, at, (size_t)(dollar - at));
        at = read_reference(dollar + 2, &ref);
        if (!at) {
            vwi_fill_error(fill, path,
                           "expected ${NAME} or ${NAME:-default} (without $ in it); a plain \"${\" is written "
                           "\"$${\"");
            break;
        }
        resolve(fill, path, &ref, &out);
    }
    if (at)
        vwi_text_adds(&out, at);
    if (out.failed || json_string_setn(string, out.p, out.len) != 0)
        fill->no_memory = true;
    vwi_text_fini(&out);
}

static void expand(struct vwi_fill *fill, json_t *value, struct vwi_text *path)
{
    char shown[VWI_FILL_PATH];
    size_t i, len = path->len;
    const char *name;
    json_t *entry;

    if (json_is_string(value) && strstr(json_string_value(value), "${"))
        expand_string(fill, value, path->p ? path->p : "");
    json_array_foreach(value, i, entry)
    {
        vwi_text_addf(path, "[%zu]", i);
        expand(fill, entry, path);
        path->len = len;
    }
    json_object_foreach(value, name, entry)
    {
        vwi_fill_path(shown, "", name);
        vwi_text_addf(path, "%s%s", len ? "." : "", shown);
        expand(fill, entry, path);
        path->len = len;
    }
}

void vwi_fill_expand(struct vwi_fill *fill, json_t *root)
{
    struct vwi_text path = VWI_TEXT_INIT;

    expand(fill, root, &path);
    if (path.failed)
        fill->no_memory = true;
    vwi_text_fini(&path);
}
