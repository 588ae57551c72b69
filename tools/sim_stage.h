/* What every serving subcommand stands on: the loop, signals, the lines on stdout, and files that scripts wait for. */
#ifndef SIM_STAGE_H
#define SIM_STAGE_H

#include <stdbool.h>

#include <vastworker/err.h>

#include "base/log.h"
#include "base/text.h"
#include "io/loop.h"
#include "sim_cli.h"

#define SIM_EXPORTS_MAX 24

struct sim_common { /* options of all serving subcommands */
    bool quiet;
    const char *ready_file, *env_file;
};

extern const struct sim_option sim_common_options[];
extern const size_t sim_common_option_count;

enum { SIM_SIGNAL_TERM = 1, SIM_SIGNAL_INT = 2 };

struct sim_stage {
    const struct sim_common *common;
    struct vwi_loop *loop;
    struct vwi_log log;
    struct vwi_text lines;          /* what the ready file says */
    char *exports[SIM_EXPORTS_MAX]; /* "NAME=value" */
    size_t export_count;
    bool opened;
    int exit_code;
    void (*on_signal)(void *arg, unsigned bits); /* NULL: stop */
    void *arg;
};

vw_err sim_stage_init(struct sim_stage *stage, const struct sim_common *common, vw_error_t *why);
void sim_stage_fini(struct sim_stage *stage); /* after the servers are gone */

/* One line on stdout, e.g. "control http://127.0.0.1:41001"; the ready file says the same. Never silenced. */
vw_err sim_stage_announce(struct sim_stage *stage, const char *what, const char *value, vw_error_t *why);
vw_err sim_stage_export(struct sim_stage *stage, vw_error_t *why, const char *name, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
vw_err sim_stage_print_exports(struct sim_stage *stage, vw_error_t *why);
vw_err sim_stage_open(struct sim_stage *stage, vw_error_t *why); /* writes the files: everything is listening */
int sim_stage_run(struct sim_stage *stage);                      /* until stopped; returns the exit code */
void sim_stage_stop(struct sim_stage *stage, int exit_code);

/* One event a line on stdout, with the time; silent with --quiet. */
void sim_say(const struct sim_common *common, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The sentence to stderr; returns SIM_EXIT_USAGE for VW_E_CONFIG and VW_E_ARG, else SIM_EXIT_FAILED. */
int sim_complain(const char *command, const vw_error_t *why);

#endif
