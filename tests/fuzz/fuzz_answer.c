/*
 * Any bytes as a model's answer: read whole and in random pieces, the verdict and what was told must not depend on where it was cut.
 * What goes on to the client (io/answer_fields) is looked at too: whole lines, no field that would frame or route.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "io/answer_fields.h"
#include "io/http1_answer.h"

struct seen {
    int heads, status;
    bool trailed;
    struct vwi_text fields; /* of interim answers, head and trailers */
    struct vwi_text body;
};

static void check_lines(const struct vwi_text *t, bool trailers)
{
    static const char *const never[] = { "connection:", "transfer-encoding:", "content-length:", "upgrade:", "trailer:", "te:", "keep-alive:" };
    static const char *const late[] = { "host:", "set-cookie:", "authorization:", "content-type:", "content-encoding:", "cache-control:" };
    const char *line = t->p, *end;
    size_t i, len;

    for (; line && *line; line = end + 2) {
        end = strstr(line, "\r\n");
        if (!end || end == line || *line == ':' || memchr(line, '\n', (size_t)(end - line)) || !memchr(line, ':', (size_t)(end - line)))
            abort();
        for (i = 0; i < sizeof never / sizeof never[0]; i++) {
            len = strlen(never[i]);
            if ((size_t)(end - line) >= len && vwi_span_is_nocase((struct vwi_span){ line, len }, never[i]))
                abort();
        }
        for (i = 0; trailers && i < sizeof late / sizeof late[0]; i++) {
            len = strlen(late[i]);
            if ((size_t)(end - line) >= len && vwi_span_is_nocase((struct vwi_span){ line, len }, late[i]))
                abort();
        }
    }
    if (t->p && strlen(t->p) != t->len)
        abort();
}

static void note(struct seen *seen, const struct vwi_answer *answer)
{
    size_t i, bytes = 0;

    for (i = 0; i < answer->header_count; i++)
        bytes += answer->names[i].len + answer->values[i].len;
    if (answer->header_count > VWI_ANSWER_FIELDS || bytes > VWI_ANSWER_HEAD_BYTES)
        abort();
    vwi_text_addf(&seen->fields, "%d\n", answer->status);
    for (i = 0; i < answer->header_count; i++) {
        struct vwi_span name = answer->names[i], value = answer->values[i];

        if (!name.len || memchr(name.p, '\n', name.len) ||
            (value.len && (memchr(value.p, '\n', value.len) || memchr(value.p, '\r', value.len) || memchr(value.p, '\0', value.len))))
            abort();
        vwi_text_add(&seen->fields, name.p, name.len);
        vwi_text_add(&seen->fields, "=", 1);
        vwi_text_add(&seen->fields, value.p, value.len);
        vwi_text_add(&seen->fields, "\n", 1);
    }
}

static void pass_on(const struct vwi_answer *answer, bool trailers)
{
    struct vwi_text lines = VWI_TEXT_INIT;
    struct vwi_answer_traits traits;

    if (!(trailers ? vwi_answer_fields_trailers(&lines, answer) : vwi_answer_fields_head(&lines, answer, &traits)))
        abort();
    if (trailers && lines.len > VWI_TRAILERS_BYTES)
        abort();
    check_lines(&lines, trailers);
    vwi_text_fini(&lines);
}

static bool on_interim(void *arg, const struct vwi_answer *answer)
{
    struct seen *seen = arg;

    if (seen->heads || answer->status / 100 != 1 || answer->status == 100 || answer->status == 101)
        abort();
    note(seen, answer);
    pass_on(answer, false);
    return true;
}

static bool on_head(void *arg, const struct vwi_answer *answer)
{
    struct seen *seen = arg;

    if (++seen->heads != 1)
        abort();
    note(seen, answer);
    pass_on(answer, false);
    seen->status = answer->status;
    return true;
}

static bool on_trailers(void *arg, const struct vwi_answer *trailers)
{
    struct seen *seen = arg;

    if (!seen->heads || seen->trailed || !trailers->header_count)
        abort();
    seen->trailed = true;
    note(seen, trailers);
    pass_on(trailers, true);
    return true;
}

static bool on_body(void *arg, const char *data, size_t len)
{
    struct seen *seen = arg;

    if (!seen->heads || !len)
        abort();
    vwi_text_add(&seen->body, data, len);
    return true;
}

static const struct vwi_http1_answer_events events = { .on_head = on_head, .on_interim = on_interim, .on_trailers = on_trailers,
                                                       .on_body = on_body };

/* seed 0: whole. */
static enum vwi_answer_result run(const uint8_t *data, size_t size, uint32_t seed, bool head_request, bool upgrade, struct seen *seen)
{
    struct vwi_http1_answer *a = vwi_http1_answer_create(&events, seen);
    enum vwi_answer_result result = VWI_ANSWER_MORE;
    uint32_t most = seed, random = seed * 2654435761u + 1;
    char *copy = malloc(size + 1);
    const char *reason = NULL;
    size_t off = 0, used, n;

    if (!a || !copy)
        abort();
    if (size)
        memcpy(copy, data, size);
    vwi_http1_answer_begin(a, head_request, upgrade);
    while (off < size && result == VWI_ANSWER_MORE) {
        random = random * 1664525u + 1013904223u;
        n = seed ? 1 + (random >> 8) % most : size;
        n = size - off < n ? size - off : n;
        result = vwi_http1_answer_feed(a, copy + off, n, &used, &reason);
        if (used > n || (result == VWI_ANSWER_MORE && used != n))
            abort();
        off += used;
    }
    if (result == VWI_ANSWER_MORE)
        result = vwi_http1_answer_eof(a, &reason);
    if ((result == VWI_ANSWER_BROKEN) != (reason != NULL) || result == VWI_ANSWER_STOPPED)
        abort();
    free(copy);
    vwi_http1_answer_destroy(a);
    return result;
}

static bool differ(const struct vwi_text *a, const struct vwi_text *b)
{
    return a->len != b->len || (a->len && memcmp(a->p, b->p, a->len) != 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* First byte: where to cut (six bits), whether an upgrade was asked for, and whether the request was a HEAD. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct seen whole = { 0 }, cut = { 0 };
    enum vwi_answer_result a, b;
    bool head_request, upgrade;

    if (!size || size > VWI_ANSWER_HEAD_BYTES / 2) /* beyond, the bounds depend on the cuts */
        return 0;
    head_request = data[0] & 0x80;
    upgrade = data[0] & 0x40;
    a = run(data + 1, size - 1, 0, head_request, upgrade, &whole);
    b = run(data + 1, size - 1, (data[0] & 0x3fu) + 1, head_request, upgrade, &cut);
    if (a != b || (a == VWI_ANSWER_DONE && (whole.status != cut.status || differ(&whole.fields, &cut.fields) || differ(&whole.body, &cut.body))))
        abort();
    vwi_text_fini(&whole.fields);
    vwi_text_fini(&cut.fields);
    vwi_text_fini(&whole.body);
    vwi_text_fini(&cut.body);
    return 0;
}
