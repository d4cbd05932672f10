/*
 * A doubly linked list whose links live in the things listed. The head is a
 * link too; an empty list points at itself.
 */
#ifndef SIDESPAN_BASE_LIST_H
#define SIDESPAN_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
    struct list *next, *prev;
};

#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

static inline void list_init(struct list *l)
{
    l->next = l->prev = l;
}

static inline bool list_empty(const struct list *l)
{
    return l->next == l;
}

/* A link that is in no list, after list_init() or list_remove(), may be removed again. */
static inline void list_remove(struct list *link)
{
    link->prev->next = link->next;
    link->next->prev = link->prev;
    list_init(link);
}

static inline void list_push_front(struct list *head, struct list *link)
{
    link->next = head->next;
    link->prev = head;
    head->next->prev = link;
    head->next = link;
}

static inline void list_push_back(struct list *head, struct list *link)
{
    link->next = head;
    link->prev = head->prev;
    head->prev->next = link;
    head->prev = link;
}

#define LIST_FOR_EACH(at, head) for (struct list *at = (head)->next; at != (head); at = at->next)
/* The same, where the body may remove at. */
#define LIST_FOR_EACH_SAFE(at, following, head)                               \
    for (struct list *at = (head)->next, *following = at->next; at != (head); \
         at = following, following = at->next)

#endif
