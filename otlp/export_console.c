/*
 * Console: a line for each span, for people. The format is nobody's standard
 * and may change; `pretty` writes each span as an object of OTLP JSON instead.
 * A span is exported once its line is written; while nobody reads, they wait as
 * far as there is room, then they are dropped, and the telemetry thread goes on.
 */
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/writer.h"
#include "otlp/export.h"
#include "otlp/span_json.h"

/* Lines that may wait to be written; as much again as a span with all it may hold takes. */
enum { WAITING_BYTES = 1024 * 1024 };
/* While some wait it is looked so often whether they were written. */
static const nsec_t look_again = MILLISECONDS(20);

struct console {
    struct writer *writer; /* owned */
    struct buffer line;
    uint64_t done, failed; /* of the writer's lines: those the ledger knows of */
    uint64_t waiting;      /* spans that were put and are not written yet */
    bool losing;           /* the last one could not be written; that was reported */
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
    buffer_init(&c->line, 0);
    c->writer = writer_new(e->options.console ? e->options.console : STDOUT_FILENO, WAITING_BYTES,
                           "console", NULL);
    return c->writer != NULL;
}

static void console_free(struct exporter *e)
{
    struct console *c = e->own;

    if (!c)
        return;
    writer_free(c->writer);
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

/* Said when it begins, and when it is over: the last line of the log is true. */
static void report(struct exporter *e, struct console *c, const char *losing)
{
    bool was = c->losing;

    c->losing = losing != NULL;
    if (e->report && losing && !was)
        e->report(e->report_arg, true, losing);
    else if (e->report && was && !losing)
        e->report(e->report_arg, false, "console: spans are written again");
}

/* What the writer has done since the last look. */
static void settle(struct exporter *e, struct console *c)
{
    uint64_t done = writer_done(c->writer) - c->done;
    uint64_t failed = writer_failed(c->writer) - c->failed;

    if (failed > done) /* the two are read one after the other */
        failed = done;
    c->done += done;
    c->failed += failed;
    c->waiting -= done;
    if (done > failed)
        ledger_settle_exported(&e->ledger, done - failed, 0);
    if (failed > 0)
        ledger_settle_dropped(&e->ledger, failed, DROP_REFUSED);
    if (failed > 0)
        report(e, c, "console: spans cannot be written to standard output and are lost");
    else if (done > 0)
        report(e, c, NULL);
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
    if (c->line.failed || !writer_put(c->writer, c->line.p, c->line.n)) {
        report(e, c, "console: standard output is read too slowly, spans are lost");
        ledger_start_dropped(&e->ledger, 1, DROP_QUEUE_FULL);
        return;
    }
    c->waiting++;
    ledger_start_waiting(&e->ledger, 1);
}

static nsec_t console_tick(struct exporter *e, nsec_t now)
{
    struct console *c = e->own;

    if (c->waiting > 0)
        settle(e, c);
    return c->waiting > 0 ? now + look_again : INT64_MAX;
}

static bool console_idle(const struct exporter *e)
{
    const struct console *c = e->own;
    return c->waiting == 0;
}

static void console_abandon(struct exporter *e)
{
    struct console *c = e->own;

    settle(e, c);
    if (c->waiting > 0)
        ledger_settle_dropped(&e->ledger, c->waiting, DROP_SHUTDOWN);
    c->waiting = 0;
}

const struct export_ops export_console = {
    .open = console_open,
    .free = console_free,
    .add = console_add,
    .tick = console_tick,
    .idle = console_idle,
    .abandon = console_abandon,
};
