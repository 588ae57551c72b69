/*
 * An entry lies where its serial says, in blocks that come and go with what waits: after an outage of the control plane the memory is free
 * again. One block is always there, so a full ring and short memory cost old entries, never the new one. Serials keep removal exact when
 * entries fell out meanwhile.
 */
#include "core/deletion.h"

#include "base/mem.h"

#define BLOCK 64 /* entries */

struct vwi_deletions {
    struct vwi_deletion **blocks; /* of serials s it is the one at s / BLOCK % block_count; NULL where none waits */
    size_t block_count;
    struct vwi_deletion *spare; /* what was given back last, or NULL; so that at a boundary nothing comes and goes */
    size_t max, count;
    uint64_t serial; /* of the newest */
    uint64_t dropped;
};

static uint64_t oldest(const struct vwi_deletions *ring) { return ring->serial - ring->count + 1; }

static struct vwi_deletion **block_of(const struct vwi_deletions *ring, uint64_t serial)
{
    return &ring->blocks[serial / BLOCK % ring->block_count];
}

vw_err vwi_deletions_create(size_t max, struct vwi_deletions **ret)
{
    struct vwi_deletions *ring = vwi_zalloc(sizeof(*ring));

    if (!ring)
        return VW_E_NOMEM;
    ring->max = max ? max : 1;
    ring->block_count = ring->max / BLOCK + 2; /* the first and the last may be full in part */
    ring->blocks = vwi_zalloc(ring->block_count * sizeof(*ring->blocks));
    ring->spare = vwi_alloc(BLOCK * sizeof(*ring->spare));
    if (!ring->blocks || !ring->spare) {
        vwi_deletions_destroy(ring);
        return VW_E_NOMEM;
    }
    *ret = ring;
    return VW_OK;
}

void vwi_deletions_destroy(struct vwi_deletions *ring)
{
    size_t i;

    if (!ring)
        return;
    for (i = 0; ring->blocks && i < ring->block_count; i++)
        vwi_free(ring->blocks[i]);
    vwi_free(ring->blocks);
    vwi_free(ring->spare);
    vwi_free(ring);
}

static void give_back(struct vwi_deletions *ring, struct vwi_deletion **block)
{
    if (ring->spare)
        vwi_free(*block);
    else
        ring->spare = *block;
    *block = NULL;
}

static void forget_oldest(struct vwi_deletions *ring, size_t count)
{
    uint64_t serial = oldest(ring), kept = serial + count;

    ring->count -= count;
    for (; serial / BLOCK < kept / BLOCK; serial += BLOCK)
        give_back(ring, block_of(ring, serial));
}

static void drop_oldest(struct vwi_deletions *ring, size_t count)
{
    forget_oldest(ring, count);
    ring->dropped += count;
}

/* Out of memory it is the oldest one, with what is in it dropped; there is one, or the spare one would be there. */
static struct vwi_deletion *find_block(struct vwi_deletions *ring)
{
    struct vwi_deletion *block = ring->spare ? ring->spare : vwi_alloc(BLOCK * sizeof(*block));

    if (!block) {
        drop_oldest(ring, BLOCK - (size_t)(oldest(ring) % BLOCK));
        block = ring->spare;
    }
    if (block == ring->spare)
        ring->spare = NULL;
    return block;
}

void vwi_deletions_add(struct vwi_deletions *ring, const struct vwi_deletion *deletion)
{
    uint64_t serial = ring->serial + 1;
    struct vwi_deletion **block = block_of(ring, serial), *slot;

    if (ring->count == ring->max)
        drop_oldest(ring, 1);
    if (!*block)
        *block = find_block(ring);
    slot = &(*block)[serial % BLOCK];
    *slot = *deletion;
    slot->serial = ring->serial = serial;
    ring->count++;
}

const struct vwi_deletion *vwi_deletions_nth(const struct vwi_deletions *ring, size_t nth)
{
    uint64_t serial = oldest(ring) + nth;

    return nth < ring->count ? &(*block_of(ring, serial))[serial % BLOCK] : NULL;
}

size_t vwi_deletions_peek(const struct vwi_deletions *ring, size_t max, struct vwi_deletion *ret)
{
    size_t i, count = max < ring->count ? max : ring->count;

    for (i = 0; i < count; i++)
        ret[i] = *vwi_deletions_nth(ring, i);
    return count;
}

void vwi_deletions_drop(struct vwi_deletions *ring, uint64_t serial)
{
    uint64_t count;

    if (serial < oldest(ring))
        return; /* overflow was faster */
    count = serial - oldest(ring) + 1;
    forget_oldest(ring, count < ring->count ? (size_t)count : ring->count);
}

size_t vwi_deletions_count(const struct vwi_deletions *ring) { return ring->count; }
uint64_t vwi_deletions_dropped(const struct vwi_deletions *ring) { return ring->dropped; }
