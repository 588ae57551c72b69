/* Takes --name VALUE and --name=VALUE. */
#include "cli.h"

#include <stdio.h>
#include <string.h>

static const struct vwt_option *find(const struct vwt_option *options, const char *arg, size_t len)
{
    for (; options->name; options++)
        if (strlen(options->name) == len && memcmp(options->name, arg, len) == 0)
            return options;
    return NULL;
}

int vwt_cli_parse(int argc, char **argv, const struct vwt_option *options, bool *ret_dashes)
{
    int i;

    *ret_dashes = false;
    for (i = 1; i < argc && argv[i][0] == '-' && argv[i][1]; i++) {
        const char *equals = strchr(argv[i], '=');
        const struct vwt_option *option;

        if (strcmp(argv[i], "--") == 0) {
            *ret_dashes = true;
            return i + 1;
        }
        option = find(options, argv[i], equals ? (size_t)(equals - argv[i]) : strlen(argv[i]));
        if (!option) {
            fprintf(stderr, "%s: unknown option %s; --help lists the options\n", argv[0], argv[i]);
            return -1;
        }
        if (!option->value && equals) {
            fprintf(stderr, "%s: %s takes no value\n", argv[0], option->name);
            return -1;
        }
        if (option->value && !equals && i + 1 >= argc) {
            fprintf(stderr, "%s: %s needs a value: %s %s\n", argv[0], option->name, option->name, option->value);
            return -1;
        }
        *option->text = !option->value ? option->name : equals ? equals + 1 : argv[++i];
    }
    return i;
}

void vwt_cli_help(const struct vwt_option *options)
{
    for (; options->name; options++)
        if (!options->hidden)
            printf("  %-16s %-10s %s\n", options->name, options->value ? options->value : "", options->help);
}
