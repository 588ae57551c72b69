/*
 * Who is next: a binary heap of nodes that are embedded in what is ordered, least key first and first come first served among equals.
 * Put and remove are O(log n), the first one is there at once. Memory grows in vwi_heap_reserve alone, so that removing never fails.
 */
#ifndef VWI_CORE_HEAP_H
#define VWI_CORE_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Zeroed before its first use. Written by the heap alone. */
struct vwi_heap_node {
    size_t at; /* index + 1; 0: in no heap */
    int64_t key;
    uint64_t serial;
};

/* Zeroed is empty. */
struct vwi_heap {
    struct vwi_heap_node **nodes; /* nodes[0] is the first */
    size_t count, room;
};

bool vwi_heap_reserve(struct vwi_heap *heap); /* room for one more; false: out of memory, nothing changed */
/* After a reserve that was granted. serial breaks ties of key: the smaller one goes first. */
void vwi_heap_put(struct vwi_heap *heap, struct vwi_heap_node *node, int64_t key, uint64_t serial);
void vwi_heap_remove(struct vwi_heap *heap, struct vwi_heap_node *node); /* harmless when it is in none */
void vwi_heap_fini(struct vwi_heap *heap);                               /* nodes still inside are forgotten */

static inline struct vwi_heap_node *vwi_heap_first(const struct vwi_heap *heap) { return heap->count ? heap->nodes[0] : NULL; }

#endif
