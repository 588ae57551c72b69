/* The control plane for one desk: public key, reports, deletions, routes with signatures, and views of all it was told. */
#ifndef SIM_CONTROL_H
#define SIM_CONTROL_H

#include <stdint.h>

#include <vastworker/err.h>

#include "sim_cli.h"
#include "sim_stage.h"

struct sim_control;

struct sim_control_options {
    long long port, min_ready;
    double stale_s;
    const char *api_key, *token, *key_file, *save_key_file, *record_file;
    struct sim_texts behave;
};

#define SIM_CONTROL_DEFAULTS { .min_ready = 1, .stale_s = 30 }

extern const struct sim_option sim_control_options[];
extern const size_t sim_control_option_count;

vw_err sim_control_create(struct sim_stage *stage, const struct sim_control_options *options, struct sim_control **ret,
                          vw_error_t *why);
void sim_control_destroy(struct sim_control *control);
const char *sim_control_url(const struct sim_control *control); /* "http://127.0.0.1:41001" */
void sim_control_say_table(const struct sim_control *control);  /* on stdout, unless quiet or no worker ever reported */

int sim_control_main(int argc, char **argv);

#endif
