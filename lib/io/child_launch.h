/* From nothing to a running program; private to io/child. */
#ifndef VWI_IO_CHILD_LAUNCH_H
#define VWI_IO_CHILD_LAUNCH_H

#include <sys/types.h>

#include "io/child.h"

/* Its process id, or below 0 with errno set. outputs: what it gets as standard output and error, both above 2. */
pid_t vwi_child_launch(const struct vwi_child_setup *setup, int null, const int outputs[2]);

#endif
