/* Is this the secret? Says so without telling by its time how much of it was right. */
#ifndef VWI_CORE_TOKEN_H
#define VWI_CORE_TOKEN_H

#include <stdbool.h>

#include "base/text.h"

/* SHA-256 of both, compared in constant time. False for an empty or absent (NULL) secret, whatever is presented. */
bool vwi_token_is(struct vwi_span presented, const char *secret);
/* What an Authorization header presents: "Bearer TOKEN", or the bare token, as the platform takes it. */
struct vwi_span vwi_token_presented(struct vwi_span authorization);

#endif
