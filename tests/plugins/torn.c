/* Says that it ends in the middle of a hook. */
#include <vastworker/plugin.h>

VW_PLUGIN_EXPORT = {
    VW_PLUGIN_ABI_MAJOR, VW_PLUGIN_ABI_MINOR, offsetof(struct vw_plugin, weigh) + 3, "torn", "1.0.0", .flags = 0
};
