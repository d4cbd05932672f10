/*
 * Which route of one configuration is which of another: the one that takes the
 * same requests, as far as its words say.
 */
#ifndef SIDESPAN_MESH_ROUTE_PAIRS_H
#define SIDESPAN_MESH_ROUTE_PAIRS_H

#include "mesh/config.h"

struct route_entry {
    uint64_t key; /* of its direction, hosts, path and matches */
    size_t at;    /* in the list */
    const struct direction *direction;
    const struct host *host; /* NULL: none */
    const struct route *route;
    const struct route_entry *other; /* the same of the other list; NULL: none */
};

struct route_list {
    struct route_entry *v;      /* owned, in the order of the file, those of hosts first */
    struct route_entry **order; /* owned, by key */
    size_t n;
};

/* All routes of the config, which outlives the list. Released in either case. False: no memory. */
bool route_list_init(struct route_list *l, const struct config *c);
void route_list_release(struct route_list *l);
/* Sets other in both. Of several that take the same requests the first of one is the first of the
 * other. */
void route_lists_pair(struct route_list *a, struct route_list *b);

#endif
