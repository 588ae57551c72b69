/* The one place where the version stands; the Makefile reads it from here. */
#ifndef VASTWORKER_VERSION_H
#define VASTWORKER_VERSION_H

#include <vastworker/export.h>

#define VW_VERSION_MAJOR 0
#define VW_VERSION_MINOR 1
#define VW_VERSION_PATCH 0
#define VW_VERSION "0.1.0"

#ifdef __cplusplus
extern "C" {
#endif
/* The version of the library that is loaded, e.g. "0.1.0". Static; any thread. */
VW_API const char *vw_version(void);
#ifdef __cplusplus
}
#endif

#endif
