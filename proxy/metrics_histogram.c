#include "proxy/metrics_histogram.h"

#include <inttypes.h>

/* The upper bounds of the buckets, inclusive. */
static const nsec_t bounds[DURATION_BUCKETS] = {
    MILLISECONDS(1) / 2, MILLISECONDS(1),    MILLISECONDS(5) / 2, MILLISECONDS(5),
    MILLISECONDS(10),    MILLISECONDS(25),   MILLISECONDS(50),    MILLISECONDS(75),
    MILLISECONDS(100),   MILLISECONDS(250),  MILLISECONDS(500),   MILLISECONDS(750),
    SECONDS(1),          MILLISECONDS(2500), SECONDS(5),          MILLISECONDS(7500),
    SECONDS(10),
};

void histogram_record(struct histogram *h, nsec_t duration)
{
    unsigned bucket = 0;

    while (bucket < DURATION_BUCKETS && duration > bounds[bucket])
        bucket++;
    metric_add(&h->buckets[bucket], 1);
    metric_add(&h->sum_us, (uint64_t)(duration > 0 ? duration / 1000 : 0));
}

void histogram_add_to(struct histogram_total *total, const struct histogram *h)
{
    for (size_t i = 0; i <= DURATION_BUCKETS; i++)
        total->buckets[i] += metric_read(&h->buckets[i]);
    total->sum_us += metric_read(&h->sum_us);
}

void histogram_print(const struct histogram_total *h, const char *name, struct str labels,
                     struct buffer *out)
{
    uint64_t count = 0;

    for (size_t i = 0; i <= DURATION_BUCKETS; i++) {
        count += h->buckets[i];
        buffer_printf(out, "%s_bucket{%.*s,le=\"", name, STR_ARG(labels));
        if (i < DURATION_BUCKETS)
            buffer_printf(out, "%g\"} %" PRIu64 "\n", (double)bounds[i] / 1e9, count);
        else
            buffer_printf(out, "+Inf\"} %" PRIu64 "\n", count);
    }
    buffer_printf(out, "%s_sum{%.*s} %.6f\n", name, STR_ARG(labels), (double)h->sum_us / 1e6);
    buffer_printf(out, "%s_count{%.*s} %" PRIu64 "\n", name, STR_ARG(labels), count);
}
