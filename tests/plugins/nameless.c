/* Forgot its name. */
#include <vastworker/plugin.h>

VW_PLUGIN_EXPORT = { VW_PLUGIN_HEAD(NULL, "1.0.0"), .flags = 0 };
