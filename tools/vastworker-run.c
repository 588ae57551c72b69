/* The worker as a program: options in, signals to drain, exit codes out. Everything else is the library's. */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <vastworker/vastworker.h>

#include "cli.h"

#define SLICE_NS 250000u

enum { EXIT_CLEAN = 0, EXIT_RUNTIME = 1, EXIT_USAGE = 2 };

struct wishes {
    const char *config, *plugin_path, *check, *print_config, *log_level, *log_format, *version, *help, *docs, *schema, *test_patterns;
    const char *const *command; /* of the model server, behind --; NULL: none */
};

/* A signal handler has no argument, so the one worker of this program is reached from here. */
static vw_worker_t *_Atomic running;
static atomic_int signals_seen;

static void on_signal(int number)
{
    vw_worker_t *worker = atomic_load(&running);

    (void)number;
    if (!worker)
        return;
    if (atomic_fetch_add(&signals_seen, 1) == 0)
        vw_worker_drain(worker);
    else
        vw_worker_stop(worker);
}

static void watch_signals(void)
{
    struct sigaction action;

    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    sigemptyset(&action.sa_mask);
    action.sa_flags = SA_RESTART;
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    action.sa_handler = SIG_IGN;
    sigaction(SIGPIPE, &action, NULL);
    action.sa_handler = SIG_DFL; /* ignored, as some starters leave it, nobody would hear how a process ended */
    sigaction(SIGCHLD, &action, NULL);
}

/* Else what is opened first would be written to as standard output or error. */
static bool keep_standard_descriptors(void)
{
    int fd;

    do {
        fd = open("/dev/null", O_RDWR);
    } while (fd >= 0 && fd <= STDERR_FILENO);
    return fd >= 0 && close(fd) == 0;
}

static void print_line(void *arg, const char *line) { fprintf(arg, "%s\n", line); }

static void print_help(const struct vwt_option *options)
{
    printf("usage: vastworker-run [options] [-- MODEL-COMMAND ARGUMENTS...]\n\n"
           "The worker in front of a model server: takes signed requests, weighs, admits, queues and forwards them,\n"
           "and tells the control plane about load, capacity and health. With a MODEL-COMMAND it starts the model server\n"
           "itself, reads its output for the patterns, starts it again when it ends, and stops it last.\n\n");
    vwt_cli_help(options);
    printf("\nThe environment of the platform counts too (CONTAINER_ID, REPORT_ADDR, ...): docs/config.md lists it all.\n"
           "SIGTERM and SIGINT drain, then the model server gets SIGTERM; a second one stops both at once.\n"
           "Exit status: 0 clean stop, 1 runtime failure (also a model server that is not started again), 2 usage or\n"
           "configuration.\n");
}

static bool set_log(const struct wishes *wishes, vw_worker_options_t *options)
{
    static const char *const levels[] = { "error", "warn", "info", "debug" };
    size_t i;

    for (i = 0; i < sizeof levels / sizeof levels[0]; i++)
        if (!strcmp(wishes->log_level, levels[i]))
            break;
    if (i == sizeof levels / sizeof levels[0]) {
        fprintf(stderr, "vastworker-run: --log-level: expected error, warn, info or debug, got \"%s\"\n", wishes->log_level);
        return false;
    }
    if (strcmp(wishes->log_format, "text") && strcmp(wishes->log_format, "json")) {
        fprintf(stderr, "vastworker-run: --log-format: expected text or json, got \"%s\"\n", wishes->log_format);
        return false;
    }
    options->log_level = (vw_log_level_t)i;
    options->log_json = !strcmp(wishes->log_format, "json");
    return true;
}

/* Configuration problems were printed one by one; a runtime problem (the port) is said here. */
static int explain(vw_err err, const vw_error_t *why, bool checking)
{
    if (err != VW_E_CONFIG)
        fprintf(stderr, "vastworker-run: %s\n", why->text);
    return err == VW_E_CONFIG || err == VW_E_ABI || checking ? EXIT_USAGE : EXIT_RUNTIME;
}

/* Then processes that lost their parent are ours to wait for. */
static bool is_init(void)
{
    int subreaper = 0;

    return getpid() == 1 || (prctl(PR_GET_CHILD_SUBREAPER, &subreaper, 0, 0, 0) == 0 && subreaper);
}

/* The worker has copies. What a process was started with can be read in /proc, by the model process among others. */
static void wipe_secrets(void)
{
    static const char *const names[] = { "MASTER_TOKEN", "VASTWORKER_BEARER_KEYS" };
    size_t i;

    for (i = 0; i < sizeof names / sizeof names[0]; i++) {
        char *value = getenv(names[i]);

        if (value)
            explicit_bzero(value, strlen(value));
    }
}

/* sched_setattr(2), version 0: the C library of Debian 12 has neither the call nor the structure. */
struct scheduling {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period; /* of ordinary threads, since Linux 6.12: runtime is the time slice */
};

/*
 * Whom the loop wakes by what it writes may be waiting for its core: where cores are scarce, a slice of a quarter of a millisecond
 * instead of one to three takes a fifth off the delay of a stream's event. Children, the model server among them, have the ordinary
 * slice; a nice value below zero would be taken from them too, so then nothing is asked for. A kernel without slices tells one of 0.
 */
static void take_short_turns(void)
{
    struct scheduling own = { 0 };

    if (syscall(SYS_sched_getattr, 0, &own, sizeof own, 0u) != 0 || own.policy != SCHED_NORMAL || own.nice < 0 || own.runtime <= SLICE_NS)
        return;
    own.size = sizeof own;
    own.flags |= SCHED_FLAG_RESET_ON_FORK;
    own.runtime = SLICE_NS;
    (void)syscall(SYS_sched_setattr, 0, &own, 0u); /* refused by a sandbox, say: it goes on as before */
}

static int serve(vw_worker_t *worker)
{
    vw_err err;

    atomic_store(&running, worker);
    watch_signals();
    wipe_secrets();
    take_short_turns();
    err = vw_worker_run(worker);
    atomic_store(&running, NULL);
    if (err != VW_OK)
        fprintf(stderr, "vastworker-run: %s\n", vw_err_text(err));
    return err == VW_OK ? EXIT_CLEAN : EXIT_RUNTIME;
}

static int work(const struct wishes *wishes)
{
    vw_worker_options_t options = VW_WORKER_OPTIONS_INIT;
    vw_worker_t *worker = NULL;
    vw_error_t why = { VW_OK, "" };
    vw_err err;
    int status = EXIT_CLEAN;

    if (!set_log(wishes, &options))
        return EXIT_USAGE;
    options.config_path = wishes->config;
    options.plugin_path = wishes->plugin_path;
    options.problem_fn = print_line;
    options.problem_arg = stderr;
    options.tell_failure = !wishes->check && !wishes->print_config;
    options.model_command = wishes->command;
    options.model_echo = 1;
    options.reap_orphans = is_init();
    err = vw_worker_create(&options, &worker, &why);
    if (err != VW_OK)
        return explain(err, &why, wishes->check != NULL);
    if (wishes->print_config)
        vw_worker_print_config(worker, print_line, stdout);
    else if (wishes->check)
        vw_worker_describe(worker, print_line, stdout);
    else
        status = serve(worker);
    vw_worker_destroy(worker);
    return status;
}

/* 0: a load pattern was found, 1: none, 2: there is something wrong with the configuration or the log. */
static int test_patterns(const struct wishes *wishes)
{
    vw_worker_options_t options = VW_WORKER_OPTIONS_INIT;
    vw_error_t why = { VW_OK, "" };
    int loaded = 0;
    vw_err err;

    options.config_path = wishes->config;
    options.problem_fn = print_line;
    options.problem_arg = stderr;
    err = vw_config_test_patterns(&options, wishes->test_patterns, print_line, stdout, &loaded, &why);
    if (err != VW_OK)
        return explain(err, &why, true);
    return loaded ? EXIT_CLEAN : EXIT_RUNTIME;
}

int main(int argc, char **argv)
{
    struct wishes w = { .log_level = "info", .log_format = "text" };
    const struct vwt_option options[] = {
        { "--config", "FILE", "configuration (JSON); without it the environment and the defaults", &w.config, false },
        { "--plugin-path", "DIRS", "colon list of plugin folders, searched first", &w.plugin_path, false },
        { "--check", NULL, "load and validate everything, say what the worker would do, and exit", &w.check, false },
        { "--print-config", NULL, "print the effective configuration, secrets masked, and exit", &w.print_config, false },
        { "--test-patterns", "LOG", "say which lines of a log (- for standard input) would mean what, and exit", &w.test_patterns, false },
        { "--log-level", "LEVEL", "error, warn, info (default) or debug", &w.log_level, false },
        { "--log-format", "FORMAT", "text (default) or json", &w.log_format, false },
        { "--version", NULL, "print the version and exit", &w.version, false },
        { "--help", NULL, "print this and exit", &w.help, false },
        { "--print-config-docs", NULL, "", &w.docs, true },
        { "--print-config-schema", NULL, "", &w.schema, true },
        { NULL, NULL, NULL, NULL, false },
    };
    bool dashes;
    int at;

    if (!keep_standard_descriptors())
        return EXIT_RUNTIME;
    at = vwt_cli_parse(argc, argv, options, &dashes);
    if (at < 0)
        return EXIT_USAGE;
    if (w.help) {
        print_help(options);
        return EXIT_CLEAN;
    }
    if (w.version) {
        printf("vastworker-run %s\n", vw_version());
        return EXIT_CLEAN;
    }
    if (w.docs || w.schema)
        return (w.docs ? vw_config_docs : vw_config_schema)(print_line, stdout) == VW_OK ? EXIT_CLEAN : EXIT_RUNTIME;
    if (dashes && at == argc) {
        fprintf(stderr, "vastworker-run: --: the command that starts the model server has to follow\n");
        return EXIT_USAGE;
    }
    w.command = dashes ? (const char *const *)argv + at : NULL;
    if (!dashes && at < argc) {
        fprintf(stderr, "vastworker-run: unexpected argument \"%s\"; --help lists the options\n", argv[at]);
        return EXIT_USAGE;
    }
    return w.test_patterns ? test_patterns(&w) : work(&w);
}
