/* Misbehaviour on request: rules that fail, delay, cut or stall the calls of a path, for a number of times or for ever. */
#ifndef SIM_FAULT_H
#define SIM_FAULT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include <vastworker/err.h>

#define SIM_FAULTS_MAX 32

struct sim_fault {
    char path[128];         /* "" = every path that is not about the simulator itself */
    int status;             /* answer this instead; 0 = the true answer */
    long long delay_ms;     /* before anything else happens */
    long long times;        /* calls it still applies to; -1 = until cleared */
    bool reset, stall;      /* cut the connection; or never answer */
    long long after_tokens; /* > 0: reset or stall a stream after so many tokens */
};

struct sim_faults {
    struct sim_fault items[SIM_FAULTS_MAX];
    size_t count;
};

/* Takes {"path", "fail" or "fail_status", "delay_ms", "times", "reset", "stall", "after_tokens", "clear"}; a rule for the
 * same path replaces the older one, "times": 0 and "clear": true only remove. extra: further keys the caller understands
 * (NULL-terminated list); others are refused. A body without any fault in it changes nothing. */
vw_err sim_faults_take(struct sim_faults *faults, const json_t *rule, const char *const *extra, vw_error_t *why);
vw_err sim_faults_take_text(struct sim_faults *faults, const char *text, const char *const *extra, vw_error_t *why);
/* The first rule for the path, used up by one; false when none applies. plain: rules without a path apply too. */
bool sim_faults_hit(struct sim_faults *faults, const char *path, bool plain, struct sim_fault *ret);
json_t *sim_faults_json(const struct sim_faults *faults); /* new; NULL when out of memory */

#endif
