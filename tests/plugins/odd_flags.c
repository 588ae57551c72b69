/* Asks for something that the interface does not have. */
#include <vastworker/plugin.h>

VW_PLUGIN_EXPORT = { VW_PLUGIN_HEAD("odd_flags", "1.0.0"), .flags = VW_PLUGIN_BLOCKING | 0x10 };
