/*
 * How much the program holds of a large body, as the kernel counts it. Of the release build, since a sanitizer keeps what was freed;
 * where that was not built this says so and skips.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "actors.h"
#include "sink.h"

#define RELEASE "build/release/vastworker-run"
#define MIB (1024u * 1024)
#define SIZE (64 * MIB)
#define HEAD "POST /%s HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nContent-Length: %zu\r\n\r\n"

static const char before[] = "{\"auth_data\": {}, \"payload\": {\"image\": \"", after[] = "\"}}";

static void pour(int fd, char byte)
{
    char *piece = malloc(MIB);
    unsigned i;

    memset(piece, byte, MIB);
    for (i = 0; i < SIZE / MIB; i++)
        client_send_bytes(fd, piece, MIB);
    free(piece);
}

static void expect_taken(int fd, size_t size)
{
    struct answer a = client_read(fd);
    json_t *said;

    ck_assert_int_eq(a.status, 200);
    said = parse_json(a.body);
    ck_assert_uint_eq((size_t)json_integer_value(json_object_get(said, "bytes")), size);
    json_decref(said);
    answer_fini(&a);
    client_close(fd);
}

/* 0: streamed, 1: enveloped. */
START_TEST(a_large_body_is_held_once_or_not_at_all)
{
    size_t payload = SIZE + strlen("{\"image\": \"\"}"), peak;
    struct program *run;
    struct sink *s;
    char config[500], head[300], *path;
    int fd;

    if (access(RELEASE, X_OK) != 0) {
        printf("skipped: %s was not built (make V=release all)\n", RELEASE);
        return;
    }
    s = sink_start();
    snprintf(config, sizeof config, "{'modelServerPort': %u, 'workerPort': 0, 'unsecured': true, 'limits': {'maxBodyBytes': 1e9, 'maxBufferedBytes': 1e9}, "
             "'handlers': [{'route': '/streamed', 'targetPath': '/sink', 'auth': 'none'}, {'route': '/enveloped', 'targetPath': '/sink'}]}", sink_port(s));
    path = temp_file("worker.json", config);
    run = program_start((const char *const[]){ RELEASE, "--config", path, NULL }, NULL);
    fd = client_connect(program_port(run, "listening on port "));
    program_wait_said(run, " -> ready");
    peak = program_peak_bytes(run);
    if (_i) {
        snprintf(head, sizeof head, HEAD, "enveloped", "application/json", strlen(before) + SIZE + strlen(after));
        client_send(fd, head);
        client_send(fd, before);
        pour(fd, 'A');
        client_send(fd, after);
        expect_taken(fd, payload);
        ck_assert_uint_le(program_peak_bytes(run) - peak, SIZE + SIZE / 10);
    } else {
        snprintf(head, sizeof head, HEAD, "streamed", "application/octet-stream", (size_t)SIZE);
        client_send(fd, head);
        pour(fd, 'B');
        expect_taken(fd, SIZE);
        ck_assert_uint_le(program_peak_bytes(run) - peak, 2 * MIB);
    }
    program_signal(run, SIGTERM);
    ck_assert_int_eq(program_wait(run), 0);
    program_free(run);
    sink_stop(s);
    free(path);
}
END_TEST

Suite *memory_suite(void);

Suite *memory_suite(void)
{
    Suite *suite = suite_create("memory");
    TCase *t = tcase_create("memory");

    tcase_add_loop_test(t, a_large_body_is_held_once_or_not_at_all, 0, 2);
    suite_add_tcase(suite, t);
    return suite;
}
