/*
 * A record counts when its mark is the mix of its fields and its place, with the state in the low bits. In flight it covers what never
 * changes, so that leaving the queue is one store; settled, all of it. It is stored after what it covers: a process that ends between two
 * stores leaves the record as it was before the step or as it is after it. Order and free places are kept outside the region, and made
 * anew from what is found.
 */
#include "core/journal.h"

#include <math.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/vwi.h"
#include "core/mix.h"

#define MAGIC 0x0a4c4e524a575600u /* differs in every byte, so that another byte order is seen */
#define VERSION 1u
#define NONE UINT32_MAX
#define LATEST_S 1e12
#define LAST_SERIAL ((uint64_t)1 << 48) /* more than can ever be reached; so no ticket overflows */

struct header {
    uint64_t magic;
    uint32_t version, record_bytes;
    uint64_t records;
    int64_t worker_id;
    uint64_t check;
    uint64_t spare[3];
};

struct record {
    uint64_t mark; /* 0: free */
    uint64_t serial;
    int64_t request_idx;
    double entered_s, started_s, completed_s;
    uint64_t spare[2];
};

_Static_assert(sizeof(struct header) == 64 && sizeof(struct record) == 64, "a layout is changed by its version");

/* Low bits of a mark: in flight, or settled with a status and a success. */
enum { IN_FLIGHT = 1, SETTLED = 2, STATE_BITS = 15 };

struct place {
    uint32_t prev, next; /* records in use in the order of their serials; free ones by next alone */
};

struct vwi_journal {
    struct header *header;
    struct record *records;
    struct place *places;
    uint32_t capacity, oldest, newest, free;
    size_t count;
    uint64_t serial, dropped, damaged;
    uint64_t worker_id;
};

static uint64_t fold(uint64_t sum, uint64_t field) { return vwi_mix(sum ^ field); }

static uint64_t bits_of(double x)
{
    uint64_t bits;

    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static uint64_t header_check(const struct header *h)
{
    uint64_t sum = fold(h->magic, ((uint64_t)h->version << 32) | h->record_bytes);

    return fold(fold(sum, h->records), (uint64_t)h->worker_id);
}

static uint64_t mark_of(const struct vwi_journal *j, uint32_t at, unsigned state)
{
    const struct record *r = &j->records[at];
    uint64_t sum = fold(fold(j->worker_id, at), r->serial);

    sum = fold(fold(sum, (uint64_t)r->request_idx), bits_of(r->entered_s));
    if (state != IN_FLIGHT)
        sum = fold(fold(sum, bits_of(r->started_s)), bits_of(r->completed_s));
    return (sum & ~(uint64_t)STATE_BITS) | state;
}

/* What was stored before this stays before it. A killed process has done its stores in their order; only the compiler could change it. */
static void set_mark(struct record *r, uint64_t mark)
{
    atomic_signal_fence(memory_order_seq_cst);
    *(volatile uint64_t *)&r->mark = mark;
    atomic_signal_fence(memory_order_seq_cst);
}

/* ---- places ---- */

static void append(struct vwi_journal *j, uint32_t at)
{
    j->places[at] = (struct place){ j->newest, NONE };
    if (j->newest == NONE)
        j->oldest = at;
    else
        j->places[j->newest].next = at;
    j->newest = at;
    j->count++;
}

static void give_back(struct vwi_journal *j, uint32_t at)
{
    struct place place = j->places[at];

    if (place.prev == NONE)
        j->oldest = place.next;
    else
        j->places[place.prev].next = place.next;
    if (place.next == NONE)
        j->newest = place.prev;
    else
        j->places[place.next].prev = place.prev;
    j->places[at].next = j->free; /* the last one is the first to be used again: few pages are ever touched */
    j->free = at;
    j->count--;
}

static void clear(struct vwi_journal *j, uint32_t at)
{
    set_mark(&j->records[at], 0);
    give_back(j, at);
}

/* ---- what is found ---- */

size_t vwi_journal_bytes(size_t records) { return sizeof(struct header) + records * sizeof(struct record); }

static bool all_zero(const struct header *h)
{
    static const struct header zero;

    return memcmp(h, &zero, sizeof zero) == 0;
}

static enum vwi_journal_found judge(const struct header *h, size_t records, long long worker_id)
{
    if (all_zero(h))
        return VWI_JOURNAL_NEW;
    if (h->magic != MAGIC)
        return VWI_JOURNAL_FOREIGN;
    if (h->version != VERSION)
        return VWI_JOURNAL_OTHER_LAYOUT;
    if (h->check != header_check(h))
        return VWI_JOURNAL_FOREIGN;
    if (h->record_bytes != sizeof(struct record) || h->records != records)
        return VWI_JOURNAL_OTHER_LAYOUT;
    return h->worker_id == worker_id ? VWI_JOURNAL_KEPT : VWI_JOURNAL_OF_ANOTHER;
}

/* The check comes last: a journal that was begun and no further is no journal. */
static void begin(struct header *h, struct record *records, size_t count, long long worker_id)
{
    struct header fresh = { .magic = MAGIC, .version = VERSION, .record_bytes = sizeof(struct record) };

    h->check = 0;
    atomic_signal_fence(memory_order_seq_cst);
    memset(records, 0, count * sizeof *records);
    fresh.records = count;
    fresh.worker_id = worker_id;
    *h = fresh;
    atomic_signal_fence(memory_order_seq_cst);
    h->check = header_check(&fresh);
}

static bool is_time(double s) { return isfinite(s) && s >= 0 && s <= LATEST_S; }

static bool is_state(unsigned state) { return state == IN_FLIGHT || (state >= SETTLED && state < SETTLED + 8); }

static bool is_ours(const struct vwi_journal *j, uint32_t at)
{
    const struct record *r = &j->records[at];
    unsigned state = (unsigned)(r->mark & STATE_BITS);

    return is_state(state) && r->mark == mark_of(j, at, state) && r->serial <= LAST_SERIAL && is_time(r->entered_s) &&
           is_time(r->started_s) && (state == IN_FLIGHT || is_time(r->completed_s));
}

struct found {
    uint64_t serial;
    uint32_t at;
};

static int by_serial(const void *a, const void *b)
{
    const struct found *x = a, *y = b;

    return (x->serial > y->serial) - (x->serial < y->serial);
}

/* Everything that is ours in its order; whatever else is there is cleared. */
static vw_err gather(struct vwi_journal *j)
{
    struct found *found = vwi_alloc(j->capacity * sizeof *found);
    size_t count = 0, i;
    uint32_t at;

    if (!found)
        return VW_E_NOMEM;
    for (at = j->capacity; at-- > 0;) {
        if (j->records[at].mark && is_ours(j, at)) {
            found[count++] = (struct found){ j->records[at].serial, at };
            continue;
        }
        j->damaged += j->records[at].mark != 0;
        set_mark(&j->records[at], 0);
        j->places[at].next = j->free;
        j->free = at;
    }
    qsort(found, count, sizeof *found, by_serial);
    for (i = 0; i < count; i++)
        append(j, found[i].at);
    j->serial = count ? found[count - 1].serial : 0;
    vwi_free(found);
    return VW_OK;
}

vw_err vwi_journal_create(void *region, size_t bytes, long long worker_id, struct vwi_journal **ret, enum vwi_journal_found *ret_found,
                          vw_error_t *why)
{
    size_t records = bytes < vwi_journal_bytes(1) ? 0 : (bytes - sizeof(struct header)) / sizeof(struct record);
    struct vwi_journal *j;
    vw_err err = VW_E_NOMEM;

    if (!VWI_EXPECT(records && records < NONE))
        return vwi_fail(why, VW_E_ARG, "journal: too small");
    j = vwi_zalloc(sizeof *j);
    if (!j)
        goto out;
    j->header = region;
    j->records = (struct record *)(void *)((char *)region + sizeof(struct header));
    j->capacity = (uint32_t)records;
    j->worker_id = (uint64_t)worker_id;
    j->oldest = j->newest = j->free = NONE;
    j->places = vwi_alloc(records * sizeof *j->places);
    if (!j->places)
        goto out;
    *ret_found = judge(j->header, records, worker_id);
    if (*ret_found != VWI_JOURNAL_KEPT)
        begin(j->header, j->records, records, worker_id);
    err = gather(j);
    if (err != VW_OK)
        goto out;
    *ret = j;
    j = NULL;
out:
    vwi_journal_destroy(j);
    return err == VW_OK ? VW_OK : vwi_fail(why, err, "journal: out of memory");
}

void vwi_journal_destroy(struct vwi_journal *j)
{
    if (!j)
        return;
    vwi_free(j->places);
    vwi_free(j);
}

/* ---- records ---- */

static uint64_t ticket_of(const struct vwi_journal *j, uint32_t at) { return j->records[at].serial * j->capacity + at + 1; }

/* NULL: there was none, or it was dropped since. */
static struct record *find(const struct vwi_journal *j, uint64_t ticket, uint32_t *ret_at)
{
    uint32_t at = (uint32_t)((ticket - 1) % j->capacity);

    if (!ticket || !j->records[at].mark || ticket_of(j, at) != ticket)
        return NULL;
    *ret_at = at;
    return &j->records[at];
}

uint64_t vwi_journal_acquire(struct vwi_journal *j, long long request_idx, double entered_s)
{
    struct record *r;
    uint32_t at;

    if (j->free == NONE) {
        j->dropped++;
        clear(j, j->oldest);
    }
    at = j->free;
    j->free = j->places[at].next;
    r = &j->records[at];
    r->serial = ++j->serial;
    r->request_idx = request_idx;
    r->entered_s = entered_s;
    r->started_s = r->completed_s = 0;
    set_mark(r, mark_of(j, at, IN_FLIGHT));
    append(j, at);
    return ticket_of(j, at);
}

void vwi_journal_run(struct vwi_journal *j, uint64_t ticket, double started_s)
{
    uint32_t at;
    struct record *r = find(j, ticket, &at);

    if (r && (r->mark & STATE_BITS) == IN_FLIGHT)
        r->started_s = started_s;
}

static void settle(struct vwi_journal *j, uint32_t at, const struct vwi_deletion *d)
{
    struct record *r = &j->records[at];

    r->started_s = d->started_s;
    r->completed_s = d->completed_s;
    set_mark(r, mark_of(j, at, SETTLED + (unsigned)d->status * 2 + d->success));
}

void vwi_journal_settle(struct vwi_journal *j, uint64_t ticket, const struct vwi_deletion *deletion)
{
    uint32_t at;

    if (find(j, ticket, &at))
        settle(j, at, deletion);
}

void vwi_journal_release(struct vwi_journal *j, uint64_t ticket)
{
    uint32_t at;

    if (find(j, ticket, &at))
        clear(j, at);
}

size_t vwi_journal_recover(struct vwi_journal *j, double now_s, void (*fn)(void *arg, const struct vwi_deletion *deletion), void *arg)
{
    uint32_t at;

    for (at = j->oldest; at != NONE; at = j->places[at].next) {
        const struct record *r = &j->records[at];
        unsigned state = (unsigned)(r->mark & STATE_BITS);
        struct vwi_deletion d = { .request_idx = r->request_idx, .status = VWI_DELETION_ERROR, .entered_s = r->entered_s,
                                  .started_s = r->started_s, .completed_s = r->completed_s, .ticket = ticket_of(j, at) };

        if (state == IN_FLIGHT) {
            d.completed_s = fmax(now_s, fmax(r->entered_s, r->started_s)); /* the clock may have been set since */
            settle(j, at, &d);
        } else {
            d.status = (enum vwi_deletion_status)((state - SETTLED) / 2);
            d.success = (state - SETTLED) % 2;
        }
        fn(arg, &d);
    }
    return j->count;
}

size_t vwi_journal_count(const struct vwi_journal *j) { return j->count; }
uint64_t vwi_journal_dropped(const struct vwi_journal *j) { return j->dropped; }
uint64_t vwi_journal_damaged(const struct vwi_journal *j) { return j->damaged; }
