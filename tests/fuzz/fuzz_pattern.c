/* A line of the model's log against patterns cut from the same bytes: the first NUL parts them. A pattern found must be there. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/pattern.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *bytes = size ? (const char *)data : "";
    size_t len = strnlen(bytes, size);
    char *text = strndup(bytes, len);
    struct vwi_strings list = { &text, 1 };
    struct vwi_span line = { bytes + len, size - len };
    struct vwi_pattern_hits hits;
    struct vwi_patterns *p = NULL;
    vw_err err = vwi_patterns_create(&list, &list, &list, &p, NULL);

    if ((err == VW_OK) != (len > 0))
        abort();
    if (p) {
        bool there = memmem(line.p, line.len, text, len) != NULL;

        if (vwi_patterns_match(p, line, &hits) != there || (hits.text[VWI_PATTERN_LOAD] != NULL) != there || hits.text[VWI_PATTERN_INFO])
            abort();
    }
    vwi_patterns_destroy(p);
    free(text);
    return 0;
}
