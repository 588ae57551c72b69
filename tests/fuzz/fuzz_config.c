/*
 * Any bytes as a configuration. Before the first NUL: the file. After it: the value of every variable that is asked for, and the
 * file of every dataset; without a NUL nothing is set. What is accepted has to be whole, what is refused has to say why in lines.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "core/config.h"
#include "core/route.h"

struct input {
    const char *file;
    size_t file_len;
    char *value; /* NULL: nothing is set */
};

static const char *look_up(void *arg, const char *name)
{
    const struct input *in = arg;

    (void)name;
    return in->value;
}

static vw_err read_file(void *arg, const char *path, char **ret, size_t *ret_len, vw_error_t *why)
{
    const struct input *in = arg;
    const char *text = in->value ? in->value : "";

    (void)path;
    (void)why;
    *ret = vwi_strdup(text);
    *ret_len = strlen(text);
    return *ret ? VW_OK : VW_E_NOMEM;
}

static void check_whole(const struct vwi_config *config)
{
    const struct vwi_handlers_conf *conf = &config->handlers;
    struct vwi_routes *routes = NULL;
    struct vwi_text out = VWI_TEXT_INIT;
    size_t i;

    if (!conf->count || !config->report.mtoken || !config->report.version || !config->model.authority ||
        (!config->model.host == !config->model.unix_path))
        abort();
    for (i = 0; i < conf->count; i++)
        if (!conf->items[i].route || !conf->items[i].methods.count || conf->items[i].lane >= conf->lane_count)
            abort();
    if (vwi_routes_create(conf, &routes, NULL) != VW_OK || vwi_config_print(config, &out) != VW_OK)
        abort();
    vwi_routes_destroy(routes);
    vwi_text_fini(&out);
}

static void check_lines(const struct vwi_text *errors)
{
    const char *at, *end;
    unsigned lines = 0;

    if (!errors->len || errors->p[errors->len - 1] != '\n' || strlen(errors->p) != errors->len)
        abort();
    for (at = errors->p; *at; at = end + 1) {
        end = strchr(at, '\n');
        if (end == at || end - at > 1100 || ++lines > 101)
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *nul = size ? memchr(data, 0, size) : NULL;
    struct input in = { .file_len = nul ? (size_t)(nul - data) : size };
    char *file = malloc(in.file_len ? in.file_len : 1); /* exact size, so that a read beyond it is seen */
    struct vwi_text errors = VWI_TEXT_INIT;
    struct vwi_config *config = NULL;
    struct vwi_config_sources sources = {
        .name = "w", .lookup = look_up, .lookup_arg = &in, .read_file = read_file, .read_file_arg = &in
    };
    vw_err err;

    if (in.file_len)
        memcpy(file, data, in.file_len);
    if (nul) {
        in.value = malloc(size - in.file_len);
        memcpy(in.value, nul + 1, size - in.file_len - 1);
        in.value[size - in.file_len - 1] = '\0';
    }
    sources.text = file;
    sources.len = in.file_len;
    err = vwi_config_load(&sources, &config, &errors);
    if (err == VW_OK)
        check_whole(config);
    else if (err == VW_E_CONFIG)
        check_lines(&errors);
    else
        abort();
    vwi_config_destroy(config);
    vwi_text_fini(&errors);
    free(in.value);
    free(file);
    return 0;
}
