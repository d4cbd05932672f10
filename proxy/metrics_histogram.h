/*
 * How long something took, by the bounds that the semantic conventions have for
 * requests and calls. One thread writes, plainly; any may read.
 */
#ifndef SIDESPAN_PROXY_METRICS_HISTOGRAM_H
#define SIDESPAN_PROXY_METRICS_HISTOGRAM_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/str.h"

/* Bounds of http.*.request.duration and rpc.*.call.duration, three below them, for what a service
 * on the same machine takes, and one for the rest. */
enum { DURATION_BUCKETS = 17 };

/* Zeroed is empty. */
struct histogram {
    atomic_uint_fast64_t buckets[DURATION_BUCKETS + 1]; /* each its own; the last is the rest */
    atomic_uint_fast64_t sum_us;
};

/* Several together. Zeroed is empty. */
struct histogram_total {
    uint64_t buckets[DURATION_BUCKETS + 1], sum_us;
};

/* One writer, so a plain add that others may read. */
static inline void metric_add(atomic_uint_fast64_t *v, uint64_t n)
{
    uint64_t was = atomic_load_explicit(v, memory_order_relaxed);
    atomic_store_explicit(v, was + n, memory_order_relaxed);
}

static inline uint64_t metric_read(const atomic_uint_fast64_t *v)
{
    return atomic_load_explicit(v, memory_order_relaxed);
}

void histogram_record(struct histogram *h, nsec_t duration);
void histogram_add_to(struct histogram_total *total, const struct histogram *h);
/* The samples of one set of labels, in Prometheus' text: NAME_bucket, NAME_sum, NAME_count, in
 * seconds. The labels are as they stand in braces: a="b",c="d". */
void histogram_print(const struct histogram_total *h, const char *name, struct str labels,
                     struct buffer *out);

#endif
