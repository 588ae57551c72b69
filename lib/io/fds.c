/* close_range() where the kernel has it, else one by one up to the limit. */
#include "io/fds.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ONE_BY_ONE_MOST 65536
#define ON_EXEC 4u /* CLOSE_RANGE_CLOEXEC */

static int close_range_of(unsigned from, unsigned to, unsigned flags)
{
#ifdef SYS_close_range
    return (int)syscall(SYS_close_range, from, to, flags);
#else
    (void)from, (void)to, (void)flags;
    return -1;
#endif
}

static int count(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur > ONE_BY_ONE_MOST)
        return ONE_BY_ONE_MOST;
    return (int)limit.rlim_cur;
}

int vwi_fds_raise(int fd)
{
    int high = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 3);

    if (fd >= 0)
        close(fd);
    return high;
}

void vwi_fds_close_all_but(int keep)
{
    int fd;

    if ((keep == 0 || close_range_of(0, (unsigned)keep - 1, 0) == 0) && close_range_of((unsigned)keep + 1, UINT_MAX, 0) == 0)
        return;
    for (fd = 0; fd < count(); fd++)
        if (fd != keep)
            close(fd);
}

void vwi_fds_close_on_exec(int from)
{
    int fd;

    if (close_range_of((unsigned)from, UINT_MAX, ON_EXEC) == 0)
        return;
    for (fd = from; fd < count(); fd++)
        fcntl(fd, F_SETFD, FD_CLOEXEC);
}
