/* The ring doubles up to its bound and never shrinks. Serials keep removal exact when entries fell out meanwhile. */
#include "core/deletion.h"

#include <string.h>

#include "base/mem.h"

#define FIRST_CAP 64

struct vwi_deletions {
    struct vwi_deletion *items;
    size_t max, cap, head, count;
    uint64_t serial; /* of the newest */
    uint64_t dropped;
};

vw_err vwi_deletions_create(size_t max, struct vwi_deletions **ret)
{
    struct vwi_deletions *ring = vwi_zalloc(sizeof(*ring));

    if (!ring)
        return VW_E_NOMEM;
    ring->max = max ? max : 1;
    ring->cap = ring->max < FIRST_CAP ? ring->max : FIRST_CAP;
    ring->items = vwi_alloc(ring->cap * sizeof(*ring->items));
    if (!ring->items) {
        vwi_deletions_destroy(ring);
        return VW_E_NOMEM;
    }
    *ret = ring;
    return VW_OK;
}

void vwi_deletions_destroy(struct vwi_deletions *ring)
{
    if (!ring)
        return;
    vwi_free(ring->items);
    vwi_free(ring);
}

static void forget_oldest(struct vwi_deletions *ring, size_t count)
{
    ring->head = (ring->head + count) % ring->cap;
    ring->count -= count;
    if (ring->count == 0)
        ring->head = 0; /* keeps the pages in use few */
}

static bool grow(struct vwi_deletions *ring)
{
    size_t cap = ring->cap > ring->max / 2 ? ring->max : ring->cap * 2;
    struct vwi_deletion *items;

    if (ring->cap == ring->max)
        return false;
    items = vwi_alloc(cap * sizeof(*items));
    if (!items)
        return false;
    vwi_deletions_peek(ring, ring->count, items);
    vwi_free(ring->items);
    ring->items = items;
    ring->cap = cap;
    ring->head = 0;
    return true;
}

void vwi_deletions_add(struct vwi_deletions *ring, const struct vwi_deletion *deletion)
{
    struct vwi_deletion *slot;

    if (ring->count == ring->cap && !grow(ring)) {
        forget_oldest(ring, 1);
        ring->dropped++;
    }
    slot = &ring->items[(ring->head + ring->count) % ring->cap];
    *slot = *deletion;
    slot->serial = ++ring->serial;
    ring->count++;
}

size_t vwi_deletions_peek(const struct vwi_deletions *ring, size_t max, struct vwi_deletion *ret)
{
    size_t count = max < ring->count ? max : ring->count;
    size_t straight = ring->cap - ring->head < count ? ring->cap - ring->head : count;

    if (count == 0)
        return 0;
    memcpy(ret, ring->items + ring->head, straight * sizeof(*ret));
    memcpy(ret + straight, ring->items, (count - straight) * sizeof(*ret));
    return count;
}

const struct vwi_deletion *vwi_deletions_nth(const struct vwi_deletions *ring, size_t nth)
{
    return nth < ring->count ? &ring->items[(ring->head + nth) % ring->cap] : NULL;
}

void vwi_deletions_drop(struct vwi_deletions *ring, uint64_t serial)
{
    uint64_t oldest = ring->serial - ring->count + 1;
    uint64_t count;

    if (serial < oldest)
        return; /* overflow was faster */
    count = serial - oldest + 1;
    forget_oldest(ring, count < ring->count ? (size_t)count : ring->count);
}

size_t vwi_deletions_count(const struct vwi_deletions *ring) { return ring->count; }
uint64_t vwi_deletions_dropped(const struct vwi_deletions *ring) { return ring->dropped; }
