/* vastworker-sim: what stands around a worker, for a laptop. Picks the subcommand; each is told in its own file. */
#include <stdio.h>
#include <string.h>

#include <vastworker/version.h>

#include "base/vwi.h"
#include "sim_all.h"
#include "sim_cli.h"
#include "sim_control.h"
#include "sim_model.h"
#include "sim_sign.h"

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *help;
} commands[] = {
    { "all", sim_all_main, "control plane and model together, and a command in their environment" },
    { "control", sim_control_main, "the control plane: key, reports, deletions, signed routes, accounts" },
    { "model", sim_model_main, "a model server: embeddings, completions, chat, rerank, a log file" },
    { "sign", sim_sign_main, "print a signed request envelope for curl" },
};

static void print_help(void)
{
    size_t i;

    printf("Usage: vastworker-sim COMMAND [OPTIONS]\n\n"
           "Stands in for the Vast.ai control plane and for a model server while you develop a worker. Nothing leaves this\n"
           "machine: everything listens on the loopback address.\n\nCommands:\n");
    for (i = 0; i < VWI_ARRAY_LEN(commands); i++)
        printf("  %-10s%s\n", commands[i].name, commands[i].help);
    printf("\nvastworker-sim COMMAND --help says more. vastworker-sim --version prints the version.\n\n"
           "Begin with:  vastworker-sim all --config-hint > worker.json\n"
           "             vastworker-sim all -- vastworker-run --config worker.json\n");
}

int main(int argc, char **argv)
{
    size_t i;

    if (argc < 2)
        return sim_cli_refuse(NULL, "a command is needed: all, control, model or sign; vastworker-sim --help says more");
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
        print_help();
        return SIM_EXIT_OK;
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("vastworker-sim %s\n", vw_version());
        return SIM_EXIT_OK;
    }
    for (i = 0; i < VWI_ARRAY_LEN(commands); i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].run(argc - 2, argv + 2);
    return sim_cli_refuse(NULL, "unknown command \"%s\"; one of all, control, model, sign", argv[1]);
}
