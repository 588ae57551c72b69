/* Processes under test: spawned with a bare environment; a thread reads both outputs, so that none ever blocks on a full pipe. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "actors.h"

#define MAX_ENVIRONMENT 32

struct output {
    int fd; /* -1: closed by the program */
    char *text;
    size_t len;
};

struct program {
    pid_t pid;
    bool ended;
    int status;
    struct output outputs[2]; /* standard output, standard error */
    pthread_t thread;
    pthread_mutex_t lock; /* guards the outputs */
};

static bool read_some(struct program *p, struct output *o)
{
    char buffer[4096];
    ssize_t n = read(o->fd, buffer, sizeof buffer);

    if (n <= 0)
        return false;
    pthread_mutex_lock(&p->lock);
    o->text = realloc(o->text, o->len + (size_t)n + 1);
    memcpy(o->text + o->len, buffer, (size_t)n);
    o->len += (size_t)n;
    o->text[o->len] = '\0';
    pthread_mutex_unlock(&p->lock);
    return true;
}

static void *read_all(void *arg)
{
    struct program *p = arg;
    struct pollfd fds[2] = { { p->outputs[0].fd, POLLIN, 0 }, { p->outputs[1].fd, POLLIN, 0 } };
    int i;

    while (fds[0].fd >= 0 || fds[1].fd >= 0) {
        if (poll(fds, 2, -1) < 0 && errno != EINTR)
            break;
        for (i = 0; i < 2; i++)
            if (fds[i].fd >= 0 && fds[i].revents && !read_some(p, &p->outputs[i]))
                fds[i].fd = -1;
    }
    return NULL;
}

/* What a program needs to run at all, and what its sanitizer reads. */
static void fill_environment(const char *const *given, char *all[MAX_ENVIRONMENT])
{
    static const char *const passed[] = { "PATH", "TMPDIR", "ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS", "LSAN_OPTIONS" };
    size_t i, n = 0;

    for (i = 0; i < sizeof passed / sizeof passed[0]; i++) {
        const char *value = getenv(passed[i]);

        if (value)
            ck_assert_int_gt(asprintf(&all[n++], "%s=%s", passed[i], value), 0);
    }
    for (; given && *given; given++) {
        ck_assert_uint_lt(n, MAX_ENVIRONMENT - 1);
        all[n++] = strdup(*given);
    }
    all[n] = NULL;
}

static void spawn(struct program *p, const char *const *arguments, char *const *environment)
{
    posix_spawn_file_actions_t actions;
    char *argv[32];
    int pipes[2][2], i;
    size_t n;

    for (n = 0; arguments[n]; n++) {
        ck_assert_uint_lt(n, 31);
        argv[n] = strdup(arguments[n]);
    }
    argv[n] = NULL;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    for (i = 0; i < 2; i++) {
        ck_assert_int_eq(pipe2(pipes[i], O_CLOEXEC), 0);
        posix_spawn_file_actions_adddup2(&actions, pipes[i][1], i + 1);
        p->outputs[i].fd = pipes[i][0];
        p->outputs[i].text = strdup("");
    }
    i = posix_spawn(&p->pid, argv[0], &actions, NULL, argv, environment);
    ck_assert_msg(i == 0, "%s: %s", argv[0], strerror(i));
    posix_spawn_file_actions_destroy(&actions);
    close(pipes[0][1]);
    close(pipes[1][1]);
    while (n)
        free(argv[--n]);
}

struct program *program_start(const char *const *arguments, const char *const *environment)
{
    struct program *p = calloc(1, sizeof *p);
    char *all[MAX_ENVIRONMENT];
    size_t i;

    pthread_mutex_init(&p->lock, NULL);
    fill_environment(environment, all);
    spawn(p, arguments, all);
    for (i = 0; all[i]; i++)
        free(all[i]);
    ck_assert_int_eq(pthread_create(&p->thread, NULL, read_all, p), 0);
    return p;
}

void program_signal(struct program *p, int number) { ck_assert_int_eq(kill(p->pid, number), 0); }

long program_cpu_ticks(const struct program *p)
{
    char path[64], line[1024] = "", *at;
    unsigned long user = 0, kernel = 0;
    FILE *f;

    snprintf(path, sizeof path, "/proc/%ld/stat", (long)p->pid);
    f = fopen(path, "r");
    ck_assert_ptr_nonnull(f);
    at = fgets(line, sizeof line, f) ? strrchr(line, ')') : NULL; /* the name before it may hold anything */
    fclose(f);
    ck_assert(at && sscanf(at, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &kernel) == 2);
    return (long)(user + kernel) * 100 / sysconf(_SC_CLK_TCK);
}

size_t program_peak_bytes(const struct program *p)
{
    char path[64], line[200];
    size_t kb = 0;
    FILE *f;

    snprintf(path, sizeof path, "/proc/%ld/status", (long)p->pid);
    f = fopen(path, "r");
    ck_assert_ptr_nonnull(f);
    while (!kb && fgets(line, sizeof line, f))
        if (sscanf(line, "VmHWM: %zu", &kb) != 1)
            kb = 0;
    fclose(f);
    ck_assert_uint_gt(kb, 0);
    return kb * 1024;
}

/* 0 when it was not said yet; else the number behind it, or 1 where none follows. */
static long find(struct program *p, const char *text)
{
    long found = 0;
    int i;

    pthread_mutex_lock(&p->lock);
    for (i = 0; i < 2 && !found; i++) {
        const char *at = strstr(p->outputs[i].text, text);

        if (!at || !strchr(at, '\n'))
            continue;
        found = strtol(at + strlen(text), NULL, 10);
        found = found > 0 ? found : 1;
    }
    pthread_mutex_unlock(&p->lock);
    return found;
}

static long wait_for(struct program *p, const char *text)
{
    double until = patience();
    long found;

    while (!(found = find(p, text))) {
        ck_assert_msg(now_s() < until, "it never said \"%s\"; its output:\n%s%s", text, p->outputs[0].text, p->outputs[1].text);
        nap();
    }
    return found;
}

void program_wait_said(struct program *p, const char *text) { wait_for(p, text); }
uint16_t program_port(struct program *p, const char *before) { return (uint16_t)wait_for(p, before); }

int program_wait(struct program *p)
{
    double until = patience();
    int status;

    while (!p->ended) {
        pid_t pid = waitpid(p->pid, &status, WNOHANG);

        if (pid == p->pid) {
            p->ended = true;
            p->status = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
            pthread_join(p->thread, NULL);
            break;
        }
        ck_assert_msg(pid == 0 && now_s() < until, "it never ended; its output:\n%s%s", p->outputs[0].text, p->outputs[1].text);
        nap();
    }
    return p->status;
}

const char *program_out(const struct program *p) { return p->outputs[0].text; }
const char *program_err(const struct program *p) { return p->outputs[1].text; }

void program_free(struct program *p)
{
    int i;

    if (!p->ended) {
        kill(p->pid, SIGKILL);
        program_wait(p);
    }
    for (i = 0; i < 2; i++) {
        close(p->outputs[i].fd);
        free(p->outputs[i].text);
    }
    pthread_mutex_destroy(&p->lock);
    free(p);
}

char *shell(int *ret_status, const char *fmt, ...)
{
    char *line = NULL, limit[16], *out;
    struct program *p;
    va_list ap;

    va_start(ap, fmt);
    ck_assert_int_gt(vasprintf(&line, fmt, ap), 0);
    va_end(ap);
    snprintf(limit, sizeof limit, "%d", PATIENCE_S);
    p = program_start((const char *const[]){ "/usr/bin/timeout", limit, "/bin/sh", "-c", line, NULL }, NULL);
    *ret_status = program_wait(p);
    out = strdup(program_out(p));
    if (*ret_status)
        fprintf(stderr, "%s\n-> %d\n%s%s\n", line, *ret_status, out, program_err(p));
    program_free(p);
    free(line);
    return out;
}

bool has_program(const char *name)
{
    int status;
    char *out = shell(&status, "command -v %s >/dev/null || [ -x /usr/sbin/%s ] || echo missing", name, name);
    bool found = !strstr(out, "missing");

    if (!found)
        printf("skipped: %s is not installed (tools/bootstrap installs it)\n", name);
    free(out);
    return found;
}
