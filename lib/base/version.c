/* The version the library was built as. */
#include <vastworker/version.h>

const char *vw_version(void) { return VW_VERSION; }
