/* The table of keys as JSON Schema (draft 2020-12). Keys of later versions are left out: the loader refuses them too. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/config.h"
#include "core/config_parts.h"

struct schema {
    bool no_memory;
};

static json_t *object_of(struct schema *schema, const char *scope);

/* value: taken; NULL is a failed allocation. */
static void put(struct schema *schema, json_t *object, const char *key, json_t *value)
{
    if (json_object_set_new(object, key, value) != 0)
        schema->no_memory = true;
}

static json_t *typed(struct schema *schema, const char *type)
{
    json_t *object = json_object();

    put(schema, object, "type", json_string(type));
    return object;
}

static void put_choices(struct schema *schema, json_t *object, const char *choices)
{
    json_t *list = json_array();
    const char *at;

    for (at = choices; *at; at += strcspn(at, " "), at += strspn(at, " "))
        if (json_array_append_new(list, json_stringn(at, strcspn(at, " "))) != 0)
            schema->no_memory = true;
    put(schema, object, "enum", list);
}

static json_t *number_of(struct schema *schema, const struct vwi_config_key *key)
{
    json_t *object = typed(schema, key->type == VWI_KEY_INTEGER ? "integer" : "number");

    if (key->flags & VWI_KEY_NULLABLE)
        put(schema, object, "type", json_pack("[s, s]", "number", "null"));
    if (!isinf(key->min))
        put(schema, object, "minimum", json_integer((json_int_t)key->min));
    if (!isinf(key->max))
        put(schema, object, "maximum", json_integer((json_int_t)key->max));
    return object;
}

static json_t *list_of(struct schema *schema, json_t *items)
{
    json_t *object = typed(schema, "array");

    put(schema, object, "items", items);
    return object;
}

/* Any of the forms; third may be NULL. */
static json_t *any_of(struct schema *schema, json_t *first, json_t *second, json_t *third)
{
    json_t *object = json_object(), *list = json_array();

    if (json_array_append_new(list, first) != 0 || json_array_append_new(list, second) != 0 ||
        (third && json_array_append_new(list, third) != 0))
        schema->no_memory = true;
    put(schema, object, "anyOf", list);
    return object;
}

static json_t *map_of(struct schema *schema, const char *scope)
{
    json_t *object = typed(schema, "object");

    put(schema, object, "additionalProperties", object_of(schema, scope));
    return object;
}

static json_t *form_of(struct schema *schema, const struct vwi_config_key *key)
{
    char scope[128];
    json_t *object;

    switch (key->type) {
    case VWI_KEY_BOOL:
        return typed(schema, "boolean");
    case VWI_KEY_INTEGER:
    case VWI_KEY_NUMBER:
    case VWI_KEY_SECONDS:
        return number_of(schema, key);
    case VWI_KEY_STRING:
        object = typed(schema, "string");
        if (key->choices)
            put_choices(schema, object, key->choices);
        return object;
    case VWI_KEY_STRINGS:
        return list_of(schema, typed(schema, "string"));
    case VWI_KEY_STRING_OR_LIST:
        return any_of(schema, typed(schema, "string"), list_of(schema, typed(schema, "string")), NULL);
    case VWI_KEY_OBJECT:
        return object_of(schema, key->path);
    case VWI_KEY_OBJECTS:
        snprintf(scope, sizeof scope, "%s[]", key->path);
        return list_of(schema, object_of(schema, scope));
    case VWI_KEY_MAP:
        snprintf(scope, sizeof scope, "%s.*", key->path);
        return map_of(schema, scope);
    case VWI_KEY_NAME_OR_OBJECT:
        return any_of(schema, typed(schema, "string"), object_of(schema, key->path), NULL);
    case VWI_KEY_WORKLOAD:
        object = typed(schema, "number");
        put(schema, object, "minimum", json_integer(0));
        return any_of(schema, object, typed(schema, "string"), object_of(schema, key->path));
    case VWI_KEY_FREE_OBJECT:
        return typed(schema, "object");
    case VWI_KEY_FREE_LIST:
        return typed(schema, "array");
    }
    return NULL;
}

static json_t *object_of(struct schema *schema, const char *scope)
{
    json_t *object = typed(schema, "object"), *properties = json_object(), *required = json_array(), *form;
    size_t count, i;
    const struct vwi_config_key *keys = vwi_config_keys(&count);
    const char *name;

    for (i = 0; i < count; i++) {
        name = vwi_config_key_name(&keys[i], scope);
        if (!name || (keys[i].flags & VWI_KEY_LATER))
            continue;
        form = form_of(schema, &keys[i]);
        put(schema, form, "description", json_string(keys[i].text));
        if (keys[i].initial)
            put(schema, form, "default", vwi_fill_read_text(&keys[i], keys[i].initial));
        put(schema, properties, name, form);
        if ((keys[i].flags & VWI_KEY_REQUIRED) && json_array_append_new(required, json_string(name)) != 0)
            schema->no_memory = true;
    }
    put(schema, object, "additionalProperties", json_false());
    if (json_array_size(required))
        put(schema, object, "required", required);
    else
        json_decref(required);
    put(schema, object, "properties", properties);
    return object;
}

static int add_bytes(const char *bytes, size_t len, void *arg)
{
    struct vwi_text *out = arg;

    return vwi_text_add(out, bytes, len) ? 0 : -1;
}

void vwi_config_schema(struct vwi_text *out)
{
    struct schema schema = { false };
    json_t *root = json_object();

    put(&schema, root, "$schema", json_string("https://json-schema.org/draft/2020-12/schema"));
    put(&schema, root, "title", json_string("Configuration of vastworker-run"));
    if (root && json_object_update_new(root, object_of(&schema, "")) != 0)
        schema.no_memory = true;
    if (!root || schema.no_memory || json_dump_callback(root, add_bytes, out, JSON_INDENT(2)) != 0)
        out->failed = true;
    vwi_text_adds(out, "\n");
    json_decref(root);
}
