/* What every file may use: sizes, intrusive access, and one assertion with two temperaments. */
#ifndef VWI_BASE_VWI_H
#define VWI_BASE_VWI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define VWI_ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define VWI_BIT(n) (1u << (n))
#define VWI_EVERY(byte) (UINT64_C(0x0101010101010101) * (byte)) /* eight times that byte */
#define VWI_CONTAINER(ptr, type, member) ((type *)(void *)((char *)(ptr) - offsetof(type, member)))

/* Our own bug: aborts in debug builds, is false in release so that the caller can decline. */
#ifdef VWI_DEBUG
#define VWI_EXPECT(x) \
    ((x) ? true : (fprintf(stderr, "%s:%d: expected %s\n", __FILE__, __LINE__, #x), abort(), false))
#else
#define VWI_EXPECT(x) (x)
#endif

#endif
