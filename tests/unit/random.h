/* Numbers that a seed draws again. */
#ifndef RANDOM_H
#define RANDOM_H

static inline unsigned long long next_random(unsigned long long *seed)
{
    *seed = *seed * 6364136223846793005ull + 1442695040888963407ull;
    return *seed >> 33;
}

#endif
