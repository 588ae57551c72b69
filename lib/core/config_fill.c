/*
 * One row at a time: environment, else file, else default, through the same checks into the same place. Texts of the environment
 * and of the table become JSON values first, so that there is one reader for all three.
 */
#include "core/config_parts.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/vwi.h"
#include "core/json.h"
#include "core/scan.h"

#define MAX_LIST 1000
#define MAX_SECONDS 1e9 /* 31 years: longer is as good as this, and fits every timer */

/* A value's place in errors: "worker.json: limits.x" or a variable, and its path for what is inside it. */
struct place {
    const char *where, *path;
};

/* A verdict becomes a line. */
static bool good(struct vwi_fill *fill, vw_err err, const vw_error_t *why)
{
    if (err == VW_E_NOMEM)
        fill->no_memory = true;
    else if (err != VW_OK)
        vwi_fill_line(fill, why->text);
    return err == VW_OK;
}

void vwi_fill_refuse(struct vwi_fill *fill, const char *where, const json_t *value, const char *expected)
{
    const char *text = json_string_value(value);
    vw_error_t why = { VW_OK, "" };

    if (text && strchr(text, '@')) /* may hide a password */
        vwi_fail(&why, VW_E_CONFIG, "%s: expected %s, got a text with \"@\"", where, expected);
    else
        vwi_json_refuse(value, where, expected, &why);
    good(fill, why.code, &why);
}

void vwi_fill_refuse_text(struct vwi_fill *fill, const char *where, const char *text, const char *expected)
{
    json_t *value = json_string(text);

    if (value)
        vwi_fill_refuse(fill, where, value, expected);
    else
        fill->no_memory = true;
    json_decref(value);
}

static void store_integer(void *at, size_t size, long long value)
{
    uint16_t small = (uint16_t)value;
    uint32_t middle = (uint32_t)value;
    uint64_t large = (uint64_t)value;

    memcpy(at, size == sizeof small ? (void *)&small : size == sizeof middle ? (void *)&middle : (void *)&large, size);
}

/* at NULL: only checked. */
static void land_number(struct vwi_fill *fill, const struct vwi_config_key *key, const json_t *value, const struct place *place,
                        void *at)
{
    struct vwi_json_bounds bounds = { "an integer", key->min, key->max };
    vw_error_t why = { VW_OK, "" };
    long long integer = 0;
    double number = 0;

    if (key->type == VWI_KEY_INTEGER) {
        if (good(fill, vwi_json_get_integer(value, place->where, &bounds, &integer, &why), &why) && at)
            store_integer(at, key->size, integer);
        return;
    }
    bounds.what = key->type == VWI_KEY_SECONDS ? "seconds" : "a number";
    if (!good(fill, vwi_json_get_number(value, place->where, &bounds, &number, &why), &why) || !at)
        return;
    if (key->type == VWI_KEY_SECONDS && number > MAX_SECONDS)
        number = MAX_SECONDS;
    memcpy(at, &number, sizeof number);
}

static bool listed(const char *choices, const char *text)
{
    size_t len = strlen(text);
    const char *at;

    for (at = choices; at && *at; at += strcspn(at, " "), at += strspn(at, " "))
        if (strcspn(at, " ") == len && memcmp(at, text, len) == 0)
            return true;
    return false;
}

static void refuse_choice(struct vwi_fill *fill, const struct vwi_config_key *key, const json_t *value, const struct place *place)
{
    char expected[128];
    const char *at = key->choices;
    int len = 0;

    for (; *at && len < (int)sizeof expected; at += strcspn(at, " "), at += strspn(at, " "))
        len +=
            snprintf(expected + len, sizeof expected - (size_t)len, "%s\"%.*s\"", len ? " or " : "", (int)strcspn(at, " "), at);
    vwi_fill_refuse(fill, place->where, value, expected);
}

/* NULL: refused. */
static const char *check_string(struct vwi_fill *fill, const struct vwi_config_key *key, const json_t *value,
                                const struct place *place)
{
    vw_error_t why = { VW_OK, "" };
    const char *text = NULL, *problem;

    if (!good(fill, vwi_json_get_string(value, place->where, &text, &why), &why))
        return NULL;
    if (key->choices && !listed(key->choices, text)) {
        refuse_choice(fill, key, value, place);
        return NULL;
    }
    problem = key->problem ? key->problem(text) : NULL;
    if (problem)
        vwi_fill_refuse(fill, place->where, value, problem);
    return problem ? NULL : text;
}

static void land_string(struct vwi_fill *fill, const struct vwi_config_key *key, const json_t *value, const struct place *place,
                        void *at)
{
    const char *text = check_string(fill, key, value, place);
    char *kept;

    if (text && at) {
        kept = vwi_fill_keep_text(fill, text, json_string_length(value));
        memcpy(at, &kept, sizeof kept);
    }
}

static void land_strings(struct vwi_fill *fill, const struct vwi_config_key *key, const json_t *value, const struct place *place,
                         struct vwi_strings *list)
{
    char path[VWI_FILL_PATH], where[VWI_FILL_WHERE];
    struct place item = { where, path };
    const json_t *entry;
    const char *text;
    size_t i;

    if (key->type == VWI_KEY_STRING_OR_LIST && json_is_string(value)) {
        text = check_string(fill, key, value, place);
        if (text)
            vwi_fill_add_string(fill, list, text, json_string_length(value));
        return;
    }
    if (!json_is_array(value) || json_array_size(value) > MAX_LIST) {
        vwi_fill_refuse(fill, place->where, value,
                        json_is_array(value)           ? "at most 1000 entries"
                        : key->type == VWI_KEY_STRINGS ? "a list of strings"
                                                       : "a string or a list of strings");
        return;
    }
    json_array_foreach(value, i, entry)
    {
        vwi_fill_path_at(path, place->path, i);
        vwi_fill_where(fill, where, path);
        text = vwi_fill_told(fill, path) ? NULL : check_string(fill, key, entry, &item);
        if (text)
            vwi_fill_add_string(fill, list, text, json_string_length(entry));
    }
}

/* Containers: their type here, their rows where they stand in this scope's struct or in none. */
static void land_container(struct vwi_fill *fill, const struct vwi_config_key *key, json_t *value, const struct place *place,
                           void *base)
{
    static const char *const expected[] = {
        [VWI_KEY_OBJECT] = "an object",
        [VWI_KEY_OBJECTS] = "a list of objects",
        [VWI_KEY_MAP] = "an object of objects",
        [VWI_KEY_NAME_OR_OBJECT] = "a plugin's name or an object",
        [VWI_KEY_FREE_OBJECT] = "an object",
        [VWI_KEY_FREE_LIST] = "a list",
        [VWI_KEY_WORKLOAD] = "a number >= 0, a plugin's name or an object",
    };
    bool list = key->type == VWI_KEY_OBJECTS || key->type == VWI_KEY_FREE_LIST;
    bool rows = key->type == VWI_KEY_OBJECT || key->type == VWI_KEY_NAME_OR_OBJECT || key->type == VWI_KEY_WORKLOAD;
    bool fits = list ? json_is_array(value) : json_is_object(value);

    if (key->type == VWI_KEY_NAME_OR_OBJECT || key->type == VWI_KEY_WORKLOAD)
        fits = fits || (json_is_string(value) && !vwi_config_plugin_problem(json_string_value(value)));
    if (key->type == VWI_KEY_WORKLOAD)
        fits = fits || (json_is_number(value) && json_number_value(value) >= 0);
    if (!fits)
        vwi_fill_refuse(fill, place->where, value, expected[key->type]);
    else if (rows && json_is_object(value) && !(key->flags & VWI_KEY_APART))
        vwi_fill_object(fill, key->path, value, place->path, base);
}

static void land(struct vwi_fill *fill, const struct vwi_config_key *key, json_t *value, const struct place *place, void *base)
{
    void *at = key->offset == VWI_KEY_NOWHERE ? NULL : (char *)base + key->offset;
    vw_error_t why = { VW_OK, "" };
    bool flag = false;

    switch (key->type) {
    case VWI_KEY_BOOL:
        if (good(fill, vwi_json_get_bool(value, place->where, &flag, &why), &why) && at)
            memcpy(at, &flag, sizeof flag);
        break;
    case VWI_KEY_INTEGER:
    case VWI_KEY_NUMBER:
    case VWI_KEY_SECONDS:
        land_number(fill, key, value, place, at);
        break;
    case VWI_KEY_STRING:
        land_string(fill, key, value, place, at);
        break;
    case VWI_KEY_STRINGS:
    case VWI_KEY_STRING_OR_LIST:
        land_strings(fill, key, value, place, at);
        break;
    default:
        land_container(fill, key, value, place, base);
        break;
    }
}

static json_t *read_bool(const char *text)
{
    static const char *const yes[] = { "y", "yes", "t", "true", "on", "1" }, *const no[] = {
        "n", "no", "f", "false", "off", "0"
    };
    struct vwi_span word = { text, strlen(text) };
    size_t i;

    for (i = 0; i < VWI_ARRAY_LEN(yes); i++) {
        if (vwi_span_is_nocase(word, yes[i]))
            return json_true();
        if (vwi_span_is_nocase(word, no[i]))
            return json_false();
    }
    return json_string(text);
}

/* A number as JSON writes it, whatever the locale; what is none stays a string, which the reader refuses and shows. */
static json_t *read_number(const char *text)
{
    size_t len;
    double number;

    text += strspn(text, " \t\r\n");
    for (len = strlen(text); len && strchr(" \t\r\n", text[len - 1]); len--)
        ;
    if (!vwi_scan_number((struct vwi_span){ text, len }, &number) || isinf(number))
        return json_stringn(text, len);
    return fabs(number) <= 9007199254740992.0 && floor(number) == number ? json_integer((json_int_t)number) : json_real(number);
}

json_t *vwi_fill_read_text(const struct vwi_config_key *key, const char *text)
{
    switch (key->type) {
    case VWI_KEY_BOOL:
        return read_bool(text);
    case VWI_KEY_INTEGER:
    case VWI_KEY_NUMBER:
    case VWI_KEY_SECONDS:
        return read_number(text);
    case VWI_KEY_STRINGS:
        return json_pack("[s]", text);
    default:
        return json_string(text);
    }
}

static void fill_from_text(struct vwi_fill *fill, const struct vwi_config_key *key, const char *text, const struct place *place,
                           void *base)
{
    json_t *value = vwi_fill_read_text(key, text);

    if (!value)
        fill->no_memory = true;
    else if (key->type == VWI_KEY_BOOL && !json_is_boolean(value))
        vwi_fill_refuse(fill, place->where, value, "one of y, yes, t, true, on, 1, n, no, f, false, off, 0");
    else
        land(fill, key, value, place, base);
    json_decref(value);
}

static bool is_empty_text(const struct vwi_config_key *key, const json_t *value)
{
    return (key->type == VWI_KEY_STRING || key->type == VWI_KEY_STRING_OR_LIST) && !(key->flags & VWI_KEY_REQUIRED) &&
           json_is_string(value) && json_string_length(value) == 0;
}

/* Without a value: the default, or what stands for absence. */
static void fill_absent(struct vwi_fill *fill, const struct vwi_config_key *key, const struct place *place, void *base)
{
    if (key->flags & VWI_KEY_REQUIRED)
        vwi_fill_error(fill, place->path, "is missing");
    else if (key->type == VWI_KEY_OBJECT && !(key->flags & VWI_KEY_APART))
        vwi_fill_object(fill, key->path, NULL, place->path, base);
}

static void fill_row(struct vwi_fill *fill, const struct vwi_config_key *key, json_t *value, const char *path, void *base)
{
    char where[VWI_FILL_WHERE];
    struct place place = { where, path };
    const char *env;

    vwi_fill_where(fill, where, path);
    if (is_empty_text(key, value))
        value = NULL;
    if (key->initial && !(value && key->type == VWI_KEY_STRINGS))
        fill_from_text(fill, key, key->initial, &place, base); /* also before a value, which may be refused */
    env = key->env ? vwi_fill_env(fill, key->env) : NULL;
    if (env && key->type != VWI_KEY_STRINGS) {
        place.where = key->env;
        fill_from_text(fill, key, env, &place, base);
        return;
    }
    if (!value)
        fill_absent(fill, key, &place, base);
    else if (json_is_string(value) && vwi_fill_told(fill, path))
        ; /* its reference could not be followed */
    else if (!((key->flags & VWI_KEY_NULLABLE) && json_is_null(value)))
        land(fill, key, value, &place, base);
    if (env)
        vwi_fill_add_split(fill, (struct vwi_strings *)(void *)((char *)base + key->offset), env, '\n');
}

static void refuse_name(struct vwi_fill *fill, const char *scope, const char *name, const char *path)
{
    const struct vwi_config_key *near = vwi_config_key_nearest(scope, name);
    const char *own = near ? vwi_config_key_name(near, scope) : NULL;

    if (own)
        vwi_fill_error(fill, path, "unknown key, the nearest known one is \"%s\"", own);
    else
        vwi_fill_error(fill, path, "unknown key here, known as %s", near ? near->path : "nothing");
}

void vwi_fill_object(struct vwi_fill *fill, const char *scope, json_t *object, const char *path, void *base)
{
    char own[VWI_FILL_PATH];
    size_t i, count;
    const struct vwi_config_key *keys = vwi_config_keys(&count), *key;
    const char *name;
    void *iter;

    for (iter = json_object_iter(object); iter; iter = json_object_iter_next(object, iter)) {
        name = json_object_iter_key(iter);
        key = vwi_config_key_find(scope, name, strlen(name));
        vwi_fill_path(own, path, name);
        if (!key)
            refuse_name(fill, scope, name, own);
        else if (key->flags & VWI_KEY_LATER)
            vwi_fill_error(fill, own, "comes with a later version");
    }
    for (i = 0; i < count; i++) {
        name = vwi_config_key_name(&keys[i], scope);
        if (!name || (keys[i].flags & VWI_KEY_LATER))
            continue;
        vwi_fill_path(own, path, name);
        fill_row(fill, &keys[i], json_object_get(object, name), own, base);
    }
}
