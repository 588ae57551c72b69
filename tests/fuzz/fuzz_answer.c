/* Any bytes as a model's answer: read whole and in pieces, the verdict on a good one must not depend on where it was cut. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "io/http1_answer.h"

struct seen {
    int heads, status;
    struct vwi_text body;
};

static bool on_head(void *arg, const struct vwi_answer *answer)
{
    struct seen *seen = arg;
    size_t i, bytes = 0;

    for (i = 0; i < answer->header_count; i++)
        bytes += answer->names[i].len + answer->values[i].len;
    if (++seen->heads != 1 || answer->header_count > VWI_ANSWER_FIELDS || bytes > VWI_ANSWER_HEAD_BYTES)
        abort();
    for (i = 0; i < answer->header_count; i++)
        if (!answer->names[i].len || memchr(answer->names[i].p, '\n', answer->names[i].len) ||
            (answer->values[i].len && (memchr(answer->values[i].p, '\n', answer->values[i].len) ||
                                       memchr(answer->values[i].p, '\r', answer->values[i].len))))
            abort();
    seen->status = answer->status;
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

static const struct vwi_http1_answer_events events = { .on_head = on_head, .on_body = on_body };

static enum vwi_answer_result run(const uint8_t *data, size_t size, size_t step, bool head_request, struct seen *seen)
{
    struct vwi_http1_answer *a = vwi_http1_answer_create(&events, seen);
    enum vwi_answer_result result = VWI_ANSWER_MORE;
    char *copy = malloc(size + 1);
    const char *reason = NULL;
    size_t off = 0, used, n;

    if (!a || !copy)
        abort();
    if (size)
        memcpy(copy, data, size);
    vwi_http1_answer_begin(a, head_request, false);
    while (off < size && result == VWI_ANSWER_MORE) {
        n = size - off < step ? size - off : step;
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* First byte: size of the pieces (seven bits) and whether the request was a HEAD. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct seen whole = { 0 }, cut = { 0 };
    enum vwi_answer_result a, b;
    bool head_request;

    if (!size)
        return 0;
    head_request = data[0] & 0x80;
    a = run(data + 1, size - 1, SIZE_MAX, head_request, &whole);
    b = run(data + 1, size - 1, (data[0] & 0x7fu) + 1, head_request, &cut);
    if (a == VWI_ANSWER_DONE &&
        (b != a || whole.status != cut.status || whole.body.len != cut.body.len ||
         (whole.body.len && memcmp(whole.body.p, cut.body.p, whole.body.len) != 0)))
        abort();
    vwi_text_fini(&whole.body);
    vwi_text_fini(&cut.body);
    return 0;
}
