/* Core reads no file and no environment; here both are handed to it. */
#include "flow/settings.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/text.h"
#include "base/vwi.h"
#include "io/file.h"

#define MAX_CONFIG_BYTES (16u * 1024 * 1024)
#define MAX_DATASET_BYTES (256u * 1024 * 1024)

const char *vwi_settings_lookup(void *arg, const char *name)
{
    const struct vwi_settings *settings = arg;

    return settings->environment ? getenv(name) : NULL;
}

static bool is_ours(const char *entry)
{
    static const char *const secrets[] = { "MASTER_TOKEN", "VASTWORKER_BEARER_KEYS" };
    size_t i, len = strcspn(entry, "=");

    for (i = 0; i < VWI_ARRAY_LEN(secrets); i++)
        if (strlen(secrets[i]) == len && memcmp(secrets[i], entry, len) == 0)
            return true;
    return false;
}

const char **vwi_settings_environment(void)
{
    size_t count = 0, kept = 0, i;
    const char **list;

    while (environ && environ[count])
        count++;
    list = vwi_zalloc((count + 1) * sizeof *list);
    for (i = 0; list && i < count; i++)
        if (!is_ours(environ[i]))
            list[kept++] = environ[i];
    return list;
}

static vw_err read_dataset(void *arg, const char *path, char **ret, size_t *ret_len, vw_error_t *why)
{
    struct vwi_text text = VWI_TEXT_INIT;
    vw_err err = vwi_file_read(path, MAX_DATASET_BYTES, &text, why);

    (void)arg;
    if (err == VW_OK && !vwi_text_add(&text, "", 0))
        err = vwi_fail(why, VW_E_NOMEM, "%s: out of memory", path);
    if (err != VW_OK) {
        vwi_text_fini(&text);
        return err;
    }
    *ret = text.p;
    *ret_len = text.len;
    return VW_OK;
}

/* A colon list. out owns its items; text is cut up. */
static bool split_path(char *text, struct vwi_strings *out)
{
    size_t count = 1;
    char *at;

    for (at = text; *at; at++)
        count += *at == ':';
    out->items = vwi_zalloc(count * sizeof *out->items);
    if (!out->items)
        return false;
    for (at = text; at;) {
        char *colon = strchr(at, ':');

        if (colon)
            *colon++ = '\0';
        if (*at)
            out->items[out->count++] = at;
        at = colon;
    }
    return true;
}

static void tell_problems(const struct vwi_settings *settings, struct vwi_text *errors, vw_error_t *why)
{
    char *line = errors->p;

    while (line && *line) {
        char *end = strchr(line, '\n');

        if (end)
            *end = '\0';
        vwi_fail(why, VW_E_CONFIG, "%s", line);
        if (settings->problem)
            settings->problem(settings->problem_arg, line);
        line = end ? end + 1 : NULL;
    }
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

vw_err vwi_settings_load(struct vwi_settings *settings, struct vwi_config **ret, vw_error_t *why)
{
    struct vwi_config_sources sources = { .lookup = vwi_settings_lookup, .lookup_arg = settings, .read_file = read_dataset };
    struct vwi_text text = VWI_TEXT_INIT, errors = VWI_TEXT_INIT;
    struct vwi_strings dirs = { NULL, 0 };
    char *path = NULL;
    vw_error_t cause = { VW_OK, "" };
    vw_err err = VW_E_NOMEM;

    sources.prefix_plugin_dir = VWI_PLUGIN_DIR;
    sources.has_command = settings->has_command;
    if (settings->path) {
        err = vwi_file_read(settings->path, MAX_CONFIG_BYTES, &text, &cause);
        if (err != VW_OK) {
            vwi_text_addf(&errors, "%s\n", cause.text);
            err = err == VW_E_NOMEM ? err : VW_E_CONFIG;
            goto out;
        }
        sources.name = base_name(settings->path);
        sources.text = text.p ? text.p : "";
        sources.len = text.len;
    }
    if (settings->plugin_path && *settings->plugin_path) {
        path = vwi_strdup(settings->plugin_path);
        if (!path || !split_path(path, &dirs)) {
            err = VW_E_NOMEM;
            goto out;
        }
        sources.cli_plugin_path = &dirs;
    }
    err = (settings->only_patterns ? vwi_config_load_patterns : vwi_config_load)(&sources, ret, &errors);
out:
    if (err == VW_E_CONFIG)
        tell_problems(settings, &errors, why);
    else if (err != VW_OK)
        vwi_fail(why, err, "configuration: out of memory");
    vwi_free(dirs.items);
    vwi_free(path);
    vwi_text_fini(&text);
    vwi_text_fini(&errors);
    return err;
}
