/*
 * A small file of fixed size as memory: what is stored there outlives the process, however it ends (the machine's end it does not: nothing
 * is flushed). One owner at a time, held by a lock that ends with the process.
 */
#ifndef VWI_IO_MAPPED_H
#define VWI_IO_MAPPED_H

#include <stddef.h>

#include <vastworker/err.h>

struct vwi_mapped;

/*
 * Takes path, or creates it whole and with zeros, readable for its owner alone; a file of another size is cut, or filled up
 * with zeros. Its space on the disk is reserved, so that a store never fails.
 *
 * Errors  VW_E_STATE  somebody else, in this process or another, has it
 *         VW_E_IO     it cannot be created, is no regular file, or there is no room
 */
vw_err vwi_mapped_open(const char *path, size_t bytes, struct vwi_mapped **ret, vw_error_t *why);
void *vwi_mapped_memory(struct vwi_mapped *m); /* aligned to a page; shared until close */
void vwi_mapped_close(struct vwi_mapped *m);   /* the file stays; NULL is fine */

#endif
