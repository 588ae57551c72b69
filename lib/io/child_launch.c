/*
 * vfork, because between it and exec something has to be said: whose death is to be followed, and which group it is. Until it execs the
 * child may run in our memory while this thread waits, so become() calls the kernel and nothing else. All signals are blocked
 * meanwhile: a handler of ours must not run there. What goes wrong comes back through a pipe, since not every system shares the memory.
 */
#include "io/child_launch.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "io/fds.h"

struct launch {
    const struct vwi_child_setup *setup;
    const int *outputs;
    int null;
    pid_t parent;
    int tell; /* takes an errno; closed by exec */
};

#define KERNEL_MASK_BYTES 8 /* of a set of signals */

/* The kernel itself is asked: the C library keeps two signals to itself, which its posix_spawn (of make, among others) leaves ignored. */
static void forget_signals(void)
{
    static const char by_default[64]; /* the kernel's struct: SIG_DFL, no flags, an empty mask */
    sigset_t none;
    int number;

    for (number = 1; number < NSIG; number++)
        syscall(SYS_rt_sigaction, number, by_default, NULL, KERNEL_MASK_BYTES); /* SIGKILL and SIGSTOP refuse, and need it not */
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static _Noreturn void become(const struct launch *launch)
{
    int problem;

    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != launch->parent)
        _exit(127); /* it has died before we could say so */
    if (launch->setup->guard)
        vwi_guard_tell(launch->setup->guard, getpid());
    if (dup2(launch->null, 0) >= 0 && dup2(launch->outputs[0], 1) >= 0 && dup2(launch->outputs[1], 2) >= 0) {
        vwi_fds_close_on_exec(3);
        forget_signals();
        execve(launch->setup->path, launch->setup->argv, launch->setup->envp);
    }
    problem = errno;
    if (write(launch->tell, &problem, sizeof problem) < 0)
        _exit(126);
    _exit(127);
}

/* What the child tells, or 0 at the end of the pipe, which exec brings. */
static int hear_problem(int fd)
{
    int problem = 0;
    ssize_t n;

    do {
        n = read(fd, &problem, sizeof problem);
    } while (n < 0 && errno == EINTR);
    return n == (ssize_t)sizeof problem ? problem : 0;
}

static pid_t split_off(const struct launch *launch)
{
    sigset_t all, before;
    pid_t pid;
    int problem;

    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    pid = vfork();
    if (pid == 0)
        become(launch);
    problem = errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = problem;
    return pid;
}

pid_t vwi_child_launch(const struct vwi_child_setup *setup, int null, const int outputs[2])
{
    struct launch launch = { .setup = setup, .outputs = outputs, .null = null, .parent = getpid() };
    int ends[2], problem;
    pid_t pid;

    if (pipe2(ends, O_CLOEXEC) != 0)
        return -1;
    launch.tell = vwi_fds_raise(ends[1]);
    pid = launch.tell < 0 ? -1 : split_off(&launch);
    problem = errno;
    if (launch.tell >= 0)
        close(launch.tell);
    if (pid > 0)
        problem = hear_problem(ends[0]);
    close(ends[0]);
    if (pid > 0 && problem) {
        if (setup->guard)
            vwi_guard_tell(setup->guard, 0);
        vwi_child_reap(pid);
        pid = -1;
    }
    errno = problem;
    return pid;
}
