/*
 * What the kinds of exporters share: exporter.c is the same for all, and each
 * kind is a row of functions.
 */
#ifndef SIDESPAN_OTLP_EXPORT_H
#define SIDESPAN_OTLP_EXPORT_H

#include "base/arena.h"
#include "otlp/exporter.h"

struct export_ops {
    /* Sets e->own. False: no memory; free is called all the same. transport is taken. */
    bool (*open)(struct exporter *e, const struct resource *resource, struct transport *transport);
    void (*free)(struct exporter *e);
    void (*add)(struct exporter *e, const struct span *s, nsec_t now);
    nsec_t (*tick)(struct exporter *e, nsec_t now);
    /* Those below may be NULL: then nothing ever waits. */
    void (*flush)(struct exporter *e, nsec_t now);
    bool (*idle)(const struct exporter *e);
    void (*abandon)(struct exporter *e);
};

extern const struct export_ops export_otlp, export_console, export_memory;

struct exporter {
    const struct export_ops *ops;
    void *own;                       /* owned: what the kind keeps; NULL before open */
    struct exporter_options options; /* its text is in the arena */
    struct arena arena;
    struct ledger ledger;
    exporter_report_fn *report; /* NULL: nobody listens */
    void *report_arg;
    /* For describing a span: */
    struct buffer scratch;
    struct described_span described;
};

/* Into e->described, which points into e->scratch and s. */
static inline void exporter_describe(struct exporter *e, const struct span *s)
{
    span_describe(s, &e->options.conventions, &e->scratch, &e->described);
}

#endif
