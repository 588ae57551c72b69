/* Allocation with a hook that makes the nth one fail, so that tests can walk every failure. */
#ifndef VWI_BASE_MEM_H
#define VWI_BASE_MEM_H

#include <stddef.h>

void *vwi_alloc(size_t size);                 /* uninitialised; NULL when out of memory */
void *vwi_zalloc(size_t size);                /* zeroed */
void *vwi_realloc(void *p, size_t size);
char *vwi_strdup(const char *s);
char *vwi_strndup(const char *s, size_t len); /* always NUL-terminated */
void vwi_free(void *p);

/* Tests only: fail the nth allocation from now (0 = the next) on this thread; never = off. */
void vwi_mem_fail_nth(unsigned nth);
void vwi_mem_fail_never(void);

#endif
