/* What a worker that was killed did not say, its successor says: each request once, and as it ended. */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "actors.h"

#define PARALLEL "'auth': 'vast', 'allowParallelRequests': true"
#define HANDLERS "'maxPerf': 200, 'handlers': [{'route': '/ok', " PARALLEL "}, {'route': '/hold', " PARALLEL "}, " \
                 "{'route': '/status/500', " PARALLEL "}, {'route': '/one', 'targetPath': '/hold', 'maxQueueTime': null}]"
#define DELETION "\"requests\":" /* in the body of delete_requests alone */

static struct model *m;
static struct control *c;
static char *state_dir;

static void setup(void)
{
    m = model_start();
    c = control_start();
    state_dir = temp_dir();
}

static void teardown(void)
{
    free(state_dir);
    control_stop(c);
    model_stop(m);
}

/* ---- a worker that can be killed ---- */

static struct program *start_as(const char *id)
{
    char report[64], model[64], container[32], *text = NULL, *path;
    struct program *p;

    ck_assert_int_gt(asprintf(&text, "{'workerPort': 0, 'advertisedUrl': '" URL "', 'stateDir': '%s', " HANDLERS "}", state_dir), 0);
    path = temp_file("worker.json", text);
    snprintf(report, sizeof report, "REPORT_ADDR=http://127.0.0.1:%u", control_port(c));
    snprintf(model, sizeof model, "MODEL_SERVER_URL=http://127.0.0.1:%u", model_port(m));
    snprintf(container, sizeof container, "CONTAINER_ID=%s", id);
    p = program_start((const char *const[]){ RUN, "--config", path, NULL },
                      (const char *const[]){ container, "MASTER_TOKEN=mtoken-secret", "USE_SSL=false", report, model, NULL });
    free(path);
    free(text);
    return p;
}

static struct program *start(void) { return start_as("777"); }

static uint16_t port_of(struct program *p)
{
    uint16_t port = program_port(p, "listening on port ");
    double until = patience();

    for (;;) {
        struct answer a = client_call(port, "GET", "/health", "", NULL);
        bool ready = a.status == 200;

        answer_fini(&a);
        if (ready)
            return port;
        ck_assert_msg(now_s() < until, "it never became ready");
        nap();
    }
}

static void kill_it(struct program *p)
{
    program_signal(p, SIGKILL);
    ck_assert_int_eq(program_wait(p), -SIGKILL);
    program_free(p);
}

static void stop(struct program *p)
{
    program_signal(p, SIGTERM);
    ck_assert_int_eq(program_wait(p), 0);
    program_free(p);
}

static int begin(uint16_t port, const char *path, long idx)
{
    int fd = client_connect(port);
    char *body = envelope(c, idx, "{}");

    client_send_post(fd, path, body);
    free(body);
    return fd;
}

static void call(uint16_t port, const char *path, long idx, int status)
{
    struct answer a = client_envelope(port, c, path, idx, "{}");

    ck_assert_msg(a.status == status, "expected %d, got %d: %s", status, a.status, a.body);
    answer_fini(&a);
}

static bool has_working(const json_t *report, void *arg)
{
    return json_integer_value(json_object_get(report, "num_requests_working")) == *(int *)arg;
}

static void wait_working(int n) { json_decref(control_wait_report(c, has_working, &n)); }

static double number_of(const json_t *object, const char *key) { return json_number_value(json_object_get(object, key)); }

/* The only entry of that request. */
static json_t *told(const json_t *deletions, long idx)
{
    json_t *found = NULL, *entry;
    size_t i;

    json_array_foreach(deletions, i, entry) {
        if (number_of(entry, "request_idx") != (double)idx)
            continue;
        ck_assert_msg(!found, "request %ld was told twice", idx);
        found = entry;
    }
    ck_assert_msg(found != NULL, "request %ld was never told", idx);
    return found;
}

static void expect(const json_t *deletions, long idx, const char *status, bool started, bool completed)
{
    const json_t *entry = told(deletions, idx);
    double entered = number_of(entry, "entered_queue_at"), work = number_of(entry, "work_started_at");
    double over = number_of(entry, "work_completed_at");

    ck_assert_msg(strcmp(json_string_value(json_object_get(entry, "status")), status) == 0, "request %ld", idx);
    ck_assert_int_eq(json_is_true(json_object_get(entry, "success")), strcmp(status, "Error") != 0);
    ck_assert_double_gt(entered, 1.6e9);
    ck_assert(started ? work >= entered : work == 0);
    ck_assert(completed ? over >= entered && over >= work : over == 0);
}

START_TEST(each_request_of_a_killed_worker_is_told_once_and_as_it_ended)
{
    struct program *p = start();
    uint16_t port = port_of(p);
    json_t *deletions;
    int fds[4];

    call(port, "/ok", 1, 200);
    control_wait_deletions(c, 1);
    control_fail_on(c, DELETION, 503);
    call(port, "/ok", 2, 200);
    control_wait_refused(c, 1); /* so the worker has heard that the first was taken */
    call(port, "/status/500", 3, 500);
    fds[0] = begin(port, "/hold", 4);
    fds[1] = begin(port, "/one", 5);
    model_wait_requests(m, 5);
    fds[2] = begin(port, "/one", 6); /* waits behind 5 */
    fds[3] = begin(port, "/hold", 7);
    model_wait_requests(m, 6);
    client_close(fds[3]);
    model_wait_gone(m, 1);
    wait_working(3);
    kill_it(p);
    control_fail_on(c, NULL, 0);
    p = start();
    control_wait_deletions(c, 7);
    program_wait_said(p, "journal: 6 requests of an earlier process");
    call(port_of(p), "/ok", 8, 200);
    stop(p);
    p = start(); /* finds nothing left to tell */
    port_of(p);
    stop(p);
    deletions = control_deletions(c);
    ck_assert_uint_eq(json_array_size(deletions), 8);
    expect(deletions, 1, "Success", true, true);
    expect(deletions, 2, "Success", true, true);
    expect(deletions, 3, "Error", true, true);
    expect(deletions, 4, "Error", true, true);
    expect(deletions, 5, "Error", true, true);
    expect(deletions, 6, "Error", false, true);
    expect(deletions, 7, "Cancelled", true, false);
    expect(deletions, 8, "Success", true, true);
    ck_assert_double_lt(number_of(told(deletions, 2), "work_completed_at"), number_of(told(deletions, 4), "work_completed_at"));
    json_decref(deletions);
    client_close(fds[0]);
    client_close(fds[1]);
    client_close(fds[2]);
}
END_TEST

/* Killed in the middle of work, and the second one again while it is told that nobody listens. */
START_TEST(a_crowd_is_told_once_each_also_when_the_successor_is_killed)
{
    enum { CROWD = 60, SERVED = 20 };
    struct program *p = start();
    uint16_t port = port_of(p);
    int fds[CROWD], i;
    json_t *deletions, *entry;
    unsigned served = 0;
    size_t at;

    control_fail_on(c, DELETION, 503);
    for (i = 0; i < CROWD; i++)
        fds[i] = begin(port, i % 10 ? "/hold" : "/status/500", i + 1);
    model_wait_requests(m, CROWD);
    model_permit(m, SERVED);
    wait_working(CROWD - CROWD / 10 - SERVED);
    kill_it(p);
    p = start();
    control_wait_refused(c, 2);
    kill_it(p);
    control_fail_on(c, NULL, 0);
    p = start();
    control_wait_deletions(c, CROWD);
    stop(p);
    deletions = control_deletions(c);
    ck_assert_uint_eq(json_array_size(deletions), CROWD);
    for (i = 0; i < CROWD; i++)
        told(deletions, i + 1);
    json_array_foreach(deletions, at, entry)
        served += strcmp(json_string_value(json_object_get(entry, "status")), "Success") == 0;
    ck_assert_uint_eq(served, SERVED);
    json_decref(deletions);
    for (i = 0; i < CROWD; i++)
        client_close(fds[i]);
}
END_TEST

/* ---- killed under load ---- */

#define SENDERS 32
#define MOST 3000        /* a journal has room for 4096 */
#define A_BODY 512       /* deletions that one call names: so many may have been taken, and not known to be, at the moment of the kill */

struct load {
    struct pollfd senders[SENDERS];
    long asked[SENDERS], answered_last[SENDERS]; /* request_idx */
    bool answered[MOST];
    long next;
    char *signature;
};

static void ask_next(struct load *load, int i)
{
    char *body;

    ck_assert_int_lt(load->next, MOST);
    load->asked[i] = load->next++;
    body = envelope_signed(load->signature, load->asked[i], "{}");
    client_send_post(load->senders[i].fd, "/ok", body);
    free(body);
}

static void begin_load(struct load *load, uint16_t port)
{
    int i;

    memset(load, 0, sizeof *load);
    load->next = 1;
    load->signature = sign(c, URL);
    for (i = 0; i < SENDERS; i++) {
        load->senders[i] = (struct pollfd){ client_connect(port), POLLIN, 0 };
        ask_next(load, i);
    }
}

static void keep_up(struct load *load, int answers)
{
    while (answers > 0) {
        int i;

        ck_assert_int_gt(poll(load->senders, SENDERS, (int)(1000 * (patience() - now_s()))), 0);
        for (i = 0; i < SENDERS; i++) {
            struct answer a;

            if (!load->senders[i].revents)
                continue;
            a = client_read(load->senders[i].fd);
            ck_assert_int_eq(a.status, 200);
            answer_fini(&a);
            load->answered[load->asked[i]] = true;
            load->answered_last[i] = load->asked[i];
            ask_next(load, i);
            answers--;
        }
    }
}

static void end_load(struct load *load)
{
    int i;

    for (i = 0; i < SENDERS; i++)
        client_close(load->senders[i].fd);
    free(load->signature);
}

static bool is_last_of_somebody(const struct load *load, long idx)
{
    int i;

    for (i = 0; i < SENDERS && load->answered_last[i] != idx; i++)
        continue;
    return i < SENDERS;
}

/* Nothing is waited for before the kill. An answer on its way out then may have been booked or not; all others that came were. */
START_TEST(a_worker_killed_under_load_has_all_it_served_told_by_its_successor)
{
    static struct load load;
    struct program *p = start();
    unsigned success[MOST] = { 0 }, error[MOST] = { 0 }, doubles = 0;
    json_t *deletions, *entry;
    size_t at;
    long i;

    begin_load(&load, port_of(p));
    keep_up(&load, 900 + 170 * _i);
    kill_it(p);
    p = start();
    port_of(p);
    stop(p);
    deletions = control_deletions(c);
    json_array_foreach(deletions, at, entry) {
        i = (long)number_of(entry, "request_idx");
        ck_assert(i > 0 && i < load.next);
        *(strcmp(json_string_value(json_object_get(entry, "status")), "Success") == 0 ? &success[i] : &error[i]) += 1;
    }
    for (i = 1; i < load.next; i++) {
        ck_assert_msg(!(success[i] && error[i]) && success[i] + error[i] <= 2, "request %ld: %u times Success, %u times Error", i, success[i], error[i]);
        doubles += success[i] + error[i] == 2;
        if (load.answered[i])
            ck_assert_msg(success[i] || (error[i] && is_last_of_somebody(&load, i)), "request %ld was served, and told as Error %u times", i, error[i]);
    }
    ck_assert_uint_le(doubles, A_BODY);
    json_decref(deletions);
    end_load(&load);
}
END_TEST

START_TEST(the_journal_of_another_worker_is_not_told)
{
    struct program *p = start();
    int fd = begin(port_of(p), "/hold", 1);
    json_t *deletions;

    model_wait_requests(m, 1);
    kill_it(p);
    p = start_as("778");
    program_wait_said(p, "of another CONTAINER_ID and begins anew");
    port_of(p);
    stop(p);
    p = start(); /* the first one's number again, whose records are gone */
    call(port_of(p), "/ok", 2, 200);
    stop(p);
    deletions = control_deletions(c);
    ck_assert_uint_eq(json_array_size(deletions), 1);
    told(deletions, 2);
    json_decref(deletions);
    client_close(fd);
}
END_TEST

/* ---- what a clean stop leaves ---- */

static struct worker *start_worker(const char *dir)
{
    char *config = NULL;
    struct worker *w;

    ck_assert_int_gt(asprintf(&config, "{'stateDir': '%s', " HANDLERS "}", dir), 0);
    w = worker_start_ready(m, c, config);
    free(config);
    return w;
}

START_TEST(what_a_stop_left_untold_is_told_by_the_next_start)
{
    struct worker *w = start_worker(state_dir);
    json_t *deletions;

    control_fail_on(c, DELETION, 503);
    call(worker_port(w), "/ok", 1, 200);
    control_wait_refused(c, 1);
    vw_worker_drain(worker_handle(w));
    worker_wait_logged(w, "draining");
    vw_worker_stop(worker_handle(w));
    worker_wait_logged(w, "request_idx 1; the next start with this stateDir tells them");
    ck_assert_int_eq(worker_join(w), VW_OK);
    control_fail_on(c, NULL, 0);
    w = start_worker(state_dir);
    control_wait_deletions(c, 1);
    ck_assert_int_eq(worker_finish(w), VW_OK);
    deletions = control_deletions(c);
    ck_assert_uint_eq(json_array_size(deletions), 1);
    expect(deletions, 1, "Success", true, true);
    json_decref(deletions);
}
END_TEST

/* ---- without one ---- */

static void expect_to_serve(struct worker *w, long idx)
{
    json_t *deletions;

    call(worker_port(w), "/ok", idx, 200);
    ck_assert_int_eq(worker_finish(w), VW_OK);
    deletions = control_deletions(c);
    told(deletions, idx);
    json_decref(deletions);
}

START_TEST(of_two_workers_with_one_state_directory_the_second_runs_without)
{
    struct worker *one = start_worker(state_dir), *two = start_worker(state_dir), *three;

    worker_wait_logged(two, "/journal: another process has it; the worker runs without one");
    ck_assert(!worker_logged(one, "journal:"));
    expect_to_serve(two, 2);
    expect_to_serve(one, 1);
    three = start_worker(state_dir);
    ck_assert(!worker_logged(three, "journal:"));
    expect_to_serve(three, 3);
}
END_TEST

START_TEST(a_state_directory_that_cannot_be_is_warned_of_and_no_more)
{
    char *file = temp_file("in-the-way", ""), *dir = NULL;
    struct worker *w;

    ck_assert_int_gt(asprintf(&dir, "%s/state", file), 0);
    w = start_worker(dir);
    worker_wait_logged(w, "Not a directory; the worker runs without one");
    expect_to_serve(w, 1);
    free(dir);
    free(file);
}
END_TEST

START_TEST(a_file_that_is_no_journal_begins_anew)
{
    char *file = temp_file("journal", "{'what': 'is this'}\n");
    struct worker *w = start_worker(state_dir);

    worker_wait_logged(w, "is no journal, or damaged, and begins anew");
    expect_to_serve(w, 1);
    free(file);
}
END_TEST

START_TEST(check_leaves_the_journal_alone)
{
    struct program *p = start();
    int status, fd = begin(port_of(p), "/hold", 1);
    char *out, *dir = temp_dir();

    model_wait_requests(m, 1);
    kill_it(p);
    out = shell(&status, "CONTAINER_ID=777 MASTER_TOKEN=x USE_SSL=false REPORT_ADDR=http://127.0.0.1:%u " RUN " --check --config %s/worker.json",
                control_port(c), dir);
    ck_assert_int_eq(status, 0);
    free(out);
    p = start();
    control_wait_deletions(c, 1);
    stop(p);
    free(dir);
    client_close(fd);
}
END_TEST

Suite *journal_suite(void);

Suite *journal_suite(void)
{
    Suite *s = suite_create("journal");
    TCase *tc = tcase_create("journal");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, each_request_of_a_killed_worker_is_told_once_and_as_it_ended);
    tcase_add_test(tc, a_crowd_is_told_once_each_also_when_the_successor_is_killed);
    tcase_add_loop_test(tc, a_worker_killed_under_load_has_all_it_served_told_by_its_successor, 0, 5);
    tcase_add_test(tc, the_journal_of_another_worker_is_not_told);
    tcase_add_test(tc, what_a_stop_left_untold_is_told_by_the_next_start);
    tcase_add_test(tc, of_two_workers_with_one_state_directory_the_second_runs_without);
    tcase_add_test(tc, a_state_directory_that_cannot_be_is_warned_of_and_no_more);
    tcase_add_test(tc, a_file_that_is_no_journal_begins_anew);
    tcase_add_test(tc, check_leaves_the_journal_alone);
    suite_add_tcase(s, tc);
    return s;
}
