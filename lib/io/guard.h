/*
 * A process of our own that outlives us by an instant: when we end, however that happens, it kills the process group that it was told of.
 * What the kernel can do for a parent's death (PR_SET_PDEATHSIG) reaches the child alone, not what a start script or an engine has
 * started in turn.
 */
#ifndef VWI_IO_GUARD_H
#define VWI_IO_GUARD_H

#include <sys/types.h>

#include <vastworker/err.h>

struct vwi_guard {
    int fd; /* of a socket whose other end it reads; closed by our death */
    pid_t pid;
};

#define VWI_GUARD_NONE { -1, 0 }

/* Forks. The copy calls nothing but the kernel, so threads of ours do no harm. */
vw_err vwi_guard_start(struct vwi_guard *guard, vw_error_t *why);
void vwi_guard_tell(const struct vwi_guard *guard, pid_t group); /* 0: there is none any more. Fit for between vfork and exec */
void vwi_guard_stop(struct vwi_guard *guard); /* ends it, and the group with it if there still is one; safe on VWI_GUARD_NONE */

#endif
