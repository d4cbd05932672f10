/*
 * The calls of all workers as text for Prometheus. The old convention has a
 * service and a method; the new one has the full method. Both are in seconds:
 * the old one's unit, milliseconds, is none that Prometheus takes ("use base
 * unit seconds").
 */
#include <stdlib.h>

#include "base/grpc_status.h"
#include "mesh/config.h"
#include "otlp/rpc_call.h"
#include "proxy/metrics_rpc.h"
#include "proxy/metrics_tables.h"
#include "proxy/prometheus.h"

/* One direction, cluster, method and status, all workers together. */
struct rpc_total {
    const struct rpc_set *set; /* one of those that were added up */
    struct histogram_total duration;
};

static int by_number(unsigned a, unsigned b)
{
    return (a > b) - (a < b);
}

static int by_identity(const void *a, const void *b)
{
    const struct rpc_set *x = *(struct rpc_set *const *)a, *y = *(struct rpc_set *const *)b;
    int order = by_number(x->series->direction, y->series->direction);

    if (order == 0)
        order = by_number(x->overflow, y->overflow);
    if (order != 0 || x->overflow)
        return order;
    order = str_order(x->series->cluster, y->series->cluster);
    if (order == 0)
        order = str_order(x->method, y->method);
    return order != 0 ? order : by_number(x->status, y->status);
}

/* NULL: no memory. The caller frees it. */
static struct rpc_total *gather(struct metrics *const *v, size_t n, size_t *n_totals)
{
    size_t cap = n * (RPC_SETS_MAX + 2), found = 0, made = 0;
    struct rpc_set **all = calloc(cap + 1, sizeof(struct rpc_set *));
    struct rpc_total *totals = NULL;

    if (!all)
        return NULL;
    for (size_t i = 0; i < n; i++)
        for (struct rpc_set *s =
                 atomic_load_explicit(&v[i]->tables->rpc.newest, memory_order_acquire);
             s && found < cap; s = s->next)
            all[found++] = s;
    qsort(all, found, sizeof(struct rpc_set *), by_identity);
    totals = calloc(found + 1, sizeof(*totals));
    for (size_t i = 0; totals && i < found; i++) {
        if (i == 0 || by_identity(&all[i - 1], &all[i]) != 0)
            totals[made++].set = all[i];
        histogram_add_to(&totals[made - 1].duration, &all[i]->duration);
    }
    *n_totals = made;
    free(all);
    return totals;
}

static void write_old_labels(const struct rpc_set *s, struct buffer *out)
{
    size_t slash = str_index(s->method, '/', 0);

    buffer_add_str(out, STR(",rpc_system=\"grpc\","));
    if (slash < s->method.n) {
        prometheus_label(out, "rpc_service", str_slice(s->method, 0, slash));
        buffer_add_char(out, ',');
        slash++;
    } else {
        slash = 0; /* _OTHER */
    }
    prometheus_label(out, "rpc_method", str_slice(s->method, slash, s->method.n));
    buffer_printf(out, ",rpc_grpc_status_code=\"%u\"", s->status);
}

static void write_new_labels(const struct rpc_set *s, struct buffer *out)
{
    const char *status = grpc_status_name(s->status);

    buffer_add_str(out, STR(",rpc_system_name=\"grpc\","));
    prometheus_label(out, "rpc_method", s->method);
    if (status)
        buffer_printf(out, ",rpc_response_status_code=\"%s\"", status);
    else
        buffer_printf(out, ",rpc_response_status_code=\"%u\"", s->status);
}

static const struct family {
    unsigned direction;
    bool (*wanted)(enum semconv names);
    const char *name, *help;
    void (*write_labels)(const struct rpc_set *s, struct buffer *out);
} families[] = {
    {DIRECTION_INBOUND, semconv_old, "rpc_server_duration_seconds",
     "How long calls that came in took", write_old_labels},
    {DIRECTION_OUTBOUND, semconv_old, "rpc_client_duration_seconds",
     "How long calls that went out took", write_old_labels},
    {DIRECTION_INBOUND, semconv_new, "rpc_server_call_duration_seconds",
     "How long calls that came in took", write_new_labels},
    {DIRECTION_OUTBOUND, semconv_new, "rpc_client_call_duration_seconds",
     "How long calls that went out took", write_new_labels},
};

static void print_family(const struct family *f, const struct rpc_total *v, size_t n,
                         struct buffer *out)
{
    struct buffer labels;
    bool begun = false;

    buffer_init(&labels, 0);
    for (size_t i = 0; i < n; i++) {
        const struct rpc_set *s = v[i].set;

        if (s->series->direction != f->direction)
            continue;
        if (!begun)
            prometheus_family(out, f->name, "histogram", f->help);
        begun = true;
        buffer_reset(&labels);
        if (s->overflow) {
            buffer_add_str(&labels, STR("otel_metric_overflow=\"true\""));
        } else {
            prometheus_label(&labels, "cluster", s->series->cluster);
            f->write_labels(s, &labels);
        }
        out->failed |= labels.failed;
        histogram_print(&v[i].duration, f->name, buffer_str(&labels), out);
    }
    buffer_release(&labels);
}

void metrics_rpc_print(struct metrics *const *v, size_t n, enum semconv names, struct buffer *out)
{
    size_t n_totals = 0;
    struct rpc_total *totals = gather(v, n, &n_totals);

    if (!totals) {
        out->failed = true;
        return;
    }
    for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++)
        if (families[i].wanted(names))
            print_family(&families[i], totals, n_totals, out);
    free(totals);
}
