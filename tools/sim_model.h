/* A small model server: OpenAI-shaped routes, a log file as engines write one, and faults on request. */
#ifndef SIM_MODEL_H
#define SIM_MODEL_H

#include <vastworker/err.h>

#include "sim_cli.h"
#include "sim_stage.h"

struct sim_model;

struct sim_model_options {
    long long port, load_after_ms, token_ms, latency_ms, fail_status, concurrency, health_fail, default_tokens;
    double fail_rate;
    const char *log_file, *name;
    struct sim_texts behave;
};

#define SIM_MODEL_DEFAULTS { .load_after_ms = 500, .token_ms = 10, .fail_status = 500, .default_tokens = 16, .name = "sim-model" }

extern const struct sim_option sim_model_options[];
extern const size_t sim_model_option_count;

vw_err sim_model_create(struct sim_stage *stage, const struct sim_model_options *options, struct sim_model **ret,
                        vw_error_t *why);
void sim_model_destroy(struct sim_model *model);
const char *sim_model_url(const struct sim_model *model);
const char *sim_model_log_path(const struct sim_model *model); /* a temporary one is removed with the model */

int sim_model_main(int argc, char **argv);

#endif
