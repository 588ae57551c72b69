/* What the machine says of itself in files, as far as it matters to what it can do. */
#ifndef VWI_IO_MACHINE_H
#define VWI_IO_MACHINE_H

#include "base/text.h"

#define VWI_MACHINE_GPUS "/proc/driver/nvidia/gpus" /* one directory a GPU, with a file `information` */

/* The models of the GPUs, one a line, in the order of their addresses; nothing where there are none. */
void vwi_machine_gpus(const char *folder, struct vwi_text *out);

#endif
