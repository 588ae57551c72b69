/* What a handler weighs by, what makes the model's request, and the payloads it is measured with. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "core/config_parts.h"
#include "core/json.h"

#define MAX_DATASET 100000
#define DUMP (JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(17))

/* A value as compact JSON text that lives as long as the configuration. */
static char *keep_json(struct vwi_fill *fill, const json_t *value)
{
    size_t len = json_dumpb(value, NULL, 0, DUMP);
    char *kept = len ? vwi_fill_keep(fill, len + 1) : NULL;

    if (kept && json_dumpb(value, kept, len, DUMP) == len)
        return kept;
    fill->no_memory = true;
    return NULL;
}

static char *keep_member(struct vwi_fill *fill, const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);

    return json_is_string(value) ? vwi_fill_keep_text(fill, json_string_value(value), json_string_length(value)) : NULL;
}

static char *keep_options(struct vwi_fill *fill, const json_t *object)
{
    const json_t *options = json_object_get(object, "options");

    return options ? keep_json(fill, options) : NULL;
}

static void fill_weigher(struct vwi_fill *fill, json_t *object, const char *path, struct vwi_workload_conf *ret)
{
    const json_t *by_default = json_object_get(object, "default"), *bytes = json_object_get(object, "bytes");
    char *field = keep_member(fill, object, "field"), *count = keep_member(fill, object, "count");
    char *plugin = keep_member(fill, object, "plugin");

    ret->plugin = plugin;
    ret->options_json = keep_options(fill, object);
    ret->pointer = field ? field : count;
    if ((plugin != NULL) + (field != NULL) + (count != NULL) + (bytes != NULL) != 1)
        vwi_fill_error(fill, path, "expected exactly one of plugin, field, count and bytes");
    if (ret->options_json && !plugin)
        vwi_fill_error(fill, path, "options go with a plugin");
    if (by_default && !field)
        vwi_fill_error(fill, path, "default goes with field");
    ret->kind = plugin ? VWI_WORKLOAD_PLUGIN : field ? VWI_WORKLOAD_FIELD : count ? VWI_WORKLOAD_COUNT : VWI_WORKLOAD_BYTES;
    ret->value = field ? NAN : 0; /* NAN: a field without a default */
    if (field && json_is_number(by_default))
        ret->value = json_number_value(by_default);
    if (json_is_number(bytes))
        ret->value = json_number_value(bytes);
}

void vwi_fill_workload(struct vwi_fill *fill, json_t *value, const char *path, struct vwi_workload_conf *ret)
{
    ret->kind = VWI_WORKLOAD_CONSTANT;
    ret->value = 100;
    if (json_is_number(value))
        ret->value = json_number_value(value);
    else if (json_is_string(value)) {
        ret->kind = VWI_WORKLOAD_PLUGIN;
        ret->plugin = vwi_fill_keep_text(fill, json_string_value(value), json_string_length(value));
    } else if (json_is_object(value))
        fill_weigher(fill, value, path, ret);
}

void vwi_fill_parser(struct vwi_fill *fill, json_t *value, struct vwi_handler_conf *handler)
{
    if (json_is_string(value))
        handler->parser = vwi_fill_keep_text(fill, json_string_value(value), json_string_length(value));
    else if (json_is_object(value)) {
        handler->parser = keep_member(fill, value, "plugin");
        handler->parser_options_json = keep_options(fill, value);
    }
}

static void keep_list(struct vwi_fill *fill, const json_t *list, const char *path, struct vwi_benchmark_conf *bench)
{
    size_t count = json_array_size(list), i;

    if (count == 0 || count > MAX_DATASET) {
        vwi_fill_error(fill, path, "expected 1 to %d payloads, got %zu", MAX_DATASET, count);
        return;
    }
    bench->dataset = vwi_fill_keep(fill, count * sizeof *bench->dataset);
    for (i = 0; bench->dataset && i < count && !fill->no_memory; i++) {
        bench->dataset[i] = keep_json(fill, json_array_get(list, i));
        bench->dataset_count += bench->dataset[i] != NULL;
    }
}

/* Each line that is not blank is an entry. */
static vw_err parse_lines(const char *text, size_t len, const char *where, json_t *list, vw_error_t *why)
{
    const char *at = text, *end = text + len, *stop;
    char here[VWI_FILL_WHERE];
    json_t *entry = NULL;
    unsigned line = 0;
    vw_err err = VW_OK;

    for (; err == VW_OK && at < end; at = stop + 1) {
        stop = memchr(at, '\n', (size_t)(end - at));
        if (!stop)
            stop = end;
        line++;
        while (at < stop && (*at == ' ' || *at == '\t' || *at == '\r'))
            at++;
        if (at == stop)
            continue;
        snprintf(here, sizeof here, "%.*s: entry in line %u", (int)sizeof here - 40, where, line);
        err = vwi_json_parse(at, (size_t)(stop - at), JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, here, &entry, why);
        if (err == VW_OK && json_array_append_new(list, entry) != 0)
            err = VW_E_NOMEM;
    }
    return err;
}

/* One JSON list, or JSON Lines. */
static vw_err parse_dataset(const char *text, size_t len, const char *where, json_t **ret, vw_error_t *why)
{
    json_t *list;
    size_t at = 0;
    vw_err err;

    while (at < len && (text[at] == ' ' || text[at] == '\t' || text[at] == '\r' || text[at] == '\n'))
        at++;
    if (at < len && text[at] == '[')
        return vwi_json_parse(text, len, JSON_REJECT_DUPLICATES, where, ret, why);
    list = json_array();
    err = list ? parse_lines(text, len, where, list, why) : VW_E_NOMEM;
    if (err == VW_OK)
        *ret = list;
    else
        json_decref(list);
    return err;
}

static void read_dataset(struct vwi_fill *fill, const char *path, struct vwi_benchmark_conf *bench)
{
    char where[VWI_FILL_WHERE];
    vw_error_t why = { VW_OK, "" };
    json_t *list = NULL;
    char *text = NULL;
    size_t len = 0;
    vw_err err;

    if (!fill->src->read_file) {
        vwi_fill_error(fill, path, "files cannot be read here; give the payloads as dataset");
        return;
    }
    vwi_fill_where(fill, where, path);
    err = fill->src->read_file(fill->src->read_file_arg, bench->dataset_file, &text, &len, &why);
    if (err == VW_OK)
        err = parse_dataset(text, len, where, &list, &why);
    else if (err != VW_E_NOMEM)
        vwi_fill_error(fill, path, "%s", why.text);
    if (err == VW_OK)
        keep_list(fill, list, path, bench);
    else if (err == VW_E_NOMEM)
        fill->no_memory = true;
    else if (text)
        vwi_fill_line(fill, why.text);
    json_decref(list);
    vwi_free(text);
}

void vwi_fill_benchmark(struct vwi_fill *fill, json_t *object, const char *path, struct vwi_handler_conf *handler)
{
    const json_t *dataset = json_object_get(object, "dataset");
    struct vwi_benchmark_conf *bench;
    char own[VWI_FILL_PATH];

    if (!json_is_object(object))
        return; /* absent, or refused */
    bench = vwi_fill_keep(fill, sizeof *bench);
    if (!bench)
        return;
    handler->benchmark = bench;
    vwi_fill_object(fill, "handlers[].benchmark", object, path, bench);
    if (dataset && bench->dataset_file)
        vwi_fill_error(fill, path, "expected dataset or datasetFile, got both");
    else if (!dataset && !bench->dataset_file && handler->workload.kind != VWI_WORKLOAD_PLUGIN)
        vwi_fill_error(fill, path, "expected dataset or datasetFile, got neither");
    else if (json_is_array(dataset)) {
        vwi_fill_path(own, path, "dataset");
        keep_list(fill, dataset, own, bench);
    } else if (bench->dataset_file) {
        vwi_fill_path(own, path, "datasetFile");
        read_dataset(fill, own, bench);
    }
}
