/*
 * A config as text: each row of the language writes what it has read, in the
 * order of the table. A row without a writer of its own is written by that of
 * another row of the same block, which says so here.
 */
#include "mesh/config_text.h"

#include <stdio.h>

#include "mesh/config_lines.h"
#include "mesh/config_words.h"
#include "mesh/directive_table.h"
#include "mesh/value.h"

void write_rows(struct lines *w, enum context in, enum which_rows which, const void *target)
{
    size_t n;
    const struct directive *rows = directive_table(&n);

    for (size_t i = 0; i < n; i++) {
        bool block = rows[i].block == BLOCK_MUST;
        if (rows[i].in == in && rows[i].write &&
            (which == ROWS_ALL || block == (which == ROWS_WITH_BLOCK)))
            rows[i].write(w, &rows[i], target);
    }
}

void write_block(struct lines *w, enum context in, const void *target)
{
    lines_open(w);
    write_rows(w, in, ROWS_ALL, target);
    lines_close(w);
}

/* ---- service ---- */

void write_service(struct lines *w, const struct directive *row, const void *target)
{
    const struct service_config *s = &((const struct config *)target)->service;

    if (!s->name.n)
        return;
    lines_begin(w, row->shown.name);
    lines_word(w, s->name);
    write_block(w, CONTEXT_SERVICE, s);
}

void write_attribute_of_service(struct lines *w, const struct directive *row, const void *target)
{
    const struct service_config *s = target;

    lines_attributes(w, s->attributes, s->n_attributes);
}

/* ---- routes ---- */

/* `match method`, `match header` and `match query`, in the order of the file. */
void write_matches(struct lines *w, const struct directive *row, const void *target)
{
    const struct route *r = target;

    for (size_t i = 0; i < r->n_matches; i++) {
        lines_begin(w, "match ");
        lines_words(w, w->masked ? r->matches[i].shown : r->matches[i].text);
        lines_end(w);
    }
}

void write_targets(struct lines *w, const struct directive *row, const void *target)
{
    const struct route *r = target;

    for (size_t i = 0; i < r->n_targets; i++) {
        lines_begin(w, "to");
        lines_word(w, r->targets[i].name);
        lines_raw(w, "weight");
        lines_number(w, r->targets[i].weight);
        lines_end(w);
    }
}

/* All rows of that name. */
void write_by(struct lines *w, const struct directive *row, const void *target)
{
    const struct route *r = target;

    if (r->n_targets <= 1 && r->by == SPLIT_BY_TRACE)
        return;
    lines_begin(w, "by");
    lines_raw(w, split_words[r->by]);
    if (r->by_name.n)
        lines_word(w, r->by_name);
    lines_end(w);
}

/* `fault delay`, `fault abort` and `fault reset`, in the order of the file. */
void write_faults(struct lines *w, const struct directive *row, const void *target)
{
    const struct route *r = target;

    for (size_t i = 0; i < r->n_faults; i++) {
        lines_begin(w, "fault ");
        lines_words(w, w->masked ? r->faults[i].shown : r->faults[i].text);
        lines_end(w);
    }
}

/* Only what differs from the direction's: to say the same is to say nothing. */
void write_route_timeout(struct lines *w, const struct directive *row, const void *target)
{
    if (((const struct route *)target)->timeout != w->direction->timeout)
        write_duration_field(w, row, target);
}

void write_route_idle(struct lines *w, const struct directive *row, const void *target)
{
    if (((const struct route *)target)->idle_timeout)
        write_duration_field(w, row, target);
}

/* set-header, add-header and remove-header, in the order of the file. */
void write_header_actions(struct lines *w, const struct directive *row, const void *target)
{
    const struct route *r = target;

    for (size_t i = 0; i < r->n_header_actions; i++) {
        const struct header_action *a = &r->header_actions[i];
        lines_begin(w, header_action_words[a->kind]);
        lines_raw(w, message_words[a->on_response]);
        lines_word(w, a->name);
        if (a->kind != HEADER_REMOVE)
            lines_field_value(w, a->name, a->value_text);
        lines_end(w);
    }
}

void write_rewrite(struct lines *w, const struct directive *row, const void *target)
{
    const struct route *r = target;

    if (r->rewrite)
        lines_text(w, row->shown.name, r->rewrite_text);
}

void write_rewrite_host(struct lines *w, const struct directive *row, const void *target)
{
    const struct route *r = target;

    if (r->rewrite_host)
        lines_text(w, row->shown.name, r->rewrite_host_text);
}

/* respond and redirect, of which a route has one. */
void write_answer(struct lines *w, const struct directive *row, const void *target)
{
    const struct route *r = target;

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

void write_name(struct lines *w, const struct directive *row, const void *target)
{
    const struct route *r = target;

    if (r->named)
        lines_text(w, row->shown.name, r->template);
}

void write_attributes_of_route(struct lines *w, const struct directive *row, const void *target)
{
    const struct route *r = target;

    lines_attributes(w, r->attributes, r->n_attributes);
}

static void write_pattern(struct lines *w, const struct route *r)
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

static void write_route(struct lines *w, const struct route *r)
{
    lines_begin(w, "route");
    write_pattern(w, r);
    write_block(w, CONTEXT_ROUTE, r);
}

static void write_routes(struct lines *w, struct route *const *routes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        write_route(w, routes[i]);
}

void write_routes_of_direction(struct lines *w, const struct directive *row, const void *target)
{
    const struct direction *d = target;

    write_routes(w, d->routes, d->n_routes);
}

void write_routes_of_host(struct lines *w, const struct directive *row, const void *target)
{
    const struct host *h = target;

    write_routes(w, h->routes, h->n_routes);
}

/* ---- directions ---- */

void write_listens(struct lines *w, const struct directive *row, const void *target)
{
    static const char *const modes[] = {
        [LISTEN_TRANSPARENT] = "transparent", [LISTEN_FORWARD_PROXY] = "forward-proxy"};
    static const char *const carries[] = {
        [CARRIES_HTTP] = "http", [CARRIES_AUTO] = "auto", [CARRIES_TCP] = "tcp"};
    const struct direction *d = target;

    for (size_t i = 0; i < d->n_listens; i++) {
        lines_begin(w, row->shown.name);
        lines_word(w, d->listens[i].location.text);
        if (d->listens[i].mode != LISTEN_PLAIN)
            lines_raw(w, modes[d->listens[i].mode]);
        lines_raw(w, carries[d->listens[i].carries]);
        lines_end(w);
    }
}

void write_unmatched(struct lines *w, const struct directive *row, const void *target)
{
    lines_choice(w, row->shown.name,
                 unmatched_words[((const struct direction *)target)->unmatched]);
}

void write_hosts(struct lines *w, const struct directive *row, const void *target)
{
    const struct direction *d = target;

    for (size_t i = 0; i < d->n_hosts; i++) {
        lines_begin(w, row->shown.name);
        for (size_t j = 0; j < d->hosts[i]->n_names; j++)
            lines_word(w, d->hosts[i]->names[j]);
        write_block(w, CONTEXT_HOST, d->hosts[i]);
    }
}

static void write_direction(struct lines *w, const struct direction *d)
{
    if (!d->present)
        return;
    w->direction = d;
    lines_begin(w, d->kind == DIRECTION_INBOUND ? "inbound" : "outbound");
    lines_open(w);
    write_rows(w, CONTEXT_DIRECTION, ROWS_WITHOUT, d);
    if (d->kind == DIRECTION_INBOUND)
        write_rows(w, CONTEXT_INBOUND, ROWS_WITHOUT, d);
    write_rows(w, CONTEXT_DIRECTION, ROWS_WITH_BLOCK, d);
    lines_close(w);
}

void write_inbound(struct lines *w, const struct directive *row, const void *target)
{
    write_direction(w, &((const struct config *)target)->inbound);
}

void write_outbound(struct lines *w, const struct directive *row, const void *target)
{
    write_direction(w, &((const struct config *)target)->outbound);
}

/* ---- clusters ---- */

void write_endpoints(struct lines *w, const struct directive *row, const void *target)
{
    const struct cluster *c = target;

    for (size_t i = 0; i < c->n_endpoints; i++) {
        lines_begin(w, row->shown.name);
        lines_word(w, c->endpoints[i].location.text);
        lines_raw(w, "weight");
        lines_number(w, c->endpoints[i].weight);
        lines_end(w);
    }
}

void write_balance(struct lines *w, const struct directive *row, const void *target)
{
    lines_choice(w, row->shown.name, balance_words[((const struct cluster *)target)->balance]);
}

void write_protocol(struct lines *w, const struct directive *row, const void *target)
{
    lines_choice(w, row->shown.name, protocol_words[((const struct cluster *)target)->protocol]);
}

static void write_count(struct lines *w, const char *name, uint64_t n)
{
    lines_raw(w, name);
    if (n)
        lines_number(w, n);
    else
        lines_raw(w, "none");
}

void write_pool(struct lines *w, const struct directive *row, const void *target)
{
    const struct cluster *c = target;

    lines_begin(w, row->shown.name);
    write_count(w, "max", c->pool_max);
    lines_raw(w, "queue");
    lines_duration(w, c->pool_queue);
    lines_raw(w, "idle");
    lines_duration(w, c->pool_idle);
    lines_raw(w, "idle-max");
    lines_number(w, c->pool_idle_max);
    write_count(w, "requests", c->pool_requests);
    lines_end(w);
}

static void write_cluster(struct lines *w, const struct cluster *c)
{
    lines_begin(w, "cluster");
    lines_word(w, c->name);
    write_block(w, CONTEXT_CLUSTER, c);
}

void write_clusters(struct lines *w, const struct directive *row, const void *target)
{
    const struct config *c = target;

    for (size_t i = 0; i < c->n_clusters; i++)
        if (!c->clusters[i]->implicit)
            write_cluster(w, c->clusters[i]);
}

/* ---- the process ---- */

void write_limits(struct lines *w, const struct directive *row, const void *target)
{
    lines_begin(w, row->shown.name);
    write_block(w, CONTEXT_LIMITS, &((const struct config *)target)->limits);
}

void write_timeouts(struct lines *w, const struct directive *row, const void *target)
{
    lines_begin(w, row->shown.name);
    write_block(w, CONTEXT_TIMEOUTS, &((const struct config *)target)->timeouts);
}

void write_admin(struct lines *w, const struct directive *row, const void *target)
{
    const struct admin_config *a = &((const struct config *)target)->admin;

    lines_text(w, row->shown.name, a->on ? a->location.text : STR("off"));
}

void write_log_level(struct lines *w, const struct directive *row, const void *target)
{
    lines_choice(w, "log level", log_level_words[((const struct config *)target)->log_level]);
}

void write_log_format(struct lines *w, const struct directive *row, const void *target)
{
    lines_choice(w, "log format", log_format_words[((const struct config *)target)->log_json]);
}

/* ---- all of it ---- */

void config_write(const struct config *c, bool masked, struct buffer *out)
{
    struct lines w = {.out = out, .masked = masked, .masks = &c->masks};

    write_rows(&w, CONTEXT_TOP, ROWS_ALL, c);
}

/* ---- parts ---- */

/* The rows of what a config has more than one of are written by the functions below. */
static bool is_part(const struct directive *row)
{
    return row->in == CONTEXT_TOP && row->write && row->write != write_inbound &&
           row->write != write_outbound && row->write != write_clusters;
}

const char *config_write_part(const struct config *c, size_t i, struct buffer *out)
{
    struct lines w = {.out = out, .masks = &c->masks};
    const char *name = NULL;
    size_t n;
    const struct directive *rows = directive_table(&n);

    for (size_t at = 0; at < n; at++) {
        if (!is_part(&rows[at]))
            continue;
        bool another = at == 0 || strcmp(rows[at].shown.name, rows[at - 1].shown.name) != 0;
        if (name && another)
            break;
        if (!name && another && i-- == 0)
            name = rows[at].shown.name;
        if (name)
            rows[at].write(&w, &rows[at], c);
    }
    return name;
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
    write_route(&(struct lines){.out = out, .masks = &c->masks, .direction = d}, r);
}

void config_write_path(const struct config *c, const struct route *r, struct buffer *out)
{
    write_pattern(&(struct lines){.out = out, .masked = true, .masks = &c->masks}, r);
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
