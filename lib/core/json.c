/* One sentence for every wrong value. Numbers are shown by jansson, which does not follow the process's locale. */
#include "core/json.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"

#define SHOWN_BYTES 40 /* of a string in an error text */

vw_err vwi_json_parse(const char *text, size_t len, size_t flags, const char *where, json_t **ret, vw_error_t *why)
{
    json_error_t error;
    json_t *value;
    const char *near;
    int cut;

    memset(&error, 0, sizeof error);
    value = json_loadb(text, len, flags, &error);
    if (value) {
        *ret = value;
        return VW_OK;
    }
    if (!error.text[0] || json_error_code(&error) == json_error_out_of_memory)
        return vwi_fail(why, VW_E_NOMEM, "%s: out of memory", where);
    near = strstr(error.text, " near '");
    cut = near ? (int)(near - error.text) : (int)strlen(error.text);
    return vwi_fail(why, VW_E_PARSE, "%s: line %d, column %d: not JSON: %.*s", where, error.line, error.column, cut, error.text);
}

static void show_string(const json_t *value, struct vwi_text *out)
{
    const char *text = json_string_value(value);
    size_t len = json_string_length(value);
    bool cut = len > SHOWN_BYTES;

    if (cut)
        for (len = SHOWN_BYTES; len && ((unsigned char)text[len] & 0xc0) == 0x80;)
            len--;
    vwi_text_add_json(out, text, len);
    if (cut)
        vwi_text_adds(out, "...");
}

char *vwi_json_text(const json_t *value, size_t flags)
{
    size_t len = json_dumpb(value, NULL, 0, flags | JSON_ENCODE_ANY);
    char *text = len ? vwi_alloc(len + 1) : NULL;

    if (!text)
        return NULL;
    if (json_dumpb(value, text, len, flags | JSON_ENCODE_ANY) == len) {
        text[len] = '\0';
        return text;
    }
    vwi_free(text);
    return NULL;
}

void vwi_json_show(const json_t *value, struct vwi_text *out)
{
    char number[64];
    size_t len;

    if (!value)
        vwi_text_adds(out, "nothing");
    else if (json_is_object(value))
        vwi_text_adds(out, "an object");
    else if (json_is_array(value))
        vwi_text_adds(out, "a list");
    else if (json_is_string(value))
        show_string(value, out);
    else {
        len = json_dumpb(value, number, sizeof number, JSON_ENCODE_ANY | JSON_REAL_PRECISION(12));
        if (len > 0 && len <= sizeof number)
            vwi_text_add(out, number, len);
        else
            out->failed = true; /* the buffer holds any scalar, so this is memory */
    }
}

vw_err vwi_json_refuse(const json_t *value, const char *where, const char *expected, vw_error_t *why)
{
    struct vwi_text shown = VWI_TEXT_INIT;
    vw_err err = VW_E_NOMEM;

    vwi_json_show(value, &shown);
    if (shown.failed)
        vwi_fail(why, err, "%s: out of memory", where);
    else
        err = vwi_fail(why, VW_E_CONFIG, "%s: expected %s, got %s", where, expected, shown.p);
    vwi_text_fini(&shown);
    return err;
}

/* Bounds are whole numbers, so that no decimal point of a locale can appear. */
static vw_err refuse_number(const json_t *value, const char *where, const struct vwi_json_bounds *bounds, vw_error_t *why)
{
    char expected[128];

    if (isinf(bounds->min) && isinf(bounds->max))
        snprintf(expected, sizeof expected, "%s", bounds->what);
    else if (isinf(bounds->max))
        snprintf(expected, sizeof expected, "%s >= %.16g", bounds->what, bounds->min);
    else
        snprintf(expected, sizeof expected, "%s from %.16g to %.16g", bounds->what, bounds->min, bounds->max);
    return vwi_json_refuse(value, where, expected, why);
}

vw_err vwi_json_get_bool(const json_t *value, const char *where, bool *ret, vw_error_t *why)
{
    if (!json_is_boolean(value))
        return vwi_json_refuse(value, where, "true or false", why);
    *ret = json_is_true(value);
    return VW_OK;
}

vw_err vwi_json_get_string(const json_t *value, const char *where, const char **ret, vw_error_t *why)
{
    if (!json_is_string(value))
        return vwi_json_refuse(value, where, "a string", why);
    *ret = json_string_value(value);
    return VW_OK;
}

vw_err vwi_json_get_number(const json_t *value, const char *where, const struct vwi_json_bounds *bounds, double *ret,
                           vw_error_t *why)
{
    double number = json_number_value(value);

    if (!json_is_number(value) || !(number >= bounds->min && number <= bounds->max))
        return refuse_number(value, where, bounds, why);
    *ret = number;
    return VW_OK;
}

vw_err vwi_json_get_integer(const json_t *value, const char *where, const struct vwi_json_bounds *bounds, long long *ret,
                            vw_error_t *why)
{
    const double exact = 9007199254740992.0; /* 2^53: below it a double holds every integer */
    double number = json_number_value(value);
    bool integral = json_is_integer(value) || (json_is_real(value) && fabs(number) <= exact && floor(number) == number);

    if (!integral || !(number >= bounds->min && number <= bounds->max))
        return refuse_number(value, where, bounds, why);
    *ret = json_is_integer(value) ? (long long)json_integer_value(value) : (long long)number;
    return VW_OK;
}
