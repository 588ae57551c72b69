/* The control plane's view: what it is told adds up, whatever became of a request and however badly the telling went. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "actors.h"

#define STATUS_PATH "/worker_status/"
#define DELETIONS_PATH "/delete_requests/"
#define UNITS "'workloadCalculator': {'field': '/units'}"
#define PARALLEL "'allowParallelRequests': true, " UNITS
#define PLAIN "{'maxPerf': 200, 'handlers': [{'route': '/ok', " PARALLEL "}, {'route': '/hold', " PARALLEL "}, " \
              "{'route': '/status/500', " PARALLEL "}]}"

static struct model *m;
static struct control *c;

static void setup(void)
{
    m = model_start();
    c = control_start();
}

static const char *text_of(const json_t *object, const char *key) { return json_string_value(json_object_get(object, key)); }
static double number_of(const json_t *object, const char *key) { return json_number_value(json_object_get(object, key)); }

/* protocol 3.1: all of them, always, each of its type */
static void check_fields(const json_t *report)
{
    static const char *const numbers[] = {
        "loadtime", "cur_load", "rej_load", "new_load", "max_perf", "cur_perf", "additional_disk_usage",
    };
    static const char *const integers[] = {
        "id", "cur_capacity", "max_capacity", "num_requests_working", "num_requests_recieved",
    };
    static const char *const strings[] = { "mtoken", "version", "error_msg", "url" };
    const json_t *idxs = json_object_get(report, "working_request_idxs");
    size_t i;

    ck_assert_uint_eq(json_object_size(report), 17);
    for (i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        ck_assert_msg(json_is_number(json_object_get(report, numbers[i])), "%s", numbers[i]);
    for (i = 0; i < sizeof integers / sizeof integers[0]; i++)
        ck_assert_msg(json_is_integer(json_object_get(report, integers[i])), "%s", integers[i]);
    for (i = 0; i < sizeof strings / sizeof strings[0]; i++)
        ck_assert_msg(json_is_string(json_object_get(report, strings[i])), "%s", strings[i]);
    ck_assert(json_is_real(json_object_get(report, "loadtime")));
    ck_assert(json_is_real(json_object_get(report, "max_perf")));
    ck_assert(json_is_array(idxs));
    for (i = 0; i < json_array_size(idxs); i++)
        ck_assert(json_is_integer(json_array_get(idxs, i)));
    ck_assert_int_eq(number_of(report, "id"), 777);
    ck_assert_str_eq(text_of(report, "mtoken"), "mtoken-secret");
    ck_assert_str_eq(text_of(report, "version"), "1.1.0");
    ck_assert_str_eq(text_of(report, "url"), URL);
    ck_assert_double_ge(number_of(report, "new_load"), 0);
}

static void teardown(void)
{
    json_t *reports = control_bodies(c, STATUS_PATH);
    size_t i;

    ck_assert_uint_gt(json_array_size(reports), 0);
    for (i = 0; i < json_array_size(reports); i++)
        check_fields(json_array_get(reports, i));
    json_decref(reports);
    control_stop(c);
    model_stop(m);
}

static int begin(struct worker *w, const char *path, long idx, int units)
{
    int fd = client_connect(worker_port(w));
    char payload[64], *body;

    snprintf(payload, sizeof payload, "{'units': %d}", units);
    body = envelope(c, idx, payload);
    client_send_post(fd, path, body);
    free(body);
    return fd;
}

static void end(int fd, int status)
{
    struct answer a = client_read(fd);

    ck_assert_msg(a.status == status, "expected %d, got %d: %s", status, a.status, a.body);
    answer_fini(&a);
    client_close(fd);
}

static void call(struct worker *w, const char *path, long idx, int units, int status) { end(begin(w, path, idx, units), status); }

struct figure {
    const char *key;
    double value;
};

static bool has_figure(const json_t *report, void *arg)
{
    const struct figure *figure = arg;

    return number_of(report, figure->key) == figure->value;
}

static json_t *wait_figure(const char *key, double value)
{
    struct figure figure = { key, value };

    return control_wait_report(c, has_figure, &figure);
}

static json_t *wait_received(int n) { return wait_figure("num_requests_recieved", n); }
static json_t *wait_working(int n) { return wait_figure("num_requests_working", n); }

static bool is_draining(const json_t *report, void *arg)
{
    (void)arg;
    return number_of(report, "loadtime") > 0 && number_of(report, "max_perf") == 0;
}

/* The only entry for idx. */
static json_t *deletion_of(const json_t *deletions, long idx)
{
    json_t *found = NULL;
    size_t i;

    for (i = 0; i < json_array_size(deletions); i++) {
        json_t *entry = json_array_get(deletions, i);

        if (number_of(entry, "request_idx") != (double)idx)
            continue;
        ck_assert_msg(!found, "request %ld was deleted twice", idx);
        found = entry;
    }
    ck_assert_msg(found != NULL, "request %ld was never deleted", idx);
    return found;
}

static void expect_status(long idx, const char *status)
{
    json_t *deletions = control_deletions(c);

    ck_assert_str_eq(text_of(deletion_of(deletions, idx), "status"), status);
    json_decref(deletions);
}

static void expect_sums(double new_load, double cur_perf, double rej_load)
{
    ck_assert_double_eq_tol(control_sum(c, "new_load"), new_load, 1e-6);
    ck_assert_double_eq_tol(control_sum(c, "cur_perf"), cur_perf, 1e-6);
    ck_assert_double_eq_tol(control_sum(c, "rej_load"), rej_load, 1e-6);
}

static size_t count_deletions(void)
{
    json_t *deletions = control_deletions(c);
    size_t n = json_array_size(deletions);

    json_decref(deletions);
    return n;
}

START_TEST(the_protocols_worked_example_comes_out_as_written)
{
    struct worker *w;
    json_t *report, *idxs;
    int b, d;

    control_hold(c, true); /* so that all four fall into one period */
    w = worker_start_ready(m, c, "{'maxPerf': 200, 'handlers': ["
                                 "{'route': '/ok', " PARALLEL "}, {'route': '/hold', " PARALLEL "}, "
                                 "{'route': '/one', 'targetPath': '/hold', 'maxQueueLength': 0, " UNITS "}]}");
    control_wait_held(c, 1);
    call(w, "/ok", 11, 100, 200);
    b = begin(w, "/one", 12, 60);
    model_wait_requests(m, 2);
    call(w, "/one", 13, 40, 429);
    d = begin(w, "/hold", 14, 30);
    model_wait_requests(m, 3);
    client_close(d);
    model_wait_gone(m, 1);
    worker_wait_in_flight(w, 1);
    control_hold(c, false);
    report = wait_received(4);
    ck_assert_double_eq(number_of(report, "new_load"), 160);
    ck_assert_double_eq(number_of(report, "cur_load"), 60);
    ck_assert_double_eq(number_of(report, "rej_load"), 40);
    ck_assert_double_eq(number_of(report, "cur_perf"), 100);
    ck_assert_double_eq(number_of(report, "max_perf"), 200);
    ck_assert_int_eq(number_of(report, "num_requests_working"), 1);
    ck_assert_str_eq(text_of(report, "error_msg"), "");
    idxs = json_object_get(report, "working_request_idxs");
    ck_assert_uint_eq(json_array_size(idxs), 1);
    ck_assert_int_eq(json_integer_value(json_array_get(idxs, 0)), 12);
    json_decref(report);
    model_permit(m, 1);
    end(b, 200);
    ck_assert_int_eq(worker_finish(w), VW_OK);
    expect_sums(160, 160, 40);
    ck_assert_uint_eq(count_deletions(), 4);
    expect_status(11, "Success");
    expect_status(12, "Success");
    expect_status(13, "Rejected");
    expect_status(14, "Cancelled");
}
END_TEST

/* ---- each outcome: what request 5 of workload 7 leaves in the books ---- */

#define OUTCOMES "'maxPerf': 1000, 'lanes': {'a': {}, 'b': {}, 'c': {}, 'd': {}}, 'handlers': [{'route': '/ok', " PARALLEL "}, " \
                 "{'route': '/status/*', " PARALLEL "}, {'route': '/vanish', " PARALLEL "}, " \
                 "{'route': '/hold', " UNITS ", 'maxQueueTime': null, 'lane': 'a'}, " \
                 "{'route': '/late', 'targetPath': '/hold', " PARALLEL ", 'timeouts': {'firstByte': 0.1}}, " \
                 "{'route': '/short', 'targetPath': '/hold', " UNITS ", 'maxQueueTime': 0.2, 'lane': 'b'}, " \
                 "{'route': '/now', 'targetPath': '/hold', " UNITS ", 'maxQueueTime': 0, 'lane': 'c'}, " \
                 "{'route': '/full', 'targetPath': '/hold', " UNITS ", 'maxQueueLength': 0, 'lane': 'd'}]}"

static void act_served(struct worker *w) { call(w, "/ok", 5, 7, 200); }
static void act_refused_by_the_model(struct worker *w) { call(w, "/status/404", 5, 7, 404); }
static void act_failed_by_the_model(struct worker *w) { call(w, "/status/500", 5, 7, 500); }
static void act_reset(struct worker *w) { call(w, "/vanish", 5, 7, 502); }
static void act_late(struct worker *w) { call(w, "/late", 5, 7, 504); }

static void act_unreachable(struct worker *w)
{
    struct model *down = m;

    m = model_start();
    model_stop(down);
    call(w, "/ok", 5, 7, 502);
}

/* Behind request 1 of workload 2, which is served in the end. */
static void act_behind(struct worker *w, const char *path, int status)
{
    int first = begin(w, path, 1, 2), second;

    model_wait_requests(m, 1);
    second = begin(w, path, 5, 7);
    if (status) {
        end(second, status);
    } else {
        worker_wait_in_flight(w, 2);
        client_close(second);
        worker_wait_in_flight(w, 1);
    }
    model_permit(m, 1);
    end(first, 200);
}

static void act_queue_timeout(struct worker *w) { act_behind(w, "/short", 429); }
static void act_predicted_wait(struct worker *w) { act_behind(w, "/now", 429); }
static void act_queue_full(struct worker *w) { act_behind(w, "/full", 429); }
static void act_gone_queued(struct worker *w) { act_behind(w, "/hold", 0); }

static void act_gone_running(struct worker *w)
{
    int fd = begin(w, "/hold", 5, 7);

    model_wait_requests(m, 1);
    client_close(fd);
    model_wait_gone(m, 1);
    worker_wait_in_flight(w, 0);
}

static void act_draining(struct worker *w)
{
    int first = begin(w, "/hold", 1, 2);

    model_wait_requests(m, 1);
    vw_worker_drain(worker_handle(w));
    worker_wait_state(w, VW_STATE_DRAINING);
    call(w, "/ok", 5, 7, 503);
    model_permit(m, 1);
    end(first, 200);
}

static void act_cut_by_drain(struct worker *w)
{
    int fd = begin(w, "/hold", 5, 7);

    model_wait_requests(m, 1);
    vw_worker_drain(worker_handle(w));
    end(fd, 503);
}

static const struct {
    void (*act)(struct worker *w);
    const char *settings, *status;
    bool success, started, completed;
    double new_load, cur_perf, rej_load;
} outcomes[] = {
    { act_served, "", "Success", true, true, true, 7, 7, 0 },
    { act_refused_by_the_model, "", "Success", true, true, true, 7, 7, 0 },
    { act_failed_by_the_model, "", "Error", false, true, true, 7, 0, 0 },
    { act_unreachable, "", "Error", false, true, true, 7, 0, 0 },
    { act_reset, "", "Error", false, true, true, 7, 0, 0 },
    { act_late, "", "Error", false, true, true, 7, 0, 0 },
    { act_cut_by_drain, "'drainTimeout': 0.2, ", "Error", false, true, true, 7, 0, 0 },
    { act_queue_timeout, "", "Rejected", false, false, false, 2, 2, 7 },
    { act_predicted_wait, "", "Rejected", false, false, false, 2, 2, 7 },
    { act_queue_full, "", "Rejected", false, false, false, 2, 2, 7 },
    { act_draining, "", "Rejected", false, false, false, 2, 2, 7 },
    { act_gone_queued, "", "Cancelled", true, false, false, 2, 2, 0 },
    { act_gone_running, "", "Cancelled", true, true, false, 0, 0, 0 },
};

static void check_times(const json_t *entry, bool started, bool completed)
{
    double entered = number_of(entry, "entered_queue_at");
    double work = number_of(entry, "work_started_at"), over = number_of(entry, "work_completed_at");

    ck_assert_double_gt(entered, 1.6e9); /* seconds since the epoch */
    ck_assert(json_is_real(json_object_get(entry, "work_started_at")));
    ck_assert(json_is_real(json_object_get(entry, "work_completed_at")));
    ck_assert(started ? work >= entered : work == 0);
    ck_assert(completed ? over >= work && over >= entered : over == 0);
}

START_TEST(each_outcome_is_booked_as_the_table_says)
{
    char *config = NULL;
    struct worker *w;
    json_t *deletions, *entry;

    ck_assert_int_gt(asprintf(&config, "{%s" OUTCOMES, outcomes[_i].settings), 0);
    w = worker_start_ready(m, c, config);
    outcomes[_i].act(w);
    ck_assert_int_eq(worker_finish(w), VW_OK);
    deletions = control_deletions(c);
    entry = deletion_of(deletions, 5);
    ck_assert_str_eq(text_of(entry, "status"), outcomes[_i].status);
    ck_assert_int_eq(json_is_true(json_object_get(entry, "success")), outcomes[_i].success);
    check_times(entry, outcomes[_i].started, outcomes[_i].completed);
    json_decref(deletions);
    /* what leaves new_load may have been reported already: that debt is carried over, and nothing is left to pay it with */
    if (strcmp(outcomes[_i].status, "Cancelled") == 0 || outcomes[_i].act == act_queue_timeout)
        ck_assert_double_le(control_sum(c, "new_load"), outcomes[_i].new_load + 7);
    else
        ck_assert_double_eq(control_sum(c, "new_load"), outcomes[_i].new_load);
    ck_assert_double_eq(control_sum(c, "cur_perf"), outcomes[_i].cur_perf);
    ck_assert_double_eq(control_sum(c, "rej_load"), outcomes[_i].rej_load);
    entry = control_last_report(c);
    ck_assert_double_eq(number_of(entry, "cur_load"), 0);
    ck_assert_int_eq(number_of(entry, "num_requests_working"), 0);
    json_decref(entry);
    free(config);
}
END_TEST

START_TEST(what_is_refused_before_it_is_weighed_is_not_reported)
{
    struct worker *w = worker_start_ready(m, c, PLAIN);
    struct answer a;
    json_t *last;

    a = client_envelope(worker_port(w), NULL, "/ok", 5, "{'units': 7}"); /* nobody's signature */
    ck_assert_int_eq(a.status, 401);
    answer_fini(&a);
    a = client_post(worker_port(w), "/ok", "{\"payload\": {}}");
    ck_assert_int_eq(a.status, 422);
    answer_fini(&a);
    call(w, "/nowhere", 6, 7, 404);
    ck_assert_int_eq(worker_finish(w), VW_OK);
    expect_sums(0, 0, 0);
    ck_assert_uint_eq(count_deletions(), 0);
    last = control_last_report(c);
    ck_assert_int_eq(number_of(last, "num_requests_recieved"), 0);
    json_decref(last);
}
END_TEST

/* ---- telling goes wrong ---- */

START_TEST(a_failing_control_plane_loses_and_doubles_nothing)
{
    struct worker *w = worker_start_ready(m, c, PLAIN);
    long idx;

    json_decref(control_wait_state(c, true));
    if (_i == 0)
        control_down(c);
    else
        control_fail(c, 503, 0);
    for (idx = 1; idx <= 5; idx++)
        call(w, "/ok", idx, 10, 200);
    worker_wait_logged(w, "it is kept and sent again");
    call(w, "/ok", 6, 10, 200);
    call(w, "/status/500", 7, 10, 500);
    if (_i == 0)
        control_up(c);
    else
        control_fail(c, 0, 0);
    control_wait_deletions(c, 7);
    json_decref(wait_received(7));
    ck_assert_int_eq(worker_finish(w), VW_OK);
    expect_sums(70, 60, 0);
    ck_assert_uint_eq(count_deletions(), 7);
    for (idx = 1; idx <= 7; idx++)
        expect_status(idx, idx == 7 ? "Error" : "Success");
}
END_TEST

START_TEST(starts_and_ends_during_a_report_are_in_the_next_one)
{
    struct worker *w = worker_start_ready(m, c, PLAIN);
    json_t *report;
    int first, third;

    json_decref(control_wait_state(c, true));
    control_hold(c, true);
    first = begin(w, "/hold", 1, 10);
    control_wait_held(c, 1); /* the report that tells of it is on its way from now on */
    model_permit(m, 1);
    end(first, 200);
    call(w, "/ok", 2, 20, 200);
    third = begin(w, "/hold", 3, 40);
    worker_wait_in_flight(w, 1);
    control_hold(c, false);
    report = wait_received(3);
    ck_assert_double_eq(number_of(report, "cur_load"), 40);
    ck_assert_int_eq(json_integer_value(json_array_get(json_object_get(report, "working_request_idxs"), 0)), 3);
    json_decref(report);
    expect_sums(70, 30, 0);
    model_permit(m, 1);
    end(third, 200);
    ck_assert_int_eq(worker_finish(w), VW_OK);
    expect_sums(70, 70, 0);
    ck_assert_uint_eq(count_deletions(), 3);
}
END_TEST

START_TEST(a_report_that_was_refused_is_sent_again_with_what_came_since)
{
    struct worker *w = worker_start_ready(m, c, PLAIN);

    json_decref(control_wait_state(c, true));
    control_hold(c, true);
    call(w, "/ok", 1, 10, 200);
    control_wait_held(c, 2); /* report and deletions */
    call(w, "/ok", 2, 20, 200);
    control_fail(c, 503, 2); /* which are both lost */
    control_hold(c, false);
    control_wait_refused(c, 2);
    control_wait_deletions(c, 2);
    json_decref(wait_received(2));
    ck_assert_int_eq(worker_finish(w), VW_OK);
    expect_sums(30, 30, 0);
    ck_assert_uint_eq(count_deletions(), 2);
}
END_TEST

START_TEST(a_request_never_waits_for_a_control_plane_that_does_not_answer)
{
    struct worker *w = worker_start_ready(m, c, PLAIN);
    long idx;

    control_hold(c, true);
    for (idx = 1; idx <= 20; idx++)
        call(w, "/ok", idx, 1, 200);
    control_wait_held(c, 1);
    call(w, "/ok", 21, 1, 200);
    control_hold(c, false);
    ck_assert_int_eq(worker_finish(w), VW_OK);
    expect_sums(21, 21, 0);
}
END_TEST

START_TEST(the_second_address_takes_over_when_the_first_fails)
{
    struct control *broken = control_start();
    char addresses[128];
    struct worker *w;

    control_fail(broken, 503, 0);
    if (_i == 0)
        control_down(broken);
    snprintf(addresses, sizeof addresses, "http://127.0.0.1:%u,http://127.0.0.1:%u/", control_port(broken), control_port(c));
    worker_setenv("REPORT_ADDR", addresses);
    w = worker_start_ready(m, c, PLAIN); /* the key came from the second one, too */
    json_decref(control_wait_state(c, true));
    call(w, "/ok", 1, 10, 200);
    control_wait_deletions(c, 1);
    ck_assert_int_eq(worker_finish(w), VW_OK);
    expect_sums(10, 10, 0);
    ck_assert_uint_eq(control_reports(broken), 0);
    control_stop(broken);
}
END_TEST

/* ---- forms and identities ---- */

START_TEST(legacy_deletions_are_one_call_for_successes_and_one_for_failures)
{
    struct worker *w = worker_start_ready(m, c, "{'report': {'legacyDeletions': true}, 'handlers': ["
                                                "{'route': '/ok', " PARALLEL "}, {'route': '/status/500', " PARALLEL "}]}");
    json_t *bodies, *body;
    bool seen[2] = { false, false };
    size_t i;

    call(w, "/ok", 1, 10, 200);
    call(w, "/status/500", 2, 10, 500);
    json_decref(control_wait_bodies(c, DELETIONS_PATH, 2));
    ck_assert_int_eq(worker_finish(w), VW_OK);
    bodies = control_bodies(c, DELETIONS_PATH);
    ck_assert_uint_eq(json_array_size(bodies), 2);
    json_array_foreach(bodies, i, body) {
        json_t *idxs = json_object_get(body, "request_idxs");
        bool success = json_is_true(json_object_get(body, "success"));

        ck_assert_uint_eq(json_object_size(body), 4);
        ck_assert_int_eq(number_of(body, "worker_id"), 777);
        ck_assert_str_eq(text_of(body, "mtoken"), "mtoken-secret");
        ck_assert(json_is_boolean(json_object_get(body, "success")));
        ck_assert_uint_eq(json_array_size(idxs), 1);
        ck_assert_int_eq(json_integer_value(json_array_get(idxs, 0)), success ? 1 : 2);
        ck_assert(!seen[success]);
        seen[success] = true;
    }
    json_decref(bodies);
}
END_TEST

START_TEST(deletions_name_the_worker_and_carry_the_token)
{
    struct worker *w = worker_start_ready(m, c, PLAIN);
    json_t *bodies, *body;

    call(w, "/ok", 1, 10, 200);
    bodies = control_wait_bodies(c, DELETIONS_PATH, 1);
    body = json_array_get(bodies, 0);
    ck_assert_uint_eq(json_object_size(body), 3);
    ck_assert_int_eq(number_of(body, "worker_id"), 777);
    ck_assert_str_eq(text_of(body, "mtoken"), "mtoken-secret");
    ck_assert_uint_eq(json_object_size(json_array_get(json_object_get(body, "requests"), 0)), 6);
    json_decref(bodies);
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

START_TEST(one_request_idx_in_flight_twice_is_counted_twice)
{
    struct worker *w = worker_start_ready(m, c, PLAIN);
    int one, two;
    json_t *report, *deletions;

    json_decref(control_wait_state(c, true));
    one = begin(w, "/hold", 7, 10);
    model_wait_requests(m, 1);
    two = begin(w, "/hold", 7, 20);
    report = wait_working(2);
    ck_assert_double_eq(number_of(report, "cur_load"), 30);
    ck_assert_uint_eq(json_array_size(json_object_get(report, "working_request_idxs")), 2);
    json_decref(report);
    client_close(one);
    model_wait_gone(m, 1);
    worker_wait_in_flight(w, 1);
    ck_assert_double_eq(worker_status(w).load, 20);
    model_permit(m, 1);
    end(two, 200);
    ck_assert_int_eq(worker_finish(w), VW_OK);
    deletions = control_deletions(c);
    ck_assert_uint_eq(json_array_size(deletions), 2);
    ck_assert_int_eq(number_of(json_array_get(deletions, 0), "request_idx"), 7);
    ck_assert_int_eq(number_of(json_array_get(deletions, 1), "request_idx"), 7);
    json_decref(deletions);
    ck_assert_double_eq(control_sum(c, "cur_perf"), 20);
}
END_TEST

START_TEST(secrets_are_told_to_the_control_plane_and_to_no_log)
{
    struct worker *w = worker_start_ready(m, c, PLAIN);
    char *body = envelope(c, 1, "{'units': 1, 'prompt': 'hush-hush'}"), *signature = sign(c, URL);
    struct answer a;

    control_fail(c, 503, 2); /* complaints are lines, too */
    a = client_call(worker_port(w), "POST", "/ok?api_key=endpoint-key", "Authorization: Bearer endpoint-key\r\n", body);
    ck_assert_int_eq(a.status, 200);
    answer_fini(&a);
    a = client_call(worker_port(w), "POST", "/nowhere?api_key=endpoint-key", "Authorization: Bearer endpoint-key\r\n", body);
    ck_assert_int_eq(a.status, 404);
    answer_fini(&a);
    a = client_envelope(worker_port(w), NULL, "/ok", 2, "{'units': 1, 'prompt': 'hush-hush'}");
    ck_assert_int_eq(a.status, 401);
    answer_fini(&a);
    control_wait_deletions(c, 1);
    vw_worker_drain(worker_handle(w));
    worker_wait_logged(w, "stopped");
    ck_assert(!worker_logged(w, "mtoken-secret"));
    ck_assert(!worker_logged(w, "hush-hush"));
    ck_assert(!worker_logged(w, "endpoint-key"));
    ck_assert(!worker_logged(w, "bm9ib2R5"));
    ck_assert(!worker_logged(w, signature));
    ck_assert_int_eq(worker_join(w), VW_OK);
    free(signature);
    free(body);
}
END_TEST

/* ---- beginning and end ---- */

START_TEST(the_first_report_comes_while_the_model_still_loads)
{
    char *log = temp_file("model.log", NULL), *config = NULL;
    struct worker *w;
    json_t *reports, *first;

    ck_assert_int_gt(asprintf(&config, "{'maxPerf': 5, 'modelLogFile': '%s', 'logActionConfig': {'onLoad': ['is up']}}", log), 0);
    w = worker_start(m, c, config);
    reports = control_wait_bodies(c, STATUS_PATH, 1);
    first = json_array_get(reports, 0);
    ck_assert_double_eq(number_of(first, "loadtime"), 0);
    ck_assert_double_eq(number_of(first, "max_perf"), 0);
    ck_assert_str_eq(text_of(first, "error_msg"), "");
    json_decref(reports);
    append_file(log, "is up\n");
    first = control_wait_state(c, true);
    ck_assert_double_eq(number_of(first, "max_perf"), 5);
    json_decref(first);
    ck_assert_int_eq(worker_finish(w), VW_OK);
    free(config);
    free(log);
}
END_TEST

START_TEST(a_clean_stop_leaves_nothing_untold)
{
    struct worker *w = worker_start_ready(m, c, PLAIN);
    json_t *report;
    int held;
    long idx;

    for (idx = 1; idx <= 3; idx++)
        call(w, "/ok", idx, 10, 200);
    held = begin(w, "/hold", 4, 10);
    model_wait_requests(m, 4);
    vw_worker_drain(worker_handle(w));
    report = control_wait_report(c, is_draining, NULL); /* while there is still work */
    ck_assert_str_eq(text_of(report, "error_msg"), "");
    ck_assert_int_eq(number_of(report, "num_requests_working"), 1);
    json_decref(report);
    model_permit(m, 1);
    end(held, 200);
    ck_assert_int_eq(worker_join(w), VW_OK);
    ck_assert_uint_eq(count_deletions(), 4);
    expect_sums(40, 40, 0);
    report = control_last_report(c);
    ck_assert(is_draining(report, NULL));
    ck_assert_str_eq(text_of(report, "error_msg"), "");
    ck_assert_double_eq(number_of(report, "cur_load"), 0);
    ck_assert_int_eq(number_of(report, "num_requests_working"), 0);
    json_decref(report);
}
END_TEST

Suite *reports_suite(void);

Suite *reports_suite(void)
{
    Suite *s = suite_create("reports");
    TCase *tc = tcase_create("reports");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, the_protocols_worked_example_comes_out_as_written);
    tcase_add_loop_test(tc, each_outcome_is_booked_as_the_table_says, 0, sizeof outcomes / sizeof outcomes[0]);
    tcase_add_test(tc, what_is_refused_before_it_is_weighed_is_not_reported);
    tcase_add_loop_test(tc, a_failing_control_plane_loses_and_doubles_nothing, 0, 2);
    tcase_add_test(tc, starts_and_ends_during_a_report_are_in_the_next_one);
    tcase_add_test(tc, a_report_that_was_refused_is_sent_again_with_what_came_since);
    tcase_add_test(tc, a_request_never_waits_for_a_control_plane_that_does_not_answer);
    tcase_add_loop_test(tc, the_second_address_takes_over_when_the_first_fails, 0, 2);
    tcase_add_test(tc, legacy_deletions_are_one_call_for_successes_and_one_for_failures);
    tcase_add_test(tc, deletions_name_the_worker_and_carry_the_token);
    tcase_add_test(tc, one_request_idx_in_flight_twice_is_counted_twice);
    tcase_add_test(tc, secrets_are_told_to_the_control_plane_and_to_no_log);
    tcase_add_test(tc, the_first_report_comes_while_the_model_still_loads);
    tcase_add_test(tc, a_clean_stop_leaves_nothing_untold);
    suite_add_tcase(s, tc);
    return s;
}
