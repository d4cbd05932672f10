/*
 * Where a connection goes whose first request is not waited for, and how it
 * becomes a tunnel there.
 */
#include "proxy/front_private.h"
#include "proxy/tunnel.h"
#include "proxy/upstream.h"

/* ---- the destination that needs no request ---- */

void sniffing_find_destination(struct sniffing *s)
{
    struct front *f = s->front;
    const struct direction *d = front_rules(f, s->generation->config);

    if (f->original.family) {
        if (d->unmatched == UNMATCHED_PASS || d->n_routes == 0)
            s->endpoint = upstream_original(f->worker->upstreams, &f->original);
        return;
    }
    if (f->mode == LISTEN_FORWARD_PROXY || d->n_routes == 0)
        return;
    /* A listener with a port of its own: the last route, if it takes everything. */
    const struct route *r = d->routes[d->n_routes - 1];

    if (r->action == ACTION_FORWARD && r->n_matches == 0 && r->n_targets == 1 &&
        r->targets[0].kind == TARGET_CLUSTER && str_eq(r->text, STR("/")))
        s->cluster = s->generation->clusters[r->targets[0].cluster->index];
}

bool sniffing_has_destination(const struct sniffing *s)
{
    return s->endpoint || (s->cluster && s->cluster->n);
}

/* Not before it is needed: each choice counts when a cluster's endpoints take turns. */
bool sniffing_choose(struct sniffing *s)
{
    size_t index;

    if (!s->endpoint && s->cluster) {
        struct upstream *u = cluster_choose(s->cluster, NULL, &index);

        s->endpoint = u ? upstream_ref(u) : NULL;
    }
    return s->endpoint != NULL;
}

/* What was heard of the destination; NULL: there is none. */
uint8_t *sniffing_speaks(struct sniffing *s)
{
    return s->cluster ? &s->cluster->speaks : s->endpoint ? &s->endpoint->speaks : NULL;
}

/* ---- a tunnel ---- */

static bool begin_span(struct sniffing *s, struct span *span)
{
    struct front *f = s->front;
    struct worker *w = f->worker;
    struct trace_context context;
    bool inbound = f->direction == DIRECTION_INBOUND;
    bool sampled;

    if (s->inside) {
        *span = *s->inside->span;
        return s->inside->sampled;
    }
    span_init(span, inbound ? SPAN_SERVER : SPAN_CLIENT, SPAN_TCP);
    trace_context_start(&context, &w->random);
    sampled = w->generation->recording &&
              sampler_decide(&w->generation->sampler, NULL, &context.trace_id);
    span->trace_id = context.trace_id;
    span->span_id = context.span_id;
    span->flags = (uint8_t)(context.flags | (sampled ? TRACE_FLAG_SAMPLED : 0));
    span->start = worker_wall(w);
    span->peer = inbound || !s->endpoint ? f->conn->peer : s->endpoint->address;
    span->client = f->conn->peer;
    span->text[SPAN_CLUSTER] = s->endpoint ? s->endpoint->cluster : (struct str){0};
    return sampled;
}

/* It goes nowhere: there is a span that says why. */
void sniffing_fail(struct sniffing *s, enum span_error why)
{
    struct worker *w = s->front->worker;
    struct span span;

    if (s->inside) {
        inside_tell(s, why);
        sniffing_close(s, true);
        return;
    }
    metrics_ended(w->metrics, s->front->direction, why);
    if (begin_span(s, &span)) {
        span.error = (uint8_t)why;
        span_feed_push(w->spans, &span);
    }
    sniffing_close(s, true);
}

static struct series *series_of(struct sniffing *s)
{
    if (s->inside)
        return s->inside->series;
    if (s->cluster)
        return s->cluster->series[s->front->direction];
    return metrics_series(s->front->worker->metrics, s->front->direction, s->endpoint->cluster);
}

void sniffing_to_tunnel(struct sniffing *s, struct str from_client, struct str from_upstream)
{
    struct front *f = s->front;
    struct worker *w = f->worker;
    struct tunnel_setup setup = {
        .worker = w,
        .direction = f->direction,
        .client = f->conn,
        .upstream = s->upstream,
        .idle = worker_config(w)->timeouts.tunnel_idle,
        .from_client = from_client,
        .from_upstream = from_upstream,
    };
    struct span span;

    if (s->inside && !s->endpoint) {
        sniffing_fail(s, s->inside->otherwise);
        return;
    }
    if (!sniffing_choose(s)) {
        sniffing_fail(s, s->cluster ? SPAN_ERROR_NO_ENDPOINT : SPAN_ERROR_NO_ROUTE);
        return;
    }
    if (!s->upstream && front_is_loop(f, s->generation->config, &s->endpoint->address)) {
        metrics_add(w->metrics, COUNT_LOOPS, 1);
        sniffing_fail(s, SPAN_ERROR_LOOP);
        return;
    }
    if (s->upstream && !s->connected) /* the tunnel counts it when it is there */
        metrics_add(w->metrics, COUNT_UPSTREAM_OPEN, -1);
    setup.upstream = s->upstream;
    setup.to = s->endpoint->address;
    setup.connect_timeout = s->endpoint->pool.connect_timeout;
    setup.sampled = begin_span(s, &span);
    setup.span = &span;
    setup.series = series_of(s);
    front_count(w, f->direction, 1); /* the tunnel takes the connection's place */
    tunnel_start(&setup);
    if (s->inside)
        s->inside->told = true;
    sniffing_end(s);
    front_end(f);
}
