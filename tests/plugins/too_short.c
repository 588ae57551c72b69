/* Says that it ends before its own head does. */
#include <vastworker/plugin.h>

VW_PLUGIN_EXPORT = { VW_PLUGIN_ABI_MAJOR, VW_PLUGIN_ABI_MINOR, 16, NULL, NULL, .flags = 0 };
