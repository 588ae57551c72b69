/* The journal against a reference that keeps books by hand: what is found after a crash at any moment, and what is no journal of ours. */
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/vwi.h"
#include "core/journal.h"
#include "random.h"

#define RECORDS 24
#define WORKER 777
#define HEADER 64
#define RECORD 64

static uint64_t region[HEADER / 8 + RECORDS * RECORD / 8];

static struct vwi_journal *open_at(void *memory, size_t bytes, long long worker, enum vwi_journal_found expected)
{
    struct vwi_journal *j = NULL;
    enum vwi_journal_found found;

    ck_assert_int_eq(vwi_journal_create(memory, bytes, worker, &j, &found, NULL), VW_OK);
    ck_assert_int_eq(found, expected);
    return j;
}

static struct vwi_journal *fresh(void)
{
    memset(region, 0, sizeof region);
    return open_at(region, sizeof region, WORKER, VWI_JOURNAL_NEW);
}

static struct vwi_deletion ended(enum vwi_deletion_status status, double started_s, double completed_s)
{
    return (struct vwi_deletion){ .status = status, .success = status == VWI_DELETION_SUCCESS || status == VWI_DELETION_CANCELLED,
                                  .started_s = started_s, .completed_s = completed_s };
}

struct list {
    struct vwi_deletion items[RECORDS];
    size_t count;
};

static void collect(void *arg, const struct vwi_deletion *deletion)
{
    struct list *list = arg;

    ck_assert_uint_lt(list->count, RECORDS);
    list->items[list->count++] = *deletion;
}

/* As the next process would: of a copy, so that the one under test goes on. */
static struct list recovered(const void *memory, double now_s, uint64_t *ret_damaged)
{
    static uint64_t copy[sizeof region / 8];
    struct list list = { .count = 0 };
    struct vwi_journal *j;

    memcpy(copy, memory, sizeof copy);
    j = open_at(copy, sizeof copy, WORKER, VWI_JOURNAL_KEPT);
    ck_assert_uint_eq(vwi_journal_recover(j, now_s, collect, &list), list.count);
    if (ret_damaged)
        *ret_damaged = vwi_journal_damaged(j);
    vwi_journal_destroy(j);
    return list;
}

START_TEST(journal_tells_what_was_in_flight_as_failed_and_the_rest_as_it_was)
{
    struct vwi_journal *j = fresh();
    struct vwi_deletion served = ended(VWI_DELETION_SUCCESS, 101, 102), gone = ended(VWI_DELETION_CANCELLED, 0, 0);
    uint64_t queued = vwi_journal_acquire(j, 1, 100), runs = vwi_journal_acquire(j, 2, 100.5), done = vwi_journal_acquire(j, -3, 100.75),
             left = vwi_journal_acquire(j, 4, 100.875), told = vwi_journal_acquire(j, 5, 101);
    struct list list;

    ck_assert(queued && runs && done && left && told);
    vwi_journal_run(j, runs, 101.5);
    vwi_journal_settle(j, done, &served);
    vwi_journal_settle(j, left, &gone);
    vwi_journal_run(j, left, 105); /* too late: it is over */
    vwi_journal_release(j, told);
    ck_assert_uint_eq(vwi_journal_count(j), 4);
    vwi_journal_destroy(j);
    list = recovered(region, 200, NULL);
    ck_assert_uint_eq(list.count, 4);
    ck_assert(list.items[0].request_idx == 1 && list.items[0].status == VWI_DELETION_ERROR && !list.items[0].success);
    ck_assert(list.items[0].entered_s == 100 && list.items[0].started_s == 0 && list.items[0].completed_s == 200);
    ck_assert(list.items[1].request_idx == 2 && list.items[1].status == VWI_DELETION_ERROR && list.items[1].started_s == 101.5);
    ck_assert(list.items[2].request_idx == -3 && list.items[2].status == VWI_DELETION_SUCCESS && list.items[2].success);
    ck_assert(list.items[2].started_s == 101 && list.items[2].completed_s == 102);
    ck_assert(list.items[3].request_idx == 4 && list.items[3].status == VWI_DELETION_CANCELLED && list.items[3].success);
    ck_assert(list.items[3].started_s == 0 && list.items[3].completed_s == 0);
}
END_TEST

START_TEST(journal_keeps_what_it_found_until_it_is_released)
{
    struct vwi_journal *j = fresh();
    struct list list = { .count = 0 }, again;
    size_t i;

    for (i = 0; i < 5; i++)
        vwi_journal_acquire(j, (long long)i, 100);
    vwi_journal_destroy(j);
    j = open_at(region, sizeof region, WORKER, VWI_JOURNAL_KEPT);
    vwi_journal_recover(j, 200, collect, &list);
    vwi_journal_acquire(j, 5, 201);
    vwi_journal_release(j, list.items[1].ticket);
    vwi_journal_release(j, list.items[1].ticket); /* once */
    again = recovered(region, 300, NULL);         /* crashed again before it could tell */
    ck_assert_uint_eq(again.count, 5);
    ck_assert(again.items[0].completed_s == 200 && again.items[1].request_idx == 2 && again.items[4].request_idx == 5);
    ck_assert(again.items[4].completed_s == 300);
    for (i = 0; i < list.count; i++)
        vwi_journal_release(j, list.items[i].ticket);
    ck_assert_uint_eq(vwi_journal_count(j), 1);
    vwi_journal_destroy(j);
}
END_TEST

START_TEST(journal_ends_no_request_before_it_began)
{
    struct vwi_journal *j = fresh();
    struct list list;

    vwi_journal_run(j, vwi_journal_acquire(j, 1, 500), 501);
    vwi_journal_destroy(j);
    list = recovered(region, 200, NULL); /* the clock was set back between the two processes */
    ck_assert(list.items[0].completed_s == 501);
}
END_TEST

START_TEST(journal_lets_the_newest_win_when_it_is_full)
{
    struct vwi_journal *j = fresh();
    struct vwi_deletion d = ended(VWI_DELETION_SUCCESS, 1, 2);
    uint64_t tickets[RECORDS + 3];
    struct list list;
    size_t i;

    for (i = 0; i < RECORDS + 3; i++) {
        tickets[i] = vwi_journal_acquire(j, (long long)i, 100);
        if (i == 4)
            vwi_journal_release(j, tickets[2]); /* so that the third goes to the place of the first that is free */
    }
    ck_assert_uint_eq(vwi_journal_dropped(j), 2);
    ck_assert_uint_eq(vwi_journal_count(j), RECORDS);
    vwi_journal_settle(j, tickets[0], &d); /* was dropped; its place is another's now */
    vwi_journal_release(j, tickets[1]);
    vwi_journal_run(j, tickets[0], 7);
    vwi_journal_run(j, 0, 7);
    vwi_journal_release(j, 0);
    list = recovered(region, 200, NULL);
    ck_assert_uint_eq(list.count, RECORDS);
    for (i = 0; i < RECORDS; i++) {
        ck_assert_int_eq(list.items[i].request_idx, (long long)i + 3);
        ck_assert(list.items[i].started_s == 0 && list.items[i].status == VWI_DELETION_ERROR);
    }
    vwi_journal_destroy(j);
}
END_TEST

/* ---- a crash at any moment ---- */

struct reference {
    struct {
        struct vwi_deletion d;
        uint64_t ticket;
        bool settled;
    } rows[RECORDS]; /* oldest first */
    size_t count;
    long long next;
    uint64_t dropped;
};

static void forget(struct reference *ref, size_t at)
{
    memmove(&ref->rows[at], &ref->rows[at + 1], (ref->count - at - 1) * sizeof ref->rows[0]);
    ref->count--;
}

static void start(struct vwi_journal *j, struct reference *ref)
{
    if (ref->count == RECORDS) {
        forget(ref, 0);
        ref->dropped++;
    }
    memset(&ref->rows[ref->count], 0, sizeof ref->rows[0]);
    ref->rows[ref->count].d.request_idx = ref->next++ % 7; /* they repeat */
    ref->rows[ref->count].d.entered_s = 100 + (double)ref->next;
    ref->rows[ref->count].ticket = vwi_journal_acquire(j, ref->rows[ref->count].d.request_idx, ref->rows[ref->count].d.entered_s);
    ref->count++;
}

static void act(struct vwi_journal *j, struct reference *ref, unsigned long long *seed)
{
    size_t at = ref->count ? next_random(seed) % ref->count : 0;
    unsigned what = (unsigned)(next_random(seed) % 10);
    struct vwi_deletion d = ended((enum vwi_deletion_status)(next_random(seed) % 4), 0, (double)(next_random(seed) % 1000));

    if (what < 4 || !ref->count) {
        start(j, ref);
    } else if (what < 6 && !ref->rows[at].settled) {
        ref->rows[at].d.started_s = 150 + (double)(next_random(seed) % 50);
        vwi_journal_run(j, ref->rows[at].ticket, ref->rows[at].d.started_s);
    } else if (what < 8 && !ref->rows[at].settled) {
        d.started_s = ref->rows[at].d.started_s;
        ref->rows[at].settled = true;
        ref->rows[at].d.status = d.status;
        ref->rows[at].d.success = d.success;
        ref->rows[at].d.completed_s = d.completed_s;
        vwi_journal_settle(j, ref->rows[at].ticket, &d);
    } else {
        vwi_journal_release(j, ref->rows[at].ticket);
        forget(ref, at);
    }
}

static bool same_row(const struct vwi_deletion *a, const struct vwi_deletion *b)
{
    return a->request_idx == b->request_idx && a->status == b->status && a->success == b->success && a->entered_s == b->entered_s &&
           a->started_s == b->started_s && a->completed_s == b->completed_s;
}

static struct list expected(const struct reference *ref, double now_s)
{
    struct list list = { .count = ref->count };
    size_t i;

    for (i = 0; i < ref->count; i++) {
        list.items[i] = ref->rows[i].d;
        if (!ref->rows[i].settled) {
            list.items[i].status = VWI_DELETION_ERROR;
            list.items[i].completed_s = now_s;
        }
    }
    return list;
}

static bool same_list(const struct list *a, const struct list *b)
{
    size_t i;

    for (i = 0; i < a->count && i < b->count; i++)
        if (!same_row(&a->items[i], &b->items[i]))
            return false;
    return a->count == b->count;
}

/* Each row is one of the old or the new ones. */
static bool is_old_or_new(const struct list *list, const struct list *old, const struct list *new)
{
    size_t i, j;

    for (i = 0; i < list->count; i++) {
        bool known = false;

        for (j = 0; j < old->count; j++)
            known = known || same_row(&list->items[i], &old->items[j]);
        for (j = 0; j < new->count; j++)
            known = known || same_row(&list->items[i], &new->items[j]);
        if (!known)
            return false;
    }
    return true;
}

#define WORDS (sizeof region / sizeof region[0])

/* Any subset of the words that one step changes is there. With the mark as it was, which is stored last, the old state must be found, or,
 * when a start is all that is new, the new one. With the mark of an end and not all that it covers, the record must not count. */
static void crash_within(const uint64_t *before, const struct list *old, const struct list *new)
{
    size_t changed[16], count = 0, i;
    unsigned subset;

    for (i = 0; i < WORDS; i++)
        if (before[i] != region[i]) {
            ck_assert_uint_lt(count, 16);
            changed[count++] = i;
        }
    for (subset = 0; subset < 1u << count; subset++) {
        static uint64_t mixed[WORDS];
        bool marks = false, begins = false;
        struct list list;

        memcpy(mixed, before, sizeof mixed);
        for (i = 0; i < count; i++)
            if (subset & 1u << i) {
                mixed[changed[i]] = region[changed[i]];
                marks = marks || changed[i] % 8 == 0;
                begins = begins || (changed[i] % 8 == 0 && region[changed[i]] % 16 == 1);
            }
        if (begins && subset != (1u << count) - 1)
            continue; /* cannot be: what a mark in flight does not cover was stored before it */
        list = recovered(mixed, 5000, NULL);
        ck_assert(is_old_or_new(&list, old, new));
            if (!marks)
            ck_assert(same_list(&list, old) || same_list(&list, new));
        if (subset == (1u << count) - 1)
            ck_assert(same_list(&list, new));
    }
}

/* A full journal makes room first: that is a step of its own. */
static void make_room(uint64_t *before, struct list *old)
{
    size_t i;

    for (i = HEADER / 8; i < WORDS; i += 8)
        if (before[i] && region[i] && before[i + 1] != region[i + 1]) {
            before[i] = 0;
            memmove(&old->items[0], &old->items[1], --old->count * sizeof old->items[0]);
        }
}

START_TEST(journal_finds_exactly_what_was_in_flight_whenever_it_ends)
{
    struct vwi_journal *j = fresh();
    struct reference ref = { .count = 0 };
    static uint64_t before[WORDS];
    unsigned long long seed = 20 + (unsigned long long)_i;
    struct list old = { .count = 0 }, new;
    int step;

    for (step = 0; step < 700; step++) {
        memcpy(before, region, sizeof before);
        act(j, &ref, &seed);
        new = expected(&ref, 5000);
        make_room(before, &old);
        crash_within(before, &old, &new);
        ck_assert_uint_eq(vwi_journal_count(j), ref.count);
        old = new;
    }
    ck_assert_uint_gt(ref.dropped, 0);
    ck_assert_uint_eq(vwi_journal_dropped(j), ref.dropped);
    vwi_journal_destroy(j);
}
END_TEST

START_TEST(journal_goes_on_in_order_over_many_processes)
{
    struct vwi_journal *j = fresh();
    struct reference ref = { .count = 0 };
    unsigned long long seed = 99;
    struct list list, want;
    int life, step;
    size_t i;

    for (life = 0; life < 200; life++) {
        for (step = 0; step < 30; step++)
            act(j, &ref, &seed);
        vwi_journal_destroy(j);
        j = open_at(region, sizeof region, WORKER, VWI_JOURNAL_KEPT);
        list.count = 0;
        vwi_journal_recover(j, 5000, collect, &list);
        want = expected(&ref, 5000);
        ck_assert(same_list(&list, &want));
        for (i = 0; i < list.count; i++) {
            ref.rows[i].ticket = list.items[i].ticket;
            ref.rows[i].settled = true;
            ref.rows[i].d = list.items[i];
        }
    }
    vwi_journal_destroy(j);
}
END_TEST

/* ---- what is none of ours ---- */

/* As written by the layout of today: where a change of it must be noticed. */
enum { AT_MAGIC = 0, AT_VERSION = 8, AT_RECORD_BYTES = 12, AT_RECORDS = 16, AT_WORKER = 24, AT_CHECK = 32 };

START_TEST(journal_of_another_begins_anew)
{
    static const struct {
        size_t at;
        enum vwi_journal_found found;
    } rows[] = { { AT_MAGIC, VWI_JOURNAL_FOREIGN },       { AT_MAGIC + 7, VWI_JOURNAL_FOREIGN },       { AT_VERSION, VWI_JOURNAL_OTHER_LAYOUT },
                 { AT_RECORD_BYTES, VWI_JOURNAL_FOREIGN }, { AT_RECORDS, VWI_JOURNAL_FOREIGN },         { AT_WORKER, VWI_JOURNAL_FOREIGN },
                 { AT_CHECK, VWI_JOURNAL_FOREIGN } };
    struct vwi_journal *j = fresh();
    struct list list = { .count = 0 };

    vwi_journal_acquire(j, 1, 100);
    vwi_journal_destroy(j);
    ((unsigned char *)region)[rows[_i].at] ^= 1;
    j = open_at(region, sizeof region, WORKER, rows[_i].found);
    ck_assert_uint_eq(vwi_journal_recover(j, 200, collect, &list), 0);
    vwi_journal_acquire(j, 2, 300);
    vwi_journal_destroy(j);
    list = recovered(region, 400, NULL);
    ck_assert(list.count == 1 && list.items[0].request_idx == 2);
}
END_TEST

START_TEST(journal_of_another_worker_or_size_is_named_as_such)
{
    struct vwi_journal *j = fresh();

    vwi_journal_acquire(j, 1, 100);
    vwi_journal_destroy(j);
    j = open_at(region, sizeof region - RECORD, WORKER, VWI_JOURNAL_OTHER_LAYOUT);
    vwi_journal_acquire(j, 1, 100);
    vwi_journal_destroy(j);
    j = open_at(region, sizeof region - RECORD, WORKER + 1, VWI_JOURNAL_OF_ANOTHER);
    ck_assert_uint_eq(vwi_journal_count(j), 0);
    vwi_journal_destroy(j);
}
END_TEST

START_TEST(journal_leaves_out_records_that_are_damaged)
{
    struct list list;
    size_t byte;

    for (byte = 0; byte < RECORD - 16; byte++) { /* the rest is spare */
        struct vwi_journal *j = fresh();
        struct vwi_deletion d = ended(VWI_DELETION_SUCCESS, 101, 102);
        uint64_t damaged = 0;

        vwi_journal_acquire(j, 1, 100);
        vwi_journal_settle(j, vwi_journal_acquire(j, 2, 100), &d);
        vwi_journal_acquire(j, 3, 100);
        vwi_journal_destroy(j);
        ((unsigned char *)region)[HEADER + RECORD + byte] ^= 0x40;
        list = recovered(region, 200, &damaged);
        ck_assert(list.count == 2 && list.items[0].request_idx == 1 && list.items[1].request_idx == 3);
        ck_assert_uint_eq(damaged, 1);
    }
    memcpy((char *)region + HEADER + 5 * RECORD, (char *)region + HEADER, RECORD); /* a good one, in a place that is not its own */
    list = recovered(region, 200, NULL);
    ck_assert_uint_eq(list.count, 2);
}
END_TEST

START_TEST(journal_survives_any_bytes)
{
    static const double bad[] = { NAN, INFINITY, -1, 1e300 };
    unsigned long long seed = 5;
    struct vwi_journal *j;
    enum vwi_journal_found found;
    size_t i, round;

    for (round = 0; round < 300; round++) {
        struct list list = { .count = 0 };

        j = fresh();
        for (i = 0; i < 40; i++)
            vwi_journal_acquire(j, 1, bad[i % 4]); /* well made, with times that are none */
        vwi_journal_destroy(j);
        for (i = 0; i < round; i++)
            region[(round % 2 ? 8 : 0) + next_random(&seed) % (WORDS - 8)] = next_random(&seed) << (next_random(&seed) % 32);
        ck_assert_int_eq(vwi_journal_create(region, sizeof region, WORKER, &j, &found, NULL), VW_OK);
        ck_assert_uint_eq(vwi_journal_recover(j, 200, collect, &list), 0);
        for (i = 0; i < 100; i++)
            vwi_journal_acquire(j, (long long)i, 1);
        ck_assert_uint_eq(vwi_journal_count(j), RECORDS);
        vwi_journal_destroy(j);
    }
}
END_TEST

START_TEST(journal_survives_each_failed_allocation)
{
    struct vwi_journal *j = fresh();
    enum vwi_journal_found found;
    vw_error_t why = { VW_OK, "" };
    vw_err err = VW_E_NOMEM;
    unsigned nth;
    struct list list;

    vwi_journal_acquire(j, 1, 100);
    vwi_journal_destroy(j);
    for (nth = 0; err != VW_OK; nth++) {
        ck_assert_uint_lt(nth, 10);
        j = NULL;
        vwi_mem_fail_nth(nth);
        err = vwi_journal_create(region, sizeof region, WORKER, &j, &found, &why);
        vwi_mem_fail_never();
        ck_assert(err == VW_OK || (err == VW_E_NOMEM && !j && why.code == VW_E_NOMEM));
    }
    ck_assert_uint_ge(nth, 4);
    vwi_journal_destroy(j);
    vwi_journal_destroy(NULL);
    list = recovered(region, 200, NULL); /* what failed took nothing with it */
    ck_assert_uint_eq(list.count, 1);
}
END_TEST

Suite *journal_suite(void);

Suite *journal_suite(void)
{
    Suite *s = suite_create("journal");
    TCase *tc = tcase_create("journal");

    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, journal_tells_what_was_in_flight_as_failed_and_the_rest_as_it_was);
    tcase_add_test(tc, journal_keeps_what_it_found_until_it_is_released);
    tcase_add_test(tc, journal_ends_no_request_before_it_began);
    tcase_add_test(tc, journal_lets_the_newest_win_when_it_is_full);
    tcase_add_loop_test(tc, journal_finds_exactly_what_was_in_flight_whenever_it_ends, 0, 3);
    tcase_add_test(tc, journal_goes_on_in_order_over_many_processes);
    tcase_add_loop_test(tc, journal_of_another_begins_anew, 0, 7);
    tcase_add_test(tc, journal_of_another_worker_or_size_is_named_as_such);
    tcase_add_test(tc, journal_leaves_out_records_that_are_damaged);
    tcase_add_test(tc, journal_survives_any_bytes);
    tcase_add_test(tc, journal_survives_each_failed_allocation);
    suite_add_tcase(s, tc);
    return s;
}
