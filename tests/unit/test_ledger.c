/* The accounts: what each outcome books, what reports say and take away, deletions, and that the equations always hold. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/vwi.h"
#include "core/ledger.h"
#include "random.h"

static const char *const routes[] = { "/a", "/b", "/a" };
static const char *const reasons[] = { "queue_full", "no_route", "queue_timeout" };
static const struct vwi_ledger_names names = { routes, VWI_ARRAY_LEN(routes), reasons, VWI_ARRAY_LEN(reasons) };
enum { QUEUE_FULL, NO_ROUTE, QUEUE_TIMEOUT };

static struct vwi_ledger *make(size_t deletions_max)
{
    struct vwi_ledger *l = NULL;

    ck_assert_int_eq(vwi_ledger_create(&names, deletions_max, &l, NULL), VW_OK);
    return l;
}

static struct vwi_work work(long long idx, double workload)
{
    return (struct vwi_work){ .kind = VWI_WORK_PLAIN, .workload = workload, .has_request_idx = true, .request_idx = idx };
}

static void start(struct vwi_ledger *l, struct vwi_entry *e, long long idx, double workload)
{
    struct vwi_work w = work(idx, workload);

    vwi_ledger_start(l, e, &w, 100.5, 1000000);
}

static void reject(struct vwi_ledger *l, long long idx, double workload)
{
    struct vwi_work w = work(idx, workload);

    vwi_ledger_reject(l, &w, QUEUE_FULL, 100.5);
}

static struct vwi_report_snapshot snapshot(struct vwi_ledger *l)
{
    struct vwi_report_snapshot s = { 0 };

    ck_assert_int_eq(vwi_ledger_snapshot(l, &s), VW_OK);
    return s;
}

/* Takes a snapshot, acknowledges it and compares its sums. */
static void expect_report(struct vwi_ledger *l, double new_load, double rej_load, double cur_perf)
{
    struct vwi_report_snapshot s = snapshot(l);

    ck_assert(s.new_load == new_load && s.rej_load == rej_load && s.cur_perf == cur_perf);
    vwi_ledger_acknowledge(l, &s);
    vwi_report_snapshot_fini(&s);
}

START_TEST(ledger_reports_the_worked_example)
{
    struct vwi_ledger *l = make(16);
    struct vwi_entry a = { 0 }, b = { 0 }, d = { 0 };
    struct vwi_report_snapshot s;

    start(l, &a, 11, 100);
    ck_assert(vwi_ledger_settle(l, &a, VWI_OUTCOME_SERVED, 1500000));
    start(l, &b, 12, 60);
    reject(l, 13, 40);
    start(l, &d, 14, 30);
    ck_assert(vwi_ledger_settle(l, &d, VWI_OUTCOME_CANCELLED, 1500000));
    s = snapshot(l);
    ck_assert(s.new_load == 160 && s.cur_load == 60 && s.rej_load == 40 && s.cur_perf == 100);
    ck_assert_uint_eq(s.working, 1);
    ck_assert_uint_eq(s.idx_count, 1);
    ck_assert_int_eq(s.idxs[0], 12);
    ck_assert_uint_eq(s.requests_received, 4);
    ck_assert(vwi_ledger_waiting_load(l) == 60);
    ck_assert(vwi_ledger_balanced(l));
    vwi_report_snapshot_fini(&s);
    vwi_ledger_destroy(l);
}
END_TEST

/* The table of design.md part 7: what an outcome books, for a request that ran and for one that never did. */
static const struct booking {
    enum vwi_outcome outcome;
    bool ran;
    double new_load, rej_load, cur_perf;
    enum vwi_deletion_status status;
    bool success;
    double started, completed;
    bool forces_report;
} bookings[] = {
    { VWI_OUTCOME_SERVED, true, 7, 0, 7, VWI_DELETION_SUCCESS, true, 101, 102, true },
    { VWI_OUTCOME_ERRORED, true, 7, 0, 0, VWI_DELETION_ERROR, false, 101, 102, true },
    { VWI_OUTCOME_ERRORED, false, 7, 0, 0, VWI_DELETION_ERROR, false, 0, 102, true },
    { VWI_OUTCOME_CANCELLED, true, 0, 0, 0, VWI_DELETION_CANCELLED, true, 101, 0, false },
    { VWI_OUTCOME_CANCELLED, false, 0, 0, 0, VWI_DELETION_CANCELLED, true, 0, 0, false },
    { VWI_OUTCOME_QUEUE_TIMEOUT, false, 0, 7, 0, VWI_DELETION_REJECTED, false, 0, 0, true },
};

START_TEST(ledger_books_each_outcome_as_the_table_says)
{
    const struct booking *b = &bookings[_i];
    struct vwi_ledger *l = make(16);
    struct vwi_entry e = { 0 };
    struct vwi_report_snapshot s;
    struct vwi_deletion d;

    start(l, &e, 43, 7);
    s = snapshot(l);
    s.sent_new = (struct vwi_sum){ 0, 0 }; /* acknowledges the news of the start and no load */
    vwi_ledger_acknowledge(l, &s);
    vwi_report_snapshot_fini(&s);
    if (b->ran)
        vwi_ledger_run(l, &e, 1500000);
    ck_assert(vwi_ledger_settle(l, &e, b->outcome, 2500000));
    ck_assert(vwi_ledger_changed(l) == b->forces_report);
    expect_report(l, b->new_load, b->rej_load, b->cur_perf);
    ck_assert_uint_eq(vwi_ledger_deletions(l, 9, &d), 1);
    ck_assert_int_eq(d.request_idx, 43);
    ck_assert_int_eq(d.status, b->status);
    ck_assert(d.success == b->success);
    ck_assert(d.entered_s == 100.5 && d.started_s == b->started && d.completed_s == b->completed);
    ck_assert(vwi_ledger_balanced(l));
    vwi_ledger_destroy(l);
}
END_TEST

START_TEST(ledger_books_a_rejection_without_an_entry)
{
    struct vwi_ledger *l = make(16);
    struct vwi_deletion d;

    reject(l, 13, 40);
    ck_assert(vwi_ledger_changed(l));
    expect_report(l, 0, 40, 0);
    ck_assert_uint_eq(vwi_ledger_deletions(l, 9, &d), 1);
    ck_assert_int_eq(d.status, VWI_DELETION_REJECTED);
    ck_assert(!d.success && d.entered_s == 100.5 && d.started_s == 0 && d.completed_s == 0);
    ck_assert_uint_eq(vwi_ledger_stats(l).rows[1].rejected, 1);
    ck_assert_uint_eq(vwi_ledger_stats(l).rows[1].reasons[QUEUE_FULL], 1);
    ck_assert(vwi_ledger_balanced(l));
    vwi_ledger_destroy(l);
}
END_TEST

START_TEST(ledger_books_a_rejected_session_with_its_time)
{
    struct vwi_ledger *l = make(16);
    struct vwi_work w = work(13, 40);
    struct vwi_deletion d;

    w.kind = VWI_WORK_SESSION;
    vwi_ledger_reject(l, &w, QUEUE_FULL, 100.5);
    expect_report(l, 0, 40, 0);
    ck_assert_uint_eq(vwi_ledger_deletions(l, 9, &d), 1);
    ck_assert(!d.success && d.entered_s == 100.5 && d.started_s == 100.5 && d.completed_s == 0);
    vwi_ledger_destroy(l);
}
END_TEST

START_TEST(ledger_says_nothing_of_what_was_refused)
{
    struct vwi_ledger *l = make(16);
    struct vwi_report_snapshot s;

    vwi_ledger_refuse(l, VWI_NO_ROUTE, NO_ROUTE);
    ck_assert(!vwi_ledger_changed(l));
    s = snapshot(l);
    ck_assert(s.new_load == 0 && s.rej_load == 0 && s.requests_received == 0);
    ck_assert_uint_eq(vwi_ledger_deletions_count(l), 0);
    ck_assert_uint_eq(vwi_ledger_stats(l).rows[0].refused, 1);
    ck_assert_uint_eq(vwi_ledger_stats(l).rows[0].reasons[NO_ROUTE], 1);
    vwi_report_snapshot_fini(&s);
    vwi_ledger_destroy(l);
}
END_TEST

START_TEST(ledger_settles_once)
{
    struct vwi_ledger *l = make(16);
    struct vwi_entry e = { 0 }, never = { 0 };

    start(l, &e, 1, 5);
    ck_assert(vwi_ledger_settle(l, &e, VWI_OUTCOME_CANCELLED, 2));
    ck_assert(!vwi_ledger_settle(l, &e, VWI_OUTCOME_SERVED, 2));
    ck_assert(!vwi_ledger_settle(l, &never, VWI_OUTCOME_SERVED, 2));
    expect_report(l, 0, 0, 0);
    ck_assert_uint_eq(vwi_ledger_deletions_count(l), 1);
    ck_assert(vwi_ledger_balanced(l));
    start(l, &e, 2, 5); /* an entry may be used again */
    ck_assert(vwi_ledger_settle(l, &e, VWI_OUTCOME_SERVED, 2));
    expect_report(l, 5, 0, 5);
    vwi_ledger_destroy(l);
}
END_TEST

START_TEST(ledger_tells_equal_request_idxs_apart)
{
    struct vwi_ledger *l = make(16);
    struct vwi_entry a = { 0 }, b = { 0 };
    struct vwi_report_snapshot s;

    start(l, &a, 0, 10);
    start(l, &b, 0, 20);
    s = snapshot(l);
    ck_assert(s.cur_load == 30 && s.working == 2 && s.idx_count == 2);
    vwi_report_snapshot_fini(&s);
    vwi_ledger_settle(l, &a, VWI_OUTCOME_SERVED, 2);
    s = snapshot(l);
    ck_assert(s.cur_load == 20 && s.working == 1);
    vwi_report_snapshot_fini(&s);
    vwi_ledger_destroy(l);
}
END_TEST

START_TEST(ledger_keeps_what_happens_while_a_report_travels)
{
    struct vwi_ledger *l = make(16);
    struct vwi_entry a = { 0 }, b = { 0 };
    struct vwi_report_snapshot s;

    start(l, &a, 1, 0.1);
    reject(l, 2, 0.2);
    s = snapshot(l);
    start(l, &b, 3, 0.7);
    vwi_ledger_settle(l, &a, VWI_OUTCOME_SERVED, 2);
    reject(l, 4, 0.4);
    vwi_ledger_acknowledge(l, &s);
    vwi_ledger_acknowledge(l, &s); /* counts once */
    vwi_report_snapshot_fini(&s);
    ck_assert(vwi_ledger_changed(l));
    expect_report(l, 0.7, 0.4, 0.1);
    ck_assert(!vwi_ledger_changed(l));
    expect_report(l, 0, 0, 0);
    vwi_ledger_destroy(l);
}
END_TEST

START_TEST(ledger_keeps_what_a_failed_report_said)
{
    struct vwi_ledger *l = make(16);
    struct vwi_entry a = { 0 };
    struct vwi_report_snapshot s;

    start(l, &a, 1, 5);
    s = snapshot(l);
    vwi_report_snapshot_fini(&s); /* never accepted */
    ck_assert(vwi_ledger_changed(l));
    expect_report(l, 5, 0, 0);
    vwi_ledger_destroy(l);
}
END_TEST

START_TEST(ledger_carries_a_late_cancellation_over)
{
    struct vwi_ledger *l = make(16);
    struct vwi_entry a = { 0 }, b = { 0 };

    start(l, &a, 1, 30);
    expect_report(l, 30, 0, 0);
    vwi_ledger_settle(l, &a, VWI_OUTCOME_CANCELLED, 2);
    ck_assert(!vwi_ledger_changed(l));
    expect_report(l, 0, 0, 0); /* -30 is not sent, and not forgotten */
    start(l, &b, 2, 50);
    expect_report(l, 20, 0, 0);
    vwi_ledger_destroy(l);
}
END_TEST

START_TEST(ledger_books_sessions_and_what_runs_inside)
{
    struct vwi_ledger *l = make(16);
    struct vwi_entry session = { 0 }, inside = { 0 };
    struct vwi_work w = work(77, 50), in = work(78, 3);
    struct vwi_report_snapshot s;

    w.kind = VWI_WORK_SESSION;
    in.kind = VWI_WORK_INSIDE;
    vwi_ledger_start(l, &session, &w, 100, 0);
    vwi_ledger_run(l, &session, 0);
    vwi_ledger_start(l, &inside, &in, 100, 0);
    s = snapshot(l);
    ck_assert(s.new_load == 53 && s.cur_load == 50 && s.working == 1 && s.requests_received == 2);
    ck_assert_uint_eq(s.idx_count, 1);
    ck_assert_int_eq(s.idxs[0], 77);
    vwi_report_snapshot_fini(&s);
    ck_assert(vwi_ledger_waiting_load(l) == 0);
    ck_assert_uint_eq(vwi_ledger_in_flight(l), 2);
    vwi_ledger_settle(l, &inside, VWI_OUTCOME_SERVED, 1);
    vwi_ledger_reject(l, &in, QUEUE_FULL, 101);
    ck_assert_uint_eq(vwi_ledger_deletions_count(l), 0);
    vwi_ledger_settle(l, &session, VWI_OUTCOME_SERVED, 1);
    ck_assert_uint_eq(vwi_ledger_deletions_count(l), 1);
    expect_report(l, 53, 3, 53);
    ck_assert(vwi_ledger_balanced(l));
    vwi_ledger_destroy(l);
}
END_TEST

START_TEST(ledger_names_no_request_without_an_idx)
{
    struct vwi_ledger *l = make(16);
    struct vwi_entry e = { 0 };
    struct vwi_work w = work(0, 5);
    struct vwi_report_snapshot s;

    w.has_request_idx = false;
    vwi_ledger_start(l, &e, &w, 100, 0);
    s = snapshot(l);
    ck_assert(s.cur_load == 5 && s.working == 1 && s.idx_count == 0);
    vwi_report_snapshot_fini(&s);
    vwi_ledger_settle(l, &e, VWI_OUTCOME_SERVED, 1);
    vwi_ledger_reject(l, &w, QUEUE_FULL, 101);
    ck_assert_uint_eq(vwi_ledger_deletions_count(l), 0);
    expect_report(l, 5, 5, 5);
    vwi_ledger_destroy(l);
}
END_TEST

START_TEST(ledger_keeps_control_handlers_out_of_reports)
{
    struct vwi_ledger *l = make(16);
    struct vwi_entry e = { 0 };
    struct vwi_work w = work(9, 5);

    w.kind = VWI_WORK_CONTROL;
    vwi_ledger_start(l, &e, &w, 100, 0);
    ck_assert(!vwi_ledger_changed(l));
    ck_assert(vwi_ledger_waiting_load(l) == 0);
    vwi_ledger_settle(l, &e, VWI_OUTCOME_SERVED, 1000);
    vwi_ledger_reject(l, &w, QUEUE_FULL, 101);
    expect_report(l, 0, 0, 0);
    ck_assert_uint_eq(vwi_ledger_deletions_count(l), 0);
    ck_assert_uint_eq(vwi_ledger_stats(l).rows[1].outcomes[VWI_OUTCOME_SERVED], 1);
    ck_assert(vwi_ledger_balanced(l));
    vwi_ledger_destroy(l);
}
END_TEST

START_TEST(ledger_measures_durations_by_route)
{
    struct vwi_ledger *l = make(16);
    struct vwi_entry e = { 0 }, queued = { 0 };
    struct vwi_work w = work(1, 1);
    struct vwi_ledger_stats s;

    w.route = 2; /* the same name as route 0: they share a row */
    vwi_ledger_start(l, &e, &w, 100, 1000000);
    vwi_ledger_run(l, &e, 1250000);
    vwi_ledger_run(l, &e, 9250000);
    vwi_ledger_first_byte(l, &e, 1500000);
    vwi_ledger_first_byte(l, &e, 9500000);
    vwi_ledger_settle(l, &e, VWI_OUTCOME_SERVED, 3000000);
    w.route = 0;
    vwi_ledger_start(l, &queued, &w, 100, 1000000);
    vwi_ledger_settle(l, &queued, VWI_OUTCOME_QUEUE_TIMEOUT, 900000); /* a clock that steps back counts as 0 */
    vwi_ledger_blame(l, 0, QUEUE_TIMEOUT);
    s = vwi_ledger_stats(l);
    ck_assert_uint_eq(s.row_count, 3);
    ck_assert_str_eq(s.rows[0].name, "none");
    ck_assert_str_eq(s.rows[1].name, "/a");
    ck_assert(s.rows[1].request.sum == 2.0 && s.rows[1].request.count == 2);
    ck_assert(s.rows[1].queue.sum == 0.25 && s.rows[1].queue.count == 2);
    ck_assert(s.rows[1].first_byte.sum == 0.5 && s.rows[1].first_byte.count == 1);
    ck_assert_uint_eq(s.rows[1].outcomes[VWI_OUTCOME_QUEUE_TIMEOUT], 1);
    ck_assert_uint_eq(s.rows[1].reasons[QUEUE_TIMEOUT], 1);
    ck_assert_uint_eq(s.rows[1].refused, 0);
    vwi_ledger_destroy(l);
}
END_TEST

START_TEST(ledger_removes_exactly_the_deletions_that_were_told)
{
    struct vwi_ledger *l = make(4);
    struct vwi_deletion told[4];
    int i;

    for (i = 0; i < 3; i++)
        reject(l, 5, 1); /* all with the same request_idx */
    ck_assert_uint_eq(vwi_ledger_deletions(l, 2, told), 2);
    reject(l, 5, 1);
    reject(l, 6, 1); /* the oldest falls out */
    ck_assert_uint_eq(vwi_ledger_stats(l).deletions_dropped, 1);
    vwi_ledger_deletions_drop(l, told[1].serial);
    ck_assert_uint_eq(vwi_ledger_deletions_count(l), 3);
    ck_assert_uint_eq(vwi_ledger_deletions(l, 4, told), 3);
    ck_assert_uint_eq(told[0].serial, 3);
    ck_assert_int_eq(told[2].request_idx, 6);
    for (i = 0; i < 7; i++)
        reject(l, 7, 1);
    vwi_ledger_deletions_drop(l, told[2].serial); /* all of them fell out already */
    ck_assert_uint_eq(vwi_ledger_deletions_count(l), 4);
    vwi_ledger_deletions_drop(l, 12);
    ck_assert_uint_eq(vwi_ledger_deletions_count(l), 0);
    vwi_ledger_deletions_drop(l, 12);
    ck_assert_uint_eq(vwi_ledger_deletions(l, 4, told), 0);
    vwi_ledger_destroy(l);
}
END_TEST

START_TEST(ledger_drops_the_oldest_deletions_when_memory_is_short)
{
    struct vwi_ledger *l = make(1000);
    static struct vwi_deletion told[1000];
    long long i;
    uint64_t lost;

    for (i = 1; i <= 100; i++) {
        vwi_mem_fail_nth(0);
        reject(l, i, 1);
        vwi_mem_fail_never();
    }
    lost = vwi_ledger_stats(l).deletions_dropped;
    ck_assert_uint_gt(lost, 0);
    ck_assert_uint_eq(vwi_ledger_stats(l).deletions_waiting, 100 - lost);
    for (i = 101; i <= 1064; i++)
        reject(l, i, 1);
    ck_assert_uint_eq(vwi_ledger_deletions(l, 1000, told), 1000);
    for (i = 0; i < 1000; i++)
        ck_assert_int_eq(told[i].request_idx, 65 + i);
    vwi_ledger_destroy(l);
}
END_TEST

START_TEST(ledger_sums_do_not_drift)
{
    struct vwi_ledger *l = make(16);
    struct vwi_entry small = { 0 }, big = { 0 }, absurd = { 0 };
    int i;

    start(l, &small, 1, 0.1);
    for (i = 0; i < 200000; i++) {
        start(l, &big, 2, i % 2 ? 1e15 : 0.3);
        vwi_ledger_settle(l, &big, VWI_OUTCOME_CANCELLED, 2);
    }
    ck_assert(vwi_ledger_waiting_load(l) == 0.1);
    expect_report(l, 0.1, 0, 0);
    start(l, &absurd, 3, 1e308); /* booked as the bound; not a number as nothing */
    start(l, &big, 3, strtod("nan", NULL));
    ck_assert(vwi_ledger_waiting_load(l) == VWI_WORKLOAD_MAX + 0.1);
    vwi_ledger_settle(l, &absurd, VWI_OUTCOME_ERRORED, 2);
    vwi_ledger_settle(l, &big, VWI_OUTCOME_ERRORED, 2);
    vwi_ledger_settle(l, &small, VWI_OUTCOME_ERRORED, 2);
    ck_assert(vwi_ledger_stats(l).load == 0);
    expect_report(l, VWI_WORKLOAD_MAX, 0, 0);
    reject(l, 4, VWI_WORKLOAD_MAX);
    reject(l, 4, 0.3); /* no double holds this sum; all of it is taken away all the same */
    expect_report(l, 0, VWI_WORKLOAD_MAX + 0.3, 0);
    expect_report(l, 0, 0, 0);
    ck_assert(vwi_ledger_balanced(l));
    vwi_ledger_destroy(l);
}
END_TEST

#define STEPS 40000
#define PEOPLE 40

/* What a careful clerk would have noted, in whole units; of each request_idx, its end. */
struct clerk {
    double started, given_back, rejected, served, cur_load;
    double told_new, told_rej, told_perf;
    uint64_t received, working, named, dues, told; /* named: of those that work, with their request_idx */
    long long next_idx;
    struct due {
        bool is_due, is_told;
        enum vwi_deletion_status status;
        double entered_s, started_s, completed_s;
    } ends[STEPS + 1];
};

static void expect_deletion(struct clerk *clerk, const struct vwi_work *w, enum vwi_deletion_status status, double entered_s, double started_s,
                            double completed_s)
{
    if (w->kind == VWI_WORK_INSIDE || w->kind == VWI_WORK_CONTROL || !w->has_request_idx)
        return;
    clerk->dues++;
    clerk->ends[w->request_idx] = (struct due){ true, false, status, entered_s, started_s, completed_s };
}

/* In whole seconds, so that no sum is rounded. */
static double at_s(int64_t step) { return 1e9 + (double)step; }
static int64_t at_us(int64_t step) { return step * 1000000; }

static struct vwi_work any_work(struct clerk *clerk, unsigned long long *seed)
{
    struct vwi_work w = work(clerk->next_idx++, (double)(next_random(seed) % 100));

    w.kind = (enum vwi_work_kind)(next_random(seed) % 4);
    w.route = next_random(seed) % 4; /* 3 is no route */
    w.has_request_idx = next_random(seed) % 5;
    return w;
}

static void count_working(struct clerk *clerk, const struct vwi_work *w, int change)
{
    bool listed = w->kind == VWI_WORK_PLAIN || w->kind == VWI_WORK_SESSION;

    clerk->working += listed ? (uint64_t)change : 0;
    clerk->named += listed && w->has_request_idx ? (uint64_t)change : 0;
}

static void begin_one(struct vwi_ledger *l, struct clerk *clerk, struct vwi_entry *e, int64_t step, unsigned long long *seed)
{
    struct vwi_work w = any_work(clerk, seed);

    memset(e, 0, sizeof *e);
    vwi_ledger_start(l, e, &w, at_s(step), at_us(step));
    count_working(clerk, &w, 1);
    if (w.kind == VWI_WORK_CONTROL)
        return;
    clerk->started += w.workload;
    clerk->received++;
    clerk->cur_load += w.kind == VWI_WORK_INSIDE ? 0 : w.workload;
}

static void end_one(struct vwi_ledger *l, struct clerk *clerk, struct vwi_entry *e, int64_t step, unsigned long long *seed)
{
    enum vwi_outcome outcome = (enum vwi_outcome)(next_random(seed) % VWI_OUTCOMES);
    const struct vwi_work w = e->work;
    double load = w.kind == VWI_WORK_CONTROL ? 0 : w.workload, end_s = at_s(step), began_s = e->ran ? e->started_s : 0;

    count_working(clerk, &w, -1);
    clerk->cur_load -= w.kind == VWI_WORK_INSIDE ? 0 : load;
    clerk->served += outcome == VWI_OUTCOME_SERVED ? load : 0;
    clerk->given_back += outcome == VWI_OUTCOME_CANCELLED || outcome == VWI_OUTCOME_QUEUE_TIMEOUT ? load : 0;
    clerk->rejected += outcome == VWI_OUTCOME_QUEUE_TIMEOUT ? load : 0;
    ck_assert(vwi_ledger_settle(l, e, outcome, at_us(step)));
    ck_assert(!vwi_ledger_settle(l, e, VWI_OUTCOME_SERVED, at_us(step)));
    switch (outcome) {
    case VWI_OUTCOME_SERVED:
        expect_deletion(clerk, &w, VWI_DELETION_SUCCESS, e->entered_s, began_s, end_s);
        break;
    case VWI_OUTCOME_ERRORED:
        expect_deletion(clerk, &w, VWI_DELETION_ERROR, e->entered_s, began_s, end_s);
        break;
    case VWI_OUTCOME_CANCELLED:
        expect_deletion(clerk, &w, VWI_DELETION_CANCELLED, e->entered_s, began_s, 0);
        break;
    default:
        expect_deletion(clerk, &w, VWI_DELETION_REJECTED, e->entered_s, 0, 0);
    }
}

static void go_on_with(struct vwi_ledger *l, struct clerk *clerk, struct vwi_entry *e, int64_t step, unsigned long long *seed)
{
    if (!e->in_flight) {
        begin_one(l, clerk, e, step, seed);
    } else if (!e->ran && next_random(seed) % 2) {
        vwi_ledger_run(l, e, at_us(step));
        ck_assert_double_eq(e->started_s, at_s(step));
    } else {
        end_one(l, clerk, e, step, seed);
    }
}

static void reject_one(struct vwi_ledger *l, struct clerk *clerk, int64_t step, unsigned long long *seed)
{
    struct vwi_work w = any_work(clerk, seed);

    vwi_ledger_reject(l, &w, QUEUE_FULL, at_s(step));
    expect_deletion(clerk, &w, VWI_DELETION_REJECTED, at_s(step), w.kind == VWI_WORK_SESSION ? at_s(step) : 0, 0);
    if (w.kind == VWI_WORK_CONTROL)
        return;
    clerk->rejected += w.workload;
    clerk->received++;
}

static void tell_sums(struct vwi_ledger *l, struct clerk *clerk, struct vwi_report_snapshot *s)
{
    vwi_ledger_acknowledge(l, s);
    clerk->told_new += s->new_load;
    clerk->told_rej += s->rej_load;
    clerk->told_perf += s->cur_perf;
    vwi_report_snapshot_fini(s);
}

/* Each is told once, as it ended, and in time. */
static void tell_ends(struct vwi_ledger *l, struct clerk *clerk)
{
    struct vwi_deletion told[50];
    size_t i, n = vwi_ledger_deletions(l, 50, told);

    for (i = 0; i < n; i++) {
        const struct vwi_deletion *d = &told[i];
        struct due *due = &clerk->ends[d->request_idx];

        ck_assert_msg(due->is_due && !due->is_told, "request %lld is told twice, or has not ended", d->request_idx);
        ck_assert_msg(d->status == due->status && d->entered_s == due->entered_s && d->started_s == due->started_s &&
                      d->completed_s == due->completed_s, "request %lld is not told as it ended", d->request_idx);
        ck_assert(d->success == (d->status == VWI_DELETION_SUCCESS || d->status == VWI_DELETION_CANCELLED));
        due->is_told = true;
    }
    if (n > 0)
        vwi_ledger_deletions_drop(l, told[n - 1].serial);
    clerk->told += n;
}

/* A report may be lost; the lists of ends travel beside it. */
START_TEST(ledger_balances_whatever_happens)
{
    static struct vwi_entry e[PEOPLE];
    static struct clerk clerk;
    struct vwi_ledger *l = make(STEPS);
    struct vwi_report_snapshot s = { 0 };
    unsigned long long seed = (unsigned long long)_i;
    bool travelling = false;
    int64_t step;

    for (step = 0; step < STEPS; step++) {
        unsigned long long what = next_random(&seed) % 24;

        if (what < 16) {
            go_on_with(l, &clerk, &e[next_random(&seed) % PEOPLE], step, &seed);
        } else if (what < 19) {
            reject_one(l, &clerk, step, &seed);
        } else if (what < 20) {
            tell_ends(l, &clerk);
        } else if (!travelling) {
            s = snapshot(l);
            ck_assert(s.cur_load == clerk.cur_load && s.requests_received == clerk.received);
            ck_assert(s.working == clerk.working && s.idx_count == clerk.named);
            travelling = true;
        } else {
            if (next_random(&seed) % 3)
                tell_sums(l, &clerk, &s);
            else
                vwi_report_snapshot_fini(&s); /* failed */
            travelling = false;
        }
        ck_assert(vwi_ledger_balanced(l));
    }
    for (step = 0; step < PEOPLE; step++)
        if (e[step].in_flight)
            end_one(l, &clerk, &e[step], STEPS, &seed);
    ck_assert(vwi_ledger_balanced(l));
    ck_assert_uint_eq(vwi_ledger_in_flight(l), 0);
    vwi_report_snapshot_fini(&s);
    s = snapshot(l);
    ck_assert(s.cur_load == 0 && s.working == 0 && s.idxs == NULL);
    tell_sums(l, &clerk, &s);
    ck_assert(clerk.told_rej == clerk.rejected && clerk.told_perf == clerk.served);
    ck_assert(clerk.told_new >= clerk.started - clerk.given_back); /* more only by a debt not yet worked off */
    while (vwi_ledger_deletions_count(l))
        tell_ends(l, &clerk);
    ck_assert_uint_gt(clerk.told, 1000);
    ck_assert_uint_eq(clerk.told, clerk.dues);
    vwi_ledger_destroy(l);
}
END_TEST

/* ---- the journal ---- */

#define RECORDS 8

static struct vwi_journal *journal_in(uint64_t *region, size_t bytes)
{
    struct vwi_journal *j = NULL;
    enum vwi_journal_found found;

    ck_assert_int_eq(vwi_journal_create(region, bytes, 777, &j, &found, NULL), VW_OK);
    return j;
}

START_TEST(ledger_records_what_will_get_a_deletion_until_it_was_told)
{
    static uint64_t region[8 + 8 * RECORDS];
    struct vwi_ledger *l = make(16);
    struct vwi_journal *j = journal_in(region, sizeof region);
    struct vwi_entry plain = { 0 }, session = { 0 }, inside = { 0 }, control = { 0 }, nameless = { 0 };
    struct vwi_work w = work(1, 10);
    struct vwi_deletion told[4];

    ck_assert_uint_eq(vwi_ledger_keep_journal(l, j, 50), 0);
    start(l, &plain, 1, 10);
    w.kind = VWI_WORK_SESSION;
    vwi_ledger_start(l, &session, &w, 1, 1);
    ck_assert_uint_eq(vwi_journal_count(j), 2);
    w.kind = VWI_WORK_INSIDE;
    vwi_ledger_start(l, &inside, &w, 1, 1);
    w.kind = VWI_WORK_CONTROL;
    vwi_ledger_start(l, &control, &w, 1, 1);
    w = (struct vwi_work){ .kind = VWI_WORK_PLAIN, .workload = 10 };
    vwi_ledger_start(l, &nameless, &w, 1, 1);
    reject(l, 9, 10); /* its client knows already */
    ck_assert_uint_eq(vwi_journal_count(j), 2);
    vwi_ledger_settle(l, &plain, VWI_OUTCOME_SERVED, 2000000);
    vwi_ledger_settle(l, &session, VWI_OUTCOME_SERVED, 2000000);
    vwi_ledger_settle(l, &inside, VWI_OUTCOME_SERVED, 2000000);
    vwi_ledger_settle(l, &control, VWI_OUTCOME_SERVED, 2000000);
    vwi_ledger_settle(l, &nameless, VWI_OUTCOME_SERVED, 2000000);
    ck_assert_uint_eq(vwi_journal_count(j), 2);
    ck_assert_uint_eq(vwi_ledger_deletions(l, 4, told), 3);
    vwi_ledger_deletions_drop(l, told[1].serial); /* the rejection and the first */
    ck_assert_uint_eq(vwi_journal_count(j), 1);
    vwi_ledger_deletions_drop(l, told[2].serial);
    ck_assert_uint_eq(vwi_journal_count(j), 0);
    vwi_ledger_destroy(l);
    vwi_journal_destroy(j);
}
END_TEST

START_TEST(ledger_tells_what_an_earlier_process_left)
{
    static uint64_t region[8 + 8 * RECORDS];
    struct vwi_ledger *l = make(16);
    struct vwi_journal *j = journal_in(region, sizeof region);
    struct vwi_entry served = { 0 }, errored = { 0 }, queued = { 0 }, running = { 0 };
    struct vwi_deletion told[8];

    vwi_ledger_keep_journal(l, j, 50);
    start(l, &served, 1, 10);
    start(l, &errored, 2, 10);
    start(l, &queued, 3, 10);
    start(l, &running, 4, 10);
    vwi_ledger_run(l, &served, 1500000);
    vwi_ledger_run(l, &running, 1250000);
    vwi_ledger_settle(l, &served, VWI_OUTCOME_SERVED, 2000000);
    vwi_ledger_settle(l, &errored, VWI_OUTCOME_ERRORED, 2500000);
    ck_assert_uint_eq(vwi_ledger_deletions(l, 8, told), 2);
    vwi_ledger_deletions_told(l, told[1].serial, true); /* half of a pair: the successes */
    ck_assert_uint_eq(vwi_journal_count(j), 3);
    vwi_ledger_destroy(l); /* as a kill would */
    vwi_journal_destroy(j);

    l = make(16);
    j = journal_in(region, sizeof region);
    ck_assert_uint_eq(vwi_ledger_keep_journal(l, j, 300), 3);
    ck_assert(vwi_ledger_has_journal(l));
    ck_assert_uint_eq(vwi_ledger_stats(l).journal_recovered, 3);
    ck_assert_uint_eq(vwi_ledger_deletions(l, 8, told), 3);
    ck_assert(told[0].request_idx == 2 && told[0].status == VWI_DELETION_ERROR && told[0].completed_s == 102);
    ck_assert(told[1].request_idx == 3 && told[1].status == VWI_DELETION_ERROR && told[1].started_s == 0 && told[1].completed_s == 300);
    ck_assert(told[2].request_idx == 4 && told[2].started_s == 100.75 && !told[2].success);
    expect_report(l, 0, 0, 0); /* workloads are the other process's */
    vwi_ledger_deletions_drop(l, told[2].serial);
    ck_assert_uint_eq(vwi_journal_count(j), 0);
    ck_assert(vwi_ledger_balanced(l));
    vwi_ledger_destroy(l);
    vwi_journal_destroy(j);
}
END_TEST

START_TEST(ledger_counts_what_the_journal_had_no_room_for)
{
    static uint64_t region[8 + 8 * RECORDS];
    static struct vwi_entry e[RECORDS + 3];
    struct vwi_ledger *l = make(16);
    struct vwi_journal *j = journal_in(region, sizeof region);
    size_t i;

    vwi_ledger_keep_journal(l, j, 50);
    for (i = 0; i < VWI_ARRAY_LEN(e); i++)
        start(l, &e[i], (long long)i, 1);
    ck_assert_uint_eq(vwi_ledger_stats(l).journal_dropped, 3);
    for (i = 0; i < VWI_ARRAY_LEN(e); i++)
        vwi_ledger_settle(l, &e[i], VWI_OUTCOME_SERVED, 2000000);
    ck_assert_uint_eq(vwi_ledger_deletions_count(l), VWI_ARRAY_LEN(e)); /* told all the same, by this process */
    vwi_ledger_destroy(l);
    vwi_journal_destroy(j);
}
END_TEST

START_TEST(ledger_survives_each_failed_allocation)
{
    struct vwi_ledger *l = NULL;
    struct vwi_entry e = { 0 };
    struct vwi_report_snapshot s = { 0 };
    vw_error_t why = { 0 };
    vw_err err = VW_E_NOMEM;
    unsigned nth;

    for (nth = 0; err != VW_OK; nth++) {
        ck_assert_uint_lt(nth, 100);
        vwi_mem_fail_nth(nth);
        err = vwi_ledger_create(&names, 16, &l, &why);
        vwi_mem_fail_never();
        ck_assert(err == VW_OK || (err == VW_E_NOMEM && l == NULL && why.code == VW_E_NOMEM));
    }
    start(l, &e, 1, 5);
    vwi_mem_fail_nth(0);
    ck_assert_int_eq(vwi_ledger_snapshot(l, &s), VW_E_NOMEM);
    vwi_mem_fail_never();
    ck_assert_ptr_null(s.idxs);
    expect_report(l, 5, 0, 0);
    vwi_ledger_destroy(l); /* with an entry still in flight */
    vwi_ledger_destroy(NULL);
}
END_TEST

Suite *ledger_suite(void);

Suite *ledger_suite(void)
{
    Suite *s = suite_create("ledger");
    TCase *tc = tcase_create("ledger");

    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, ledger_reports_the_worked_example);
    tcase_add_loop_test(tc, ledger_books_each_outcome_as_the_table_says, 0, VWI_ARRAY_LEN(bookings));
    tcase_add_test(tc, ledger_books_a_rejection_without_an_entry);
    tcase_add_test(tc, ledger_books_a_rejected_session_with_its_time);
    tcase_add_test(tc, ledger_says_nothing_of_what_was_refused);
    tcase_add_test(tc, ledger_settles_once);
    tcase_add_test(tc, ledger_tells_equal_request_idxs_apart);
    tcase_add_test(tc, ledger_keeps_what_happens_while_a_report_travels);
    tcase_add_test(tc, ledger_keeps_what_a_failed_report_said);
    tcase_add_test(tc, ledger_carries_a_late_cancellation_over);
    tcase_add_test(tc, ledger_books_sessions_and_what_runs_inside);
    tcase_add_test(tc, ledger_names_no_request_without_an_idx);
    tcase_add_test(tc, ledger_keeps_control_handlers_out_of_reports);
    tcase_add_test(tc, ledger_measures_durations_by_route);
    tcase_add_test(tc, ledger_removes_exactly_the_deletions_that_were_told);
    tcase_add_test(tc, ledger_drops_the_oldest_deletions_when_memory_is_short);
    tcase_add_test(tc, ledger_sums_do_not_drift);
    tcase_add_loop_test(tc, ledger_balances_whatever_happens, 0, 8);
    tcase_add_test(tc, ledger_records_what_will_get_a_deletion_until_it_was_told);
    tcase_add_test(tc, ledger_tells_what_an_earlier_process_left);
    tcase_add_test(tc, ledger_counts_what_the_journal_had_no_room_for);
    tcase_add_test(tc, ledger_survives_each_failed_allocation);
    suite_add_tcase(s, tc);
    return s;
}
