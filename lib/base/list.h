/* Intrusive doubly linked list; a node knows its place and nothing of its owner. */
#ifndef VWI_BASE_LIST_H
#define VWI_BASE_LIST_H

#include <stdbool.h>

struct vwi_list {
    struct vwi_list *next, *prev;
};

static inline void vwi_list_init(struct vwi_list *l) { l->next = l->prev = l; }
static inline bool vwi_list_empty(const struct vwi_list *l) { return l->next == l; }

static inline void vwi_list_add(struct vwi_list *tail_of, struct vwi_list *node)
{
    node->prev = tail_of->prev;
    node->next = tail_of;
    tail_of->prev->next = node;
    tail_of->prev = node;
}

/* Safe on a node that is not in a list, if it was initialised. */
static inline void vwi_list_del(struct vwi_list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    vwi_list_init(node);
}

#endif
