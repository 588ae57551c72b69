#include "core/heap.h"

#include "base/mem.h"

static bool earlier(const struct vwi_heap_node *a, const struct vwi_heap_node *b)
{
    return a->key != b->key ? a->key < b->key : a->serial < b->serial;
}

static void place(struct vwi_heap *heap, size_t at, struct vwi_heap_node *node)
{
    heap->nodes[at] = node;
    node->at = at + 1;
}

static void move_up(struct vwi_heap *heap, size_t at, struct vwi_heap_node *node)
{
    while (at > 0) {
        size_t parent = (at - 1) / 2;

        if (!earlier(node, heap->nodes[parent]))
            break;
        place(heap, at, heap->nodes[parent]);
        at = parent;
    }
    place(heap, at, node);
}

static void move_down(struct vwi_heap *heap, size_t at, struct vwi_heap_node *node)
{
    for (;;) {
        size_t child = 2 * at + 1;

        if (child + 1 < heap->count && earlier(heap->nodes[child + 1], heap->nodes[child]))
            child++;
        if (child >= heap->count || !earlier(heap->nodes[child], node))
            break;
        place(heap, at, heap->nodes[child]);
        at = child;
    }
    place(heap, at, node);
}

bool vwi_heap_reserve(struct vwi_heap *heap)
{
    size_t room = heap->room ? heap->room * 2 : 64;
    struct vwi_heap_node **nodes;

    if (heap->count < heap->room)
        return true;
    nodes = vwi_realloc(heap->nodes, room * sizeof *nodes);
    if (!nodes)
        return false;
    heap->nodes = nodes;
    heap->room = room;
    return true;
}

void vwi_heap_put(struct vwi_heap *heap, struct vwi_heap_node *node, int64_t key, uint64_t serial)
{
    node->key = key;
    node->serial = serial;
    move_up(heap, heap->count++, node);
}

void vwi_heap_remove(struct vwi_heap *heap, struct vwi_heap_node *node)
{
    struct vwi_heap_node *last;
    size_t at = node->at;

    if (at == 0)
        return;
    at--;
    node->at = 0;
    last = heap->nodes[--heap->count];
    if (last == node)
        return;
    if (at > 0 && earlier(last, heap->nodes[(at - 1) / 2]))
        move_up(heap, at, last);
    else
        move_down(heap, at, last);
}

void vwi_heap_fini(struct vwi_heap *heap)
{
    vwi_free(heap->nodes);
    *heap = (struct vwi_heap){ 0 };
}
