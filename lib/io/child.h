/*
 * One process of our own: started in a process group of its own, its outputs read line by line on the loop, its end noticed at once.
 *
 * It gets /dev/null as standard input, two pipes as outputs, no other descriptor, default signals and an empty mask. It dies with us:
 * by PR_SET_PDEATHSIG, and its group by the guard. Its end is heard of through a pidfd, or where the kernel has none by looking every
 * 50 ms; no handler for SIGCHLD is installed and no other child of the process is waited for. When it has ended, what is left of its
 * group is killed.
 */
#ifndef VWI_IO_CHILD_H
#define VWI_IO_CHILD_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include <vastworker/err.h>

#include "base/text.h"
#include "io/guard.h"
#include "io/loop.h"

struct vwi_child;

enum vwi_child_how { VWI_CHILD_EXITED, VWI_CHILD_SIGNALLED, VWI_CHILD_UNKNOWN }; /* unknown: somebody else has waited for it */

struct vwi_child_end {
    enum vwi_child_how how;
    int number; /* exit status or signal */
};

struct vwi_child_events {
    /* A line of either output; borrowed. cut: it was longer than VWI_LINE_MAX. Not the place to destroy the child. */
    void (*on_line)(void *arg, const char *line, size_t len, bool cut);
    void (*on_end)(void *arg, struct vwi_child_end end); /* behind its last line; last event */
};

struct vwi_child_setup {
    struct vwi_loop *loop;
    const char *path;              /* of the program, as vwi_child_find() found it */
    char *const *argv, *const *envp;
    const struct vwi_guard *guard; /* NULL: none */
    bool blind;                    /* as on a kernel without pidfd_open() */
};

/* Where a program is: name itself if there is a "/" in it, else looked up in path (NULL: /usr/local/bin:/usr/bin:/bin). */
vw_err vwi_child_find(const char *name, const char *path, struct vwi_text *ret, vw_error_t *why);

/* setup is borrowed for the call, but for loop and guard. why says what the system said, e.g. "Exec format error". */
vw_err vwi_child_start(const struct vwi_child_setup *setup, const struct vwi_child_events *events, void *arg, struct vwi_child **ret,
                       vw_error_t *why);
pid_t vwi_child_pid(const struct vwi_child *child);
void vwi_child_signal(struct vwi_child *child, int number); /* to its whole group; nothing once it has ended */
/* Kills what still runs and waits for that, for two seconds at most. Also inside on_end; no event follows. */
void vwi_child_destroy(struct vwi_child *child);

/* A process that was left to us (as process 1, or as a subreaper) and has ended; 0: none. It is not waited for yet. */
pid_t vwi_child_next_ended(void);
void vwi_child_reap(pid_t pid);

#endif
