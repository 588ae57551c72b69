/* The control plane of vastworker-sim, run as the program it is. */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/vwi.h"
#include "sim_client.h"

#define URL "https://203.0.113.7:41234"
#define REPORT                                                                                                                   \
    "{\"id\":777,\"mtoken\":\"secret\",\"version\":\"1.1.0\",\"loadtime\":3.17,\"cur_load\":60,\"rej_load\":40,"                 \
    "\"new_load\":160.0,\"error_msg\":\"\",\"max_perf\":200.0,\"cur_perf\":100,\"cur_capacity\":0,\"max_capacity\":0,"           \
    "\"num_requests_working\":1,\"num_requests_recieved\":4,\"additional_disk_usage\":0.0,\"working_request_idxs\":[12],"        \
    "\"url\":\"" URL "\"}"
#define DELETION(idx, ok, status, done)                                                                                          \
    "{\"request_idx\":" #idx ",\"success\":" ok ",\"status\":\"" status "\",\"entered_queue_at\":1.0,\"work_started_at\":1.5,"   \
    "\"work_completed_at\":" done "}"
#define ROUTE "{\"endpoint\":\"my-ep\",\"api_key\":\"k\",\"cost\":100,\"request_idx\":0,\"replay_timeout\":60.0}"

static void start_control(struct sim_proc *proc)
{
    static const char *const args[] = { "control", "--quiet", NULL };

    sim_proc_start(proc, args);
}

/* REPORT with some members replaced; a null removes one. New text. */
static char *report_with(const char *changes)
{
    json_t *report = json_loads(REPORT, 0, NULL), *change = json_loads(changes, 0, NULL), *value;
    const char *key;
    char *text;

    ck_assert_ptr_nonnull(change);
    json_object_foreach(change, key, value) {
        if (json_is_null(value))
            json_object_del(report, key);
        else
            json_object_set(report, key, value);
    }
    text = json_dumps(report, JSON_COMPACT);
    json_decref(report);
    json_decref(change);
    return text;
}

static int send_report(int port, const char *changes, json_t **ret)
{
    char *text = report_with(changes);
    int status = sim_post(port, "/worker_status/", text, ret);

    free(text);
    return status;
}

static json_t *control_worker(int port)
{
    json_t *state = NULL, *worker;

    ck_assert_int_eq(sim_get(port, "/sim/state", &state), 200);
    worker = json_incref(json_array_get(json_object_get(state, "workers"), 0));
    json_decref(state);
    return worker;
}

static void check_table(int port, const char *text)
{
    struct vwi_text table = VWI_TEXT_INIT;

    sim_get_text(port, "/sim/table", &table);
    ck_assert_msg(strstr(table.p, text) != NULL, "no \"%s\" in:\n%s", text, table.p);
    vwi_text_fini(&table);
}

START_TEST(route_waits_until_a_worker_is_ready)
{
    struct sim_proc control;
    json_t *waiting = NULL, *ready = NULL, *value;
    const char *key;
    size_t keys = 0;

    start_control(&control);
    ck_assert_int_eq(sim_post(control.port, "/route/", ROUTE, &waiting), 200);
    ck_assert_ptr_null(json_object_get(waiting, "url"));
    ck_assert_int_eq((int)json_integer_value(json_object_get(waiting, "request_idx")), 1);
    ck_assert_str_eq(json_string_value(json_object_get(waiting, "endpoint")), "my-ep");
    ck_assert(json_is_string(json_object_get(waiting, "status")));
    ck_assert(json_is_string(json_object_get(waiting, "__request_id")));

    ck_assert_int_eq(send_report(control.port, "{\"loadtime\":0.0,\"max_perf\":0.0}", NULL), 200);
    ck_assert_int_eq(sim_post(control.port, "/route/", "{\"endpoint\":\"my-ep\",\"cost\":100,\"request_idx\":1}", &ready), 200);
    ck_assert_ptr_null(json_object_get(ready, "url"));
    json_decref(ready);

    ck_assert_int_eq(send_report(control.port, "{}", NULL), 200);
    ck_assert_int_eq(sim_post(control.port, "/route/", "{\"endpoint\":\"my-ep\",\"cost\":100,\"request_idx\":1}", &ready), 200);
    json_object_foreach(ready, key, value) {
        ck_assert_ptr_nonnull(strstr("__request_id cost endpoint reqnum request_idx signature url", key));
        keys++;
    }
    ck_assert_uint_eq(keys, 7);
    ck_assert_str_eq(json_string_value(json_object_get(ready, "url")), URL);
    ck_assert_int_eq((int)json_integer_value(json_object_get(ready, "request_idx")), 1);
    ck_assert_int_eq((int)json_integer_value(json_object_get(ready, "reqnum")), 1);
    ck_assert(json_is_real(json_object_get(ready, "cost")));
    sim_check_signature(control.port, URL, json_string_value(json_object_get(ready, "signature")));
    json_decref(waiting);
    json_decref(ready);
    ck_assert_int_eq(sim_proc_stop(&control), 0);
}
END_TEST

START_TEST(route_asks_for_the_key)
{
    static const char *const args[] = { "control", "--quiet", "--api-key", "k/1", NULL };
    static const char *const body = "{\"endpoint\":\"e\",\"cost\":1}";
    struct sim_proc control;
    struct sim_reply reply;

    sim_proc_start(&control, args);
    ck_assert_int_eq(sim_post(control.port, "/route/", body, NULL), 401);
    ck_assert_int_eq(sim_post(control.port, "/route/?api_key=wrong", body, NULL), 401);
    ck_assert_int_eq(sim_post(control.port, "/route/?api_key=k%2F1", body, NULL), 200);
    ck_assert_int_eq(
        sim_post(control.port, "/route/?x=1&api_key=k/1", "{\"endpoint\":\"e\",\"cost\":1,\"api_key\":\"bad\"}", NULL), 401);
    sim_http(control.port, "POST", "/route/", "Authorization: Bearer k/1\r\n", body, &reply);
    ck_assert_int_eq(reply.status, 200);
    sim_reply_fini(&reply);
    sim_http(control.port, "POST", "/route/?api_key=k/1", "Authorization: Bearer other\r\n", body, &reply);
    ck_assert_int_eq(reply.status, 401);
    sim_reply_fini(&reply);
    ck_assert_int_eq(sim_post(control.port, "/get_endpoint_workers/", "{\"id\":1,\"api_key\":\"k/1\"}", NULL), 200);
    ck_assert_int_eq(sim_post(control.port, "/get_endpoint_workers/", "{\"id\":1}", NULL), 401);
    ck_assert_int_eq(sim_proc_stop(&control), 0);
}
END_TEST

START_TEST(route_prefers_the_least_loaded_worker)
{
    static const long long expected[] = { 2, 2, 1, 2 };
    struct sim_proc control;
    size_t i;

    start_control(&control);
    /* Waits 0.3 and 0.0, each route adds 0.2: 2 at 0.0, 2 at 0.2, 1 at 0.3, 2 at 0.4. */
    ck_assert_int_eq(send_report(control.port, "{\"id\":1,\"url\":\"http://127.0.0.1:1\"}", NULL), 200);
    ck_assert_int_eq(send_report(control.port, "{\"id\":2,\"url\":\"http://127.0.0.1:2\",\"cur_load\":0,\"max_perf\":500}", NULL),
                     200);
    for (i = 0; i < VWI_ARRAY_LEN(expected); i++) {
        json_t *ready = NULL;
        const char *url;

        ck_assert_int_eq(sim_post(control.port, "/route/", ROUTE, &ready), 200);
        url = json_string_value(json_object_get(ready, "url"));
        ck_assert_int_eq((int)strtol(strrchr(url, ':') + 1, NULL, 10), (int)expected[i]);
        json_decref(ready);
    }
    ck_assert_int_eq(sim_proc_stop(&control), 0);
}
END_TEST

START_TEST(route_counts_ready_workers_when_told_a_minimum)
{
    static const char *const args[] = { "control", "--quiet", "--min-ready", "2", NULL };
    struct sim_proc control;
    json_t *answer = NULL;

    sim_proc_start(&control, args);
    ck_assert_int_eq(send_report(control.port, "{}", NULL), 200);
    ck_assert_int_eq(sim_post(control.port, "/route/", ROUTE, &answer), 200);
    ck_assert_str_eq(json_string_value(json_object_get(answer, "status")), "waiting for 2 ready workers: 1 of 1 ready");
    json_decref(answer);
    ck_assert_int_eq(sim_proc_stop(&control), 0);
}
END_TEST

static const struct {
    const char *changes, *says;
} bad_reports[] = {
    { "{\"cur_load\":null}", "cur_load is missing, expected a number >= 0" },
    { "{\"id\":\"777\"}", "id is a string, expected a whole number >= 0" },
    { "{\"loadtime\":null,\"version\":3}", "version is a whole number, expected a string; loadtime is missing" },
    { "{\"new_load\":-1}", "new_load is a negative number" },
    { "{\"num_requests_recieved\":1.5}", "num_requests_recieved is a number with a fraction" },
    { "{\"working_request_idxs\":[\"1\"]}", "working_request_idxs is a list, expected a list of whole numbers" },
    { "{\"num_requests_working\":2}", "num_requests_working is 2 but working_request_idxs has 1" },
    { "{\"max_capacity\":null}", "max_capacity is missing" },
    { "{\"url\":null}", "url is missing" },
};

START_TEST(report_that_is_malformed_is_refused_by_name)
{
    struct sim_proc control;
    json_t *answer = NULL;
    const char *said;

    start_control(&control);
    ck_assert_int_eq(send_report(control.port, bad_reports[_i].changes, &answer), 400);
    said = json_string_value(json_object_get(answer, "error"));
    ck_assert_msg(strstr(said, bad_reports[_i].says) != NULL, "said: %s", said);
    json_decref(answer);
    check_table(control.port, "No worker has reported yet.");
    check_table(control.port, "1 bodies");
    ck_assert_int_eq(sim_proc_stop(&control), 0);
}
END_TEST

START_TEST(report_that_is_no_json_is_refused)
{
    struct sim_proc control;

    start_control(&control);
    ck_assert_int_eq(sim_post(control.port, "/worker_status/", "nope", NULL), 400);
    ck_assert_int_eq(sim_post(control.port, "/worker_status/", "[]", NULL), 400);
    ck_assert_int_eq(sim_post(control.port, "/worker_status", REPORT, NULL), 404);
    ck_assert_int_eq(sim_get(control.port, "/worker_status/", NULL), 405);
    ck_assert_int_eq(sim_proc_stop(&control), 0);
}
END_TEST

START_TEST(beacon_of_a_failed_start_is_taken)
{
    struct sim_proc control;
    json_t *worker;

    start_control(&control);
    ck_assert_int_eq(
        sim_post(control.port, "/worker_status/",
                 "{\"id\":5,\"mtoken\":\"\",\"version\":\"0\",\"error_msg\":\"PyWorker exited with status 1\",\"url\":\"\"}",
                 NULL),
        200);
    ck_assert_int_eq(sim_post(control.port, "/worker_status/", "{\"id\":5,\"error_msg\":\"\"}", NULL), 400);
    worker = control_worker(control.port);
    ck_assert_str_eq(json_string_value(json_object_get(worker, "state")), "error");
    ck_assert_int_eq((int)json_integer_value(json_object_get(worker, "beacons")), 1);
    json_decref(worker);
    ck_assert_int_eq(sim_proc_stop(&control), 0);
}
END_TEST

START_TEST(token_is_compared_when_one_is_given)
{
    static const char *const args[] = { "control", "--quiet", "--token", "secret", NULL };
    struct sim_proc control;
    json_t *state = NULL;
    char *text;

    sim_proc_start(&control, args);
    ck_assert_int_eq(send_report(control.port, "{\"mtoken\":\"other\"}", NULL), 401);
    ck_assert_int_eq(sim_post(control.port, "/delete_requests/", "{\"worker_id\":777,\"mtoken\":\"\",\"requests\":[]}", NULL),
                     401);
    ck_assert_int_eq(send_report(control.port, "{}", NULL), 200);
    ck_assert_int_eq(sim_get(control.port, "/sim/state", &state), 200);
    text = json_dumps(state, 0);
    ck_assert_ptr_null(strstr(text, "secret"));
    free(text);
    json_decref(state);
    ck_assert_int_eq(sim_proc_stop(&control), 0);
}
END_TEST

START_TEST(states_of_a_worker_are_told_as_they_change)
{
    static const char *const args[] = { "control", NULL };
    static const char *const steps[][2] = {
        { "{\"loadtime\":0.0,\"max_perf\":0.0}", "worker 777 loading: protocol version 1.1.0" },
        { "{}", "worker 777 ready: max_perf 200.00, loadtime 3.17 s" },
        { "{\"error_msg\":\"Healthcheck failed with status: 503\"}", "worker 777 error: Healthcheck failed with status: 503" },
        { "{}", "worker 777 recovered: max_perf 200.00" },
        { "{\"max_perf\":250.0}", "worker 777 capacity: max_perf 250.00, was 200.00" },
        { "{\"max_perf\":0.0}", "worker 777 draining: max_perf 0, 1 requests working" },
        { "{\"num_requests_recieved\":1,\"loadtime\":0.0,\"max_perf\":0.0}", "worker 777 restarted" },
    };
    struct sim_proc control;
    json_t *worker;
    size_t i;

    sim_proc_start(&control, args);
    for (i = 0; i < VWI_ARRAY_LEN(steps); i++) {
        ck_assert_int_eq(send_report(control.port, steps[i][0], NULL), 200);
        sim_proc_wait_line(&control, steps[i][1]);
    }
    worker = control_worker(control.port);
    ck_assert_uint_eq(json_array_size(json_object_get(worker, "events")), 9);
    ck_assert(json_is_real(json_object_get(worker, "first_ready")));
    json_decref(worker);
    ck_assert_int_eq(sim_proc_stop(&control), 0);
}
END_TEST

START_TEST(deletions_are_counted_by_status)
{
    struct sim_proc control;
    json_t *worker, *deletions, *by_status;

    start_control(&control);
    ck_assert_int_eq(
        sim_post(control.port, "/delete_requests/",
                 "{\"worker_id\":777,\"mtoken\":\"secret\",\"requests\":[" DELETION(11, "true", "Success", "2.0") "," DELETION(
                     13, "false", "Rejected", "0.0") "," DELETION(14, "true", "Cancelled", "0.0") "]}",
                 NULL),
        200);
    ck_assert_int_eq(send_report(control.port, "{}", NULL), 200);
    worker = control_worker(control.port);
    deletions = json_object_get(worker, "deletions");
    by_status = json_object_get(deletions, "by_status");
    ck_assert_int_eq((int)json_integer_value(json_object_get(deletions, "count")), 3);
    ck_assert_int_eq((int)json_integer_value(json_object_get(deletions, "success")), 2);
    ck_assert_int_eq((int)json_integer_value(json_object_get(by_status, "Rejected")), 1);
    ck_assert_int_eq(
        (int)json_integer_value(json_object_get(json_array_get(json_object_get(deletions, "list"), 2), "request_idx")), 14);
    ck_assert_str_eq(json_string_value(json_object_get(json_object_get(worker, "balance"), "verdict")), "adds up");
    check_table(control.port, "777              0         4 =        3 +       1 +      0 |       1       0         1        1");
    check_table(control.port, "| adds up\n");
    json_decref(worker);
    ck_assert_int_eq(sim_proc_stop(&control), 0);
}
END_TEST

START_TEST(deletions_in_the_old_format_are_taken)
{
    struct sim_proc control;
    json_t *worker;

    start_control(&control);
    ck_assert_int_eq(sim_post(control.port, "/delete_requests/",
                              "{\"worker_id\":7,\"mtoken\":\"\",\"request_idxs\":[1,2],\"success\":false}", NULL),
                     200);
    worker = control_worker(control.port);
    ck_assert_int_eq((int)json_integer_value(json_object_get(json_object_get(worker, "deletions"), "failed")), 2);
    json_decref(worker);
    ck_assert_int_eq(sim_proc_stop(&control), 0);
}
END_TEST

static const struct {
    const char *body, *says;
} bad_deletions[] = {
    { "{\"mtoken\":\"\",\"requests\":[]}", "worker_id is missing" },
    { "{\"worker_id\":1,\"mtoken\":\"\"}", "requests is missing, expected a list" },
    { "{\"worker_id\":1,\"mtoken\":\"\",\"request_idxs\":[1]}", "success is missing" },
    { "{\"worker_id\":1,\"mtoken\":\"\",\"requests\":[7]}", "requests[0]: expected an object" },
    { "{\"worker_id\":1,\"mtoken\":\"\",\"requests\":[" DELETION(1, "true", "Fine", "1.0") "]}",
      "status is \"Fine\", expected Success" },
    { "{\"worker_id\":1,\"mtoken\":\"\",\"requests\":[" DELETION(1, "true", "Error", "1.0") "]}",
      "status Error goes with success false" },
    { "{\"worker_id\":1,\"mtoken\":\"\",\"requests\":[" DELETION(1, "true", "Success", "null") "]}",
      "work_completed_at is null, expected a number >= 0" },
};

START_TEST(deletions_that_are_malformed_are_refused_by_name)
{
    struct sim_proc control;
    json_t *answer = NULL;
    const char *said;

    start_control(&control);
    ck_assert_int_eq(sim_post(control.port, "/delete_requests/", bad_deletions[_i].body, &answer), 400);
    said = json_string_value(json_object_get(answer, "error"));
    ck_assert_msg(strstr(said, bad_deletions[_i].says) != NULL, "said: %s", said);
    json_decref(answer);
    ck_assert_int_eq(sim_proc_stop(&control), 0);
}
END_TEST

/* Changes of REPORT: nothing in flight. */
#define IDLE(new_load, cur_perf, received)                                                                                      \
    "{\"new_load\":" #new_load ",\"cur_perf\":" #cur_perf ",\"cur_load\":0,\"num_requests_working\":0,"                         \
    "\"working_request_idxs\":[],\"num_requests_recieved\":" #received "}"

static const struct {
    const char *changes, *deletions, *verdict, *text;
} balances[] = {
    { IDLE(160, 160, 1), DELETION(1, "true", "Success", "2.0"), "adds up", "adds up" },
    { IDLE(160, 100, 1), DELETION(1, "false", "Error", "2.0"), "adds up", "adds up; 60.00 errored, was cancelled or timed out" },
    { IDLE(160, 100, 1), DELETION(1, "true", "Success", "2.0"), "does not add up",
      "60.00 was taken in and never heard of again" },
    { IDLE(100, 160, 1), DELETION(1, "true", "Success", "2.0"), "does not add up",
      "60.00 more served and in flight than taken in" },
    { IDLE(160, 160, 2), DELETION(1, "true", "Success", "2.0"), "not settled",
      "1 finished requests without a deletion (sent soon, or inside a session)" },
    { IDLE(0, 0, 0), DELETION(1, "true", "Success", "2.0"), "does not add up", "1 more deletions than requests" },
};

START_TEST(balance_says_whether_the_figures_fit)
{
    struct sim_proc control;
    struct vwi_text body = VWI_TEXT_INIT;
    json_t *worker, *balance;

    start_control(&control);
    vwi_text_addf(&body, "{\"worker_id\":777,\"mtoken\":\"\",\"requests\":[%s]}", balances[_i].deletions);
    ck_assert_int_eq(sim_post(control.port, "/delete_requests/", body.p, NULL), 200);
    ck_assert_int_eq(send_report(control.port, balances[_i].changes, NULL), 200);
    worker = control_worker(control.port);
    balance = json_object_get(worker, "balance");
    ck_assert_str_eq(json_string_value(json_object_get(balance, "verdict")), balances[_i].verdict);
    ck_assert_str_eq(json_string_value(json_object_get(balance, "text")), balances[_i].text);
    json_decref(worker);
    vwi_text_fini(&body);
    ck_assert_int_eq(sim_proc_stop(&control), 0);
}
END_TEST

START_TEST(balance_waits_for_the_report_that_follows_a_deletion)
{
    static const char deletion[] =
        "{\"worker_id\":777,\"mtoken\":\"\",\"requests\":[" DELETION(12, "true", "Success", "2.0") "]}";
    struct sim_proc control;

    start_control(&control);
    ck_assert_int_eq(send_report(control.port, "{\"num_requests_recieved\":1}", NULL), 200);
    ck_assert_int_eq(sim_post(control.port, "/delete_requests/", deletion, NULL), 200);
    check_table(control.port, "| not settled: deletions are newer than the last report\n");
    ck_assert_int_eq(send_report(control.port, "{\"num_requests_recieved\":1,\"new_load\":0,\"cur_perf\":60}", NULL), 200);
    check_table(control.port, "| DOES NOT ADD UP: 60.00 more served and in flight than taken in\n");
    ck_assert_int_eq(sim_proc_stop(&control), 0);
}
END_TEST

START_TEST(misbehaviour_lasts_as_many_times_as_asked)
{
    struct sim_proc control;
    json_t *worker;

    start_control(&control);
    ck_assert_int_eq(
        sim_post(control.port, "/sim/behave", "{\"path\":\"/worker_status/\",\"fail\":503,\"times\":2,\"delay_ms\":1}", NULL),
        200);
    ck_assert_int_eq(send_report(control.port, "{}", NULL), 503);
    ck_assert_int_eq(sim_post(control.port, "/delete_requests/", "{\"worker_id\":777,\"mtoken\":\"\",\"requests\":[]}", NULL),
                     200);
    ck_assert_int_eq(send_report(control.port, "{}", NULL), 503);
    ck_assert_int_eq(send_report(control.port, "{}", NULL), 200);
    worker = control_worker(control.port);
    ck_assert_int_eq((int)json_integer_value(json_object_get(worker, "reports")), 1);
    json_decref(worker);
    ck_assert_int_eq(sim_post(control.port, "/sim/behave", "{\"reset\":true}", NULL), 200);
    ck_assert_int_eq(send_report(control.port, "{}", NULL), 0);
    ck_assert_int_eq(sim_get(control.port, "/pubkey/", NULL), 0);
    ck_assert_int_eq(sim_post(control.port, "/sim/behave", "{\"clear\":true,\"forget\":true}", NULL), 200);
    ck_assert_int_eq(sim_get(control.port, "/pubkey/", NULL), 200);
    check_table(control.port, "No worker has reported yet.");
    ck_assert_int_eq(sim_proc_stop(&control), 0);
}
END_TEST

START_TEST(misbehaviour_can_be_asked_for_at_the_start)
{
    static const char *const args[] = { "control", "--quiet", "--behave", "{\"path\":\"/pubkey/\",\"fail\":500,\"times\":1}",
                                        NULL };
    struct sim_proc control;

    sim_proc_start(&control, args);
    ck_assert_int_eq(sim_get(control.port, "/pubkey/", NULL), 500);
    ck_assert_int_eq(sim_get(control.port, "/pubkey/", NULL), 200);
    ck_assert_int_eq(sim_post(control.port, "/sim/behave", "{\"path\":\"/sim/state\",\"fail\":500}", NULL), 400);
    ck_assert_int_eq(sim_post(control.port, "/sim/behave", "{\"fail\":200}", NULL), 400);
    ck_assert_int_eq(sim_proc_stop(&control), 0);
}
END_TEST

START_TEST(record_keeps_each_body_without_secrets)
{
    struct sim_scratch s;
    struct sim_proc control;
    struct vwi_text text = VWI_TEXT_INIT;
    json_t *line;
    char *second;

    sim_scratch_make(&s);
    {
        const char *const args[] = { "control", "--quiet", "--record", s.file, NULL };

        sim_proc_start(&control, args);
    }
    ck_assert_int_eq(send_report(control.port, "{}", NULL), 200);
    ck_assert_int_eq(sim_post(control.port, "/route/?api_key=k", ROUTE, NULL), 200);
    ck_assert_int_eq(sim_post(control.port, "/worker_status/", "nope", NULL), 400);
    sim_read_file(s.file, &text);
    ck_assert_ptr_null(strstr(text.p, "secret"));
    second = strchr(text.p, '\n') + 1;
    line = json_loads(text.p, JSON_DISABLE_EOF_CHECK, NULL);
    ck_assert_str_eq(json_string_value(json_object_get(line, "path")), "/worker_status/");
    ck_assert_int_eq((int)json_integer_value(json_object_get(line, "status")), 200);
    ck_assert(json_is_real(json_object_get(line, "t")));
    ck_assert_int_eq((int)json_integer_value(json_object_get(json_object_get(line, "body"), "id")), 777);
    ck_assert_ptr_nonnull(strstr(second, "\"path\":\"/route/\""));
    ck_assert_ptr_nonnull(strstr(second, "\"status\":400,\"body\":\"nope\"}\n"));
    json_decref(line);
    vwi_text_fini(&text);
    ck_assert_int_eq(sim_proc_stop(&control), 0);
    sim_scratch_remove(&s);
}
END_TEST

START_TEST(ready_file_appears_once_listening_and_goes_at_the_end)
{
    struct sim_scratch s;
    struct sim_proc control;
    struct vwi_text ready = VWI_TEXT_INIT, env = VWI_TEXT_INIT, url = VWI_TEXT_INIT;

    sim_scratch_make(&s);
    {
        const char *const args[] = { "control", "--ready-file", s.file, "--env", s.other, "--token", "it's", NULL };

        sim_proc_start(&control, args);
    }
    ck_assert_int_eq(send_report(control.port, "{\"mtoken\":\"it's\"}", NULL), 200);
    sim_read_file(s.file, &ready);
    sim_read_file(s.other, &env);
    vwi_text_addf(&url, "http://127.0.0.1:%d", control.port);
    ck_assert_int_eq(strncmp(ready.p, "control ", 8), 0);
    ck_assert_ptr_nonnull(strstr(ready.p, url.p));
    ck_assert_ptr_nonnull(strstr(env.p, "export MASTER_TOKEN='it'\\''s'\n"));
    ck_assert_int_eq(sim_proc_stop(&control), 0);
    ck_assert_int_ne(access(s.file, F_OK), 0);
    ck_assert_int_ne(access(s.other, F_OK), 0);
    vwi_text_fini(&ready);
    vwi_text_fini(&env);
    vwi_text_fini(&url);
    sim_scratch_remove(&s);
}
END_TEST

START_TEST(files_that_are_no_regular_ones_are_left_in_place)
{
    struct sim_scratch s;
    struct sim_proc control;
    char to[20] = "";

    sim_scratch_make(&s);
    ck_assert_int_eq(symlink("/dev/null", s.file), 0);
    {
        const char *const args[] = { "control", "--quiet", "--env", s.file, NULL };

        sim_proc_start(&control, args);
    }
    ck_assert_int_eq(sim_proc_stop(&control), 0);
    ck_assert_int_eq(readlink(s.file, to, sizeof to), 9);
    ck_assert_mem_eq(to, "/dev/null", 9);
    sim_scratch_remove(&s);
}
END_TEST

START_TEST(endpoint_workers_are_a_bare_list)
{
    struct sim_proc control;
    json_t *list = NULL;

    start_control(&control);
    ck_assert_int_eq(send_report(control.port, "{}", NULL), 200);
    ck_assert_int_eq(sim_post(control.port, "/get_endpoint_workers/", "{\"id\":1,\"api_key\":\"k\"}", &list), 200);
    ck_assert_uint_eq(json_array_size(list), 1);
    ck_assert_str_eq(json_string_value(json_object_get(json_array_get(list, 0), "status")), "idle");
    ck_assert(json_real_value(json_object_get(json_array_get(list, 0), "measured_perf")) == 200.0);
    json_decref(list);
    ck_assert_int_eq(sim_proc_stop(&control), 0);
}
END_TEST

Suite *sim_control_suite(void);

Suite *sim_control_suite(void)
{
    Suite *s = suite_create("sim_control");
    TCase *control = tcase_create("control");

    tcase_add_test(control, route_waits_until_a_worker_is_ready);
    tcase_add_test(control, route_asks_for_the_key);
    tcase_add_test(control, route_prefers_the_least_loaded_worker);
    tcase_add_test(control, route_counts_ready_workers_when_told_a_minimum);
    tcase_add_loop_test(control, report_that_is_malformed_is_refused_by_name, 0, (int)VWI_ARRAY_LEN(bad_reports));
    tcase_add_test(control, report_that_is_no_json_is_refused);
    tcase_add_test(control, beacon_of_a_failed_start_is_taken);
    tcase_add_test(control, token_is_compared_when_one_is_given);
    tcase_add_test(control, states_of_a_worker_are_told_as_they_change);
    tcase_add_test(control, deletions_are_counted_by_status);
    tcase_add_test(control, deletions_in_the_old_format_are_taken);
    tcase_add_loop_test(control, deletions_that_are_malformed_are_refused_by_name, 0, (int)VWI_ARRAY_LEN(bad_deletions));
    tcase_add_loop_test(control, balance_says_whether_the_figures_fit, 0, (int)VWI_ARRAY_LEN(balances));
    tcase_add_test(control, balance_waits_for_the_report_that_follows_a_deletion);
    tcase_add_test(control, misbehaviour_lasts_as_many_times_as_asked);
    tcase_add_test(control, misbehaviour_can_be_asked_for_at_the_start);
    tcase_add_test(control, record_keeps_each_body_without_secrets);
    tcase_add_test(control, ready_file_appears_once_listening_and_goes_at_the_end);
    tcase_add_test(control, files_that_are_no_regular_ones_are_left_in_place);
    tcase_add_test(control, endpoint_workers_are_a_bare_list);
    suite_add_tcase(s, control);
    return s;
}
