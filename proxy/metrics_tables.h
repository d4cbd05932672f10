/*
 * What metrics.c keeps and metrics_print.c reads: the counters that are made as
 * they are needed. The worker writes; other threads see the first n_refusals
 * and what hangs from newest, both stored with release after what they lead to.
 */
#ifndef SIDESPAN_PROXY_METRICS_TABLES_H
#define SIDESPAN_PROXY_METRICS_TABLES_H

#include "proxy/metrics_rpc.h"

enum { SERIES_SLOTS = 2 * SERIES_MAX, ROUTE_SLOTS = 2 * ROUTE_SERIES_MAX }; /* powers of two */
enum { RECENT_SLOTS = 256 };                                                /* likewise */
/* As many as can hang from newest: each cluster and each direction's "other" has a rest. */
enum { SERIES_ALL_MAX = 2 * (SERIES_MAX + 2) + ROUTE_SERIES_MAX };

struct refusal_count {
    const char *rule;
    atomic_uint_fast64_t count;
};

enum { RPC_SLOTS = 2 * RPC_SETS_MAX }; /* a power of two */

struct rpc_set {
    struct rpc_set *next; /* this and the rest up to the times: fixed before others can see it */
    const struct series *series;
    struct str method; /* "package.Service/Method" or "_OTHER" */
    unsigned status;
    bool overflow; /* all of a direction for which there was no place; no more is known of them */
    struct histogram duration;
};

struct rpc_table {
    struct rpc_set *_Atomic newest;
    struct rpc_set *slots[RPC_SLOTS]; /* owned; hashed, open addressing */
    size_t n;
    uint64_t seed;          /* of the hash, for callers choose what is hashed */
    struct rpc_set rest[2]; /* by direction */
};
void rpc_table_release(struct rpc_table *t);

struct metrics_tables {
    struct refusal_count refusals[REFUSAL_RULES_MAX + 1]; /* the last is "other" */
    atomic_size_t n_refusals;
    struct series *_Atomic newest;
    struct series *slots[SERIES_SLOTS]; /* owned; hashed, open addressing */
    size_t n_series;
    struct series *routes[ROUTE_SLOTS]; /* owned; likewise */
    size_t n_routes;
    struct series *recent[RECENT_SLOTS]; /* of these routes, by where label and cluster lie */
    struct series other[2];              /* by direction */
    bool other_shown[2];                 /* it hangs from newest */
    struct rpc_table rpc;
};

/* For qsort() of pointers to series: by direction, then by cluster, then by route. */
int series_by_identity(const void *a, const void *b);

#endif
