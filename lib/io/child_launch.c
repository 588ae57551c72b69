/*
 * vfork, because only there something can be said between the two: whose death is to be followed, and which group it is. Until it
 * execs the child runs in our memory while this thread waits, so become() calls the kernel and nothing else. All signals are blocked
 * meanwhile: a handler of ours must not run there.
 */
#include "io/child_launch.h"

#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "io/fds.h"

struct launch {
    const struct vwi_child_setup *setup;
    const int *outputs;
    int null;
    pid_t parent;
    volatile int problem; /* the child's errno, written in our memory */
};

static void forget_signals(void)
{
    struct sigaction action = { .sa_handler = SIG_DFL };
    sigset_t none;
    int number;

    for (number = 1; number < NSIG; number++)
        sigaction(number, &action, NULL); /* some refuse, and need it not */
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static _Noreturn void become(struct launch *launch)
{
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
    launch->problem = errno;
    _exit(127);
}

pid_t vwi_child_launch(const struct vwi_child_setup *setup, int null, const int outputs[2])
{
    struct launch launch = { .setup = setup, .outputs = outputs, .null = null, .parent = getpid() };
    sigset_t all, before;
    pid_t pid;

    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    pid = vfork();
    if (pid == 0)
        become(&launch);
    if (pid < 0)
        launch.problem = errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (pid > 0 && launch.problem) {
        vwi_child_reap(pid);
        pid = -1;
    }
    errno = launch.problem;
    return pid;
}
