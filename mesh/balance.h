/*
 * To which endpoint a request of a cluster goes: round-robin (smooth, weighted)
 * or least-request (two choices drawn at random, the one with fewer requests in
 * flight for its weight). Each worker has its own.
 */
#ifndef SIDESPAN_MESH_BALANCE_H
#define SIDESPAN_MESH_BALANCE_H

#include <stddef.h>
#include <stdint.h>

#include "base/random.h"
#include "mesh/config.h"

/* One endpoint as a balancer sees it; the rest of it is the pool's business. */
struct balance_entry {
    unsigned weight;    /* at least 1 */
    unsigned in_flight; /* kept by the caller */
    int64_t current;    /* the balancer's own; zero it */
};

/*
 * The index of the endpoint to use, or SIZE_MAX when n is 0. skip marks
 * endpoints not to use (NULL: none; bit i % 64 of skip[i / 64]); when it marks
 * all of them it is ignored.
 *
 * Round-robin: of as many choices as the weights sum to, each endpoint gets
 * exactly its weight, spread evenly. Least-request: the two are drawn in
 * proportion to their weights, and where both are equally busy the first stays,
 * so that an idle cluster is used in proportion to its weights.
 */
size_t balance_choose(enum balance_kind kind, struct balance_entry *v, size_t n,
                      const uint64_t *skip, struct random *random);

#endif
