/*
 * The block `trace` as text: what is exported, sampled and passed on. What the
 * file does not say the environment may, so it is written as a comment.
 */
#include "mesh/config_lines.h"
#include "mesh/value.h"

static void write_otlp(struct lines *w, const struct export_config *e)
{
    lines_raw(w, "otlp");
    lines_word(w, e->url);
    lines_open(w);
    lines_text(w, "compression", e->gzip ? STR("gzip") : STR("none"));
    for (size_t i = 0; i < e->n_headers; i++) {
        lines_begin(w, "header");
        lines_word(w, e->headers[i].key);
        lines_word(w, w->masked ? STR("***") : e->headers[i].value);
        lines_end(w);
    }
    lines_duration_line(w, "timeout", e->timeout, false);
    if (e->ca.n)
        lines_text(w, "ca", e->ca);
    if (e->certificate.n) {
        lines_text(w, "certificate", e->certificate);
        lines_text(w, "key", e->key);
    }
    lines_close(w);
}

static void write_export(struct lines *w, const struct export_config *e)
{
    lines_begin(w, "export");
    if (e->kind == EXPORT_OTLP_GRPC || e->kind == EXPORT_OTLP_HTTP) {
        write_otlp(w, e);
        return;
    }
    lines_raw(w, e->kind == EXPORT_CONSOLE ? "console" : "memory");
    if (e->kind == EXPORT_MEMORY)
        lines_number(w, e->memory_spans);
    else if (e->pretty)
        lines_raw(w, "pretty");
    lines_end(w);
}

static void write_sampler(struct lines *w, const char *name, const struct sample_config *s)
{
    lines_begin(w, name);
    lines_raw(w, s->kind == SAMPLE_ALWAYS ? "always" : s->kind == SAMPLE_NEVER ? "never" : "ratio");
    if (s->kind == SAMPLE_RATIO) {
        buffer_add_char(w->out, ' ');
        value_write_ratio(s->ratio, w->out);
    }
    lines_end(w);
}

static void write_sample(struct lines *w, const struct trace_config *t)
{
    if (!t->parent_based) {
        write_sampler(w, "sample", &t->root);
        return;
    }
    lines_begin(w, "sample parent");
    lines_open(w);
    write_sampler(w, "root", &t->root);
    write_sampler(w, "remote-sampled", &t->remote_sampled);
    write_sampler(w, "remote-not-sampled", &t->remote_not_sampled);
    lines_close(w);
}

static void write_names(struct lines *w, const char *name, const struct str *v, size_t n)
{
    if (n == 0)
        return;
    lines_begin(w, name);
    for (size_t i = 0; i < n; i++)
        lines_word(w, v[i]);
    lines_end(w);
}

static void write_batch(struct lines *w, const struct trace_config *t)
{
    lines_begin(w, "batch");
    lines_open(w);
    lines_number_line(w, "queue", t->batch.queue, false);
    lines_number_line(w, "size", t->batch.size, false);
    lines_duration_line(w, "delay", t->batch.delay, false);
    lines_duration_line(w, "timeout", t->batch.timeout, false);
    lines_close(w);
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

void lines_trace(struct lines *w, const struct config *c)
{
    const struct trace_config *t = &c->trace;

    lines_begin(w, "trace");
    lines_open(w);
    for (size_t i = 0; t->said_export && i < t->n_exports; i++)
        write_export(w, &t->exports[i]);
    if (t->export_none)
        lines_begin(w, "export none;\n");
    if (!t->said_export)
        lines_number_line(w, "# not said: export memory", t->exports[0].memory_spans, false);
    if (t->said_sample)
        write_sample(w, t);
    else
        lines_begin(w, "# not said: sample parent;\n");
    lines_begin(w, t->said_propagate ? "propagate" : "# not said: propagate");
    for (unsigned i = 0; i < t->propagators.n; i++)
        lines_raw(w, propagator_at(t->propagators.v[i])->name);
    lines_end(w);
    if (t->said_batch)
        write_batch(w, t);
    else
        note_batch(w, t);
    write_names(w, "redact query", t->redact_query, t->n_redact_query);
    write_names(w, "capture request header", t->capture_request, t->n_capture_request);
    write_names(w, "capture response header", t->capture_response, t->n_capture_response);
    lines_close(w);
}
