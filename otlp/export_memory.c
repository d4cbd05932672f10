/*
 * Memory: the last spans are kept as they came and described when somebody
 * asks. What is asked for is taken out under the lock and rendered without it.
 */
#include <pthread.h>
#include <stdlib.h>

#include "otlp/export.h"
#include "otlp/span_json.h"

/* A kept span with its text behind it. */
struct kept {
    unsigned references; /* of the ring, and of each who renders it; under the lock */
    _Alignas(16) char span[];
};

struct memory {
    pthread_mutex_t lock;
    struct kept **ring; /* references */
    size_t cap, n, next;
    struct buffer head; /* of every answer: the resource */
};

static inline const struct span *span_of(const struct kept *k)
{
    return (const struct span *)(const void *)k->span;
}

static bool memory_open(struct exporter *e, const struct resource *resource,
                        struct transport *transport)
{
    struct memory *m = calloc(1, sizeof(*m));

    (void)transport;
    if (!m)
        return false;
    e->own = m;
    pthread_mutex_init(&m->lock, NULL);
    buffer_init(&m->head, 0);
    m->cap = e->options.memory_spans;
    m->ring = calloc(m->cap, sizeof(struct kept *));
    return m->ring && traces_json_begin(resource, &m->head);
}

/* Under the lock. */
static void unref(struct kept *k)
{
    if (k && --k->references == 0)
        free(k);
}

static void memory_free(struct exporter *e)
{
    struct memory *m = e->own;

    if (!m)
        return;
    for (size_t i = 0; m->ring && i < m->cap; i++)
        unref(m->ring[i]);
    free(m->ring);
    buffer_release(&m->head);
    pthread_mutex_destroy(&m->lock);
    free(m);
}

static void memory_add(struct exporter *e, const struct span *s, nsec_t now)
{
    struct memory *m = e->own;
    struct kept *k = malloc(sizeof(*k) + span_copy_bytes(s));

    (void)now;
    if (!k) {
        ledger_start_dropped(&e->ledger, 1, DROP_QUEUE_FULL);
        return;
    }
    k->references = 1;
    span_copy(s, k->span);
    pthread_mutex_lock(&m->lock);
    unref(m->ring[m->next]);
    m->ring[m->next] = k;
    m->next = (m->next + 1) % m->cap;
    if (m->n < m->cap)
        m->n++;
    pthread_mutex_unlock(&m->lock);
    ledger_start_exported(&e->ledger, 1);
}

static nsec_t memory_tick(struct exporter *e, nsec_t now)
{
    (void)e;
    (void)now;
    return INT64_MAX;
}

/* References to the newest that are wanted, the newest first, into v[limit]; returns how many. */
static size_t take(struct memory *m, const struct trace_id *trace_id, size_t limit, struct kept **v)
{
    size_t n = 0;

    for (size_t i = 1; i <= m->n && n < limit; i++) {
        struct kept *k = m->ring[(m->next + m->cap - i) % m->cap];
        if (trace_id && !trace_id_eq(&span_of(k)->trace_id, trace_id))
            continue;
        k->references++;
        v[n++] = k;
    }
    return n;
}

static void render(const struct exporter *e, struct kept *const *newest_first, size_t n,
                   struct buffer *out)
{
    struct buffer scratch;
    struct described_span described;

    buffer_init(&scratch, 0);
    for (size_t i = n; i-- > 0;) {
        const struct span *s = span_of(newest_first[i]);
        span_describe(s, &e->options.conventions, &scratch, &described);
        span_to_json(s, &described, 0, out);
        if (i > 0)
            buffer_add_char(out, ',');
    }
    buffer_release(&scratch);
}

void exporter_memory_json(const struct exporter *e, const struct trace_id *trace_id, size_t limit,
                          struct buffer *out)
{
    struct memory *m = e->own;

    if (limit > m->cap)
        limit = m->cap;
    struct kept **v = calloc(limit + 1, sizeof(struct kept *));
    if (!v) {
        out->failed = true;
        return;
    }
    pthread_mutex_lock(&m->lock);
    size_t n = take(m, trace_id, limit, v);
    pthread_mutex_unlock(&m->lock);

    buffer_add(out, m->head.p, m->head.n);
    render(e, v, n, out);
    traces_json_end(out);

    pthread_mutex_lock(&m->lock);
    for (size_t i = 0; i < n; i++)
        unref(v[i]);
    pthread_mutex_unlock(&m->lock);
    free(v);
}

const struct export_ops export_memory = {
    .open = memory_open,
    .free = memory_free,
    .add = memory_add,
    .tick = memory_tick,
};
