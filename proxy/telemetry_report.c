/*
 * What others see of the exporters. Their counters are read from any thread;
 * the table's lock keeps the rows where they are meanwhile.
 */
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>

#include "proxy/prometheus.h"
#include "proxy/telemetry_private.h"

static const char *kind_name(const struct exporter *e)
{
    static const char *const names[] = {
        [EXPORTER_OTLP_GRPC] = "otlp-grpc",
        [EXPORTER_OTLP_HTTP] = "otlp-http",
        [EXPORTER_CONSOLE] = "console",
        [EXPORTER_MEMORY] = "memory",
    };

    return names[exporter_kind_of(e)];
}

/* Those in force first, then those that are leaving. The lock is held. */
static void each_row(struct telemetry *t,
                     void (*fn)(const struct export_row *row, bool leaving, void *arg), void *arg)
{
    LIST_FOR_EACH (at, &t->table.rows)
        fn(container_of(at, struct export_row, link), false, arg);
    LIST_FOR_EACH (at, &t->table.leaving)
        fn(container_of(at, struct export_row, link), true, arg);
}

/* ---- JSON ---- */

static json_t *number(uint64_t n)
{
    return json_integer((json_int_t)n);
}

static void add_ledger(const struct export_row *row, bool leaving, void *arg)
{
    struct str name = exporter_name(row->exporter);
    struct ledger_view v = exporter_ledger(row->exporter);
    json_t *list = arg, *entry = json_object(), *dropped = json_object();

    json_object_set_new(entry, "exporter", json_stringn(name.p, name.n));
    json_object_set_new(entry, "kind", json_string(kind_name(row->exporter)));
    json_object_set_new(entry, "leaving", json_boolean(leaving));
    json_object_set_new(entry, "started", number(v.started));
    json_object_set_new(entry, "exported", number(v.exported));
    json_object_set_new(entry, "rejected", number(v.rejected));
    for (int i = 0; i < DROP_REASON_COUNT; i++)
        json_object_set_new(dropped, drop_reason_name((enum drop_reason)i), number(v.dropped[i]));
    json_object_set_new(entry, "dropped", dropped);
    json_object_set_new(entry, "waiting", number(v.waiting));
    json_object_set_new(entry, "balances", json_boolean(ledger_balances(&v)));
    json_array_append_new(list, entry);
}

static int write_chunk(const char *text, size_t n, void *arg)
{
    return buffer_add(arg, text, n) ? 0 : -1;
}

void telemetry_ledger_json(struct telemetry *t, struct buffer *out)
{
    json_t *document = json_object(), *list = json_array();

    pthread_mutex_lock(&t->table.lock);
    each_row(t, add_ledger, list);
    pthread_mutex_unlock(&t->table.lock);
    json_object_set_new(document, "exporters", list);
    json_object_set_new(
        document, "meaning",
        json_pack("{s:s,s:s,s:s}", "rejected",
                  "the collector took the batch and said that it left these out (partial success)",
                  "refused", "the collector answered with an error that is not to be retried",
                  "balance", "started = exported + rejected + the sum of dropped + waiting"));
    json_dump_callback(document, write_chunk, out, JSON_INDENT(2));
    buffer_add_char(out, '\n');
    json_decref(document);
}

/* ---- Prometheus ---- */

/* What one label value stands for. Exporters of the same name, as after a reload that changed only
 * how, count together: a series must not occur twice. */
struct named_ledger {
    struct str name; /* borrowed from the exporter: while the lock is held */
    struct ledger_view v;
};
struct named_ledgers {
    struct named_ledger *rows;
    size_t n, cap;
};

static void add_up(struct ledger_view *sum, const struct ledger_view *v)
{
    sum->started += v->started;
    sum->exported += v->exported;
    sum->rejected += v->rejected;
    sum->waiting += v->waiting;
    for (int i = 0; i < DROP_REASON_COUNT; i++)
        sum->dropped[i] += v->dropped[i];
}

static void collect(const struct export_row *row, bool leaving, void *arg)
{
    struct named_ledgers *all = arg;
    struct str name = exporter_name(row->exporter);
    struct ledger_view v = exporter_ledger(row->exporter);

    for (size_t i = 0; i < all->n; i++) {
        if (str_eq(all->rows[i].name, name)) {
            add_up(&all->rows[i].v, &v);
            return;
        }
    }
    if (all->n < all->cap)
        all->rows[all->n++] = (struct named_ledger){name, v};
}

static void add_sample(struct buffer *out, const char *family, struct str exporter,
                       const char *reason, uint64_t value)
{
    buffer_printf(out, "%s{", family);
    prometheus_label(out, "exporter", exporter);
    if (reason) {
        buffer_add_char(out, ',');
        prometheus_label(out, "reason", str_from(reason));
    }
    buffer_printf(out, "} %" PRIu64 "\n", value);
}

static void write_metrics(const struct named_ledgers *all, struct buffer *out)
{
    static const char dropped[] = "sidespan_spans_dropped_total";
    static const struct {
        const char *name, *type, *help;
        size_t offset;
    } families[] = {
        {"sidespan_spans_started_total", "counter", "Spans offered to an exporter",
         offsetof(struct ledger_view, started)},
        {"sidespan_spans_exported_total", "counter", "Spans the collector took",
         offsetof(struct ledger_view, exported)},
        {"sidespan_spans_rejected_total", "counter",
         "Spans left out by a collector that took the rest",
         offsetof(struct ledger_view, rejected)},
        {"sidespan_spans_waiting", "gauge", "Spans not exported yet",
         offsetof(struct ledger_view, waiting)},
    };

    for (size_t f = 0; f < sizeof(families) / sizeof(families[0]); f++) {
        prometheus_family(out, families[f].name, families[f].type, families[f].help);
        for (size_t i = 0; i < all->n; i++) {
            uint64_t value;
            memcpy(&value, (const char *)&all->rows[i].v + families[f].offset, sizeof(value));
            add_sample(out, families[f].name, all->rows[i].name, NULL, value);
        }
    }
    prometheus_family(out, dropped, "counter", "Spans given up");
    for (size_t i = 0; i < all->n; i++)
        for (int r = 0; r < DROP_REASON_COUNT; r++)
            add_sample(out, dropped, all->rows[i].name, drop_reason_name((enum drop_reason)r),
                       all->rows[i].v.dropped[r]);
}

void telemetry_metrics(struct telemetry *t, struct buffer *out)
{
    struct named_ledgers all = {0};

    pthread_mutex_lock(&t->table.lock);
    LIST_FOR_EACH (at, &t->table.rows)
        all.cap++;
    LIST_FOR_EACH (at, &t->table.leaving)
        all.cap++;
    all.rows = calloc(all.cap + 1, sizeof(*all.rows));
    if (all.rows) {
        each_row(t, collect, &all);
        write_metrics(&all, out);
    }
    pthread_mutex_unlock(&t->table.lock);
    free(all.rows);
}

/* ---- spans in memory ---- */

static void run_drain_all(void *arg)
{
    telemetry_drain_all(arg);
}

bool telemetry_traces_json(struct telemetry *t, const struct trace_id *trace_id, size_t limit,
                           struct buffer *out)
{
    bool found = false;

    /* What has ended before we are asked is to be seen. */
    mailbox_call(t->mailbox, run_drain_all, t);
    pthread_mutex_lock(&t->table.lock);
    LIST_FOR_EACH (at, &t->table.rows) {
        const struct exporter *e = container_of(at, struct export_row, link)->exporter;

        if (exporter_kind_of(e) == EXPORTER_MEMORY) {
            exporter_memory_json(e, trace_id, limit, out);
            found = true;
            break;
        }
    }
    pthread_mutex_unlock(&t->table.lock);
    return found;
}
