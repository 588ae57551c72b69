/* Bits stirred until each of the output depends on each of the input (the finalizer of splitmix64). For lots and checks, not for secrets. */
#ifndef VWI_CORE_MIX_H
#define VWI_CORE_MIX_H

#include <stdint.h>

static inline uint64_t vwi_mix(uint64_t x)
{
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

#endif
