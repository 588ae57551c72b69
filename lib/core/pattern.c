/* One flat list in the order of asking, so that a line is tested by one loop. */
#include "core/pattern.h"

#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/vwi.h"
#include "core/regex.h"

static const struct {
    const char *name, *key;
} kinds[] = {
    [VWI_PATTERN_LOAD] = { "load", "onLoad" },
    [VWI_PATTERN_ERROR] = { "error", "onError" },
    [VWI_PATTERN_INFO] = { "info", "onInfo" },
};
_Static_assert(VWI_ARRAY_LEN(kinds) == VWI_PATTERN_KINDS, "one row per kind");

struct pattern {
    enum vwi_pattern_kind kind;
    char *text; /* as written */
    size_t len;
    struct vwi_regex *regex; /* NULL: a substring */
};

struct vwi_patterns {
    size_t count;
    struct pattern items[];
};

const char *vwi_pattern_kind_name(enum vwi_pattern_kind kind)
{
    return (unsigned)kind < VWI_PATTERN_KINDS ? kinds[kind].name : "unknown";
}

/* regex: NULL where text is a substring. */
static vw_err read_pattern(const char *text, struct vwi_regex **regex, vw_error_t *why)
{
    size_t len = strlen(text);

    *regex = NULL;
    if (!len)
        return vwi_fail(why, VW_E_CONFIG, "is empty and would match every line");
    if (len < 2 || text[0] != '/' || text[len - 1] != '/')
        return VW_OK;
    return vwi_regex_create((struct vwi_span){ text + 1, len - 2 }, regex, why);
}

vw_err vwi_pattern_check(const char *text, vw_error_t *why)
{
    struct vwi_regex *regex;
    vw_err err = read_pattern(text, &regex, why);

    vwi_regex_destroy(regex);
    return err;
}

static vw_err add_all(struct vwi_patterns *p, enum vwi_pattern_kind kind, const struct vwi_strings *list, vw_error_t *why)
{
    size_t i;

    for (i = 0; list && i < list->count; i++) {
        struct pattern *item = &p->items[p->count];
        vw_error_t cause = { VW_OK, "" };
        vw_err err = read_pattern(list->items[i], &item->regex, &cause);

        if (err != VW_OK)
            return vwi_fail(why, err, "logActionConfig.%s[%zu]: %s", kinds[kind].key, i, cause.text);
        p->count++; /* from here on it is taken down with the rest */
        item->kind = kind;
        item->len = strlen(list->items[i]);
        item->text = vwi_strdup(list->items[i]);
        if (!item->text)
            return vwi_fail(why, VW_E_NOMEM, "log patterns: out of memory");
    }
    return VW_OK;
}

vw_err vwi_patterns_create(const struct vwi_strings *on_load, const struct vwi_strings *on_error,
                           const struct vwi_strings *on_info, struct vwi_patterns **ret, vw_error_t *why)
{
    size_t room = (on_load ? on_load->count : 0) + (on_error ? on_error->count : 0) + (on_info ? on_info->count : 0);
    struct vwi_patterns *p = vwi_zalloc(sizeof *p + room * sizeof p->items[0]);
    vw_err err;

    if (!p)
        return vwi_fail(why, VW_E_NOMEM, "log patterns: out of memory");
    err = add_all(p, VWI_PATTERN_LOAD, on_load, why);
    if (err == VW_OK)
        err = add_all(p, VWI_PATTERN_ERROR, on_error, why);
    if (err == VW_OK)
        err = add_all(p, VWI_PATTERN_INFO, on_info, why);
    if (err == VW_OK) {
        *ret = p;
        p = NULL;
    }
    vwi_patterns_destroy(p);
    return err;
}

void vwi_patterns_destroy(struct vwi_patterns *p)
{
    size_t i;

    if (!p)
        return;
    for (i = 0; i < p->count; i++) {
        vwi_regex_destroy(p->items[i].regex);
        vwi_free(p->items[i].text);
    }
    vwi_free(p);
}

static bool is_in(const struct pattern *item, struct vwi_span line)
{
    if (item->regex)
        return vwi_regex_match(item->regex, line);
    return item->len <= line.len && memmem(line.p, line.len, item->text, item->len);
}

bool vwi_patterns_match(const struct vwi_patterns *p, struct vwi_span line, struct vwi_pattern_hits *ret)
{
    bool any = false;
    size_t i;

    memset(ret, 0, sizeof *ret);
    for (i = 0; i < p->count; i++) {
        const struct pattern *item = &p->items[i];

        if (item->kind == VWI_PATTERN_INFO && ret->text[VWI_PATTERN_ERROR])
            break;
        if (ret->text[item->kind] || !is_in(item, line))
            continue;
        ret->text[item->kind] = item->text;
        any = true;
    }
    return any;
}
