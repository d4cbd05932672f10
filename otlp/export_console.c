/*
 * Console: a line for each span, for people. The format is nobody's standard
 * and may change; `pretty` writes each span as an object of OTLP JSON instead.
 */
#include <stdlib.h>
#include <time.h>

#include "otlp/export.h"
#include "otlp/span_json.h"

struct console {
    FILE *file; /* borrowed */
    struct buffer line;
    uint64_t unflushed; /* spans written since; they wait */
    bool failed;        /* the last write did; that was reported */
};

static bool console_open(struct exporter *e, const struct resource *resource,
                         struct transport *transport)
{
    struct console *c = calloc(1, sizeof(*c));

    (void)resource;
    (void)transport;
    if (!c)
        return false;
    e->own = c;
    c->file = e->options.console ? e->options.console : stdout;
    buffer_init(&c->line, 0);
    return true;
}

static void console_free(struct exporter *e)
{
    struct console *c = e->own;

    if (!c)
        return;
    if (c->unflushed)
        fflush(c->file);
    buffer_release(&c->line);
    free(c);
}

static void add_time(struct buffer *line, nsec_t at)
{
    time_t seconds = at / SECONDS(1);
    char text[32];
    struct tm tm;

    gmtime_r(&seconds, &tm);
    size_t n = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
    buffer_add(line, text, n);
    buffer_printf(line, ".%06lldZ ", (long long)(at % SECONDS(1) / 1000));
}

/* No peer can begin a line of its own, or end a field: what is not printable is \xNN. */
static void add_escaped(struct buffer *line, struct str text)
{
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        if (c < 0x20 || c == 0x7f || c == '"' || c == '\\')
            buffer_printf(line, "\\x%02x", c);
        else
            buffer_add_char(line, (char)c);
    }
}

static void add_field(struct buffer *line, const char *name, struct str value)
{
    bool quoted = false;

    if (value.n == 0)
        return;
    for (size_t i = 0; i < value.n; i++)
        quoted |= value.p[i] == ' ' || value.p[i] == '=';
    buffer_printf(line, " %s=%s", name, quoted ? "\"" : "");
    add_escaped(line, value);
    if (quoted)
        buffer_add_char(line, '"');
}

static void add_ids(struct buffer *line, const struct span *s)
{
    char hex[TRACE_ID_HEX];

    trace_id_to_hex(&s->trace_id, hex);
    add_field(line, "trace", str_of(hex, TRACE_ID_HEX));
    span_id_to_hex(&s->span_id, hex);
    add_field(line, "span", str_of(hex, SPAN_ID_HEX));
    if (!span_id_is_zero(&s->parent_span_id)) {
        span_id_to_hex(&s->parent_span_id, hex);
        add_field(line, "parent", str_of(hex, SPAN_ID_HEX));
    }
}

static struct str attribute_text(const struct described_span *d, struct str key)
{
    for (size_t i = 0; i < d->n; i++)
        if (d->v[i].type == ATTRIBUTE_STRING && str_eq(d->v[i].key, key))
            return d->v[i].value.string;
    return (struct str){0};
}

/* TIME KIND "NAME" STATUS DURATION field=value... */
static void write_line(struct buffer *line, const struct span *s, const struct described_span *d)
{
    add_time(line, s->start);
    buffer_add_str(line, s->kind == SPAN_CLIENT ? STR("CLIENT \"") : STR("SERVER \""));
    add_escaped(line, d->name);
    buffer_add_str(line, STR("\" "));
    if (s->status)
        buffer_printf(line, "%u ", s->status);
    buffer_printf(line, "%.3fms", (double)s->duration / 1e6);
    add_ids(line, s);
    add_field(line, "path", s->text[SPAN_PATH]);
    add_field(line, "server", attribute_text(d, STR("server.address")));
    add_field(line, "peer", attribute_text(d, STR("network.peer.address")));
    add_field(line, "cluster", s->text[SPAN_CLUSTER]);
    add_field(line, "fault", s->text[SPAN_FAULT]);
    add_field(line, "rule", attribute_text(d, STR("sidespan.rule")));
    if (d->status == STATUS_ERROR)
        buffer_add_str(line, STR(" status=error"));
    add_field(line, "error", attribute_text(d, STR("error.type")));
    add_field(line, "ended_by", attribute_text(d, STR("sidespan.ended_by")));
}

static void report_failure(struct exporter *e, struct console *c, bool failed)
{
    if (failed && !c->failed && e->report)
        e->report(e->report_arg, true, "console: spans cannot be written and are lost");
    c->failed = failed;
}

static void console_add(struct exporter *e, const struct span *s, nsec_t now)
{
    struct console *c = e->own;

    (void)now;
    exporter_describe(e, s);
    buffer_reset(&c->line);
    if (e->options.pretty)
        span_to_json(s, &e->described, 2, &c->line);
    else
        write_line(&c->line, s, &e->described);
    buffer_add_char(&c->line, '\n');
    if (c->line.failed || fwrite(c->line.p, 1, c->line.n, c->file) != c->line.n) {
        report_failure(e, c, true);
        ledger_start_dropped(&e->ledger, 1, DROP_REFUSED);
        return;
    }
    c->unflushed++;
    ledger_start_waiting(&e->ledger, 1);
}

/* What a turn of the telemetry thread wrote is seen at its end, and only then exported. */
static nsec_t console_tick(struct exporter *e, nsec_t now)
{
    struct console *c = e->own;

    (void)now;
    if (c->unflushed == 0)
        return INT64_MAX;
    bool flushed = fflush(c->file) == 0;
    report_failure(e, c, !flushed);
    if (flushed)
        ledger_settle_exported(&e->ledger, c->unflushed, 0);
    else
        ledger_settle_dropped(&e->ledger, c->unflushed, DROP_REFUSED);
    c->unflushed = 0;
    return INT64_MAX;
}

static bool console_idle(const struct exporter *e)
{
    const struct console *c = e->own;
    return c->unflushed == 0;
}

static void console_abandon(struct exporter *e)
{
    console_tick(e, 0);
}

const struct export_ops export_console = {
    .open = console_open,
    .free = console_free,
    .add = console_add,
    .tick = console_tick,
    .idle = console_idle,
    .abandon = console_abandon,
};
