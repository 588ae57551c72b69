/*
 * A line of the model's log against patterns cut from the same bytes: the first NUL parts them. A substring that is found must be
 * there; an expression must find what libc alone finds, whatever is looked for first. Its sizes are held down, for libc is slow.
 */
#include <regex.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/pattern.h"
#include "core/regex.h"

#define EXPRESSION_MAX 60
#define LINE_MAX_HERE 200

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What the library must say, by the plainest way: text without its slashes, "\\/" undone, NUL as a space. */
static bool libc_finds(const char *text, size_t len, struct vwi_span line)
{
    char plain[EXPRESSION_MAX + 1], copy[LINE_MAX_HERE + 1];
    size_t i, n = 0;
    regex_t compiled;
    bool found;

    for (i = 1; i + 1 < len; i++) {
        if (text[i] == '\\' && i + 2 < len) {
            i++;
            if (text[i] != '/')
                plain[n++] = '\\';
        }
        plain[n++] = text[i];
    }
    plain[n] = '\0';
    if (regcomp(&compiled, plain, REG_EXTENDED | REG_NOSUB) != 0)
        abort();
    for (i = 0; i < line.len; i++)
        copy[i] = line.p[i] ? line.p[i] : ' ';
    copy[line.len] = '\0';
    found = regexec(&compiled, copy, 0, NULL, 0) == 0;
    regfree(&compiled);
    return found;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *bytes = size ? (const char *)data : "";
    size_t len = strnlen(bytes, size);
    char *text = strndup(bytes, len);
    struct vwi_strings list = { &text, 1 };
    struct vwi_span line = { bytes + len, size - len };
    bool expression = len >= 2 && text[0] == '/' && text[len - 1] == '/';
    struct vwi_pattern_hits hits;
    struct vwi_patterns *p = NULL;
    vw_err err = VW_E_CONFIG;

    if (!expression || (len <= EXPRESSION_MAX && line.len <= LINE_MAX_HERE))
        err = vwi_patterns_create(&list, &list, &list, &p, NULL);
    if (!expression && (err == VW_OK) != (len > 0))
        abort();
    if (p) {
        bool there = expression ? libc_finds(text, len, line) : memmem(line.p, line.len, text, len) != NULL;

        if (vwi_patterns_match(p, line, &hits) != there || (hits.text[VWI_PATTERN_LOAD] != NULL) != there || hits.text[VWI_PATTERN_INFO])
            abort();
    }
    vwi_patterns_destroy(p);
    free(text);
    return 0;
}
