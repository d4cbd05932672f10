/*
 * Where a connection goes whose first request is not waited for, and how it
 * becomes a tunnel there.
 */
#include <stdio.h>
#include <sys/socket.h>

#include "mesh/route.h"
#include "proxy/ending.h"
#include "proxy/fault_switch.h"
#include "proxy/front_private.h"
#include "proxy/metrics_tcp.h"
#include "proxy/tunnel.h"
#include "proxy/upstream.h"

enum { HOST_TEXT_MAX = 300 };

/* ---- the destination that needs no request ---- */

/* A fault that is silenced refuses nothing. */
static enum bars bars_now(void)
{
    return faults_are_off() ? BARS_BUT_FAULTS : BARS_ALL;
}

/* The rule for that host which opaque bytes would step over. */
static const struct route *rule_of_host(const struct direction *d, struct str host, uint16_t port)
{
    char text[HOST_TEXT_MAX];
    int n = snprintf(text, sizeof text, "%.*s:%u", STR_ARG(host), port);
    const struct host *h = n > 0 && (size_t)n < sizeof text
                               ? host_table_find(d->table, str_of(text, (size_t)n))
                               : NULL;

    return h ? h->refusing[bars_now()] : NULL;
}

/* The same for all that goes where this connection goes. A route of a host concerns whoever may be
 * asked for under that name: inbound that is the service itself, outbound the destination, as far
 * as its address is written as the host's name. */
static const struct route *rule_over(const struct front *f, const struct direction *d)
{
    char ip[ADDRESS_TEXT_MAX], text[HOST_TEXT_MAX];
    enum bars which = bars_now();

    if (!f->original.family || d->kind == DIRECTION_INBOUND)
        return d->refusing[which];
    if (d->refusing_all[which] || !d->refusing[which])
        return d->refusing_all[which];
    address_format_ip(&f->original, ip);
    snprintf(text, sizeof text, f->original.family == AF_INET6 ? "[%s]" : "%s", ip);
    return rule_of_host(d, str_from(text), f->original.port);
}

void sniffing_find_destination(struct sniffing *s)
{
    struct front *f = s->front;
    const struct direction *d = front_rules(f, s->generation->config);

    if (f->carries == CARRIES_HTTP || f->mode == LISTEN_FORWARD_PROXY)
        return;
    if (f->original.family) {
        if (d->unmatched == UNMATCHED_PASS)
            s->endpoint = upstream_original(f->worker->upstreams, &f->original);
    } else if (d->opaque) {
        s->cluster = s->generation->clusters[d->opaque->targets[0].cluster->index];
    }
    if (f->carries == CARRIES_AUTO)
        s->under = rule_over(f, d);
}

bool sniffing_may_pass(const struct sniffing *s)
{
    return sniffing_has_destination(s) && !s->under;
}

bool sniffing_needs_name(struct sniffing *s, struct str first)
{
    const struct direction *d = front_rules(s->front, s->generation->config);
    struct str name;
    bool more;

    /* Only there is a rule for some hosts one for some destinations. */
    if (s->under || !s->front->original.family || d->kind != DIRECTION_OUTBOUND ||
        !d->refusing[bars_now()])
        return false;
    name = sniff_sni(first, &more);
    if (name.n)
        s->under = rule_of_host(d, name, s->front->original.port);
    return more;
}

bool sniffing_has_destination(const struct sniffing *s)
{
    return s->endpoint || (s->cluster && s->cluster->n);
}

/* Of the trace that a tunnel begins: known before its span is, since it may choose the endpoint. */
static const struct trace_id *trace_of(struct sniffing *s)
{
    struct trace_context context;

    if (trace_id_is_zero(&s->trace_id)) {
        trace_context_start(&context, &s->front->worker->loop.random);
        s->trace_id = context.trace_id;
    }
    return &s->trace_id;
}

/* Not before it is needed: each choice counts when a cluster's endpoints take turns. */
bool sniffing_choose(struct sniffing *s)
{
    if (!s->endpoint && s->cluster) {
        struct upstream *u = cluster_choose(s->cluster, NULL, trace_of(s));

        s->endpoint = u ? upstream_ref(u) : NULL;
    }
    return s->endpoint != NULL;
}

bool sniffing_leads_back(const struct sniffing *s)
{
    const struct config *c = worker_config(s->front->worker);
    const struct address *to = &s->endpoint->address;

    return s->cluster ? front_is_loop(s->front, c, to) : front_bars(s->front, c, to) != NULL;
}

/* What was heard of the destination; NULL: there is none. */
uint8_t *sniffing_speaks(struct sniffing *s)
{
    return s->cluster ? &s->cluster->speaks : s->endpoint ? &s->endpoint->speaks : NULL;
}

/* ---- a tunnel ---- */

/* Where the client connected to: the port says which service. */
static struct address wanted(const struct front *f)
{
    struct sockaddr_storage sa;
    socklen_t len = sizeof sa;
    struct address own = {0};

    if (f->original.family)
        return f->original;
    if (getsockname(f->conn->fd, (struct sockaddr *)&sa, &len) == 0 &&
        address_from_sockaddr((struct sockaddr *)&sa, len, &own) && own.family != AF_UNIX)
        return own;
    return (struct address){0};
}

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
    trace_context_start(&context, &w->loop.random);
    context.trace_id = *trace_of(s);
    sampled = w->generation->exporting &&
              sampler_decide(&w->generation->sampler, NULL, &context.trace_id);
    span->trace_id = context.trace_id;
    span->span_id = context.span_id;
    span->flags = (uint8_t)(context.flags | (sampled ? TRACE_FLAG_SAMPLED : 0));
    span->start = f->accepted + w->loop.wall_offset;
    span->phase[PHASE_HEAD] = s->dialled ? s->dialled - f->accepted : -1;
    span->phase[PHASE_CONNECTED] = s->connected ? s->connected_at - f->accepted : -1;
    if (inbound && sampled)
        span->local = wanted(f);
    span->peer = inbound || !s->endpoint ? f->conn->peer : s->endpoint->address;
    span->text[SPAN_CLUSTER] = s->endpoint ? s->endpoint->cluster : (struct str){0};
    return sampled;
}

static struct series *series_of(struct sniffing *s)
{
    if (s->inside)
        return s->inside->series;
    if (s->cluster)
        return s->cluster->series[s->front->direction];
    return metrics_series(s->front->worker->metrics, s->front->direction, s->endpoint->cluster);
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
    if (s->cluster || s->endpoint)
        series_record_tcp(series_of(s), span_error_row(why)->by,
                          loop_now(&w->loop) - s->front->accepted, s->n, 0);
    ending_log(w,
               &(struct ending){.why = why,
                                .area = "tunnel",
                                .trace = trace_of(s),
                                .from = &s->front->conn->peer,
                                .to = s->endpoint ? &s->endpoint->address : &s->front->original});
    if (begin_span(s, &span)) {
        span.error = (uint8_t)why;
        span.duration = loop_now(&w->loop) - s->front->accepted;
        span_feed_push(w->spans, &span);
    }
    sniffing_close(s, true);
}

/* A server that speaks first, where a rule forbids what is not HTTP: nothing has been asked, so
 * nothing can be answered. */
static void refuse_silent(struct sniffing *s, const struct refusal *why)
{
    struct worker *w = s->front->worker;
    char peer[ADDRESS_TEXT_MAX], others[LOG_HELD_TEXT];
    unsigned held;
    struct span span;

    metrics_ended(w->metrics, s->front->direction, SPAN_ERROR_REQUEST);
    metrics_refused(w->metrics, why->rule);
    if (log_limit_allow(&w->refused_log, 10, loop_now(&w->loop), &held)) {
        address_format(&s->front->conn->peer, peer);
        log_write(LOG_WARN, "front", "refused a connection of %s: rule %s: %s%s", peer, why->rule,
                  why->cure, log_held_text(held, others));
    }
    if (begin_span(s, &span)) {
        span.error = SPAN_ERROR_REQUEST;
        span.text[SPAN_RULE] = str_from(why->rule);
        span.duration = loop_now(&w->loop) - s->front->accepted;
        span_feed_push(w->spans, &span);
    }
    sniffing_close(s, true);
}

void sniffing_refuse(struct sniffing *s, enum sniffed what)
{
    static const struct refusal not_http = {
        "not-http", 400,
        "this listener carries HTTP alone: listen ADDRESS tcp, or auto, carries more"};
    static const struct refusal tls = {
        "tls", 400,
        "this listener carries HTTP without TLS: listen ADDRESS tcp, or auto, passes TLS on"};
    static const struct refusal under_rule = {
        "not-http-under-a-rule", 400,
        "a route could refuse it if it were HTTP, so nothing else passes: sidespan check names "
        "the route; listen ADDRESS tcp passes everything"};
    const struct refusal *why = s->under ? &under_rule : what == SNIFF_TLS ? &tls : &not_http;
    struct front *f = s->front;

    if (!s->n && f->conn->received_bytes == 0) {
        refuse_silent(s, why);
        return;
    }
    sniffing_close_upstream(s);
    sniffing_end(s);
    front_refuse(f, why);
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
        .half_closed = worker_config(w)->timeouts.tunnel_half_closed,
        .from_client = from_client,
        .from_upstream = from_upstream,
    };
    struct span span;

    if (s->inside && !s->endpoint) {
        sniffing_fail(s, s->inside->otherwise);
        return;
    }
    if (!sniffing_choose(s)) {
        sniffing_fail(s, !s->cluster              ? SPAN_ERROR_NO_ROUTE
                         : s->cluster->set->error ? SPAN_ERROR_DNS
                                                  : SPAN_ERROR_NO_ENDPOINT);
        return;
    }
    if (!s->upstream && sniffing_leads_back(s)) {
        metrics_add(w->metrics, COUNT_LOOPS, 1);
        sniffing_fail(s, SPAN_ERROR_LOOP);
        return;
    }
    if (s->upstream && !s->connected) /* the tunnel counts it when it is there */
        metrics_add(w->metrics, COUNT_UPSTREAM_OPEN, -1);
    setup.upstream = s->upstream;
    setup.from =
        (struct race_from){.cluster = s->cluster,
                           .first = s->endpoint,
                           .own = s->cluster ? front_rules(f, s->generation->config) : NULL,
                           .key = *trace_of(s),
                           .timeout = s->endpoint->pool.connect_timeout};
    setup.generation = s->generation;
    setup.sampled = begin_span(s, &span);
    setup.span = &span;
    setup.series = series_of(s);
    setup.began = s->inside ? loop_now(&w->loop) : f->accepted;
    if (s->inside && s->inside->requests)
        series_record(s->inside->requests, span.status, s->inside->answered, 0, 0);
    front_count(w, f->direction, 1); /* the tunnel takes the connection's place */
    tunnel_start(&setup);
    if (s->inside)
        s->inside->told = true;
    sniffing_end(s);
    front_end(f);
}
