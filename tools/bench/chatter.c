/*
 * A model server that talks: writes lines of about 100 bytes to a log, one write() each, RATE a second for SECONDS. Every EVERY-th
 * has the words "Loading shard". Prints how many lines, how many of those, and how many seconds it took.
 * usage: chatter FILE RATE SECONDS EVERY
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static long long now_us(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * 1000000LL + ts.tv_nsec / 1000;
}

static int say(int fd, long long n, int matches)
{
    char line[160];
    int len = snprintf(line, sizeof line, "INFO 08-20 02:34:11 [loggers.py:%lld] %s: prompt throughput: 812.4 tokens/s, running: 12 reqs\n", n,
                       matches ? "Loading shard" : "Engine 000, avg");

    return write(fd, line, (size_t)len) == len;
}

int main(int argc, char **argv)
{
    const struct timespec tick = { 0, 1000000 };
    long long rate, seconds, every, total, n = 0, matches = 0, begun, due;
    int fd = argc == 5 ? open(argv[1], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;

    if (fd < 0) {
        fprintf(stderr, "usage: chatter FILE RATE SECONDS EVERY\n");
        return 2;
    }
    rate = strtoll(argv[2], NULL, 10);
    seconds = strtoll(argv[3], NULL, 10);
    every = strtoll(argv[4], NULL, 10);
    total = rate * seconds;
    for (begun = now_us(); n < total; nanosleep(&tick, NULL)) {
        due = (now_us() - begun) * rate / 1000000;
        for (; n < due && n < total; n++) {
            int matching = n % every == 0;

            matches += matching;
            if (!say(fd, n, matching)) {
                perror(argv[1]);
                return 1;
            }
        }
    }
    printf("%lld %lld %.3f\n", n, matches, (double)(now_us() - begun) / 1e6);
    return 0;
}
