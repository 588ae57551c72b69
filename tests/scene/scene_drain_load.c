/*
 * SIGTERM under load: vastworker-run as a process, 64 clients that send one request after the other on kept connections, half of them
 * through a queue. Whatever was accepted is answered in whole, as often as it is tried (VWT_TRIES says how often).
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "actors.h"

#define CLIENTS 64
#define TRIES 10
#define WARM (CLIENTS * 4) /* answers before the signal */

#define CONFIG "{'workerPort': 0, 'handlers': [{'route': '/free', 'targetPath': '/size/3000', 'auth': 'none', 'allowParallelRequests': true}, " \
               "{'route': '/queued', 'targetPath': '/ok', 'auth': 'none', 'maxConcurrency': 4, 'allowParallelRequests': true, " \
               "'maxQueueTime': null}]}"

static struct {
    uint16_t port;
    atomic_uint served, refused, crossed; /* 200; 503 draining; closed before a byte of an answer */
    atomic_uint lost;
    char _Atomic told; /* the first loss writes it */
    char loss[2000];
} run;

static void lose(const char *what, const char *seen)
{
    if (!atomic_exchange(&run.told, 1))
        snprintf(run.loss, sizeof run.loss, "%s; seen: \"%.1500s\"", what, seen);
    atomic_fetch_add(&run.lost, 1);
}

static int open_connection(void)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(run.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct timeval limit = { PATIENCE_S, 0 };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    if (connect(fd, (struct sockaddr *)&at, sizeof at) == 0)
        return fd;
    close(fd);
    return -1;
}

/* One answer by its Content-Length. False: the connection is over, or is to be given up. */
static bool take_answer(int fd, bool kept)
{
    char seen[8192];
    size_t len = 0, want = 0;

    for (;;) {
        ssize_t n = recv(fd, seen + len, sizeof seen - 1 - len, 0);
        const char *end, *length;

        if (n <= 0 && len == 0 && (n == 0 || (errno == ECONNRESET && !kept))) {
            atomic_fetch_add(&run.crossed, 1); /* a reset: it had connected, and nobody had taken it yet */
            return false;
        }
        if (n <= 0) {
            seen[len] = '\0';
            lose(n == 0 ? "the answer was cut" : strerror(errno), seen);
            return false;
        }
        len += (size_t)n;
        seen[len] = '\0';
        end = strstr(seen, "\r\n\r\n");
        length = strstr(seen, "\r\nContent-Length: ");
        if (end && length)
            want = (size_t)(end + 4 - seen) + strtoul(length + 18, NULL, 10);
        if (want && len >= want)
            break;
    }
    if (strncmp(seen, "HTTP/1.1 200 ", 13) == 0)
        atomic_fetch_add(&run.served, 1);
    else if (strncmp(seen, "HTTP/1.1 503 ", 13) == 0 && strstr(seen, "\r\nX-Vastworker-Reason: draining\r\n"))
        atomic_fetch_add(&run.refused, 1);
    else
        lose("an answer that is neither", seen);
    return !strstr(seen, "\r\nConnection: close\r\n");
}

/* Until nobody listens any more. */
static void *be_a_client(void *arg)
{
    const char *path = arg;
    char request[200];
    int fd, len = snprintf(request, sizeof request, "POST %s HTTP/1.1\r\nHost: w\r\nContent-Length: 2\r\n\r\n{}", path);

    while ((fd = open_connection()) >= 0) {
        bool kept = false;

        for (;;) {
            if (send(fd, request, (size_t)len, MSG_NOSIGNAL) != len) {
                if (kept)
                    lose("a kept connection was reset", "");
                break;
            }
            if (!take_answer(fd, kept))
                break;
            kept = true;
        }
        close(fd);
    }
    return NULL;
}

static int tries(void)
{
    const char *text = getenv("VWT_TRIES");
    long n = text ? strtol(text, NULL, 10) : 0;

    return n > 0 ? (int)n : TRIES;
}

static void try_once(void)
{
    struct model *m = model_start();
    char *path = temp_file("worker.json", CONFIG), url[64];
    pthread_t clients[CLIENTS];
    struct program *p;
    double until;
    int i;

    memset(&run, 0, sizeof run);
    snprintf(url, sizeof url, "MODEL_SERVER_URL=http://127.0.0.1:%u", model_port(m));
    p = program_start((const char *const[]){ RUN, "--config", path, NULL }, (const char *const[]){ url, NULL });
    run.port = program_port(p, "listening on port ");
    program_wait_said(p, " -> ready");
    for (i = 0; i < CLIENTS; i++)
        ck_assert_int_eq(pthread_create(&clients[i], NULL, be_a_client, i % 2 ? "/queued" : "/free"), 0);
    for (until = patience(); atomic_load(&run.served) < WARM; nap())
        ck_assert(now_s() < until);
    program_signal(p, SIGTERM);
    for (i = 0; i < CLIENTS; i++)
        pthread_join(clients[i], NULL);
    ck_assert_int_eq(program_wait(p), 0);
    ck_assert_msg(atomic_load(&run.lost) == 0, "%u requests were lost; the first: %s\n%s", atomic_load(&run.lost), run.loss, program_err(p));
    ck_assert_uint_eq(atomic_load(&run.served), model_requests(m)); /* none that the model worked on came to nothing */
    ck_assert(!strstr(program_err(p), "are cut"));
    program_free(p);
    free(path);
    model_stop(m);
}

START_TEST(a_signal_under_load_loses_no_request_that_was_accepted)
{
    int i, n = tries();

    for (i = 0; i < n; i++)
        try_once();
}
END_TEST

Suite *drain_load_suite(void);

Suite *drain_load_suite(void)
{
    Suite *s = suite_create("drain_load");
    TCase *tc = tcase_create("drain_load");

    tcase_set_timeout(tc, 60 + 20 * tries());
    tcase_add_test(tc, a_signal_under_load_loses_no_request_that_was_accepted);
    suite_add_tcase(s, tc);
    return s;
}
