/*
 * What metrics.c keeps and metrics_print.c reads: the counters that are made as
 * they are needed. The worker writes; other threads see the first n_refusals
 * and what hangs from newest, both stored with release after what they lead to.
 */
#ifndef SIDESPAN_PROXY_METRICS_TABLES_H
#define SIDESPAN_PROXY_METRICS_TABLES_H

#include "proxy/metrics.h"

enum { SERIES_SLOTS = 2 * SERIES_MAX }; /* a power of two */

struct refusal {
    const char *rule;
    atomic_uint_fast64_t count;
};

struct metrics_tables {
    struct refusal refusals[REFUSAL_RULES_MAX + 1]; /* the last is "other" */
    atomic_size_t n_refusals;
    struct series *_Atomic newest;
    struct series *slots[SERIES_SLOTS]; /* owned; hashed, open addressing */
    size_t n_series;
    struct series other[2]; /* by direction */
    bool other_shown[2];    /* it hangs from newest */
};

/* The upper bounds of the buckets, inclusive. */
extern const nsec_t duration_bounds[DURATION_BUCKETS];

#endif
