/* An old journal, as found on a disk that others may write: what is told of it is whole, and it works on as a journal whatever it was. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/journal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MOST 64

struct told {
    struct vwi_deletion items[MOST];
    size_t count;
};

static bool is_time(double s) { return isfinite(s) && s >= 0; }

static void expect(bool what)
{
    if (!what)
        abort();
}

static void check(void *arg, const struct vwi_deletion *d)
{
    struct told *told = arg;
    size_t i;

    expect(told->count < MOST && d->ticket);
    expect(is_time(d->entered_s) && is_time(d->started_s) && is_time(d->completed_s));
    expect((unsigned)d->status <= VWI_DELETION_REJECTED);
    for (i = 0; i < told->count; i++)
        expect(told->items[i].ticket != d->ticket);
    told->items[told->count++] = *d;
}

static struct vwi_journal *open_it(void *region, size_t bytes, enum vwi_journal_found *ret_found, struct told *ret)
{
    struct vwi_journal *j = NULL;

    expect(vwi_journal_create(region, bytes, 777, &j, ret_found, NULL) == VW_OK);
    ret->count = 0;
    expect(vwi_journal_recover(j, 1e9, check, ret) == ret->count);
    return j;
}

/* Once read, it reads the same. */
static void read_twice(void *region, size_t bytes, struct told *told)
{
    struct told again;
    enum vwi_journal_found found;
    struct vwi_journal *j = open_it(region, bytes, &found, told);
    size_t i;

    expect(found == VWI_JOURNAL_KEPT || told->count == 0);
    vwi_journal_destroy(j);
    j = open_it(region, bytes, &found, &again);
    expect(found == VWI_JOURNAL_KEPT && again.count == told->count && vwi_journal_damaged(j) == 0);
    for (i = 0; i < again.count; i++)
        expect(again.items[i].request_idx == told->items[i].request_idx && again.items[i].status == told->items[i].status &&
               again.items[i].success == told->items[i].success && again.items[i].completed_s == told->items[i].completed_s);
    vwi_journal_destroy(j);
}

/* Ten new requests and the end of all old ones. */
static void work_on(void *region, size_t bytes, size_t records)
{
    struct told told, left;
    enum vwi_journal_found found;
    struct vwi_journal *j = open_it(region, bytes, &found, &told);
    size_t i, want = records < 10 ? records : 10;

    for (i = 0; i < 10; i++)
        vwi_journal_acquire(j, (long long)i, 5);
    for (i = 0; i < told.count; i++)
        vwi_journal_release(j, told.items[i].ticket);
    expect(vwi_journal_count(j) == want);
    vwi_journal_destroy(j);
    j = open_it(region, bytes, &found, &left);
    expect(left.count == want);
    for (i = 0; i < want; i++)
        expect(left.items[i].request_idx == (long long)(10 - want + i));
    vwi_journal_destroy(j);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t records = size < vwi_journal_bytes(1) ? 1 : (size - vwi_journal_bytes(0)) / (vwi_journal_bytes(1) - vwi_journal_bytes(0));
    size_t bytes;
    struct told told;
    void *region;

    records = records < MOST ? records : MOST;
    bytes = vwi_journal_bytes(records);
    region = calloc(1, bytes); /* exact, so that a store beyond it is seen */
    if (size)
        memcpy(region, data, size < bytes ? size : bytes);
    read_twice(region, bytes, &told);
    work_on(region, bytes, records);
    free(region);
    return 0;
}
