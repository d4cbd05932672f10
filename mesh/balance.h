/*
 * To which endpoint a request of a cluster goes: round-robin (smooth, weighted),
 * least-request (two choices drawn at random, the one with fewer requests in
 * flight for its weight), or random (by a hash that the caller makes of the
 * request, so that every sidecar chooses alike). Each worker has its own.
 */
#ifndef SIDESPAN_MESH_BALANCE_H
#define SIDESPAN_MESH_BALANCE_H

#include <stddef.h>
#include <stdint.h>

#include "base/random.h"
#include "mesh/config.h"

/* As the file says it: "round-robin". */
const char *balance_name(enum balance_kind kind);

/* Whether an endpoint is left out where there are others. */
enum balance_skip {
    BALANCE_USE,
    BALANCE_SHUN, /* it did not answer of late */
    BALANCE_TRIED /* it was tried already for this request */
};

/* One endpoint as a balancer sees it; the rest of it is the pool's business. */
struct balance_entry {
    unsigned weight;    /* at least 1 */
    unsigned in_flight; /* kept by the caller */
    uint8_t skip;       /* enum balance_skip; set by the caller */
    int64_t current;    /* the balancer's own; zero it */
};

/*
 * The index of the endpoint to use, or SIZE_MAX when n is 0: one of those that
 * are skipped least. hash is for random alone.
 *
 * Round-robin: of as many choices as the weights sum to, each endpoint gets
 * exactly its weight, spread evenly. Least-request: the two are drawn in
 * proportion to their weights, and where both are equally busy the first stays,
 * so that an idle cluster is used in proportion to its weights. Random: of
 * hashes that are evenly spread each endpoint gets its weight.
 */
size_t balance_choose(enum balance_kind kind, struct balance_entry *v, size_t n,
                      struct random *random, uint64_t hash);

#endif
