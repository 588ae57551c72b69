/* Bytes to a socket that does not block and whose signal nobody wants. */
#ifndef VWI_IO_SEND_H
#define VWI_IO_SEND_H

#include <string.h>
#include <sys/types.h>
#include <sys/uio.h>

static inline struct iovec vwi_part(const char *p, size_t len)
{
    struct iovec iov = { .iov_len = len };

    memcpy(&iov.iov_base, &p, sizeof p); /* iovec has no const; sending does not write */
    return iov;
}

/* How many bytes of the parts, taken together, the kernel has now; -1 with errno. Goes on where a signal interrupts it. */
ssize_t vwi_send_parts(int fd, const struct iovec *parts, int count);

#endif
