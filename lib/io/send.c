/*
 * send() and sendmsg(), not write() and writev(), since a guest library may not ask its host to ignore SIGPIPE.
 * The odd thing: what is short is copied together first, as the kernel takes one block for less than it reads a list of blocks for.
 */
#include "io/send.h"

#include <errno.h>
#include <sys/socket.h>

#define GATHER_BYTES 2048u
#define FLAGS (MSG_NOSIGNAL | MSG_DONTWAIT)

static size_t gather(const struct iovec *parts, int count, char block[GATHER_BYTES])
{
    size_t len = 0;
    int i;

    for (i = 0; i < count; i++) {
        if (parts[i].iov_len > GATHER_BYTES - len)
            return 0;
        if (parts[i].iov_len)
            memcpy(block + len, parts[i].iov_base, parts[i].iov_len);
        len += parts[i].iov_len;
    }
    return len;
}

static ssize_t send_list(int fd, const struct iovec *parts, int count)
{
    struct msghdr msg = { .msg_iovlen = (size_t)count };

    memcpy(&msg.msg_iov, &parts, sizeof parts); /* msghdr has no const */
    return sendmsg(fd, &msg, FLAGS);
}

ssize_t vwi_send_parts(int fd, const struct iovec *parts, int count)
{
    char block[GATHER_BYTES];
    struct iovec one = parts[0];
    ssize_t n;

    if (count > 1)
        one = (struct iovec){ block, gather(parts, count, block) };
    do
        n = one.iov_len ? send(fd, one.iov_base, one.iov_len, FLAGS) : send_list(fd, parts, count);
    while (n < 0 && errno == EINTR);
    return n;
}
