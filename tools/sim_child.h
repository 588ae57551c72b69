/* One command run beside the servers; its end is told on the loop thread. */
#ifndef SIM_CHILD_H
#define SIM_CHILD_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include <vastworker/err.h>

#include "io/loop.h"

struct sim_child {
    struct vwi_loop *loop;
    pid_t pid;
    pthread_t waiter;
    bool running;                         /* not reaped yet */
    bool own_group;                       /* a terminal's Ctrl-C does not reach it by itself */
    void (*on_exit)(void *arg, int code); /* code: its status, or 128 + signal */
    void *arg;
};

/* exports: "NAME=value", over what is in our environment. command: NULL-terminated, looked up in PATH. */
vw_err sim_child_start(struct sim_child *child, struct vwi_loop *loop, char **command, char *const *exports, size_t export_count,
                       void (*on_exit)(void *arg, int code), void *arg, vw_error_t *why);
void sim_child_signal(struct sim_child *child, int number);
void sim_child_fini(struct sim_child *child); /* kills what still runs; safe on a zeroed struct; before the loop goes */

#endif
