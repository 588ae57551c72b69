/* The failing nth is thread-local, so a test never disturbs a worker on another thread. */
#include "base/mem.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static _Thread_local long countdown = -1;

static bool fails_now(void)
{
    if (countdown < 0)
        return false;
    return countdown-- == 0;
}

void *vwi_alloc(size_t size) { return fails_now() ? NULL : malloc(size ? size : 1); }
void *vwi_zalloc(size_t size) { return fails_now() ? NULL : calloc(1, size ? size : 1); }
void *vwi_realloc(void *p, size_t size) { return fails_now() ? NULL : realloc(p, size ? size : 1); }
void vwi_free(void *p) { free(p); }

char *vwi_strndup(const char *s, size_t len)
{
    char *copy = vwi_alloc(len + 1);

    if (copy) {
        memcpy(copy, s, len);
        copy[len] = '\0';
    }
    return copy;
}

char *vwi_strdup(const char *s) { return vwi_strndup(s, strlen(s)); }

void vwi_mem_fail_nth(unsigned nth) { countdown = (long)nth; }
void vwi_mem_fail_never(void) { countdown = -1; }
