#include "proxy/metrics_tcp.h"

#include <inttypes.h>
#include <stdlib.h>

#include "mesh/config.h"
#include "proxy/metrics_tables.h"
#include "proxy/prometheus.h"

/* The upper bounds of the buckets, inclusive. */
static const nsec_t bounds[TCP_BUCKETS] = {
    MILLISECONDS(10), MILLISECONDS(100), SECONDS(1),        SECONDS(10),        SECONDS(60),
    SECONDS(600),     SECONDS(3600),     6 * SECONDS(3600), 24 * SECONDS(3600),
};

void series_record_tcp(struct series *s, enum ended_by by, nsec_t duration, uint64_t received,
                       uint64_t sent)
{
    struct tcp_counts *t = &s->tcp;
    unsigned bucket = 0;

    while (bucket < TCP_BUCKETS && duration > bounds[bucket])
        bucket++;
    metric_add(&t->ended[by], 1);
    metric_add(&t->buckets[bucket], 1);
    metric_add(&t->sum_us, (uint64_t)(duration > 0 ? duration / 1000 : 0));
    metric_add(&t->received, received);
    metric_add(&t->sent, sent);
}

/* ---- all workers together ---- */

struct tcp_total {
    const struct series *series; /* one of those that are alike: for its labels */
    uint64_t ended[TCP_ENDS], buckets[TCP_BUCKETS + 1], sum_us, received, sent;
};

static bool has_none(const struct series *s)
{
    for (size_t i = 0; i < TCP_ENDS; i++)
        if (metric_read(&s->tcp.ended[i]))
            return false;
    return true;
}

static void accumulate(struct tcp_total *total, const struct series *s)
{
    const struct tcp_counts *t = &s->tcp;

    total->series = s;
    for (size_t i = 0; i < TCP_ENDS; i++)
        total->ended[i] += metric_read(&t->ended[i]);
    for (size_t i = 0; i <= TCP_BUCKETS; i++)
        total->buckets[i] += metric_read(&t->buckets[i]);
    total->sum_us += metric_read(&t->sum_us);
    total->received += metric_read(&t->received);
    total->sent += metric_read(&t->sent);
}

/* NULL: no memory. The caller frees it. */
static struct tcp_total *gather(struct metrics *const *v, size_t n, size_t *n_totals)
{
    size_t cap = n * SERIES_ALL_MAX, found = 0, made = 0;
    struct series **all = calloc(cap + 1, sizeof *all);
    struct tcp_total *totals;

    if (!all)
        return NULL;
    for (size_t i = 0; i < n; i++)
        for (struct series *s = atomic_load_explicit(&v[i]->tables->newest, memory_order_acquire);
             s && found < cap; s = s->next)
            if (!has_none(s))
                all[found++] = s;
    qsort(all, found, sizeof *all, series_by_identity);
    totals = calloc(found + 1, sizeof *totals);
    for (size_t i = 0; totals && i < found; i++) {
        if (i > 0 && series_by_identity(&all[i - 1], &all[i]) != 0)
            made++;
        accumulate(&totals[made], all[i]);
    }
    *n_totals = found > 0 ? made + 1 : 0;
    free(all);
    return totals;
}

/* ---- the text ---- */

/* NAME{direction="...",cluster="..." */
static void begin_sample(struct buffer *out, const char *name, const struct tcp_total *t)
{
    buffer_printf(out, "%s{direction=\"%s\",", name,
                  t->series->direction == DIRECTION_INBOUND ? "inbound" : "outbound");
    prometheus_label(out, "cluster", t->series->cluster);
}

static void print_ended(const struct tcp_total *v, size_t n, struct buffer *out)
{
    const char *name = "sidespan_tcp_connections_total";

    prometheus_family(out, name, "counter",
                      "Connections of opaque bytes that ended, by who ended them first");
    for (size_t i = 0; i < n; i++) {
        for (unsigned by = 0; by < TCP_ENDS; by++) {
            if (v[i].ended[by] == 0)
                continue;
            begin_sample(out, name, &v[i]);
            buffer_printf(out, ",ended_by=\"%s\"} %" PRIu64 "\n", ended_by_text((enum ended_by)by),
                          v[i].ended[by]);
        }
    }
}

static void print_durations(const struct tcp_total *v, size_t n, struct buffer *out)
{
    const char *name = "sidespan_tcp_connection_duration_seconds";

    prometheus_family(out, name, "histogram",
                      "From the connection, or the switch of protocols, to its end");
    for (size_t i = 0; i < n; i++) {
        uint64_t count = 0;
        for (size_t b = 0; b <= TCP_BUCKETS; b++) {
            count += v[i].buckets[b];
            begin_sample(out, "sidespan_tcp_connection_duration_seconds_bucket", &v[i]);
            if (b < TCP_BUCKETS)
                buffer_printf(out, ",le=\"%g\"} %" PRIu64 "\n", (double)bounds[b] / 1e9, count);
            else
                buffer_printf(out, ",le=\"+Inf\"} %" PRIu64 "\n", count);
        }
        begin_sample(out, "sidespan_tcp_connection_duration_seconds_sum", &v[i]);
        buffer_printf(out, "} %.6f\n", (double)v[i].sum_us / 1e6);
        begin_sample(out, "sidespan_tcp_connection_duration_seconds_count", &v[i]);
        buffer_printf(out, "} %" PRIu64 "\n", count);
    }
}

static void print_bytes(const struct tcp_total *v, size_t n, bool sent, struct buffer *out)
{
    const char *name = sent ? "sidespan_tcp_sent_bytes_total" : "sidespan_tcp_received_bytes_total";

    prometheus_family(out, name, "counter",
                      sent ? "Opaque bytes sent to clients" : "Opaque bytes received from clients");
    for (size_t i = 0; i < n; i++) {
        begin_sample(out, name, &v[i]);
        buffer_printf(out, "} %" PRIu64 "\n", sent ? v[i].sent : v[i].received);
    }
}

void metrics_tcp_print(struct metrics *const *v, size_t n, struct buffer *out)
{
    size_t n_totals = 0;
    struct tcp_total *totals = gather(v, n, &n_totals);

    if (!totals) {
        out->failed = true;
        return;
    }
    print_ended(totals, n_totals, out);
    print_durations(totals, n_totals, out);
    print_bytes(totals, n_totals, false, out);
    print_bytes(totals, n_totals, true, out);
    free(totals);
}
