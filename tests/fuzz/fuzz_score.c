/* A remembered score, as found on a disk that others may write: never a crash, never a capacity that cannot be. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/score.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    double score = -1;
    vw_err err = vwi_score_parse((struct vwi_span){ (const char *)data, size }, "key", &score, NULL);

    if (err == VW_OK ? !(score > 0) || !isfinite(score) : score >= 0)
        abort();
    return 0;
}
