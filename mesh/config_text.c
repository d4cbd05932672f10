#include "mesh/config_text.h"

#include <stdio.h>

#include "mesh/balance.h"
#include "mesh/config_lines.h"
#include "mesh/value.h"

/* ---- service ---- */

static void write_service(struct lines *w, const struct config *c)
{
    const struct service_config *s = &c->service;

    if (!s->name.n)
        return;
    lines_begin(w, "service");
    lines_word(w, s->name);
    lines_open(w);
    if (s->namespace_.n)
        lines_text(w, "namespace", s->namespace_);
    if (s->version.n)
        lines_text(w, "version", s->version);
    if (s->instance.n)
        lines_text(w, "instance", s->instance);
    lines_attributes(w, s->attributes, s->n_attributes);
    lines_close(w);
}

/* ---- routes ---- */

static void write_targets(struct lines *w, const struct route *r)
{
    static const char *const keys[] = {[SPLIT_BY_TRACE] = "trace",
                                       [SPLIT_BY_HEADER] = "header",
                                       [SPLIT_BY_COOKIE] = "cookie",
                                       [SPLIT_BY_SOURCE] = "source"};

    for (size_t i = 0; i < r->n_targets; i++) {
        lines_begin(w, "to");
        lines_word(w, r->targets[i].name);
        lines_raw(w, "weight");
        lines_number(w, r->targets[i].weight);
        lines_end(w);
    }
    if (r->n_targets > 1 || r->by != SPLIT_BY_TRACE) {
        lines_begin(w, "by");
        lines_raw(w, keys[r->by]);
        if (r->by_name.n)
            lines_word(w, r->by_name);
        lines_end(w);
    }
}

static void write_header_actions(struct lines *w, const struct route *r)
{
    static const char *const names[] = {[HEADER_SET] = "set-header",
                                        [HEADER_ADD] = "add-header",
                                        [HEADER_REMOVE] = "remove-header"};

    for (size_t i = 0; i < r->n_header_actions; i++) {
        const struct header_action *a = &r->header_actions[i];
        lines_begin(w, names[a->kind]);
        lines_raw(w, a->on_response ? "response" : "request");
        lines_word(w, a->name);
        if (a->kind != HEADER_REMOVE)
            lines_field_value(w, a->name, a->value_text);
        lines_end(w);
    }
}

static void write_answer(struct lines *w, const struct route *r)
{
    if (r->action == ACTION_FORWARD)
        return;
    lines_begin(w, r->action == ACTION_RESPOND ? "respond" : "redirect");
    lines_number(w, r->status);
    if (r->action == ACTION_REDIRECT)
        lines_word(w, r->location_text);
    else if (r->body)
        lines_word(w, r->body_text);
    lines_end(w);
}

static void write_path(struct lines *w, const struct route *r)
{
    enum pattern_kind kind = pattern_kind(r->pattern);

    if (r->grpc) { /* the names of gRPC need no quotes */
        buffer_printf(w->out, " %.*s", STR_ARG(r->text));
        return;
    }
    if (kind == PATTERN_EXACT || kind == PATTERN_REGEX)
        lines_raw(w, kind == PATTERN_EXACT ? "=" : "~");
    lines_word(w, pattern_text(r->pattern));
}

static void write_match(struct lines *w, const struct match_rule *m)
{
    lines_begin(w, "match ");
    lines_words(w, w->masked ? m->shown : m->text);
    lines_end(w);
}

static void write_route(struct lines *w, const struct direction *d, const struct route *r)
{
    lines_begin(w, "route");
    write_path(w, r);
    lines_open(w);
    for (size_t i = 0; i < r->n_matches; i++) {
        write_match(w, &r->matches[i]);
    }
    write_targets(w, r);
    write_answer(w, r);
    for (size_t i = 0; i < r->n_faults; i++) {
        lines_begin(w, "fault ");
        lines_words(w, w->masked ? r->faults[i].shown : r->faults[i].text);
        lines_end(w);
    }
    if (r->timeout != d->timeout)
        lines_duration_line(w, "timeout", r->timeout, true);
    if (r->idle_timeout)
        lines_duration_line(w, "idle-timeout", r->idle_timeout, false);
    write_header_actions(w, r);
    if (r->rewrite)
        lines_text(w, "rewrite", r->rewrite_text);
    if (r->rewrite_host)
        lines_text(w, "rewrite-host", r->rewrite_host_text);
    if (r->named)
        lines_text(w, "name", r->template);
    lines_attributes(w, r->attributes, r->n_attributes);
    lines_close(w);
}

static void write_direction(struct lines *w, const struct direction *d)
{
    static const char *const modes[] = {
        [LISTEN_TRANSPARENT] = "transparent", [LISTEN_FORWARD_PROXY] = "forward-proxy"};
    static const char *const carries[] = {
        [CARRIES_HTTP] = "http", [CARRIES_AUTO] = "auto", [CARRIES_TCP] = "tcp"};

    if (!d->present)
        return;
    lines_begin(w, d->kind == DIRECTION_INBOUND ? "inbound" : "outbound");
    lines_open(w);
    for (size_t i = 0; i < d->n_listens; i++) {
        lines_begin(w, "listen");
        lines_word(w, d->listens[i].location.text);
        if (d->listens[i].mode != LISTEN_PLAIN)
            lines_raw(w, modes[d->listens[i].mode]);
        lines_raw(w, carries[d->listens[i].carries]);
        lines_end(w);
    }
    lines_text(w, "unmatched", d->unmatched == UNMATCHED_PASS ? STR("pass") : STR("reject"));
    lines_duration_line(w, "timeout", d->timeout, true);
    if (d->kind == DIRECTION_INBOUND)
        lines_text(w, "x-forwarded", d->forwarded_headers ? STR("on") : STR("off"));
    for (size_t i = 0; i < d->n_hosts; i++) {
        lines_begin(w, "host");
        for (size_t j = 0; j < d->hosts[i]->n_names; j++)
            lines_word(w, d->hosts[i]->names[j]);
        lines_open(w);
        for (size_t j = 0; j < d->hosts[i]->n_routes; j++)
            write_route(w, d, d->hosts[i]->routes[j]);
        lines_close(w);
    }
    for (size_t i = 0; i < d->n_routes; i++)
        write_route(w, d, d->routes[i]);
    lines_close(w);
}

/* ---- clusters ---- */

static void write_cluster(struct lines *w, const struct cluster *c)
{
    static const char *const protocols[] = {
        [PROTOCOL_AUTO] = "auto", [PROTOCOL_H1] = "h1", [PROTOCOL_H2] = "h2"};

    lines_begin(w, "cluster");
    lines_word(w, c->name);
    lines_open(w);
    for (size_t i = 0; i < c->n_endpoints; i++) {
        lines_begin(w, "endpoint");
        lines_word(w, c->endpoints[i].location.text);
        lines_raw(w, "weight");
        lines_number(w, c->endpoints[i].weight);
        lines_end(w);
    }
    lines_text(w, "balance", str_from(balance_name(c->balance)));
    lines_text(w, "protocol", str_from(protocols[c->protocol]));
    lines_duration_line(w, "connect-timeout", c->connect_timeout, false);
    lines_begin(w, "pool max");
    if (c->pool_max)
        lines_number(w, c->pool_max);
    else
        lines_raw(w, "none");
    lines_raw(w, "queue");
    lines_duration(w, c->pool_queue);
    lines_raw(w, "idle");
    lines_duration(w, c->pool_idle);
    lines_raw(w, "idle-max");
    lines_number(w, c->pool_idle_max);
    lines_raw(w, "requests");
    if (c->pool_requests)
        lines_number(w, c->pool_requests);
    else
        lines_raw(w, "none");
    lines_end(w);
    lines_close(w);
}

/* ---- the rest ---- */

static void write_limits(struct lines *w, const struct config *c)
{
    const struct limits *l = &c->limits;

    lines_begin(w, "limits");
    lines_open(w);
    lines_size_line(w, "header-bytes", l->header_bytes, false);
    lines_number_line(w, "headers", l->headers, false);
    lines_size_line(w, "response-header-bytes", l->response_header_bytes, false);
    lines_number_line(w, "response-headers", l->response_headers, false);
    lines_size_line(w, "url-bytes", l->url_bytes, false);
    lines_size_line(w, "body-bytes", l->body_bytes, true);
    lines_number_line(w, "connections", l->connections, true);
    lines_number_line(w, "inbound-connections", l->inbound_connections, true);
    lines_number_line(w, "outbound-connections", l->outbound_connections, true);
    lines_number_line(w, "requests-per-connection", l->requests_per_connection, true);
    lines_size_line(w, "buffer-bytes", l->buffer_bytes, false);
    if (l->memory == MEMORY_AUTO)
        lines_text(w, "memory", STR("auto"));
    else
        lines_size_line(w, "memory", l->memory, true);
    lines_number_line(w, "streams", l->streams, false);
    lines_size_line(w, "stream-window", l->stream_window, false);
    lines_size_line(w, "connection-window", l->connection_window, false);
    lines_close(w);
}

static void write_timeouts(struct lines *w, const struct config *c)
{
    const struct timeouts *t = &c->timeouts;

    lines_begin(w, "timeouts");
    lines_open(w);
    lines_duration_line(w, "header", t->header, false);
    lines_duration_line(w, "idle", t->idle, false);
    lines_duration_line(w, "half-closed", t->half_closed, false);
    lines_duration_line(w, "exchange-idle", t->exchange_idle, true);
    lines_duration_line(w, "tunnel-idle", t->tunnel_idle, true);
    lines_duration_line(w, "tunnel-half-closed", t->tunnel_half_closed, true);
    lines_duration_line(w, "keepalive", t->keepalive, true);
    lines_duration_line(w, "keepalive-timeout", t->keepalive_timeout, false);
    lines_duration_line(w, "ping", t->ping, true);
    lines_duration_line(w, "ping-timeout", t->ping_timeout, false);
    lines_duration_line(w, "drain-delay", t->drain_delay, false);
    lines_duration_line(w, "drain", t->drain, false);
    lines_duration_line(w, "flush", t->flush, false);
    lines_close(w);
}

static void write_workers(struct lines *w, const struct config *c)
{
    lines_begin(w, "workers");
    if (c->workers)
        lines_number(w, c->workers);
    else
        lines_raw(w, "auto");
    lines_end(w);
}

static void write_admin(struct lines *w, const struct config *c)
{
    lines_text(w, "admin", c->admin.on ? c->admin.location.text : STR("off"));
}

static void write_log(struct lines *w, const struct config *c)
{
    static const char *const levels[] = {
        [LOG_ERROR] = "error", [LOG_WARN] = "warn", [LOG_INFO] = "info", [LOG_DEBUG] = "debug"};

    lines_text(w, "log level", str_from(levels[c->log_level]));
    lines_text(w, "log format", c->log_json ? STR("json") : STR("text"));
}

/* What is there once, in the order in which it is written. */
static const struct part {
    const char *name;
    void (*write)(struct lines *w, const struct config *c);
} parts[] = {
    {"service", write_service},   {"trace", lines_trace},     {"limits", write_limits},
    {"timeouts", write_timeouts}, {"workers", write_workers}, {"admin", write_admin},
    {"log", write_log},
};
enum { PARTS = sizeof(parts) / sizeof(parts[0]), FIRST_PARTS = 1 /* the rest is at the end */ };

void config_write(const struct config *c, bool masked, struct buffer *out)
{
    struct lines w = {.out = out, .masked = masked, .masks = &c->masks};

    for (size_t i = 0; i < FIRST_PARTS; i++)
        parts[i].write(&w, c);
    write_direction(&w, &c->inbound);
    write_direction(&w, &c->outbound);
    for (size_t i = 0; i < c->n_clusters; i++)
        if (!c->clusters[i]->implicit)
            write_cluster(&w, c->clusters[i]);
    for (size_t i = FIRST_PARTS; i < PARTS; i++)
        parts[i].write(&w, c);
}

/* ---- parts ---- */

const char *config_write_part(const struct config *c, size_t i, struct buffer *out)
{
    struct lines w = {.out = out, .masks = &c->masks};

    if (i >= PARTS)
        return NULL;
    parts[i].write(&w, c);
    return parts[i].name;
}

void config_write_direction(const struct config *c, const struct direction *d, struct buffer *out)
{
    write_direction(&(struct lines){.out = out, .masks = &c->masks}, d);
}

void config_write_cluster(const struct config *c, const struct cluster *cluster, struct buffer *out)
{
    write_cluster(&(struct lines){.out = out, .masks = &c->masks}, cluster);
}

void config_write_route(const struct config *c, const struct direction *d, const struct route *r,
                        struct buffer *out)
{
    write_route(&(struct lines){.out = out, .masks = &c->masks}, d, r);
}

void config_write_path(const struct config *c, const struct route *r, struct buffer *out)
{
    write_path(&(struct lines){.out = out, .masked = true, .masks = &c->masks}, r);
}

void config_write_name(const struct config *c, struct str name, struct buffer *out)
{
    lines_word(&(struct lines){.out = out, .masked = true, .masks = &c->masks}, name);
}

void config_hash(struct str text, char out[17])
{
    /* No secret: the hash tells two configs apart, here and on every other machine. */
    static const struct siphash_key key = {0x636f6e6669677572, 0x6174696f6e206f66};

    snprintf(out, 17, "%016llx", (unsigned long long)siphash(&key, text.p, text.n));
}
