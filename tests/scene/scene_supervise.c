/* vastworker-run with a model process of its own: real children that load, crash, hang, flood and stay behind. */
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "actors.h"

#define ENDED "The model process ended with exit code"
#define ARGS(...) ((const char *const[]){ __VA_ARGS__, NULL })

static struct model *m;
static struct control *c;
static char *dir, *config;

static void setup(void)
{
    m = model_start();
    c = control_start();
    dir = temp_dir();
}

static void teardown(void)
{
    free(config);
    free(dir);
    control_stop(c);
    model_stop(m);
}

/* supervise: the keys in its object. port: of the model server; 0: the actor's. */
static const char *configure(const char *supervise, const char *more, unsigned port)
{
    char *text = NULL;

    ck_assert_int_gt(asprintf(&text, "{'workerPort': 0, 'modelServerPort': %u, 'advertisedUrl': '" URL "', 'maxPerf': 5, 'sessionPort': 0, "
                                     "'supervise': {%s}, 'logActionConfig': {'onLoad': ['model is loaded'], 'onError': ['out of memory']}, "
                                     "%s'handlers': [{'route': '/*', 'methods': ['*'], 'auth': 'none', 'allowParallelRequests': true}]}",
                              port ? port : model_port(m), supervise, more), 0);
    free(config);
    config = temp_file("worker.json", text);
    free(text);
    return config;
}

/* The worker on the platform; prefix: programs that become it, up to two; command: the model process, after "--". */
static struct program *start_as(const char *const *prefix, const char *const *command)
{
    const char *arguments[24], *environment[] = { "CONTAINER_ID=777", "MASTER_TOKEN=mtoken-secret", "VASTWORKER_BEARER_KEYS=bearer-secret",
                                                  "HF_TOKEN=hf-token", "USE_SSL=false", NULL, NULL };
    char report[64];
    size_t n = 0;

    while (prefix && *prefix)
        arguments[n++] = *prefix++;
    arguments[n++] = RUN;
    arguments[n++] = "--config";
    arguments[n++] = config;
    arguments[n++] = "--";
    while (*command)
        arguments[n++] = *command++;
    arguments[n] = NULL;
    snprintf(report, sizeof report, "REPORT_ADDR=http://127.0.0.1:%u", control_port(c));
    environment[5] = report;
    return program_start(arguments, environment);
}

static struct program *start(const char *script) { return start_as(NULL, ARGS("sh", "-c", script)); }

static uint16_t port_of(struct program *p) { return program_port(p, "listening on port "); }

static bool has(const char *text, const char *part) { return strstr(text, part) != NULL; }

static void finish(struct program *p, int status)
{
    int got = program_wait(p);

    ck_assert_msg(got == status, "expected exit status %d, got %d:\n%s%s", status, got, program_out(p), program_err(p));
}

static void stop(struct program *p)
{
    program_signal(p, SIGTERM);
    finish(p, 0);
}

static bool says(const json_t *report, void *arg)
{
    const char *text = json_string_value(json_object_get(report, "error_msg"));

    return text && strstr(text, arg);
}

/* A report with this in its error_msg; the whole text, to be freed. */
static char *told(const char *part)
{
    char wanted[100];
    json_t *report;
    char *text;

    snprintf(wanted, sizeof wanted, "%s", part);
    report = control_wait_report(c, says, wanted);
    text = strdup(json_string_value(json_object_get(report, "error_msg")));
    json_decref(report);
    return text;
}

/* A file in the test's directory, named in scripts by $1. */
static char *in_dir(const char *name)
{
    char *path = NULL;

    ck_assert_int_gt(asprintf(&path, "%s/%s", dir, name), 0);
    return path;
}

/* Waits for a file with numbers, which a script renames into place. */
static void read_pids(const char *path, pid_t *pids, size_t count)
{
    double until = patience();
    FILE *f;
    size_t i;

    while (!(f = fopen(path, "r"))) {
        ck_assert_msg(now_s() < until, "%s was never written", path);
        nap();
    }
    for (i = 0; i < count; i++)
        ck_assert_int_eq(fscanf(f, "%d", &pids[i]), 1);
    fclose(f);
}

static bool is_gone(pid_t pid)
{
    char name[64], line[512] = "", *at;
    FILE *f;

    snprintf(name, sizeof name, "/proc/%ld/stat", (long)pid);
    f = fopen(name, "r");
    if (!f)
        return true;
    at = fgets(line, sizeof line, f) ? strrchr(line, ')') : NULL;
    fclose(f);
    return !at || at[2] == 'Z' || at[2] == 'X';
}

static void wait_gone(pid_t pid)
{
    double until = patience();

    while (!is_gone(pid)) {
        ck_assert_msg(now_s() < until, "process %ld is still there", (long)pid);
        nap();
    }
}

/* Again: " -> ready" was said before. */
static void wait_serving(uint16_t port)
{
    double until = patience();
    struct answer a;
    int status;

    do {
        ck_assert_msg(now_s() < until, "the worker did not become ready again");
        nap();
        a = client_call(port, "GET", "/health", "", NULL);
        status = a.status;
        answer_fini(&a);
    } while (status != 200);
}

static void expect_served(uint16_t port)
{
    struct answer a = client_call(port, "GET", "/x", "", NULL);

    ck_assert_int_eq(a.status, 200);
    answer_fini(&a);
}

/* ---- becoming ready, and what is handed on ---- */

START_TEST(a_load_line_on_either_output_makes_ready_and_is_passed_on)
{
    struct program *p;

    configure("", "", 0);
    p = start(_i ? "echo model is loaded >&2; exec sleep 1000" : "echo model is loaded; exec sleep 1000");
    program_wait_said(p, " -> ready");
    json_decref(control_wait_state(c, true));
    expect_served(port_of(p));
    stop(p);
    ck_assert_str_eq(program_out(p), "model is loaded\n");
    ck_assert(has(program_err(p), "before the model process was started: is it another model server?")); /* the actor */
    program_free(p);
}
END_TEST

START_TEST(the_environment_is_handed_on_without_the_workers_secrets)
{
    struct program *p;
    char *path = in_dir("env");

    configure("", "", 0);
    p = start_as(NULL, ARGS("sh", "-c", "env > $1; echo model is loaded; exec sleep 1000", "sh", path));
    program_wait_said(p, " -> ready");
    stop(p);
    program_free(p);
    {
        int status;
        char *text = shell(&status, "cat %s", path);

        ck_assert(has(text, "HF_TOKEN=hf-token\n"));
        ck_assert(has(text, "CONTAINER_ID=777\n"));
        ck_assert(!has(text, "MASTER_TOKEN") && !has(text, "mtoken-secret"));
        ck_assert(!has(text, "BEARER_KEYS") && !has(text, "bearer-secret"));
        free(text);
    }
    free(path);
}
END_TEST

/* sched_setattr(2), which the C library of Debian 12 has not. */
struct scheduling {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t slice_ns, deadline, period;
};

static struct scheduling scheduling_of(pid_t pid)
{
    struct scheduling s = { 0 };

    ck_assert_int_eq(syscall(SYS_sched_getattr, pid, &s, sizeof s, 0u), 0);
    return s;
}

/* Where the kernel has slices for ordinary threads, and lets us set them. */
static bool slices_can_be_set(void)
{
    struct scheduling own = scheduling_of(0);

    own.size = sizeof own;
    return own.policy == 0 && own.nice >= 0 && own.slice_ns && syscall(SYS_sched_setattr, 0, &own, 0u) == 0;
}

/* The worker, ready; pids: its own and the model process's. */
static struct program *start_with_pids(const char *const *prefix, pid_t pids[2])
{
    char *path = in_dir("pids");
    struct program *p;

    configure("", "", 0);
    p = start_as(prefix, ARGS("sh", "-c", "echo $PPID $$ > $1.new; mv $1.new $1; echo model is loaded; exec sleep 1000", "sh", path));
    read_pids(path, pids, 2);
    program_wait_said(p, " -> ready");
    free(path);
    return p;
}

START_TEST(the_loop_has_short_turns_of_a_core_and_the_model_server_its_ordinary_ones)
{
    struct scheduling before = scheduling_of(0), worker, model;
    pid_t pids[2];
    struct program *p = start_with_pids(NULL, pids);

    worker = scheduling_of(pids[0]);
    model = scheduling_of(pids[1]);
    ck_assert_uint_eq(model.slice_ns, before.slice_ns);
    ck_assert_int_eq(model.nice, before.nice);
    ck_assert_int_eq(worker.nice, before.nice);
    if (slices_can_be_set())
        ck_assert_uint_le(worker.slice_ns, 250000);
    else
        ck_assert_uint_eq(worker.slice_ns, before.slice_ns);
    stop(p);
    program_free(p);
}
END_TEST

START_TEST(a_nice_value_below_zero_is_left_to_the_model_server)
{
    pid_t pids[2];
    struct program *p = start_with_pids(ARGS("/usr/bin/nice", "-n", "-3"), pids);

    ck_assert_int_eq(scheduling_of(pids[1]).nice, scheduling_of(pids[0]).nice); /* 0 for who may not lower it */
    stop(p);
    program_free(p);
}
END_TEST

START_TEST(what_the_worker_was_started_with_does_not_show_its_secrets_either)
{
    char *path = in_dir("parent"), *text;
    struct program *p;
    int status;

    configure("", "", 0);
    p = start_as(NULL, ARGS("sh", "-c", "tr '\\000' '\\n' < /proc/$PPID/environ > $1; echo model is loaded; exec sleep 1000", "sh", path));
    program_wait_said(p, " -> ready");
    stop(p);
    program_free(p);
    text = shell(&status, "cat %s", path);
    ck_assert(has(text, "CONTAINER_ID=777\n"));
    ck_assert(!has(text, "mtoken-secret") && !has(text, "bearer-secret"));
    free(text);
    free(path);
}
END_TEST

START_TEST(what_it_says_is_in_the_log_file_too_which_is_turned_over)
{
    char *path = in_dir("model.log"), *keys = NULL, *text;
    struct program *p;
    int status;

    ck_assert_int_gt(asprintf(&keys, "'logFile': '%s', 'logFileBytes': 65536, 'logFiles': 2", path), 0);
    configure(keys, "", 0);
    p = start("i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done; echo model is loaded >&2; exec sleep 1000");
    program_wait_said(p, " -> ready");
    stop(p);
    program_free(p);
    text = shell(&status, "cd %s && ls model.log* | tr '\\n' ' '; cat model.log.2 model.log.1 model.log | grep -c '^line [0-9]*$'; "
                          "tail -n 1 model.log; find . -name 'model.log*' -size +64k", dir);
    ck_assert_msg(has(text, "model.log model.log.1 model.log.2 "), "%s", text);
    ck_assert_msg(has(text, "\nmodel is loaded\n") && !has(text, "\n./model.log"), "%s", text);
    free(text);
    free(keys);
    free(path);
}
END_TEST

START_TEST(a_real_server_is_ready_by_its_health_path)
{
    unsigned port = free_port();
    char number[16];
    struct program *p;
    struct answer a;

    snprintf(number, sizeof number, "%u", port);
    configure("", "'modelHealthcheckPath': '/health', 'modelLogFile': '/dev/null', ", port);
    /* its log is a file, so its output has no load line: one is added */
    p = start_as(NULL, ARGS("sh", "-c", "echo model is loaded; exec \"$@\"", "sh", SIM, "model", "--port", number, "--load-after-ms", "50"));
    program_wait_said(p, " -> ready");
    a = client_post(port_of(p), "/v1/completions", "{\"prompt\": \"hi\"}");
    ck_assert_int_eq(a.status, 200);
    answer_fini(&a);
    stop(p);
    program_free(p);
}
END_TEST

/* ---- its end ---- */

START_TEST(an_end_is_told_with_its_code_and_the_next_process_is_ready_again)
{
    struct program *p;
    char *path = in_dir("once"), *text;

    configure("'backoff': 0.1", "", 0);
    p = start_as(NULL, ARGS("sh", "-c", "echo model is loaded; echo prompt: my secret; [ -e $1 ] && exec sleep 1000; touch $1; exit 7", "sh", path));
    text = told(ENDED);
    ck_assert_str_eq(text, ENDED " 7, restarting in 0.1 s (1 of 5)");
    program_wait_said(p, "error -> loading");
    wait_serving(port_of(p));
    ck_assert_double_eq(client_metric(port_of(p), "vastworker_model_restarts_total"), 1);
    expect_served(port_of(p));
    stop(p);
    ck_assert(has(program_err(p), "model, last lines: prompt: my secret\n"));
    program_free(p);
    free(text);
    free(path);
}
END_TEST

START_TEST(no_line_of_the_model_reaches_the_control_plane)
{
    struct program *p;
    json_t *bodies;
    char *dumped;

    configure("'maxRestarts': 1, 'backoff': 0.1", "", 0);
    p = start("echo prompt: my secret; exit 7");
    finish(p, 1);
    bodies = control_bodies(c, "/worker_status/");
    dumped = json_dumps(bodies, 0);
    ck_assert(has(dumped, ENDED " 7; it was restarted 1 times within 600 s and is not started again"));
    ck_assert(!has(dumped, "my secret"));
    free(dumped);
    json_decref(bodies);
    program_free(p);
}
END_TEST

START_TEST(a_signal_is_told_by_number_and_name)
{
    struct program *p;
    char *text;

    configure("", "", 0);
    p = start("echo model is loaded; kill -SEGV $$");
    text = told("The model process was ended by signal");
    ck_assert_msg(has(text, "signal 11 (Segmentation fault), restarting in 1 s (1 of 5)"), "%s", text);
    stop(p); /* while it waits to start it again */
    free(text);
    program_free(p);
}
END_TEST

START_TEST(a_request_in_flight_gets_502_when_its_model_dies_and_the_next_one_is_served)
{
    unsigned port = free_port();
    char number[16], *path = in_dir("pid");
    struct program *p;
    struct answer a;
    pid_t pid;
    int fd;

    snprintf(number, sizeof number, "%u", port);
    configure("'backoff': 0.1", "'modelHealthcheckPath': '/health', ", port);
    p = start_as(NULL, ARGS("sh", "-c", "rm -f $1; echo $$ > $1.new; mv $1.new $1; shift; echo model is loaded; exec \"$@\"", "sh", path, SIM, "model",
                            "--port", number, "--load-after-ms", "0", "--latency-ms", "60000"));
    program_wait_said(p, " -> ready");
    read_pids(path, &pid, 1);
    fd = client_connect(port_of(p));
    client_send_post(fd, "/v1/completions", "{\"prompt\": \"hi\"}");
    while (client_metric(port_of(p), "vastworker_model_connections{state=\"active\"}") < 1)
        nap();
    ck_assert_int_eq(kill(pid, SIGKILL), 0);
    a = client_read(fd);
    ck_assert_int_eq(a.status, 502);
    answer_fini(&a);
    client_close(fd);
    program_wait_said(p, "error -> loading");
    wait_serving(port_of(p));
    a = client_call(port_of(p), "GET", "/v1/models", "", NULL);
    ck_assert_int_eq(a.status, 200);
    answer_fini(&a);
    stop(p);
    ck_assert(has(program_err(p), "ended by signal 9 (Killed), restarting"));
    program_free(p);
    free(path);
}
END_TEST

static const struct {
    const char *keys, *script, *said;
} losses[] = {
    { "'maxRestarts': 2, 'backoff': 0.01", "echo cannot load >&2; exit 3", ENDED " 3; it was restarted 2 times within 600 s and is not started again" },
    { "'restart': 'never'", "exit 4", ENDED " 4 and is not started again (supervise.restart is \"never\")" },
    { "'restart': 'on-failure'", "exit 0", ENDED " 0 and is not started again (supervise.restart is \"on-failure\")" },
    { "'restart': 'on-failure', 'maxRestarts': 1, 'backoff': 0", "kill -KILL $$", "ended by signal 9 (Killed); it was restarted 1 times within 600 s" },
};

START_TEST(a_model_that_is_not_started_again_ends_the_worker_which_is_told)
{
    struct program *p;
    json_t *bodies, *last;

    configure(losses[_i].keys, "", 0);
    p = start(losses[_i].script);
    finish(p, 1);
    ck_assert_msg(has(program_err(p), losses[_i].said), "%s", program_err(p));
    bodies = control_bodies(c, "/worker_status/");
    last = json_array_get(bodies, json_array_size(bodies) - 1);
    ck_assert_msg(has(json_string_value(json_object_get(last, "error_msg")), losses[_i].said), "%s",
                  json_string_value(json_object_get(last, "error_msg")));
    json_decref(bodies);
    program_free(p);
}
END_TEST

START_TEST(a_program_that_cannot_be_executed_is_an_end_too)
{
    char *path = temp_file("model", "no program");
    struct program *p;

    ck_assert_int_eq(chmod(path, 0700), 0);
    configure(_i ? "'maxRestarts': 1, 'backoff': 0.01" : "'restart': 'never'", "", 0);
    p = start_as(NULL, ARGS(path));
    finish(p, 1);
    ck_assert_msg(has(program_err(p), _i ? "The model process could not be started (Exec format error), restarting in 0.01 s (1 of 1)"
                                         : "The model process could not be started (Exec format error) and is not started again"),
                  "%s", program_err(p));
    program_free(p);
    free(path);
}
END_TEST

/* ---- stopping ---- */

START_TEST(it_gets_sigterm_when_the_last_request_is_over_and_not_before)
{
    char *path = in_dir("termed");
    struct program *p;
    struct answer a;
    int fd;

    configure("", "", 0);
    p = start_as(NULL, ARGS("sh", "-c", "trap 'touch $1; echo got it; exit 0' TERM; echo model is loaded; while :; do sleep 0.05; done", "sh", path));
    program_wait_said(p, " -> ready");
    fd = client_connect(port_of(p));
    client_send_post(fd, "/hold", "{}");
    model_wait_requests(m, 1);
    program_signal(p, SIGTERM);
    program_wait_said(p, "draining: 1 requests in flight");
    a = client_call(port_of(p), "GET", "/health", "", NULL);
    ck_assert_int_eq(a.status, 503);
    answer_fini(&a);
    ck_assert_int_ne(access(path, F_OK), 0);
    model_permit(m, 1);
    a = client_read(fd);
    ck_assert_int_eq(a.status, 200);
    answer_fini(&a);
    client_close(fd);
    finish(p, 0);
    ck_assert(has(program_out(p), "got it\n"));
    ck_assert(has(program_err(p), ENDED " 0 after SIGTERM"));
    program_free(p);
    free(path);
}
END_TEST

START_TEST(an_abort_after_sigterm_is_a_clean_stop)
{
    struct program *p;

    configure("", "", 0);
    p = start("trap 'kill -ABRT $$' TERM; echo model is loaded; while :; do sleep 0.05; done");
    program_wait_said(p, " -> ready");
    stop(p);
    ck_assert(has(program_err(p), "ended by signal 6 (Aborted) after SIGTERM"));
    ck_assert(!has(program_err(p), "restarting"));
    program_free(p);
}
END_TEST

#define STUBBORN "trap '' TERM INT; sleep 1000 & echo $$ $! > $1.new; mv $1.new $1; echo model is loaded; while :; do sleep 1000; done"

/* One that ignores signals and has started another, which does, too. */
static struct program *start_stubborn(pid_t pids[2])
{
    char *path = in_dir("pids");
    struct program *p = start_as(NULL, ARGS("sh", "-c", STUBBORN, "sh", path));

    read_pids(path, pids, 2);
    free(path);
    return p;
}

static void wait_both_gone(const pid_t pids[2])
{
    wait_gone(pids[0]);
    wait_gone(pids[1]);
}

START_TEST(what_ignores_sigterm_is_killed_after_the_grace_time_with_all_it_started)
{
    struct program *p;
    pid_t pids[2];

    configure("'grace': 0.2", "", 0);
    p = start_stubborn(pids);
    program_wait_said(p, " -> ready");
    stop(p);
    ck_assert(has(program_err(p), "did not end within 0.2 s after SIGTERM and is killed"));
    ck_assert(has(program_err(p), "ended by signal 9 (Killed) after SIGKILL"));
    wait_both_gone(pids);
    program_free(p);
}
END_TEST

START_TEST(a_second_signal_does_not_wait_for_the_grace_time)
{
    struct program *p;
    pid_t pids[2];

    configure("'grace': 100000", "", 0);
    p = start_stubborn(pids);
    program_wait_said(p, " -> ready");
    program_signal(p, SIGTERM);
    program_wait_said(p, "stopping the model process, at most 100000 s");
    program_signal(p, SIGTERM);
    finish(p, 0);
    wait_both_gone(pids);
    program_free(p);
}
END_TEST

START_TEST(a_stop_while_the_model_loads_stops_it)
{
    char *path = in_dir("pids");
    struct program *p;
    pid_t pid;

    configure("", "", 0);
    p = start_as(NULL, ARGS("sh", "-c", "echo $$ > $1.new; mv $1.new $1; exec sleep 1000", "sh", path));
    read_pids(path, &pid, 1);
    stop(p);
    ck_assert(has(program_err(p), "ended by signal 15 (Terminated) after SIGTERM"));
    wait_gone(pid);
    program_free(p);
    free(path);
}
END_TEST

START_TEST(a_worker_that_is_killed_takes_the_model_and_all_it_started_with_it)
{
    struct program *p;
    pid_t pids[2];

    configure("", "", 0);
    p = start_stubborn(pids);
    program_signal(p, SIGKILL);
    finish(p, -SIGKILL);
    wait_both_gone(pids);
    program_free(p);
}
END_TEST

/* ---- floods ---- */

/* Behind a shell, so that standard output leads elsewhere. */
static struct program *start_flooding(const char *output)
{
    char *line = NULL;
    struct program *p;

    ck_assert_int_gt(asprintf(&line, "exec \"$0\" \"$@\" > %s", output), 0);
    p = start_as(ARGS("/bin/sh", "-c", line), ARGS("sh", "-c", "echo model is loaded; (yes to standard error >&2 &); exec yes a line of output"));
    free(line);
    return p;
}

START_TEST(a_flood_that_nobody_reads_is_dropped_and_counted_while_requests_are_served)
{
    char *fifo = in_dir("fifo");
    struct program *p;
    int fd, i;

    configure("", "", 0);
    ck_assert_int_eq(mkfifo(fifo, 0600), 0);
    fd = open(fifo, O_RDWR);
    ck_assert_int_ge(fd, 0);
    p = start_flooding(fifo);
    program_wait_said(p, " -> ready");
    while (client_metric(port_of(p), "vastworker_model_lines_dropped_total") < 1000000)
        nap();
    for (i = 0; i < 20; i++)
        expect_served(port_of(p));
    ck_assert_uint_lt(program_peak_bytes(p), 600u << 20); /* a sanitizer's shadow is the most of it */
    stop(p);
    close(fd);
    program_free(p);
    free(fifo);
}
END_TEST

START_TEST(output_that_cannot_be_written_is_spoken_of_once)
{
    const char *said = "lines of the model's output were dropped";
    struct program *p;
    const char *at;

    configure("", "", 0);
    p = start_flooding("/dev/full");
    program_wait_said(p, " -> ready");
    while (client_metric(port_of(p), "vastworker_model_lines_dropped_total") < 1000000)
        nap();
    stop(p);
    at = strstr(program_err(p), said);
    ck_assert_ptr_nonnull(at);
    ck_assert_ptr_null(strstr(at + 1, said));
    program_free(p);
}
END_TEST

START_TEST(a_flood_that_is_read_does_not_keep_requests_waiting)
{
    struct program *p;
    int i;

    configure("", "", 0);
    p = start_flooding("/dev/null");
    program_wait_said(p, " -> ready");
    for (i = 0; i < 20; i++)
        expect_served(port_of(p));
    ck_assert_double_eq(client_metric(port_of(p), "vastworker_model_lines_dropped_total"), 0);
    stop(p);
    program_free(p);
}
END_TEST

/* ---- as process 1 ---- */

#define ORPHAN "p=$( (setsid sh -c 'echo $$; exec sleep 0.1 >/dev/null' &) ); while kill -0 $p 2>/dev/null; do sleep 0.05; done; " \
               "echo model is loaded; exec sleep 1000"

START_TEST(orphans_are_waited_for_by_process_1)
{
    struct program *p;
    struct answer a;
    int status = 0;

    if (_i) {
        free(shell(&status, "unshare --pid --fork --kill-child true"));
        if (status) {
            printf("skipped: unshare --pid is not allowed here\n");
            return;
        }
    }
    configure("", "", 0);
    p = start_as(_i ? ARGS("/usr/bin/unshare", "--pid", "--fork", "--kill-child") : ARGS(VWT_BUILD "/tests/child/subreaper"),
                 ARGS("sh", "-c", ORPHAN));
    program_wait_said(p, " -> ready"); /* a process that nobody waits for would stay there for ever */
    a = client_call(port_of(p), "POST", "/drain", "Authorization: Bearer mtoken-secret\r\n", "");
    ck_assert_int_eq(a.status, 202);
    answer_fini(&a);
    finish(p, 0);
    ck_assert(has(program_err(p), "after SIGTERM"));
    program_free(p);
}
END_TEST

/* ---- what would be done ---- */

START_TEST(check_says_what_would_be_started_and_starts_nothing)
{
    char *path = in_dir("started");
    struct program *p;

    configure("'restart': 'on-failure', 'logFile': '/var/log/model.log'", "", 0);
    p = program_start(ARGS(RUN, "--check", "--config", config, "--", "sh", "-c", "touch $1", "sh", path, "--api-key=sesame"), NULL);
    finish(p, 0);
    ck_assert_msg(has(program_out(p), "/sh with 5 arguments; when it ends, it is started again: on-failure, at most 5 times within 600 s\n"), "%s",
                  program_out(p));
    ck_assert(has(program_out(p), "copies its output to /var/log/model.log\n"));
    ck_assert(!has(program_out(p), "sesame") && !has(program_err(p), "sesame"));
    ck_assert_int_ne(access(path, F_OK), 0);
    program_free(p);
    free(path);
}
END_TEST

START_TEST(a_program_that_is_not_there_is_exit_2)
{
    struct program *p;

    configure("", "", 0);
    p = program_start(ARGS(RUN, "--config", config, "--", "no-such-server"), NULL);
    finish(p, 2);
    ck_assert_msg(has(program_err(p), "model command: there is no program no-such-server in PATH ("), "%s", program_err(p));
    program_free(p);
}
END_TEST

Suite *supervise_suite(void);

Suite *supervise_suite(void)
{
    Suite *s = suite_create("supervise");
    TCase *tc = tcase_create("supervise");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, a_load_line_on_either_output_makes_ready_and_is_passed_on, 0, 2);
    tcase_add_test(tc, the_environment_is_handed_on_without_the_workers_secrets);
    tcase_add_test(tc, the_loop_has_short_turns_of_a_core_and_the_model_server_its_ordinary_ones);
    tcase_add_test(tc, a_nice_value_below_zero_is_left_to_the_model_server);
    tcase_add_test(tc, what_the_worker_was_started_with_does_not_show_its_secrets_either);
    tcase_add_test(tc, what_it_says_is_in_the_log_file_too_which_is_turned_over);
    tcase_add_test(tc, a_real_server_is_ready_by_its_health_path);
    tcase_add_test(tc, an_end_is_told_with_its_code_and_the_next_process_is_ready_again);
    tcase_add_test(tc, no_line_of_the_model_reaches_the_control_plane);
    tcase_add_test(tc, a_signal_is_told_by_number_and_name);
    tcase_add_test(tc, a_request_in_flight_gets_502_when_its_model_dies_and_the_next_one_is_served);
    tcase_add_loop_test(tc, a_model_that_is_not_started_again_ends_the_worker_which_is_told, 0, sizeof losses / sizeof losses[0]);
    tcase_add_loop_test(tc, a_program_that_cannot_be_executed_is_an_end_too, 0, 2);
    tcase_add_test(tc, it_gets_sigterm_when_the_last_request_is_over_and_not_before);
    tcase_add_test(tc, an_abort_after_sigterm_is_a_clean_stop);
    tcase_add_test(tc, what_ignores_sigterm_is_killed_after_the_grace_time_with_all_it_started);
    tcase_add_test(tc, a_second_signal_does_not_wait_for_the_grace_time);
    tcase_add_test(tc, a_stop_while_the_model_loads_stops_it);
    tcase_add_test(tc, a_worker_that_is_killed_takes_the_model_and_all_it_started_with_it);
    tcase_add_test(tc, a_flood_that_nobody_reads_is_dropped_and_counted_while_requests_are_served);
    tcase_add_test(tc, output_that_cannot_be_written_is_spoken_of_once);
    tcase_add_test(tc, a_flood_that_is_read_does_not_keep_requests_waiting);
    tcase_add_loop_test(tc, orphans_are_waited_for_by_process_1, 0, 2);
    tcase_add_test(tc, check_says_what_would_be_started_and_starts_nothing);
    tcase_add_test(tc, a_program_that_is_not_there_is_exit_2);
    suite_add_tcase(s, tc);
    return s;
}
