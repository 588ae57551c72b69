/* Command line of vastworker-sim: tables of options, --help that grows from them, and the exit codes. */
#ifndef SIM_CLI_H
#define SIM_CLI_H

#include <stdbool.h>
#include <stddef.h>

enum { SIM_EXIT_OK = 0, SIM_EXIT_FAILED = 1, SIM_EXIT_USAGE = 2, SIM_CLI_GO = -1 };

#define SIM_TEXTS_MAX 16

struct sim_texts { /* an option that may be given more than once */
    const char *items[SIM_TEXTS_MAX];
    size_t count;
};

/* The type of the field: bool, const char *, struct sim_texts, long long, double. */
enum sim_option_kind { SIM_FLAG, SIM_TEXT, SIM_TEXTS, SIM_WHOLE, SIM_REAL };

struct sim_option {
    const char *name; /* without dashes */
    enum sim_option_kind kind;
    size_t offset;     /* of the field in the group's target */
    const char *value; /* placeholder in --help; NULL for a flag */
    double min, max;   /* SIM_WHOLE and SIM_REAL, inclusive */
    const char *help;  /* '\n' begins a new, indented line */
};

/* With a prefix, --prefix-name always means this group, and --name does where no other group has it. */
struct sim_options {
    const char *title, *prefix;
    const struct sim_option *items;
    size_t count;
    void *target; /* preset with the defaults */
};

struct sim_usage {
    const char *command;  /* "control" */
    const char *synopsis; /* what stands after the command */
    const char *about, *notes;
    const struct sim_options *groups;
    size_t group_count;
    bool takes_command; /* what stands after "--" is handed back */
};

/* SIM_CLI_GO, or the exit code when all is said (--help, or a usage error on stderr). Strings are borrowed from argv.
 * ret_rest: the arguments after "--", NULL when there are none. */
int sim_cli_parse(const struct sim_usage *usage, int argc, char **argv, char ***ret_rest);
/* One sentence to stderr with the command before it; returns SIM_EXIT_USAGE. */
int sim_cli_refuse(const char *command, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
