#include "core/backoff.h"

#include "core/mix.h"

int64_t vwi_backoff_ms(unsigned failures, int64_t first_ms, int64_t max_ms, uint64_t seed)
{
    int64_t most = first_ms, least;

    while (failures > 1 && most < max_ms) {
        most = most > max_ms / 2 ? max_ms : most * 2;
        failures--;
    }
    least = most - most / 2;
    return least + (int64_t)(vwi_mix(seed) % (uint64_t)(most - least + 1));
}
