/* Built for a later minor version of the interface. */
#include <vastworker/plugin.h>

VW_PLUGIN_EXPORT = { VW_PLUGIN_ABI_MAJOR, VW_PLUGIN_ABI_MINOR + 1, sizeof(struct vw_plugin), "newer_minor", "1.0.0", .flags = 0 };
