/*
 * posix_spawn and a thread that waits. The odd thing: the thread only notices the end (WNOWAIT) and the loop thread
 * reaps, so that a signal is never sent to a number that has become another process.
 */
#include "sim_child.h"

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"

extern char **environ;

static int reap(struct sim_child *child)
{
    int status = 0;

    if (child->own_group)
        kill(-child->pid, SIGKILL); /* what it left behind; the group's number is held until we reap */
    while (waitpid(child->pid, &status, 0) < 0 && errno == EINTR)
        ;
    child->running = false;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void on_ended(void *arg)
{
    struct sim_child *child = arg;

    if (child->running)
        child->on_exit(child->arg, reap(child));
}

static void *wait_for_end(void *arg)
{
    struct sim_child *child = arg;
    siginfo_t info;

    while (waitid(P_PID, (id_t)child->pid, &info, WEXITED | WNOWAIT) < 0 && errno == EINTR)
        ;
    vwi_loop_post(child->loop, on_ended, child);
    return NULL;
}

static bool is_exported(const char *entry, char *const *exports, size_t count)
{
    size_t i, len = strcspn(entry, "=");

    for (i = 0; i < count; i++)
        if (strncmp(entry, exports[i], len) == 0 && exports[i][len] == '=')
            return true;
    return false;
}

/* Pointers into environ and exports; the array alone is ours. */
static char **join_environment(char *const *exports, size_t export_count)
{
    size_t i, count = 0, len = 0;
    char **joined;

    while (environ[len])
        len++;
    joined = vwi_alloc((len + export_count + 1) * sizeof *joined);
    if (!joined)
        return NULL;
    for (i = 0; i < len; i++)
        if (!is_exported(environ[i], exports, export_count))
            joined[count++] = environ[i];
    for (i = 0; i < export_count; i++)
        joined[count++] = exports[i];
    joined[count] = NULL;
    return joined;
}

static int spawn(struct sim_child *child, char **command, char **environment)
{
    short flags = POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK;
    posix_spawnattr_t attr;
    sigset_t set;
    int rc;

    posix_spawnattr_init(&attr);
    sigemptyset(&set);
    posix_spawnattr_setsigmask(&attr, &set);
    sigaddset(&set, SIGPIPE); /* ours is ignored, and that would be inherited */
    posix_spawnattr_setsigdefault(&attr, &set);
    if (child->own_group) {
        flags |= POSIX_SPAWN_SETPGROUP;
        posix_spawnattr_setpgroup(&attr, 0);
    }
    posix_spawnattr_setflags(&attr, flags);
    rc = posix_spawnp(&child->pid, command[0], NULL, &attr, command, environment);
    posix_spawnattr_destroy(&attr);
    return rc;
}

vw_err sim_child_start(struct sim_child *child, struct vwi_loop *loop, char **command, char *const *exports, size_t export_count,
                       void (*on_exit)(void *arg, int code), void *arg, vw_error_t *why)
{
    char **environment = join_environment(exports, export_count);
    int rc;

    *child = (struct sim_child){ .loop = loop, .on_exit = on_exit, .arg = arg };
    /* With a terminal it stays in our group, or it could not read from it. */
    child->own_group = !isatty(STDIN_FILENO);
    if (!environment)
        return vwi_fail(why, VW_E_NOMEM, "%s: out of memory", command[0]);
    rc = spawn(child, command, environment);
    vwi_free(environment);
    if (rc != 0)
        return vwi_fail(why, VW_E_IO, "%s: %s", command[0], strerror(rc));
    child->running = true;
    rc = pthread_create(&child->waiter, NULL, wait_for_end, child);
    if (rc != 0) {
        kill(child->pid, SIGKILL);
        reap(child);
        child->pid = 0;
        return vwi_fail(why, VW_E_IO, "waiting for %s: %s", command[0], strerror(rc));
    }
    return VW_OK;
}

void sim_child_signal(struct sim_child *child, int number)
{
    if (child->running)
        kill(number == SIGKILL && child->own_group ? -child->pid : child->pid, number);
}

void sim_child_fini(struct sim_child *child)
{
    if (!child->pid)
        return;
    sim_child_signal(child, SIGKILL);
    pthread_join(child->waiter, NULL);
    if (child->running)
        reap(child);
    child->pid = 0;
}
