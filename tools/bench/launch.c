/*
 * How long from exec to listening: starts a command N times, connects until it is let in, and ends it. In C, because the
 * start of an interpreter would be a part of what is measured.
 * usage: launch PORT N COMMAND ARGS...     prints N lines of milliseconds; the command's output goes to /dev/null
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_US 5000000

extern char **environ;

static long long now_us(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * 1000000LL + ts.tv_nsec / 1000;
}

static int let_in(const struct sockaddr_in *at)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), ok;

    ok = fd >= 0 && connect(fd, (const struct sockaddr *)at, sizeof *at) == 0;
    if (fd >= 0)
        close(fd);
    return ok;
}

static long long once(const struct sockaddr_in *at, char **command)
{
    posix_spawn_file_actions_t files;
    long long begun, took = -1;
    pid_t pid, ended = 0;

    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, 1, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addopen(&files, 2, "/dev/null", O_WRONLY, 0);
    begun = now_us();
    if (posix_spawn(&pid, command[0], &files, NULL, command, environ) == 0) {
        while (now_us() - begun < PATIENCE_US && (ended = waitpid(pid, NULL, WNOHANG)) == 0) {
            if (let_in(at)) {
                took = now_us() - begun;
                break;
            }
            usleep(100);
        }
        if (!ended) {
            kill(pid, SIGKILL);
            waitpid(pid, NULL, 0);
        }
    }
    posix_spawn_file_actions_destroy(&files);
    return took;
}

int main(int argc, char **argv)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    long i, n;

    if (argc < 4) {
        fprintf(stderr, "usage: launch PORT N COMMAND ARGS...\n");
        return 2;
    }
    at.sin_port = htons((uint16_t)strtol(argv[1], NULL, 10));
    n = strtol(argv[2], NULL, 10);
    for (i = 0; i < n; i++) {
        long long took = once(&at, argv + 3);

        if (took < 0) {
            fprintf(stderr, "launch: %s did not listen on port %s within %d s\n", argv[3], argv[1], PATIENCE_US / 1000000);
            return 1;
        }
        printf("%.3f\n", (double)took / 1000);
    }
    return 0;
}
