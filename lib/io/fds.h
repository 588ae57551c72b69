/* Descriptors across fork and exec. All of it calls the kernel alone, so it is fit for the time in between. */
#ifndef VWI_IO_FDS_H
#define VWI_IO_FDS_H

void vwi_fds_close_all_but(int keep);
void vwi_fds_close_on_exec(int from); /* all from this one up */

#endif
