/* Built for the next major version: nothing behind the first two fields may be read. */
#include <stdint.h>

#include <vastworker/export.h>

extern VW_API const uint32_t vw_plugin_descriptor[2];

const uint32_t vw_plugin_descriptor[2] = { 2, 0 };
