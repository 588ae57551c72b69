/* Lines that are told, memory that is kept, names of places. A failed allocation is remembered, not handled where it happens. */
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "core/config_parts.h"
#include "core/scan.h"

#define MAX_ERRORS 100
#define LINE_BYTES 1024
#define KEY_BYTES 64 /* of a name in an error text */

struct vwi_config_chunk {
    struct vwi_config_chunk *next;
    max_align_t data[];
};

/* One error stays one line, whatever a name or a value brings along. */
static void add_line(struct vwi_text *out, const char *line)
{
    size_t at = out->len;

    vwi_text_adds(out, line);
    for (; !out->failed && at < out->len; at++)
        if ((unsigned char)out->p[at] < ' ' || out->p[at] == 0x7f)
            out->p[at] = '?';
    vwi_text_adds(out, "\n");
}

/* A line that begins with head and goes on with one of these bytes. */
static bool has_line(const struct vwi_fill *fill, const char *head, const char *next)
{
    const char *at = fill->errors->p ? fill->errors->p : "";
    size_t len = strlen(head);

    for (; (at = strstr(at, head)); at += len)
        if (strchr(next, at[len]) && (at == fill->errors->p || at[-1] == '\n'))
            return true;
    return false;
}

bool vwi_fill_told(const struct vwi_fill *fill, const char *path)
{
    char where[VWI_FILL_WHERE];

    vwi_fill_where(fill, where, path);
    return has_line(fill, where, ":[");
}

void vwi_fill_line(struct vwi_fill *fill, const char *line)
{
    if (!*line || has_line(fill, line, "\n"))
        return; /* the same variable may be read in two places */
    if (fill->error_count++ < MAX_ERRORS)
        add_line(fill->errors, line);
    else if (fill->error_count == MAX_ERRORS + 1)
        add_line(fill->errors, "there are more errors, which are not shown");
}

void vwi_fill_error(struct vwi_fill *fill, const char *path, const char *fmt, ...)
{
    char line[LINE_BYTES];
    va_list ap;
    size_t len;

    vwi_fill_where(fill, line, path);
    len = strlen(line);
    len += (size_t)snprintf(line + len, sizeof line - len, "%s", len ? ": " : "");
    va_start(ap, fmt);
    vsnprintf(line + len, sizeof line - len, fmt, ap);
    va_end(ap);
    vwi_fill_line(fill, line);
}

void vwi_fill_env_error(struct vwi_fill *fill, const char *name, const char *fmt, ...)
{
    char line[LINE_BYTES];
    va_list ap;
    size_t len = (size_t)snprintf(line, VWI_FILL_WHERE, "%s: ", name);

    len = len < VWI_FILL_WHERE ? len : VWI_FILL_WHERE - 1;
    va_start(ap, fmt);
    vsnprintf(line + len, sizeof line - len, fmt, ap);
    va_end(ap);
    vwi_fill_line(fill, line);
}

void vwi_fill_warn(struct vwi_fill *fill, const char *fmt, ...)
{
    char line[LINE_BYTES];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    add_line(&fill->warnings, line);
}

const char *vwi_fill_env(struct vwi_fill *fill, const char *name)
{
    const char *text = fill->src->lookup ? fill->src->lookup(fill->src->lookup_arg, name) : NULL;
    const char *at, *end;
    unsigned point;
    size_t len;

    if (!text || !*text)
        return NULL;
    for (at = text, end = text + strlen(text); at < end; at += len) {
        len = vwi_scan_utf8(at, end, &point);
        if (!len) {
            vwi_fill_env_error(fill, name, "is not valid UTF-8");
            return NULL;
        }
    }
    return text;
}

void *vwi_fill_keep(struct vwi_fill *fill, size_t size)
{
    struct vwi_config_chunk *chunk = vwi_zalloc(sizeof *chunk + size);

    if (!chunk) {
        fill->no_memory = true;
        return NULL;
    }
    chunk->next = fill->config->chunks;
    fill->config->chunks = chunk;
    return chunk->data;
}

void vwi_config_destroy(struct vwi_config *config)
{
    struct vwi_config_chunk *chunk, *next;

    if (!config)
        return;
    for (chunk = config->chunks; chunk; chunk = next) {
        next = chunk->next;
        vwi_free(chunk);
    }
    vwi_free(config);
}

char *vwi_fill_keep_text(struct vwi_fill *fill, const char *text, size_t len)
{
    char *kept = vwi_fill_keep(fill, len + 1);

    if (kept)
        memcpy(kept, text, len);
    return kept;
}

/* Grows by doubling at each power of two; what was before stays in its chunk, so a list costs twice its size at most. */
bool vwi_fill_add_string(struct vwi_fill *fill, struct vwi_strings *list, const char *text, size_t len)
{
    char **items;

    if ((list->count & (list->count - 1)) == 0) {
        items = vwi_fill_keep(fill, 2 * (list->count + 1) * sizeof *items);
        if (!items)
            return false;
        if (list->count)
            memcpy(items, list->items, list->count * sizeof *items);
        list->items = items;
    }
    list->items[list->count] = vwi_fill_keep_text(fill, text, len);
    if (!list->items[list->count])
        return false;
    list->count++;
    return true;
}

void vwi_fill_add_split(struct vwi_fill *fill, struct vwi_strings *list, const char *text, char separator)
{
    const char *end;
    size_t len;

    for (; text; text = *end ? end + 1 : NULL) {
        end = strchr(text, separator);
        if (!end)
            end = text + strlen(text);
        for (len = (size_t)(end - text); len && strchr(" \t\r\n", *text); len--)
            text++;
        while (len && strchr(" \t\r\n", text[len - 1]))
            len--;
        if (len)
            vwi_fill_add_string(fill, list, text, len);
    }
}

void vwi_fill_path(char out[VWI_FILL_PATH], const char *path, const char *name)
{
    bool cut = strlen(name) > KEY_BYTES;

    snprintf(out, VWI_FILL_PATH, "%s%s%.*s%s", path, *path ? "." : "", KEY_BYTES, name, cut ? "..." : "");
}

void vwi_fill_path_at(char out[VWI_FILL_PATH], const char *path, size_t index)
{
    snprintf(out, VWI_FILL_PATH, "%s[%zu]", path, index);
}

void vwi_fill_where(const struct vwi_fill *fill, char out[VWI_FILL_WHERE], const char *path)
{
    const char *name = fill->src->name ? fill->src->name : "";

    snprintf(out, VWI_FILL_WHERE, "%.120s%s%s", name, *name && *path ? ": " : "", path);
}
