/* Options shared by the tools: a small long-option parser whose refusals are sentences. */
#ifndef VWT_CLI_H
#define VWT_CLI_H

#include <stdbool.h>

struct vwt_option {
    const char *name;   /* "--config" */
    const char *value;  /* placeholder; NULL: a flag */
    const char *help;
    const char **text;  /* where the value goes; for a flag: where the option's own name goes */
    bool hidden;
};

/* Returns the index of the first argument that is not an option (argc when none; after "--": the one behind it), or -1 after
 * having said on standard error what is wrong. *ret_dashes tells whether a "--" was there. */
int vwt_cli_parse(int argc, char **argv, const struct vwt_option *options, bool *ret_dashes);
void vwt_cli_help(const struct vwt_option *options);

#endif
