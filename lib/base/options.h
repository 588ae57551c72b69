/* Option structs that grow at their tail: what a caller of another version has is copied over our own defaults. */
#ifndef VWI_BASE_OPTIONS_H
#define VWI_BASE_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

/*
 * own: the defaults, size bytes; given: the caller's, whose first member is its size (a size_t). False: it is shorter than least, the
 * first version ever, or it asks for something that we do not know: a longer tail that is not all zero. Then own is untouched.
 */
bool vwi_options_copy(void *own, size_t size, const void *given, size_t least);

#endif
