/* The odd thing: no message says that we have ended. The kernel closes our end of the socket, and that is the message. */
#include "io/guard.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "io/fds.h"

static _Noreturn void watch(int fd)
{
    pid_t group = 0, told;
    ssize_t n;

    prctl(PR_SET_NAME, "vw-guard");
    setpgid(0, 0);
    vwi_fds_close_all_but(fd);
    for (;;) {
        n = read(fd, &told, sizeof told);
        if (n == (ssize_t)sizeof told)
            group = told;
        else if (n == 0 || (n < 0 && errno != EINTR))
            break;
    }
    if (group > 0)
        kill(-group, SIGKILL);
    _exit(0);
}

vw_err vwi_guard_start(struct vwi_guard *guard, vw_error_t *why)
{
    sigset_t all, before;
    int ends[2], problem;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
        return vwi_fail(why, VW_E_IO, "model process: %s", strerror(errno));
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before); /* in the copy for good: whoever stops us all means us first */
    guard->pid = fork();
    problem = errno;
    if (guard->pid == 0)
        watch(ends[1]);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    close(ends[1]);
    if (guard->pid < 0) {
        guard->pid = 0;
        close(ends[0]);
        return vwi_fail(why, VW_E_IO, "model process: %s", strerror(problem));
    }
    guard->fd = ends[0];
    return VW_OK;
}

void vwi_guard_tell(const struct vwi_guard *guard, pid_t group)
{
    if (guard->fd >= 0)
        send(guard->fd, &group, sizeof group, MSG_NOSIGNAL | MSG_DONTWAIT);
}

void vwi_guard_stop(struct vwi_guard *guard)
{
    if (guard->fd >= 0)
        close(guard->fd);
    while (guard->pid > 0 && waitpid(guard->pid, NULL, 0) < 0 && errno == EINTR)
        ;
    *guard = (struct vwi_guard)VWI_GUARD_NONE;
}
