/*
 * A seeded storm: hundreds of requests of every kind, some left at a random moment, while the control plane fails now and then.
 * Afterwards both equations hold in the worker's metrics, and what the control plane was told is what was booked, to the last unit.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "actors.h"

#define REQUESTS 300
#define OPEN_AT_ONCE 32
#define LAST_UNITS 1e6 /* of the last request, which pays any debt of new_load */

#define UNITS "'workloadCalculator': {'field': '/units'}"
#define PARALLEL "'allowParallelRequests': true, " UNITS
#define CONFIG "{'maxPerf': 1000000, 'lanes': {'b': {'maxQueueLength': 3}, 'c': {}}, 'handlers': [" \
               "{'route': '/ok', " PARALLEL "}, {'route': '/status/*', " PARALLEL "}, {'route': '/vanish', " PARALLEL "}, " \
               "{'route': '/cut', " PARALLEL "}, {'route': '/cut-stream', " PARALLEL "}, {'route': '/flood', " PARALLEL "}, " \
               "{'route': '/stream/*', " PARALLEL "}, {'route': '/text', 'requireJson': true, " PARALLEL "}, " \
               "{'route': '/late', 'targetPath': '/hold', 'timeouts': {'firstByte': 0.1}, " PARALLEL "}, " \
               "{'route': '/hold', 'maxConcurrency': 2, 'maxQueueTime': null, " PARALLEL "}, " \
               "{'route': '/short', 'targetPath': '/hold', 'lane': 'b', 'maxQueueTime': 0.02, " UNITS "}, " \
               "{'route': '/now', 'targetPath': '/hold', 'lane': 'c', 'maxQueueTime': 0, " UNITS "}, " \
               "{'route': '/job', 'targetPath': '/hold', 'auth': 'none', 'control': true}]}"

/* What an answer read to its end says about the deletion. */
enum told { BY_STATUS, ERROR, NOTHING };

static const struct kind {
    const char *path, *body; /* body NULL: an envelope */
    enum told told;
    unsigned share;
    bool endless;
} kinds[] = {
    { "/ok", NULL, BY_STATUS, 20, false },
    { "/hold", NULL, BY_STATUS, 20, false },
    { "/short", NULL, BY_STATUS, 25, false },
    { "/now", NULL, BY_STATUS, 12, false },
    { "/stream/3", NULL, BY_STATUS, 10, false },
    { "/status/404", NULL, BY_STATUS, 5, false },
    { "/status/500", NULL, BY_STATUS, 5, false },
    { "/vanish", NULL, ERROR, 5, false },
    { "/cut", NULL, ERROR, 4, false },
    { "/cut-stream", NULL, ERROR, 4, false },
    { "/text", NULL, ERROR, 4, false },
    { "/late", NULL, BY_STATUS, 9, false },
    { "/flood", NULL, BY_STATUS, 2, true },
    { "/job", "{}", NOTHING, 5, false },
    { "/nowhere", "{}", NOTHING, 3, false },
    { "/ok", "{", NOTHING, 3, false },
    { "/ok", "{\"payload\": {}}", NOTHING, 3, false },
};
#define KINDS (sizeof kinds / sizeof kinds[0])

struct request {
    const struct kind *kind;
    int fd; /* -1: over */
    double units;
    char head[16];
    size_t len;
    bool left, reset;
};

static struct model *m;
static struct control *c;
static struct worker *w;
static uint32_t dice;
static char *signature;
static struct request requests[REQUESTS + 1]; /* the index is the request_idx */
static unsigned sent, open_now;

static void setup(void)
{
    m = model_start();
    c = control_start();
    w = worker_start_ready(m, c, CONFIG);
    signature = sign(c, URL);
}

static void teardown(void)
{
    free(signature);
    control_stop(c);
    model_stop(m);
}

static uint32_t roll(uint32_t sides)
{
    dice ^= dice << 13;
    dice ^= dice >> 17;
    dice ^= dice << 5;
    return dice % sides;
}

static const struct kind *any_kind(void)
{
    uint32_t all = 0, at;
    size_t i;

    for (i = 0; i < KINDS; i++)
        all += kinds[i].share;
    at = roll(all);
    for (i = 0; at >= kinds[i].share; i++)
        at -= kinds[i].share;
    return &kinds[i];
}

static void send_one(const struct kind *kind, double units)
{
    struct request *rq = &requests[sent];
    char *body = NULL, *text = NULL;

    if (kind->body)
        body = strdup(kind->body);
    else
        ck_assert_int_gt(asprintf(&body, "{\"auth_data\": {\"cost\": 1.0, \"endpoint\": \"e\", \"reqnum\": 1, \"request_idx\": %u, \"signature\": "
                                         "\"%s\", \"url\": \"" URL "\"}, \"payload\": {\"units\": %.1f}}", sent, signature, units), 0);
    ck_assert_int_gt(asprintf(&text, "POST %s HTTP/1.1\r\nHost: w\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n%s", kind->path,
                              strlen(body), body), 0);
    *rq = (struct request){ .kind = kind, .fd = client_connect(worker_port(w)), .units = units };
    client_send(rq->fd, text);
    free(text);
    free(body);
    sent++;
    open_now++;
}

static void leave(struct request *rq)
{
    rq->left = true;
    rq->reset = roll(2);
    (rq->reset ? client_reset : client_close)(rq->fd);
    rq->fd = -1;
    open_now--;
}

/* Takes what is there, without waiting. */
static void take(struct request *rq)
{
    char buffer[4096];
    ssize_t n = recv(rq->fd, buffer, sizeof buffer, MSG_DONTWAIT);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n > 0) {
        size_t room = sizeof rq->head - 1 - rq->len, more = (size_t)n < room ? (size_t)n : room;

        memcpy(rq->head + rq->len, buffer, more);
        rq->len += more;
        return;
    }
    client_close(rq->fd);
    rq->fd = -1;
    open_now--;
    ck_assert_msg(rq->len > 12, "request %d to %s was not answered", (int)(rq - requests), rq->kind->path);
}

static void take_all(void)
{
    unsigned i;

    for (i = 0; i < sent; i++)
        if (requests[i].fd >= 0)
            take(&requests[i]);
}

static struct request *any_open(void)
{
    uint32_t nth = roll(open_now);
    unsigned i;

    for (i = 0; requests[i].fd < 0 || nth--; i++)
        continue;
    return &requests[i];
}

static void trouble(void)
{
    switch (roll(4)) {
    case 0:
        control_fail(c, 503, 1 + roll(3));
        break;
    case 1:
        control_hold(c, true);
        break;
    default:
        control_hold(c, false);
        break;
    }
}

/* ---- the books ---- */

static json_t *metrics(void)
{
    struct answer a = client_call(worker_port(w), "GET", "/metrics", "Accept: application/json\r\nConnection: close\r\n", NULL);
    json_t *json = parse_json(a.body);

    answer_fini(&a);
    return json;
}

/* The sum of the samples that have this value of this label; label NULL: of all. */
static double figure(const json_t *books, const char *name, const char *label, const char *value)
{
    json_t *samples = json_object_get(json_object_get(books, name), "samples"), *sample;
    double sum = 0;
    size_t i;

    json_array_foreach(samples, i, sample) {
        const char *is = label ? json_string_value(json_object_get(json_object_get(sample, "labels"), label)) : NULL;

        if (!label || (is && strcmp(is, value) == 0))
            sum += json_number_value(json_object_get(sample, "value"));
    }
    return sum;
}

static double workload(const json_t *books, const char *kind) { return figure(books, "vastworker_workload_total", "kind", kind); }

static double settled(const json_t *books)
{
    return workload(books, "served") + workload(books, "errored") + workload(books, "cancelled") + workload(books, "queue_timeout");
}

/* received = served + errored + cancelled + timed out in queue + in flight, at any moment. */
static void check_books(void)
{
    json_t *books = metrics();

    ck_assert_double_eq_tol(workload(books, "received"), settled(books) + figure(books, "vastworker_load", NULL, NULL), 1e-6);
    json_decref(books);
}

static void wait_quiet(void)
{
    double until = patience(), connections;

    do {
        json_t *books;

        model_permit(m, 4);
        take_all();
        books = metrics();
        connections = figure(books, "vastworker_client_connections", NULL, NULL);
        json_decref(books);
        ck_assert_msg(now_s() < until, "%u requests are not answered, %g connections are left", open_now, connections);
        nap();
    } while (open_now || connections > 1);
}

struct totals {
    double units[4];
    unsigned count[4];
};

static const char *const statuses[] = { "Success", "Error", "Cancelled", "Rejected" };

static size_t status_of(const json_t *deletion)
{
    const char *status = json_string_value(json_object_get(deletion, "status"));
    size_t i;

    for (i = 0; i < 3 && strcmp(statuses[i], status) != 0; i++)
        continue;
    ck_assert_str_eq(statuses[i], status);
    return i;
}

static const char *expected_status(const struct request *rq)
{
    long status = strtol(rq->head + 9, NULL, 10);

    if (rq->kind->told == ERROR || status >= 500)
        return "Error";
    return status == 429 ? "Rejected" : "Success";
}

/* One deletion for each request that was booked, and the one that the client's answer speaks of. */
static struct totals check_deletions(void)
{
    json_t *deletions = control_deletions(c), *deletion;
    bool seen[REQUESTS + 1] = { false };
    struct totals totals = { { 0 }, { 0 } };
    size_t i;

    json_array_foreach(deletions, i, deletion) {
        json_int_t idx = json_integer_value(json_object_get(deletion, "request_idx"));
        size_t status = status_of(deletion);

        ck_assert(idx >= 0 && idx < sent);
        ck_assert_msg(!seen[idx], "request %d was deleted twice", (int)idx);
        ck_assert_int_ne(requests[idx].kind->told, NOTHING);
        if (!requests[idx].left)
            ck_assert_msg(strcmp(statuses[status], expected_status(&requests[idx])) == 0, "request %d to %s was answered \"%s\" and deleted as %s",
                          (int)idx, requests[idx].kind->path, requests[idx].head, statuses[status]);
        seen[idx] = true;
        totals.units[status] += requests[idx].units;
        totals.count[status]++;
    }
    for (i = 0; i < sent; i++)
        ck_assert_msg(seen[i] || requests[i].reset || requests[i].kind->told == NOTHING, "request %zu to %s was never deleted", i,
                      requests[i].kind->path);
    json_decref(deletions);
    return totals;
}

static double rejected_units(const json_t *books) { return workload(books, "rejected") + workload(books, "queue_timeout"); }

static void check_told(const json_t *books)
{
    struct totals totals = check_deletions();
    double offered = workload(books, "received") + workload(books, "rejected");
    json_t *last = control_last_report(c);

    ck_assert_double_eq_tol(totals.units[0], workload(books, "served"), 1e-6);
    ck_assert_double_eq_tol(totals.units[1], workload(books, "errored"), 1e-6);
    ck_assert_double_eq_tol(totals.units[2], workload(books, "cancelled"), 1e-6);
    ck_assert_double_eq_tol(totals.units[3], rejected_units(books), 1e-6);
    ck_assert_double_eq_tol(offered, totals.units[0] + totals.units[1] + totals.units[2] + totals.units[3], 1e-6);
    ck_assert_double_eq_tol(control_sum(c, "cur_perf"), workload(books, "served"), 1e-6);
    ck_assert_double_eq_tol(control_sum(c, "rej_load"), rejected_units(books), 1e-6);
    ck_assert_double_eq_tol(control_sum(c, "new_load"), workload(books, "received") - workload(books, "cancelled") - workload(books, "queue_timeout"), 1e-6);
    ck_assert_int_eq(json_integer_value(json_object_get(last, "num_requests_recieved")),
                     totals.count[0] + totals.count[1] + totals.count[2] + totals.count[3]);
    ck_assert_int_eq(json_integer_value(json_object_get(last, "num_requests_working")), 0);
    ck_assert_double_eq(json_number_value(json_object_get(last, "cur_load")), 0);
    json_decref(last);
}

START_TEST(after_a_storm_the_books_add_up_to_the_last_unit)
{
    json_t *books;
    unsigned i;

    dice = 2463534242u + 7919u * (uint32_t)_i;
    while (sent < REQUESTS) {
        if (open_now < OPEN_AT_ONCE && roll(3))
            send_one(any_kind(), roll(200) * 0.5);
        else if (open_now && !roll(3))
            leave(any_open());
        if (!roll(4))
            model_permit(m, 1);
        if (!roll(20))
            trouble();
        if (!roll(50))
            check_books();
        take_all();
        if (!roll(4))
            nap();
    }
    control_fail(c, 0, 0);
    control_hold(c, false);
    for (i = 0; i < sent; i++)
        if (requests[i].fd >= 0 && requests[i].kind->endless)
            leave(&requests[i]);
    wait_quiet();
    send_one(&kinds[0], LAST_UNITS);
    wait_quiet();
    books = metrics();
    ck_assert_double_eq_tol(workload(books, "received"), settled(books), 1e-6);
    ck_assert_double_eq(figure(books, "vastworker_load", NULL, NULL), 0);
    ck_assert_double_eq(figure(books, "vastworker_in_flight", NULL, NULL) + figure(books, "vastworker_queued", NULL, NULL), 0);
    ck_assert_double_eq(figure(books, "vastworker_model_connections", "state", "active"), 0);
    ck_assert_int_eq(worker_finish(w), VW_OK);
    check_told(books);
    json_decref(books);
}
END_TEST

Suite *storm_suite(void);

Suite *storm_suite(void)
{
    Suite *s = suite_create("storm");
    TCase *tc = tcase_create("storm");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, after_a_storm_the_books_add_up_to_the_last_unit, 0, 5);
    suite_add_tcase(s, tc);
    return s;
}
