/* Descriptors across fork and exec. All of it calls the kernel alone, so it is fit for the time in between. */
#ifndef VWI_IO_FDS_H
#define VWI_IO_FDS_H

int vwi_fds_raise(int fd); /* above the three standard ones, close-on-exec; fd is closed, or -1 already. -1: it failed */
void vwi_fds_close_all_but(int keep);
void vwi_fds_close_on_exec(int from); /* all from this one up */

#endif
