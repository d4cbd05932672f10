/*
 * What upstream.c, upstream_original.c and cluster_state.c share.
 */
#ifndef SIDESPAN_PROXY_UPSTREAM_PRIVATE_H
#define SIDESPAN_PROXY_UPSTREAM_PRIVATE_H

#include "proxy/upstream.h"

struct originals; /* endpoints that no cluster names */
struct path;      /* of a Unix socket */

/* All a worker knows of the other side. */
struct upstreams {
    struct worker *worker;
    struct list clusters;
    struct originals *originals; /* owned; NULL until there is one */
    struct path *paths;          /* owned */
};

/* With one reference. Aborts without memory. */
struct upstream *upstream_new(struct upstreams *us, struct str cluster,
                              const struct address *address);
/* Nobody will ask it again: what is idle is closed, what is under way ends by itself. */
void upstream_retire(struct upstream *u);
void originals_free(struct originals *o); /* NULL is fine */

#endif
