/*
 * trace as text: what its rows have read, see config_text.c.
 */
#include "mesh/config_lines.h"
#include "mesh/config_text.h"
#include "mesh/config_words.h"
#include "mesh/directive_table.h"
#include "mesh/value.h"

static void write_names(struct lines *w, const char *name, const struct str *v, size_t n)
{
    if (n == 0)
        return;
    lines_begin(w, name);
    for (size_t i = 0; i < n; i++)
        lines_word(w, v[i]);
    lines_end(w);
}

/* ---- export ---- */

void write_compression(struct lines *w, const struct directive *row, const void *target)
{
    lines_choice(w, row->shown.name,
                 compression_words[((const struct export_config *)target)->gzip]);
}

void write_export_headers(struct lines *w, const struct directive *row, const void *target)
{
    const struct export_config *e = target;

    for (size_t i = 0; i < e->n_headers; i++) {
        lines_begin(w, row->shown.name);
        lines_word(w, e->headers[i].key);
        lines_word(w, w->masked ? STR("***") : e->headers[i].value);
        lines_end(w);
    }
}

static void write_export(struct lines *w, const struct export_config *e)
{
    lines_begin(w, "export");
    switch (e->kind) {
    case EXPORT_OTLP_GRPC:
    case EXPORT_OTLP_HTTP:
        lines_raw(w, "otlp");
        lines_word(w, e->url);
        write_block(w, CONTEXT_EXPORT, e);
        return;
    case EXPORT_CONSOLE:
        lines_raw(w, "console");
        if (e->pretty)
            lines_raw(w, "pretty");
        break;
    case EXPORT_MEMORY:
        lines_raw(w, "memory");
        lines_number(w, e->memory_spans);
        break;
    }
    lines_end(w);
}

/* All rows of that name. */
void write_exports(struct lines *w, const struct directive *row, const void *target)
{
    const struct trace_config *t = target;

    for (size_t i = 0; t->said_export && i < t->n_exports; i++)
        write_export(w, &t->exports[i]);
    if (t->export_none)
        lines_begin(w, "export none;\n");
    if (t->said_export)
        return;
    lines_begin(w, "# not said: export memory");
    lines_number(w, t->exports[0].memory_spans);
    lines_end(w);
}

void config_write_export(const struct trace_config *t, const struct export_config *e,
                         struct buffer *out)
{
    struct lines w = {.out = out, .masks = &(struct masks){0}};

    write_export(&w, e);
    write_rows(&w, CONTEXT_BATCH, ROWS_ALL, t);
    write_names(&w, "redact query", t->redact_query, t->n_redact_query);
}

/* ---- sample ---- */

static void write_sample_config(struct lines *w, const struct sample_config *s)
{
    lines_raw(w, sample_words[s->kind]);
    if (s->kind == SAMPLE_RATIO) {
        buffer_add_char(w->out, ' ');
        value_write_ratio(s->ratio, w->out);
    }
    lines_end(w);
}

void write_sampler(struct lines *w, const struct directive *row, const void *target)
{
    lines_begin(w, row->shown.name);
    write_sample_config(
        w, (const struct sample_config *)(const void *)((const char *)target + row->field.offset));
}

/* All rows of that name. What ratio says is shown as what it means, a block of parent. */
void write_sample(struct lines *w, const struct directive *row, const void *target)
{
    const struct trace_config *t = target;

    if (!t->said_sample) {
        lines_begin(w, "# not said: sample parent;\n");
        return;
    }
    lines_begin(w, row->shown.name);
    if (!t->parent_based) {
        write_sample_config(w, &t->root);
        return;
    }
    lines_raw(w, "parent");
    write_block(w, CONTEXT_SAMPLE, t);
}

/* ---- propagate, batch ---- */

void write_propagate(struct lines *w, const struct directive *row, const void *target)
{
    const struct trace_config *t = target;

    lines_begin(w, t->said_propagate ? "propagate" : "# not said: propagate");
    for (unsigned i = 0; i < t->propagators.n; i++)
        lines_raw(w, propagator_at(t->propagators.v[i])->name);
    lines_end(w);
}

/* Of what is not said, what would have said the same: a comment, for OTEL_* may say otherwise. */
static void note_batch(struct lines *w, const struct trace_config *t)
{
    lines_begin(w, "# not said: batch { queue");
    lines_number(w, t->batch.queue);
    buffer_add_str(w->out, STR("; size"));
    lines_number(w, t->batch.size);
    buffer_add_str(w->out, STR("; delay"));
    lines_duration(w, t->batch.delay);
    buffer_add_str(w->out, STR("; timeout"));
    lines_duration(w, t->batch.timeout);
    buffer_add_str(w->out, STR("; }\n"));
}

void write_batch(struct lines *w, const struct directive *row, const void *target)
{
    const struct trace_config *t = target;

    if (!t->said_batch) {
        note_batch(w, t);
        return;
    }
    lines_begin(w, row->shown.name);
    write_block(w, CONTEXT_BATCH, t);
}

/* ---- what is recorded ---- */

void write_redact(struct lines *w, const struct directive *row, const void *target)
{
    const struct trace_config *t = target;

    write_names(w, "redact query", t->redact_query, t->n_redact_query);
}

void write_capture(struct lines *w, const struct directive *row, const void *target)
{
    const struct trace_config *t = target;

    if (row->value == CAPTURE_REQUEST)
        write_names(w, "capture request header", t->capture_request, t->n_capture_request);
    else
        write_names(w, "capture response header", t->capture_response, t->n_capture_response);
}

void write_trace(struct lines *w, const struct directive *row, const void *target)
{
    lines_begin(w, row->shown.name);
    write_block(w, CONTEXT_TRACE, &((const struct config *)target)->trace);
}
