/*
 * The counters of all workers as one text for Prometheus.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "mesh/config.h"
#include "proxy/metrics_tables.h"
#include "proxy/metrics_tcp.h"
#include "proxy/prometheus.h"

#define COUNTER_ROW(id, name, labels, type, help) {name, labels, type, help},
static const struct counter_row {
    const char *name, *labels, *type, *help;
} counter_rows[] = {COUNTERS(COUNTER_ROW)};
#undef COUNTER_ROW

static void print_counters(struct metrics *const *v, size_t n, struct buffer *out)
{
    for (size_t i = 0; i < COUNTER_COUNT; i++) {
        const struct counter_row *row = &counter_rows[i];
        if (i == 0 || strcmp(row->name, counter_rows[i - 1].name) != 0)
            prometheus_family(out, row->name, row->type, row->help);
        buffer_add_str(out, str_from(row->name));
        if (row->labels[0] != '\0')
            buffer_printf(out, "{%s}", row->labels);
        buffer_printf(out, " %" PRId64 "\n", metrics_total(v, n, (enum counter)i));
    }
}

/* ---- failures ---- */

static const char *const directions[] = {
    [DIRECTION_INBOUND] = "inbound", [DIRECTION_OUTBOUND] = "outbound"};

static void print_failures(struct metrics *const *v, size_t n, struct buffer *out)
{
    const char *name = "sidespan_failures_total";

    prometheus_family(out, name, "counter",
                      "Exchanges and tunnels that did not end well, why, and who ended them");
    for (unsigned d = 0; d < 2; d++) {
        for (size_t e = SPAN_ERROR_NONE + 1; e < SPAN_ERROR_COUNT; e++) {
            const struct span_error_row *row = span_error_row((enum span_error)e);
            int64_t total = 0;
            for (size_t i = 0; i < n; i++)
                total += atomic_load_explicit(&v[i]->ended[d][e], memory_order_relaxed);
            buffer_printf(out, "%s{direction=\"%s\",reason=\"%s\",ended_by=\"%s\"} %" PRId64 "\n",
                          name, directions[d], row->name, ended_by_text(row->by), total);
        }
    }
}

static void print_answers(struct metrics *const *v, size_t n, struct buffer *out)
{
#define LOCAL_ANSWER_LABEL(id, label) [id] = label,
    static const char *const kinds[] = {LOCAL_ANSWERS(LOCAL_ANSWER_LABEL)};
#undef LOCAL_ANSWER_LABEL
    const char *name = "sidespan_answers_total";

    prometheus_family(out, name, "counter", "Responses that the sidecar gave by itself");
    for (unsigned d = 0; d < 2; d++) {
        for (size_t k = 0; k < LOCAL_ANSWER_COUNT; k++) {
            int64_t total = 0;
            for (size_t i = 0; i < n; i++)
                total += atomic_load_explicit(&v[i]->local[d][k], memory_order_relaxed);
            buffer_printf(out, "%s{direction=\"%s\",kind=\"%s\"} %" PRId64 "\n", name,
                          directions[d], kinds[k], total);
        }
    }
}

/* ---- refusals ---- */

struct refusal_total {
    const char *rule;
    uint64_t count;
};

static int by_rule(const void *a, const void *b)
{
    return strcmp(((const struct refusal_total *)a)->rule, ((const struct refusal_total *)b)->rule);
}

static size_t gather_refusals(struct metrics *const *v, size_t n, struct refusal_total *out)
{
    size_t found = 0;

    for (size_t i = 0; i < n; i++) {
        struct metrics_tables *t = v[i]->tables;
        size_t rules = atomic_load_explicit(&t->n_refusals, memory_order_acquire);
        for (size_t r = 0; r < rules; r++)
            out[found++] = (struct refusal_total){
                t->refusals[r].rule,
                atomic_load_explicit(&t->refusals[r].count, memory_order_relaxed)};
    }
    qsort(out, found, sizeof(*out), by_rule);
    return found;
}

static void print_refusals(struct metrics *const *v, size_t n, struct buffer *out)
{
    struct refusal_total *rows = calloc(n * (REFUSAL_RULES_MAX + 1) + 1, sizeof(*rows));

    if (!rows) {
        out->failed = true;
        return;
    }
    size_t found = gather_refusals(v, n, rows);
    prometheus_family(out, "sidespan_refusals_total", "counter",
                      "Messages refused, by the rule they broke");
    for (size_t i = 0; i < found;) {
        const char *rule = rows[i].rule;
        uint64_t count = 0;
        for (; i < found && strcmp(rows[i].rule, rule) == 0; i++)
            count += rows[i].count;
        buffer_add_str(out, STR("sidespan_refusals_total{"));
        prometheus_label(out, "rule", str_from(rule));
        buffer_printf(out, "} %" PRIu64 "\n", count);
    }
    free(rows);
}

/* ---- series ---- */

/* One direction, cluster and route, all workers together. */
struct series_total {
    unsigned direction;
    struct str cluster, route;
    uint64_t by_class[6], request_bytes, response_bytes;
    struct histogram_total duration;
};

int series_by_identity(const void *a, const void *b)
{
    const struct series *x = *(struct series *const *)a, *y = *(struct series *const *)b;
    int order = (x->direction > y->direction) - (x->direction < y->direction);

    if (order == 0)
        order = str_order(x->cluster, y->cluster);
    return order != 0 ? order : str_order(x->route, y->route);
}

static void accumulate(struct series_total *total, const struct series *s)
{
    total->direction = s->direction;
    total->cluster = s->cluster;
    total->route = s->route;
    for (size_t i = 0; i < 6; i++)
        total->by_class[i] += atomic_load_explicit(&s->by_class[i], memory_order_relaxed);
    histogram_add_to(&total->duration, &s->duration);
    total->request_bytes += atomic_load_explicit(&s->request_bytes, memory_order_relaxed);
    total->response_bytes += atomic_load_explicit(&s->response_bytes, memory_order_relaxed);
}

static bool is_silent(const struct series *s)
{
    uint64_t n = 0;

    for (size_t i = 0; i < 6; i++)
        n += atomic_load_explicit(&s->by_class[i], memory_order_relaxed);
    return n == 0;
}

/* Those without a request are left out. NULL: no memory. The caller frees it. */
static struct series_total *gather_series(struct metrics *const *v, size_t n, size_t *n_totals)
{
    size_t cap = n * SERIES_ALL_MAX, found = 0, made = 0;
    struct series **all = calloc(cap + 1, sizeof(struct series *));
    struct series_total *totals = NULL;

    if (!all)
        return NULL;
    for (size_t i = 0; i < n; i++)
        for (struct series *s = atomic_load_explicit(&v[i]->tables->newest, memory_order_acquire);
             s && found < cap; s = s->next)
            if (!is_silent(s))
                all[found++] = s;
    qsort(all, found, sizeof(struct series *), series_by_identity);
    totals = calloc(found + 1, sizeof(*totals));
    for (size_t i = 0; totals && i < found; i++) {
        if (i > 0 && series_by_identity(&all[i - 1], &all[i]) != 0)
            made++;
        accumulate(&totals[made], all[i]);
    }
    *n_totals = found > 0 ? made + 1 : 0;
    free(all);
    return totals;
}

/* direction="...",cluster="...",route="..." */
static void write_labels(struct buffer *out, const struct series_total *s)
{
    buffer_printf(out, "direction=\"%s\",", directions[s->direction]);
    prometheus_label(out, "cluster", s->cluster);
    buffer_add_char(out, ',');
    prometheus_label(out, "route", s->route);
}

/* The name and the labels, and whatever the caller adds before the brace. */
static void begin_sample(struct buffer *out, const char *name, const struct series_total *s)
{
    buffer_printf(out, "%s{", name);
    write_labels(out, s);
}

static void print_requests(const struct series_total *v, size_t n, struct buffer *out)
{
    static const char *const classes[] = {"none", "1xx", "2xx", "3xx", "4xx", "5xx"};
    const char *name = "sidespan_requests_total";

    prometheus_family(
        out, name, "counter",
        "Requests that ended, by class of the status; none is without a response; cluster and "
        "route are empty where none was chosen");
    for (size_t i = 0; i < n; i++) {
        for (size_t c = 0; c < 6; c++) {
            if (v[i].by_class[c] == 0)
                continue;
            begin_sample(out, name, &v[i]);
            buffer_printf(out, ",status_class=\"%s\"} %" PRIu64 "\n", classes[c], v[i].by_class[c]);
        }
    }
}

static void print_durations(const struct series_total *v, size_t n, struct buffer *out)
{
    const char *name = "sidespan_request_duration_seconds";
    struct buffer labels;

    prometheus_family(out, name, "histogram",
                      "From the first byte of the request to the last of the response");
    buffer_init(&labels, 0);
    for (size_t i = 0; i < n; i++) {
        buffer_reset(&labels);
        write_labels(&labels, &v[i]);
        out->failed |= labels.failed;
        histogram_print(&v[i].duration, name, buffer_str(&labels), out);
    }
    buffer_release(&labels);
}

static void print_bytes(const struct series_total *v, size_t n, bool response, struct buffer *out)
{
    const char *name =
        response ? "sidespan_response_body_bytes_total" : "sidespan_request_body_bytes_total";

    prometheus_family(out, name, "counter",
                      response ? "Bytes of response bodies passed on"
                               : "Bytes of request bodies passed on");
    for (size_t i = 0; i < n; i++) {
        begin_sample(out, name, &v[i]);
        buffer_printf(out, "} %" PRIu64 "\n", response ? v[i].response_bytes : v[i].request_bytes);
    }
}

void metrics_print(struct metrics *const *v, size_t n, struct buffer *out)
{
    size_t n_totals = 0;
    struct series_total *totals = gather_series(v, n, &n_totals);

    if (!totals) {
        out->failed = true;
        return;
    }
    print_counters(v, n, out);
    print_failures(v, n, out);
    print_answers(v, n, out);
    print_refusals(v, n, out);
    print_requests(totals, n_totals, out);
    print_durations(totals, n_totals, out);
    print_bytes(totals, n_totals, false, out);
    print_bytes(totals, n_totals, true, out);
    metrics_tcp_print(v, n, out);
    free(totals);
}
