#include "base/options.h"

#include <string.h>

bool vwi_options_copy(void *own, size_t size, const void *given, size_t least)
{
    const unsigned char *bytes = given;
    size_t has, i;

    memcpy(&has, given, sizeof has);
    if (has < least)
        return false;
    for (i = size; i < has; i++)
        if (bytes[i])
            return false;
    memcpy(own, given, has < size ? has : size);
    memcpy(own, &size, sizeof size);
    return true;
}
