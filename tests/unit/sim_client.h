/* Runs vastworker-sim beside a test and talks HTTP to it over blocking sockets. */
#ifndef SIM_CLIENT_H
#define SIM_CLIENT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>

#include "base/text.h"

#define SIM_ARGS_MAX 24

struct sim_proc {
    pid_t pid;
    FILE *out;       /* its stdout, line by line */
    int port;        /* from the first line */
    char line[1024]; /* the last line read, without its end */
};

/* Starts `vastworker-sim args...` (NULL-terminated) and reads its first line; it dies with the test. */
void sim_proc_start(struct sim_proc *proc, const char *const *args);
/* The next line of its stdout that has this text in it; fails the test at the end of output. */
const char *sim_proc_wait_line(struct sim_proc *proc, const char *text);
int sim_proc_stop(struct sim_proc *proc); /* SIGTERM; its exit status */
/* Runs to the end; returns the exit status. Output on stdout and stderr together, NUL-terminated. */
int sim_proc_run(const char *const *args, const char *input, struct vwi_text *ret_output);

struct sim_reply {
    int status; /* 0: the connection was cut before any answer */
    bool whole; /* false: it was cut before the end of the body */
    struct vwi_text head, body;
};

/* One request on a connection of its own. headers: complete lines or NULL. body: NULL or text. */
void sim_http(int port, const char *method, const char *target, const char *headers, const char *body, struct sim_reply *ret);
void sim_reply_fini(struct sim_reply *reply);
/* The request alone; the descriptor to read from or close. */
int sim_http_send(int port, const char *method, const char *target, const char *headers, const char *body);
bool sim_read_until(int fd, const char *text); /* false: ended before it came */

/* Status of the answer; the body as JSON in *ret, new, NULL when it is none. ret may be NULL. */
int sim_post(int port, const char *target, const char *body, json_t **ret);
int sim_get(int port, const char *target, json_t **ret);
void sim_get_text(int port, const char *target, struct vwi_text *ret);

/* The signature is the control plane's, over the worker url. */
void sim_check_signature(int port, const char *url, const char *signature);

/* A directory for the files of one test. */
struct sim_scratch {
    char dir[64], key[96], file[96], other[96];
};

void sim_scratch_make(struct sim_scratch *s);
void sim_scratch_remove(const struct sim_scratch *s);
void sim_write_file(const char *name, const char *text);
void sim_read_file(const char *name, struct vwi_text *ret);

#endif
