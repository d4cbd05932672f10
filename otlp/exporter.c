#include "otlp/exporter.h"

#include <stdlib.h>

#include "otlp/export.h"

static const struct export_ops *const kinds[] = {
    [EXPORTER_OTLP_GRPC] = &export_otlp,
    [EXPORTER_OTLP_HTTP] = &export_otlp,
    [EXPORTER_CONSOLE] = &export_console,
    [EXPORTER_MEMORY] = &export_memory,
};

enum { QUEUE_SPANS = 2048, BATCH_SPANS = 512, MEMORY_SPANS = 1000 };

static bool copy_text(struct exporter *e, struct str *text)
{
    *text = arena_dup(&e->arena, *text);
    return text->p != NULL;
}

static bool copy_headers(struct exporter *e)
{
    size_t n = e->options.n_headers;
    struct exporter_header *v = arena_array(&e->arena, n, sizeof(*v));

    if (n > 0 && !v)
        return false;
    for (size_t i = 0; i < n; i++) {
        v[i] = e->options.headers[i];
        if (!copy_text(e, &v[i].name) || !copy_text(e, &v[i].value))
            return false;
    }
    e->options.headers = v;
    return true;
}

static bool copy_redact_query(struct exporter *e)
{
    struct conventions *c = &e->options.conventions;
    size_t n = c->n_redact_query;
    struct str *v = arena_array(&e->arena, n, sizeof(*v));

    if (n > 0 && !v)
        return false;
    for (size_t i = 0; i < n; i++) {
        v[i] = c->redact_query[i];
        if (!copy_text(e, &v[i]))
            return false;
    }
    c->redact_query = v;
    return true;
}

static bool copy_options(struct exporter *e, const struct exporter_options *options)
{
    struct exporter_options *o = &e->options;

    *o = *options;
    if (o->queue_spans == 0)
        o->queue_spans = QUEUE_SPANS;
    if (o->batch_spans == 0)
        o->batch_spans = BATCH_SPANS;
    if (o->batch_spans > o->queue_spans)
        o->batch_spans = o->queue_spans;
    if (o->memory_spans == 0)
        o->memory_spans = MEMORY_SPANS;
    return copy_text(e, &o->name) && copy_text(e, &o->path) && copy_headers(e) &&
           copy_redact_query(e);
}

struct exporter *exporter_new(const struct exporter_options *options,
                              const struct resource *resource, struct transport *transport,
                              exporter_report_fn *report, void *arg)
{
    struct exporter *e = calloc(1, sizeof(*e));

    if (!e) {
        if (transport)
            transport->ops->free(transport);
        return NULL;
    }
    e->ops = kinds[options->kind];
    e->report = report;
    e->report_arg = arg;
    arena_init(&e->arena, 0, 0);
    buffer_init(&e->scratch, 0);
    bool copied = copy_options(e, options);
    /* open() takes the transport, so it is called whatever came before. */
    if (!e->ops->open(e, resource, transport) || !copied) {
        exporter_free(e);
        return NULL;
    }
    return e;
}

void exporter_free(struct exporter *e)
{
    if (!e)
        return;
    e->ops->free(e);
    buffer_release(&e->scratch);
    arena_release(&e->arena);
    free(e);
}

struct str exporter_name(const struct exporter *e)
{
    return e->options.name;
}

enum exporter_kind exporter_kind_of(const struct exporter *e)
{
    return e->options.kind;
}

void exporter_add(struct exporter *e, const struct span *s, nsec_t now)
{
    e->ops->add(e, s, now);
}

void exporter_add_lost(struct exporter *e, uint64_t n)
{
    if (n > 0)
        ledger_start_dropped(&e->ledger, n, DROP_RING_FULL);
}

nsec_t exporter_tick(struct exporter *e, nsec_t now)
{
    return e->ops->tick(e, now);
}

void exporter_flush(struct exporter *e, nsec_t now)
{
    if (e->ops->flush)
        e->ops->flush(e, now);
    else
        e->ops->tick(e, now);
}

bool exporter_idle(const struct exporter *e)
{
    return !e->ops->idle || e->ops->idle(e);
}

void exporter_abandon(struct exporter *e)
{
    if (e->ops->abandon)
        e->ops->abandon(e);
}

struct ledger_view exporter_ledger(const struct exporter *e)
{
    return ledger_read(&e->ledger);
}
