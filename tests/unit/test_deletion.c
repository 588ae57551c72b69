/* The ring of what is to be told: order, bound, removal by serial, short memory, and memory that is given back. A test names an entry by its serial. */
#include <check.h>

#include "base/mem.h"
#include "core/deletion.h"
#include "random.h"

#define MAX 300
#define STEPS 20000

static struct vwi_deletions *make(size_t max)
{
    struct vwi_deletions *ring = NULL;

    ck_assert_int_eq(vwi_deletions_create(max, &ring), VW_OK);
    return ring;
}

static void add(struct vwi_deletions *ring, uint64_t serial)
{
    struct vwi_deletion d = { .request_idx = (long long)serial, .status = VWI_DELETION_ERROR };

    vwi_deletions_add(ring, &d);
}

/* It holds those after gone, up to newest, and says so in both ways. */
static void expect_held(const struct vwi_deletions *ring, uint64_t gone, uint64_t newest)
{
    static struct vwi_deletion held[MAX + 1];
    size_t i, count = vwi_deletions_peek(ring, MAX + 1, held);

    ck_assert_uint_eq(vwi_deletions_count(ring), newest - gone);
    ck_assert_uint_eq(count, newest - gone);
    for (i = 0; i < count; i++) {
        const struct vwi_deletion *d = vwi_deletions_nth(ring, i);

        ck_assert(d->serial == gone + 1 + i && d->request_idx == (long long)d->serial);
        ck_assert(held[i].serial == d->serial && held[i].request_idx == d->request_idx);
    }
    ck_assert_ptr_null(vwi_deletions_nth(ring, count));
}

START_TEST(deletions_keep_their_order_whatever_comes_and_goes)
{
    struct vwi_deletions *ring = make(MAX);
    unsigned long long seed = (unsigned long long)_i;
    uint64_t newest = 0, gone = 0, dropped = 0, burst, upto;
    int step;

    for (step = 0; step < STEPS; step++) {
        if (next_random(&seed) % 16)
            for (burst = next_random(&seed) % 8; burst; burst--) {
                add(ring, ++newest);
                if (newest - gone > MAX) {
                    gone++;
                    dropped++;
                }
            }
        else {
            upto = gone + next_random(&seed) % (MAX + 20);
            vwi_deletions_drop(ring, upto);
            gone = upto > newest ? newest : upto;
        }
        if (step % 50 == 0)
            expect_held(ring, gone, newest);
    }
    ck_assert_uint_gt(dropped, 0);
    ck_assert_uint_eq(vwi_deletions_dropped(ring), dropped);
    vwi_deletions_destroy(ring);
}
END_TEST

START_TEST(deletions_survive_short_memory_at_every_step)
{
    struct vwi_deletions *ring = make(MAX);
    unsigned long long seed = (unsigned long long)_i;
    uint64_t newest = 0, gone = 0, dropped;
    int step;

    for (step = 0; step < STEPS; step++) {
        dropped = vwi_deletions_dropped(ring);
        if (next_random(&seed) % 4)
            vwi_mem_fail_nth(0);
        add(ring, ++newest);
        vwi_mem_fail_never();
        gone += vwi_deletions_dropped(ring) - dropped;
        if (!(next_random(&seed) % 100)) {
            gone += next_random(&seed) % (newest - gone + 1);
            vwi_deletions_drop(ring, gone);
        }
        ck_assert(vwi_deletions_nth(ring, newest - gone - 1) || gone == newest);
    }
    ck_assert_uint_gt(vwi_deletions_dropped(ring), 0);
    expect_held(ring, gone, newest);
    vwi_deletions_destroy(ring);
}
END_TEST

START_TEST(deletions_that_found_no_memory_cost_the_oldest_few)
{
    struct vwi_deletions *ring = make(MAX);
    uint64_t serial;

    for (serial = 1; !vwi_deletions_dropped(ring) && serial < MAX; serial++) {
        vwi_mem_fail_nth(0);
        add(ring, serial);
        vwi_mem_fail_never();
    }
    ck_assert_uint_gt(vwi_deletions_dropped(ring), 0);
    ck_assert_uint_le(vwi_deletions_dropped(ring), 64);
    expect_held(ring, vwi_deletions_dropped(ring), serial - 1);
    vwi_deletions_destroy(ring);
}
END_TEST

/* What comes after an outage has to find its memory again, as what came before it had to. */
START_TEST(deletions_that_were_told_leave_no_memory_behind)
{
    struct vwi_deletions *ring = make(MAX);
    uint64_t serial, dropped;

    for (serial = 1; serial <= MAX; serial++)
        add(ring, serial);
    vwi_deletions_drop(ring, MAX);
    for (; serial <= 2 * MAX; serial++) {
        vwi_mem_fail_nth(0);
        add(ring, serial);
        vwi_mem_fail_never();
    }
    dropped = vwi_deletions_dropped(ring);
    ck_assert_uint_gt(dropped, MAX / 2);
    expect_held(ring, MAX + dropped, 2 * MAX);
    vwi_deletions_destroy(ring);
}
END_TEST

START_TEST(deletions_of_one_place_are_the_newest)
{
    struct vwi_deletions *ring = make(0);
    uint64_t serial;

    for (serial = 1; serial <= MAX; serial++)
        add(ring, serial);
    expect_held(ring, MAX - 1, MAX);
    ck_assert_uint_eq(vwi_deletions_dropped(ring), MAX - 1);
    vwi_deletions_destroy(ring);
}
END_TEST

static struct vwi_deletions *created;

static void *create_failing(unsigned nth)
{
    vwi_mem_fail_nth(nth);
    created = NULL;
    (void)vwi_deletions_create(MAX, &created);
    vwi_mem_fail_never();
    return created;
}

START_TEST(deletions_are_made_whole_or_not_at_all)
{
    unsigned nth = 0;

    while (!create_failing(nth))
        nth++;
    ck_assert_uint_eq(nth, 3);
    vwi_deletions_destroy(created);
}
END_TEST

Suite *deletion_suite(void);

Suite *deletion_suite(void)
{
    Suite *s = suite_create("deletion");
    TCase *tc = tcase_create("ring");

    tcase_add_loop_test(tc, deletions_keep_their_order_whatever_comes_and_goes, 0, 4);
    tcase_add_loop_test(tc, deletions_survive_short_memory_at_every_step, 0, 4);
    tcase_add_test(tc, deletions_that_found_no_memory_cost_the_oldest_few);
    tcase_add_test(tc, deletions_that_were_told_leave_no_memory_behind);
    tcase_add_test(tc, deletions_of_one_place_are_the_newest);
    tcase_add_test(tc, deletions_are_made_whole_or_not_at_all);
    suite_add_tcase(s, tc);
    return s;
}
