/*
 * The books: a seeded crowd asks for everything at once, leaves when it likes, while the model fails, the clock is set and the control
 * plane is slow, refuses and loses answers. At each acknowledged report and at the end the books add up, to the last unit: what the control
 * plane was told, what the worker shows and what the clients saw are one thing.
 *
 * VWT_SEEDS and VWT_FROM choose the seeds, VWT_REQUESTS how many requests each brings, VWT_MARATHON how many the long run has, which is
 * left out without it (make soak). A seed draws the same crowd again; the machine decides what meets what.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crowd.h"

#define SEEDS 50
#define REQUESTS 400
#define AT_ONCE 32
#define LAST_UNITS 1e9 /* of the last request, which pays any debt of new_load */
#define TOLERANCE 1e-6

enum status { SUCCESS, ERROR, CANCELLED, REJECTED, STATUSES };
static const char *const statuses[STATUSES] = { "Success", "Error", "Cancelled", "Rejected" };

/* What the control plane keeps of a request. */
struct told {
    unsigned char times, status, lost;
};

static struct control_view {
    struct told *told;
    unsigned size; /* of told */
    double new_load, rej_load, cur_perf; /* of acknowledged reports */
    double cur_load, working, received;  /* of the last of them */
    unsigned reports, lost;
} view;

static struct model *m;
static struct control *c;
static struct worker *w;
static struct crowd *crowd;
static uint16_t port;
static unsigned descriptors;

static unsigned setting(const char *name, unsigned otherwise)
{
    const char *text = getenv(name);

    return text ? (unsigned)strtoul(text, NULL, 10) : otherwise;
}

static double number(const json_t *of, const char *name) { return json_number_value(json_object_get(of, name)); }

/* ---- at each acknowledged report ---- */

static void take_report(const json_t *report)
{
    size_t listed = json_array_size(json_object_get(report, "working_request_idxs"));

    view.new_load += number(report, "new_load");
    view.rej_load += number(report, "rej_load");
    view.cur_perf += number(report, "cur_perf");
    view.cur_load = number(report, "cur_load");
    view.working = number(report, "num_requests_working");
    view.reports++;
    ck_assert_msg(number(report, "num_requests_recieved") >= view.received, "requests that were received are not any more");
    view.received = number(report, "num_requests_recieved");
    ck_assert_double_ge(view.working, (double)listed);
    ck_assert_double_ge(view.cur_load, 0);
    /* received - cancelled - timed out = served + errored + in flight, of which the control plane does not hear what errored. */
    ck_assert_msg(view.new_load >= view.cur_perf + view.cur_load - TOLERANCE, "report %u: new_load %.1f in all, cur_perf %.1f in all, cur_load %.1f",
                  view.reports, view.new_load, view.cur_perf, view.cur_load);
}

static enum status status_of(const json_t *deletion)
{
    const char *text = json_string_value(json_object_get(deletion, "status"));
    int i;

    for (i = 0; i < STATUSES - 1 && strcmp(statuses[i], text) != 0; i++)
        continue;
    ck_assert_str_eq(statuses[i], text);
    return (enum status)i;
}

static void check_times(const json_t *deletion, enum status status)
{
    double entered = number(deletion, "entered_queue_at"), started = number(deletion, "work_started_at"),
           completed = number(deletion, "work_completed_at");

    ck_assert_double_gt(entered, 0);
    ck_assert_msg(started == 0 || started >= entered, "started %.6f before it entered %.6f", started, entered);
    ck_assert_msg(completed == 0 || completed >= started, "completed %.6f before it started %.6f", completed, started);
    if (status == SUCCESS)
        ck_assert_double_gt(started, 0);
    if (status == REJECTED)
        ck_assert(started == 0 || started == entered); /* a session's, as the platform has it */
    ck_assert((completed > 0) == (status == SUCCESS || status == ERROR));
    ck_assert(json_is_true(json_object_get(deletion, "success")) == (status == SUCCESS || status == CANCELLED));
}

static void take_deletion(const json_t *deletion, bool acknowledged)
{
    json_int_t idx = json_integer_value(json_object_get(deletion, "request_idx"));
    enum status status = status_of(deletion);
    struct told *told;

    ck_assert(idx >= 0 && idx < (json_int_t)view.size);
    told = &view.told[idx];
    ck_assert_msg(!(told->times || told->lost) || told->status == status, "request %d was deleted as %s, then as %s", (int)idx,
                  statuses[told->status], statuses[status]);
    told->status = (unsigned char)status;
    told->times += acknowledged;
    told->lost |= !acknowledged;
    ck_assert_msg(told->times < 2, "request %d was deleted twice", (int)idx);
    check_times(deletion, status);
}

static void on_body(void *arg, const char *path, const json_t *body, bool acknowledged)
{
    json_t *deletion;
    size_t i;

    (void)arg;
    view.lost += !acknowledged;
    if (strcmp(path, "/delete_requests/") == 0)
        json_array_foreach(json_object_get(body, "requests"), i, deletion)
            take_deletion(deletion, acknowledged);
    else if (acknowledged)
        take_report(body);
}

/* ---- the stage ---- */

static void open_stage(unsigned count)
{
    descriptors = open_descriptors();
    m = model_start();
    c = control_start();
    memset(&view, 0, sizeof view);
    view.size = count + 2;
    view.told = calloc(view.size, sizeof *view.told);
    control_tap(c, on_body, NULL);
}

static void gather(unsigned seed, unsigned count)
{
    struct crowd_setup setup = { m, c, port, seed, count, AT_ONCE };

    crowd = crowd_gather(&setup);
}

/* Nothing that was opened for it is left. */
static void close_stage(void)
{
    step_clock(0);
    crowd_disperse(crowd);
    free(view.told);
    control_stop(c);
    model_stop(m);
    ck_assert_uint_eq(open_descriptors(), descriptors);
}

/* With a journal. more: keys that come first. */
static char *config_with(const char *more)
{
    char *dir = temp_dir(), *text = NULL;

    ck_assert_int_gt(asprintf(&text, "{%s'stateDir': '%s', %s", more, dir, crowd_config + 1), 0);
    free(dir);
    return text;
}

static void enter_worker(void)
{
    char *config = config_with("");

    worker_setenv("VASTWORKER_BEARER_KEYS", CROWD_KEY);
    w = worker_start_ready(m, c, config);
    port = worker_port(w);
    free(config);
}

static void wait_served(void)
{
    struct answer a = { .status = 0 };

    do {
        answer_fini(&a);
        nap();
        if (port_is_open(port))
            a = client_call(port, "GET", "/health", "Connection: close\r\n", NULL);
    } while (a.status != 200);
    answer_fini(&a);
}

/* As a program of its own, so that what it holds can be told from what the test does; it says little, since that is kept here. */
static struct program *enter_program(void)
{
    char *config, *text, more[100], model_url[64], report[64];
    struct program *p;

    port = free_port();
    snprintf(more, sizeof more, "'workerPort': %u, 'advertisedUrl': '" URL "', ", port);
    text = config_with(more);
    config = temp_file("crowd.json", text);
    snprintf(model_url, sizeof model_url, "MODEL_SERVER_URL=http://127.0.0.1:%u", model_port(m));
    snprintf(report, sizeof report, "REPORT_ADDR=http://127.0.0.1:%u", control_port(c));
    p = program_start((const char *const[]){ RUN, "--config", config, "--log-level=error", NULL },
                      (const char *const[]){ "CONTAINER_ID=777", "MASTER_TOKEN=mtoken-secret", "USE_SSL=false",
                                             "VASTWORKER_BEARER_KEYS=" CROWD_KEY, model_url, report, NULL });
    wait_served();
    free(text);
    free(config);
    return p;
}

/* Rare enough that most reports get through. */
static void trouble(void)
{
    switch (crowd_roll(crowd, 4000)) {
    case 0:
        control_fail(c, 503, 1 + crowd_roll(crowd, 3));
        break;
    case 1:
        control_hold(c, true);
        break;
    case 2:
    case 3:
        control_lose(c, 1 + crowd_roll(crowd, 2));
        break;
    case 4:
    case 5:
        step_clock((double)crowd_roll(crowd, 7200) - 3600);
        break;
    case 6:
    case 7:
    case 8:
    case 9:
        control_hold(c, false);
        break;
    default:
        break;
    }
}

static void end_trouble(void)
{
    control_fail(c, 0, 0);
    control_lose(c, 0);
    control_hold(c, false);
}

/* ---- what the worker shows ---- */

static json_t *metrics(void)
{
    struct answer a = client_call(port, "GET", "/metrics", "Accept: application/json\r\nConnection: close\r\n", NULL);
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
            sum += number(sample, "value");
    }
    return sum;
}

static double workload(const json_t *books, const char *kind) { return figure(books, "vastworker_workload_total", "kind", kind); }

static double settled(const json_t *books)
{
    return workload(books, "served") + workload(books, "errored") + workload(books, "cancelled") + workload(books, "queue_timeout");
}

static double requests(const json_t *books, const char *outcome) { return figure(books, "vastworker_requests_total", "outcome", outcome); }

/* received = served + errored + cancelled + timed out in queue + in flight, at any moment. The load that is shown leaves out what runs in
 * sessions. Returns how many finished requests the control plane has not acknowledged. */
static unsigned check_books(void)
{
    bool all_shown = crowd_inside(crowd) == 0;
    json_t *books = metrics();
    double accounted = settled(books) + figure(books, "vastworker_load", NULL, NULL), received = workload(books, "received");
    unsigned waiting = (unsigned)figure(books, "vastworker_deletions_waiting", NULL, NULL);

    ck_assert_double_ge_tol(received, accounted, TOLERANCE);
    if (all_shown)
        ck_assert_double_le_tol(received, accounted, TOLERANCE);
    json_decref(books);
    return waiting;
}

/* Every slot, connection and session is free again; the one connection is the one that asks. */
static json_t *wait_quiet(void)
{
    double until = patience(), held;
    json_t *books;
    int i;

    for (;;) {
        books = metrics();
        held = figure(books, "vastworker_in_flight", NULL, NULL) + figure(books, "vastworker_queued", NULL, NULL) +
               figure(books, "vastworker_model_connections", "state", "active") + figure(books, "vastworker_sessions", NULL, NULL) +
               figure(books, "vastworker_client_connections", NULL, NULL) - 1;
        if (held < 0.5)
            return books;
        json_decref(books);
        ck_assert_msg(now_s() < until, "%g slots and connections are never given back", held);
        for (i = 0; i < 20; i++)
            nap(); /* /metrics is no small thing to ask for */
    }
}

/* ---- at the end ---- */

/* Least and most that it may have been; they differ by what no one saw to its end. */
struct range {
    double least, most;
};

struct totals {
    struct range units[STATUSES];
    unsigned deletions, others, maybe; /* booked: with a deletion, without one, perhaps */
};

static void add(struct range *range, double units, bool surely)
{
    range->least += surely ? units : 0;
    range->most += units;
}

static void count_told(const struct deed *deed, const struct told *told, unsigned idx, struct totals *totals)
{
    static const enum status expected[] = { [FATE_SERVED] = SUCCESS, [FATE_ERRORED] = ERROR, [FATE_REJECTED] = REJECTED };

    ck_assert_msg(deed->told && deed->fate != FATE_UNBOOKED, "request %u to %s was deleted", idx, crowd_path(deed));
    if (deed->fate != FATE_UNKNOWN)
        ck_assert_msg(expected[deed->fate] == told->status, "request %u to %s was deleted as %s", idx, crowd_path(deed),
                      statuses[told->status]);
    add(&totals->units[told->status], deed->units, true);
    totals->deletions++;
}

static void count_untold(const struct deed *deed, unsigned idx, struct totals *totals)
{
    size_t i;

    if (deed->fate == FATE_UNBOOKED)
        return;
    if (deed->told) {
        ck_assert_msg(deed->fate == FATE_UNKNOWN, "request %u to %s was never deleted", idx, crowd_path(deed));
        return; /* it left before the worker knew of it */
    }
    if (deed->fate == FATE_LOST) {
        add(&totals->units[CANCELLED], deed->units, false);
        totals->maybe++;
        return;
    }
    if (deed->fate == FATE_UNKNOWN) {
        for (i = 0; i < STATUSES; i++)
            add(&totals->units[i], deed->units, false);
        totals->maybe++;
        return;
    }
    add(&totals->units[deed->fate == FATE_SERVED ? SUCCESS : deed->fate == FATE_ERRORED ? ERROR : REJECTED], deed->units, true);
    totals->others++;
}

static struct totals count_deeds(void)
{
    struct totals totals;
    const struct deed *deeds;
    unsigned i, count, taken = control_taken(c);

    ck_assert_uint_gt(taken, 0);
    memset(&totals, 0, sizeof totals);
    deeds = crowd_deeds(crowd, &count);
    for (i = 0; i < count; i++) {
        if (view.told[i].times)
            count_told(&deeds[i], &view.told[i], i, &totals);
        else
            count_untold(&deeds[i], i, &totals);
        ck_assert_msg(!view.told[i].lost || view.told[i].times, "request %u was told, not acknowledged, and never told again", i);
    }
    return totals;
}

static void within(const char *what, double value, double least, double most)
{
    ck_assert_msg(value >= least - TOLERANCE && value <= most + TOLERANCE, "%s is %.1f, and should be %.1f to %.1f", what, value, least, most);
}

/* What the acknowledged reports and deletions come to is what the clients saw. debt: new_load that a cancellation may still take back. */
static void check_told(const struct totals *totals, double debt)
{
    const struct range *u = totals->units;

    within("cur_perf", view.cur_perf, u[SUCCESS].least, u[SUCCESS].most);
    within("rej_load", view.rej_load, u[REJECTED].least, u[REJECTED].most);
    within("new_load", view.new_load, u[SUCCESS].least + u[ERROR].least, u[SUCCESS].most + u[ERROR].most + debt);
    within("num_requests_recieved", view.received, totals->deletions + totals->others, totals->deletions + totals->others + totals->maybe);
    ck_assert_double_eq(view.working, 0);
    ck_assert_double_eq(view.cur_load, 0);
}

/* Both equations, in workload and in count, and the worker's own figures beside those of everybody else. */
static void check_shown(const json_t *books, const struct totals *totals)
{
    const struct range *u = totals->units;

    within("received", workload(books, "received"), settled(books), settled(books));
    within("served", workload(books, "served"), u[SUCCESS].least, u[SUCCESS].most);
    within("errored", workload(books, "errored"), u[ERROR].least, u[ERROR].most);
    within("cancelled", workload(books, "cancelled"), u[CANCELLED].least, u[CANCELLED].most);
    within("rejected", workload(books, "rejected") + workload(books, "queue_timeout"), u[REJECTED].least, u[REJECTED].most);
    ck_assert_double_eq(figure(books, "vastworker_load", NULL, NULL), 0);
    within("booked requests", requests(books, "served") + requests(books, "errored") + requests(books, "cancelled") +
           requests(books, "queue_timeout") + requests(books, "rejected") - figure(books, "vastworker_requests_total", "route", "/job"),
           totals->deletions + totals->others, totals->deletions + totals->others + totals->maybe);
    ck_assert_double_eq(figure(books, "vastworker_deletions_dropped_total", NULL, NULL), 0);
}

#define UNHEARD 10000 /* finished requests; a worker keeps 65,536 of them, and drops the oldest of more */

/* The control plane comes back before the worker has to forget what it could not say. */
static void wait_heard(void)
{
    double until = patience();
    unsigned waiting;
    int i;

    end_trouble();
    while ((waiting = check_books()) > UNHEARD / 10) {
        ck_assert_msg(now_s() < until, "%u finished requests are never told", waiting);
        for (i = 0; i < 20; i++)
            nap();
    }
}

/* Until the crowd has sent so many. */
static void storm(unsigned count)
{
    unsigned seen = 0, taken, sent;

    do {
        trouble();
        taken = control_taken(c);
        if ((taken != seen || !crowd_roll(crowd, 200)) && check_books() > UNHEARD)
            wait_heard();
        seen = taken;
        crowd_deeds(crowd, &sent);
    } while (crowd_act(crowd) && sent < count);
}

/* Until nobody waits for anything. */
static json_t *calm_down(void)
{
    end_trouble();
    crowd_go_home(crowd);
    crowd_wait(crowd);
    ck_assert_int_eq(crowd_last(crowd, LAST_UNITS).fate, FATE_SERVED);
    return wait_quiet();
}

START_TEST(the_books_balance_in_any_storm)
{
    unsigned seed = setting("VWT_FROM", 0) + (unsigned)_i, count = setting("VWT_REQUESTS", REQUESTS);
    struct totals totals;
    json_t *books;

    open_stage(count);
    enter_worker();
    gather(seed, count);
    storm(count);
    books = calm_down();
    ck_assert_int_eq(worker_finish(w), VW_OK);
    totals = count_deeds();
    check_told(&totals, 0);
    check_shown(books, &totals);
    json_decref(books);
    close_stage();
}
END_TEST

START_TEST(the_books_balance_when_the_worker_leaves_in_the_storm)
{
    unsigned seed = setting("VWT_FROM", 0) + (unsigned)_i, count = setting("VWT_REQUESTS", REQUESTS);
    struct totals totals;

    open_stage(count);
    enter_worker();
    gather(seed, count);
    storm(count);
    end_trouble();
    crowd_drains(crowd);
    vw_worker_drain(worker_handle(w));
    crowd_go_home(crowd);
    crowd_wait(crowd);
    ck_assert_int_eq(worker_join(w), VW_OK);
    totals = count_deeds();
    check_told(&totals, totals.units[CANCELLED].most);
    close_stage();
}
END_TEST

#define WARM 20 /* one part in so many of the long run is for buffers and pools to reach their size */

START_TEST(a_long_run_leaves_nothing_behind)
{
    unsigned count = setting("VWT_MARATHON", 0);
    struct program *p;
    struct totals totals;
    double resident, files, files_warm;
    json_t *books;

    open_stage(count);
    p = enter_program();
    gather(setting("VWT_FROM", 0), count);
    storm(count / WARM);
    books = metrics();
    resident = figure(books, "process_resident_memory_bytes", NULL, NULL);
    files_warm = figure(books, "process_open_fds", NULL, NULL) - figure(books, "vastworker_model_connections", NULL, NULL) -
                 figure(books, "vastworker_client_connections", NULL, NULL);
    json_decref(books);
    storm(count);
    books = calm_down();
    printf("%u requests: %.1f MB resident at a %uth of them, %.1f MB at the end, %.0f descriptors, %u reports, %u lost\n", count, resident / 1e6,
           WARM, figure(books, "process_resident_memory_bytes", NULL, NULL) / 1e6, figure(books, "process_open_fds", NULL, NULL), view.reports,
           view.lost);
    files = figure(books, "process_open_fds", NULL, NULL) - figure(books, "vastworker_model_connections", NULL, NULL) -
            figure(books, "vastworker_client_connections", NULL, NULL);
    ck_assert_double_le(figure(books, "process_resident_memory_bytes", NULL, NULL), resident * 1.1 + 1e6);
    ck_assert_msg(files <= files_warm + 2, "%.0f descriptors that are no connections, %.0f at the twentieth", files, files_warm); /* to the control plane */
    program_signal(p, SIGTERM);
    ck_assert_int_eq(program_wait(p), 0);
    totals = count_deeds();
    check_told(&totals, 0);
    check_shown(books, &totals);
    json_decref(books);
    program_free(p);
    close_stage();
}
END_TEST

Suite *books_suite(void);

Suite *books_suite(void)
{
    Suite *s = suite_create("books");
    TCase *tc = tcase_create("books");
    int seeds = (int)setting("VWT_SEEDS", SEEDS);

    tcase_add_loop_test(tc, the_books_balance_in_any_storm, 0, seeds);
    tcase_add_loop_test(tc, the_books_balance_when_the_worker_leaves_in_the_storm, 0, (seeds + 4) / 5);
    suite_add_tcase(s, tc);
    if (getenv("VWT_MARATHON")) {
        tc = tcase_create("marathon");
        tcase_add_test(tc, a_long_run_leaves_nothing_behind);
        suite_add_tcase(s, tc);
    }
    return s;
}
