/* Shared by the files of the model server only. */
#ifndef SIM_MODEL_PARTS_H
#define SIM_MODEL_PARTS_H

#include <stdbool.h>

#include "base/list.h"
#include "base/text.h"
#include "sim_ask.h"
#include "sim_model.h"
#include "sim_server.h"

#define SIM_MODEL_ROUTES_MAX 16
#define SIM_MODEL_BODY_KEPT 65536

struct sim_model_counts {
    unsigned long long requests, served, failed, cancelled, cut;
};

struct sim_model {
    struct sim_stage *stage;
    const struct sim_model_options *options;
    struct sim_server *server;
    struct sim_faults faults;
    char url[64];
    char *log_path;
    bool temporary_log, loaded, closing;
    int log_fd;
    struct vwi_timer load_timer;
    double started, loaded_at;
    int health_status;       /* 0: the truth */
    double fail_due;         /* grows by fail_rate a request; at 1 one fails */
    struct vwi_list waiting; /* jobs beyond --concurrency, oldest first */
    unsigned running, waiting_count;
    /* Counted over the model's own routes, not /health or /sim. */
    struct sim_model_counts counts, by_route[SIM_MODEL_ROUTES_MAX];
    unsigned in_flight, max_in_flight;
    unsigned long long tokens, next_number;
    struct vwi_text last_head, last_body; /* of the last request: "POST /x\nName: value\n..." */
    size_t last_body_bytes;
};

extern const struct sim_route sim_model_routes[];
extern const size_t sim_model_route_count;

/* One line in the log file, newline added. */
vw_err sim_model_log_line(struct sim_model *model, const char *line, vw_error_t *why);
/* Takes a call of the model's own routes: parse, wait for a slot, work, answer or stream. */
void sim_job_begin(struct sim_model *model, struct sim_call *call, enum sim_ask_kind kind);

#endif
