#include "mesh/config_text.h"

#include <stdio.h>

#include "mesh/balance.h"
#include "mesh/lexer.h"
#include "mesh/value.h"

/* Text is written line by line, each indented by its depth. */
struct writer {
    struct buffer *out;
    unsigned depth;
    bool masked;
    const struct masks *masks;
};

/* ---- lines ---- */

static void begin(struct writer *w, const char *name)
{
    for (unsigned i = 0; i < w->depth; i++)
        buffer_add_str(w->out, STR("    "));
    buffer_add_str(w->out, str_from(name));
}

/* With a variable in the place of each of their values. */
static void write_masked(struct writer *w, struct str text, bool quoted)
{
    struct buffer masked;

    buffer_init(&masked, 0);
    mask_write(w->masks, text, &masked);
    bool same = str_eq(buffer_str(&masked), text);
    if (quoted && same)
        lexer_write_word(text, w->out);
    else
        buffer_printf(w->out, quoted ? "\"%.*s\"" : "%.*s", STR_ARG(buffer_str(&masked)));
    buffer_release(&masked);
}

static void word(struct writer *w, struct str text)
{
    struct str shown = w->masked ? mask_word(w->masks, text) : (struct str){0};

    buffer_add_char(w->out, ' ');
    if (shown.p)
        buffer_add_str(w->out, shown);
    else if (w->masked && w->masks->n)
        write_masked(w, text, true);
    else
        lexer_write_word(text, w->out);
}

/* Text that is words already. */
static void words(struct writer *w, struct str text)
{
    if (w->masked && w->masks->n)
        write_masked(w, text, false);
    else
        buffer_add_str(w->out, text);
}

/* What a field of that name is given. */
static void field_value(struct writer *w, struct str name, struct str value)
{
    bool from_environment = mask_word(w->masks, value).p != NULL;

    word(w, w->masked && !from_environment && mask_is_secret_header(name) ? STR("***") : value);
}

/* Text of the language itself, which needs no quotes. */
static void raw(struct writer *w, const char *text)
{
    buffer_printf(w->out, " %s", text);
}

static void end(struct writer *w)
{
    buffer_add_str(w->out, STR(";\n"));
}

static void open_block(struct writer *w)
{
    buffer_add_str(w->out, STR(" {\n"));
    w->depth++;
}

static void close_block(struct writer *w)
{
    w->depth--;
    begin(w, "}\n");
}

static void line(struct writer *w, const char *name, struct str value)
{
    begin(w, name);
    word(w, value);
    end(w);
}

static void number(struct writer *w, uint64_t n)
{
    buffer_printf(w->out, " %llu", (unsigned long long)n);
}

static void duration(struct writer *w, nsec_t t)
{
    buffer_add_char(w->out, ' ');
    value_write_duration(t, w->out);
}

static void duration_or_none(struct writer *w, nsec_t t)
{
    if (t)
        duration(w, t);
    else
        raw(w, "none");
}

static void duration_line(struct writer *w, const char *name, nsec_t t, bool none)
{
    begin(w, name);
    if (none)
        duration_or_none(w, t);
    else
        duration(w, t);
    end(w);
}

static void number_line(struct writer *w, const char *name, uint64_t n, bool none)
{
    begin(w, name);
    if (none && n == 0)
        raw(w, "none");
    else
        number(w, n);
    end(w);
}

static void size_line(struct writer *w, const char *name, uint64_t n, bool none)
{
    begin(w, name);
    if (none && n == 0) {
        raw(w, "none");
    } else {
        buffer_add_char(w->out, ' ');
        value_write_size(n, w->out);
    }
    end(w);
}

static void attributes(struct writer *w, const struct key_value *v, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        begin(w, "attribute");
        word(w, v[i].key);
        word(w, v[i].value);
        end(w);
    }
}

/* ---- service ---- */

static void write_service(struct writer *w, const struct service_config *s)
{
    if (!s->name.n)
        return;
    begin(w, "service");
    word(w, s->name);
    open_block(w);
    if (s->namespace_.n)
        line(w, "namespace", s->namespace_);
    if (s->version.n)
        line(w, "version", s->version);
    if (s->instance.n)
        line(w, "instance", s->instance);
    attributes(w, s->attributes, s->n_attributes);
    close_block(w);
}

/* ---- routes ---- */

static void write_targets(struct writer *w, const struct route *r)
{
    static const char *const keys[] = {[SPLIT_BY_TRACE] = "trace",
                                       [SPLIT_BY_HEADER] = "header",
                                       [SPLIT_BY_COOKIE] = "cookie",
                                       [SPLIT_BY_SOURCE] = "source"};

    for (size_t i = 0; i < r->n_targets; i++) {
        begin(w, "to");
        word(w, r->targets[i].name);
        raw(w, "weight");
        number(w, r->targets[i].weight);
        end(w);
    }
    if (r->n_targets > 1 || r->by != SPLIT_BY_TRACE) {
        begin(w, "by");
        raw(w, keys[r->by]);
        if (r->by_name.n)
            word(w, r->by_name);
        end(w);
    }
}

static void write_header_actions(struct writer *w, const struct route *r)
{
    static const char *const names[] = {[HEADER_SET] = "set-header",
                                        [HEADER_ADD] = "add-header",
                                        [HEADER_REMOVE] = "remove-header"};

    for (size_t i = 0; i < r->n_header_actions; i++) {
        const struct header_action *a = &r->header_actions[i];
        begin(w, names[a->kind]);
        raw(w, a->on_response ? "response" : "request");
        word(w, a->name);
        if (a->kind != HEADER_REMOVE)
            field_value(w, a->name, a->value_text);
        end(w);
    }
}

static void write_answer(struct writer *w, const struct route *r)
{
    if (r->action == ACTION_FORWARD)
        return;
    begin(w, r->action == ACTION_RESPOND ? "respond" : "redirect");
    number(w, r->status);
    if (r->action == ACTION_REDIRECT)
        word(w, r->location_text);
    else if (r->body)
        word(w, r->body_text);
    end(w);
}

static void write_path(struct writer *w, const struct route *r)
{
    enum pattern_kind kind = pattern_kind(r->pattern);

    if (r->grpc) { /* the names of gRPC need no quotes */
        buffer_printf(w->out, " %.*s", STR_ARG(r->text));
        return;
    }
    if (kind == PATTERN_EXACT || kind == PATTERN_REGEX)
        raw(w, kind == PATTERN_EXACT ? "=" : "~");
    word(w, pattern_text(r->pattern));
}

static void write_match(struct writer *w, const struct match_rule *m)
{
    bool value = m->test == TEST_EQUALS || m->test == TEST_REGEX;

    begin(w, "match ");
    if (m->kind == MATCH_HEADER && value && w->masked && mask_is_secret_header(m->name)) {
        buffer_add_str(w->out, STR("header"));
        word(w, m->name);
        raw(w, m->test == TEST_EQUALS ? "=" : "~");
        field_value(w, m->name, m->value);
    } else {
        words(w, m->text);
    }
    end(w);
}

static void write_route(struct writer *w, const struct direction *d, const struct route *r)
{
    begin(w, "route");
    write_path(w, r);
    open_block(w);
    for (size_t i = 0; i < r->n_matches; i++) {
        write_match(w, &r->matches[i]);
    }
    write_targets(w, r);
    write_answer(w, r);
    for (size_t i = 0; i < r->n_faults; i++) {
        begin(w, "fault ");
        words(w, r->faults[i].text);
        end(w);
    }
    if (r->timeout != d->timeout)
        duration_line(w, "timeout", r->timeout, true);
    if (r->idle_timeout)
        duration_line(w, "idle-timeout", r->idle_timeout, false);
    write_header_actions(w, r);
    if (r->rewrite)
        line(w, "rewrite", r->rewrite_text);
    if (r->rewrite_host)
        line(w, "rewrite-host", r->rewrite_host_text);
    if (r->named)
        line(w, "name", r->template);
    attributes(w, r->attributes, r->n_attributes);
    close_block(w);
}

static void write_direction(struct writer *w, const struct direction *d)
{
    static const char *const modes[] = {
        [LISTEN_TRANSPARENT] = "transparent", [LISTEN_FORWARD_PROXY] = "forward-proxy"};
    static const char *const carries[] = {
        [CARRIES_HTTP] = "http", [CARRIES_AUTO] = "auto", [CARRIES_TCP] = "tcp"};

    if (!d->present)
        return;
    begin(w, d->kind == DIRECTION_INBOUND ? "inbound" : "outbound");
    open_block(w);
    for (size_t i = 0; i < d->n_listens; i++) {
        begin(w, "listen");
        word(w, d->listens[i].location.text);
        if (d->listens[i].mode != LISTEN_PLAIN)
            raw(w, modes[d->listens[i].mode]);
        raw(w, carries[d->listens[i].carries]);
        end(w);
    }
    line(w, "unmatched", d->unmatched == UNMATCHED_PASS ? STR("pass") : STR("reject"));
    duration_line(w, "timeout", d->timeout, true);
    if (d->kind == DIRECTION_INBOUND)
        line(w, "x-forwarded", d->forwarded_headers ? STR("on") : STR("off"));
    for (size_t i = 0; i < d->n_hosts; i++) {
        begin(w, "host");
        for (size_t j = 0; j < d->hosts[i]->n_names; j++)
            word(w, d->hosts[i]->names[j]);
        open_block(w);
        for (size_t j = 0; j < d->hosts[i]->n_routes; j++)
            write_route(w, d, d->hosts[i]->routes[j]);
        close_block(w);
    }
    for (size_t i = 0; i < d->n_routes; i++)
        write_route(w, d, d->routes[i]);
    close_block(w);
}

/* ---- clusters ---- */

static void write_cluster(struct writer *w, const struct cluster *c)
{
    static const char *const protocols[] = {
        [PROTOCOL_AUTO] = "auto", [PROTOCOL_H1] = "h1", [PROTOCOL_H2] = "h2"};

    begin(w, "cluster");
    word(w, c->name);
    open_block(w);
    for (size_t i = 0; i < c->n_endpoints; i++) {
        begin(w, "endpoint");
        word(w, c->endpoints[i].location.text);
        raw(w, "weight");
        number(w, c->endpoints[i].weight);
        end(w);
    }
    line(w, "balance", str_from(balance_name(c->balance)));
    line(w, "protocol", str_from(protocols[c->protocol]));
    duration_line(w, "connect-timeout", c->connect_timeout, false);
    begin(w, "pool max");
    if (c->pool_max)
        number(w, c->pool_max);
    else
        raw(w, "none");
    raw(w, "queue");
    duration(w, c->pool_queue);
    raw(w, "idle");
    duration(w, c->pool_idle);
    raw(w, "idle-max");
    number(w, c->pool_idle_max);
    raw(w, "requests");
    if (c->pool_requests)
        number(w, c->pool_requests);
    else
        raw(w, "none");
    end(w);
    close_block(w);
}

/* ---- trace ---- */

static void write_otlp(struct writer *w, const struct export_config *e)
{
    raw(w, "otlp");
    word(w, e->url);
    open_block(w);
    line(w, "compression", e->gzip ? STR("gzip") : STR("none"));
    for (size_t i = 0; i < e->n_headers; i++) {
        begin(w, "header");
        word(w, e->headers[i].key);
        word(w, w->masked ? STR("***") : e->headers[i].value);
        end(w);
    }
    duration_line(w, "timeout", e->timeout, false);
    if (e->ca.n)
        line(w, "ca", e->ca);
    if (e->certificate.n) {
        line(w, "certificate", e->certificate);
        line(w, "key", e->key);
    }
    close_block(w);
}

static void write_export(struct writer *w, const struct export_config *e)
{
    begin(w, "export");
    if (e->kind == EXPORT_OTLP_GRPC || e->kind == EXPORT_OTLP_HTTP) {
        write_otlp(w, e);
        return;
    }
    raw(w, e->kind == EXPORT_CONSOLE ? "console" : "memory");
    if (e->kind == EXPORT_MEMORY)
        number(w, e->memory_spans);
    else if (e->pretty)
        raw(w, "pretty");
    end(w);
}

static void write_sampler(struct writer *w, const char *name, const struct sample_config *s)
{
    begin(w, name);
    raw(w, s->kind == SAMPLE_ALWAYS ? "always" : s->kind == SAMPLE_NEVER ? "never" : "ratio");
    if (s->kind == SAMPLE_RATIO) {
        buffer_add_char(w->out, ' ');
        value_write_ratio(s->ratio, w->out);
    }
    end(w);
}

static void write_sample(struct writer *w, const struct trace_config *t)
{
    if (!t->parent_based) {
        write_sampler(w, "sample", &t->root);
        return;
    }
    begin(w, "sample parent");
    open_block(w);
    write_sampler(w, "root", &t->root);
    write_sampler(w, "remote-sampled", &t->remote_sampled);
    write_sampler(w, "remote-not-sampled", &t->remote_not_sampled);
    close_block(w);
}

static void write_names(struct writer *w, const char *name, const struct str *v, size_t n)
{
    if (n == 0)
        return;
    begin(w, name);
    for (size_t i = 0; i < n; i++)
        word(w, v[i]);
    end(w);
}

static void write_batch(struct writer *w, const struct trace_config *t)
{
    begin(w, "batch");
    open_block(w);
    number_line(w, "queue", t->batch.queue, false);
    number_line(w, "size", t->batch.size, false);
    duration_line(w, "delay", t->batch.delay, false);
    duration_line(w, "timeout", t->batch.timeout, false);
    close_block(w);
}

/* Of what is not said, what would have said the same: a comment, for OTEL_* may say otherwise. */
static void note_batch(struct writer *w, const struct trace_config *t)
{
    begin(w, "# not said: batch { queue");
    number(w, t->batch.queue);
    buffer_add_str(w->out, STR("; size"));
    number(w, t->batch.size);
    buffer_add_str(w->out, STR("; delay"));
    duration(w, t->batch.delay);
    buffer_add_str(w->out, STR("; timeout"));
    duration(w, t->batch.timeout);
    buffer_add_str(w->out, STR("; }\n"));
}

static void write_trace(struct writer *w, const struct trace_config *t)
{
    begin(w, "trace");
    open_block(w);
    for (size_t i = 0; t->said_export && i < t->n_exports; i++)
        write_export(w, &t->exports[i]);
    if (t->export_none)
        begin(w, "export none;\n");
    if (!t->said_export)
        number_line(w, "# not said: export memory", t->exports[0].memory_spans, false);
    if (t->said_sample)
        write_sample(w, t);
    else
        begin(w, "# not said: sample parent;\n");
    begin(w, t->said_propagate ? "propagate" : "# not said: propagate");
    for (unsigned i = 0; i < t->propagators.n; i++)
        raw(w, propagator_at(t->propagators.v[i])->name);
    end(w);
    if (t->said_batch)
        write_batch(w, t);
    else
        note_batch(w, t);
    write_names(w, "redact query", t->redact_query, t->n_redact_query);
    write_names(w, "capture request header", t->capture_request, t->n_capture_request);
    write_names(w, "capture response header", t->capture_response, t->n_capture_response);
    close_block(w);
}

/* ---- the rest ---- */

static void write_limits(struct writer *w, const struct limits *l)
{
    begin(w, "limits");
    open_block(w);
    size_line(w, "header-bytes", l->header_bytes, false);
    number_line(w, "headers", l->headers, false);
    size_line(w, "response-header-bytes", l->response_header_bytes, false);
    number_line(w, "response-headers", l->response_headers, false);
    size_line(w, "url-bytes", l->url_bytes, false);
    size_line(w, "body-bytes", l->body_bytes, true);
    number_line(w, "connections", l->connections, true);
    number_line(w, "inbound-connections", l->inbound_connections, true);
    number_line(w, "outbound-connections", l->outbound_connections, true);
    number_line(w, "requests-per-connection", l->requests_per_connection, true);
    size_line(w, "buffer-bytes", l->buffer_bytes, false);
    number_line(w, "streams", l->streams, false);
    size_line(w, "stream-window", l->stream_window, false);
    size_line(w, "connection-window", l->connection_window, false);
    close_block(w);
}

static void write_timeouts(struct writer *w, const struct timeouts *t)
{
    begin(w, "timeouts");
    open_block(w);
    duration_line(w, "header", t->header, false);
    duration_line(w, "idle", t->idle, false);
    duration_line(w, "half-closed", t->half_closed, false);
    duration_line(w, "exchange-idle", t->exchange_idle, true);
    duration_line(w, "tunnel-idle", t->tunnel_idle, true);
    duration_line(w, "keepalive", t->keepalive, true);
    duration_line(w, "keepalive-timeout", t->keepalive_timeout, false);
    duration_line(w, "ping", t->ping, true);
    duration_line(w, "ping-timeout", t->ping_timeout, false);
    duration_line(w, "drain-delay", t->drain_delay, false);
    duration_line(w, "drain", t->drain, false);
    duration_line(w, "flush", t->flush, false);
    close_block(w);
}

void config_write(const struct config *c, bool masked, struct buffer *out)
{
    static const char *const levels[] = {
        [LOG_ERROR] = "error", [LOG_WARN] = "warn", [LOG_INFO] = "info", [LOG_DEBUG] = "debug"};
    struct writer w = {.out = out, .masked = masked, .masks = &c->masks};

    write_service(&w, &c->service);
    write_direction(&w, &c->inbound);
    write_direction(&w, &c->outbound);
    for (size_t i = 0; i < c->n_clusters; i++)
        if (!c->clusters[i]->implicit)
            write_cluster(&w, c->clusters[i]);
    write_trace(&w, &c->trace);
    write_limits(&w, &c->limits);
    write_timeouts(&w, &c->timeouts);
    begin(&w, "workers");
    if (c->workers)
        number(&w, c->workers);
    else
        raw(&w, "auto");
    end(&w);
    line(&w, "admin", c->admin.on ? c->admin.location.text : STR("off"));
    line(&w, "log level", str_from(levels[c->log_level]));
    line(&w, "log format", c->log_json ? STR("json") : STR("text"));
}

void config_hash(struct str text, char out[17])
{
    /* No secret: the hash tells two configs apart, here and on every other machine. */
    static const struct siphash_key key = {0x636f6e6669677572, 0x6174696f6e206f66};

    snprintf(out, 17, "%016llx", (unsigned long long)siphash(&key, text.p, text.n));
}
