/*
 * Finding out what a connection speaks. Whoever speaks first decides: the
 * client, and then its first bytes tell; or the server, where the destination
 * is known without a request and was dialled. What a destination spoke is
 * remembered, so that the next connection need not be guessed at.
 */
#include <errno.h>
#include <stdlib.h>

#include "mesh/split.h"
#include "proxy/connect_error.h"
#include "proxy/front_private.h"
#include "proxy/sniff.h"
#include "proxy/tunnel.h"
#include "proxy/upstream.h"

/* How long a client may be silent before its destination is dialled, where that was not done at
 * once. */
#define SILENCE MILLISECONDS(20)
/* How long it may stay silent when that failed: a request may still get an answer that says why. */
#define LAST_WORD MILLISECONDS(200)

struct sniffing {
    struct list link; /* in worker->sniffing */
    struct front *front;
    struct timer timer;
    struct burial burial;
    struct generation *generation; /* a reference */
    struct conn *upstream;         /* dialled; NULL: not */
    /* Where the connection goes without a request: both NULL: nowhere. */
    struct cluster_state *cluster; /* borrowed of the generation */
    struct upstream *endpoint;     /* a reference; of a cluster it is chosen when it is needed */
    bool connected;
    int dial_error;    /* errno; 0: none */
    nsec_t dial_at;    /* the destination is dialled then; 0: not, or done */
    nsec_t dial_until; /* the connection must be there by then; 0: none is being made */
    nsec_t give_up;    /* whoever has not said enough by then is not waited for */
    size_t n;
    char *bytes; /* owned: the first bytes while they do not tell */
};

static const struct conn_owner client_owner, upstream_owner;

/* ---- time ---- */

static void rearm(struct sniffing *s)
{
    nsec_t at = s->give_up;

    if (s->dial_at && s->dial_at < at)
        at = s->dial_at;
    if (s->dial_until && s->dial_until < at)
        at = s->dial_until;
    timer_arm(s->front->worker->timers, &s->timer, at);
}

static nsec_t in(const struct sniffing *s, nsec_t after)
{
    return worker_now(s->front->worker) + after;
}

/* ---- the destination that needs no request ---- */

static void find_destination(struct sniffing *s)
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

static bool has_destination(const struct sniffing *s)
{
    return s->endpoint || (s->cluster && s->cluster->n);
}

/* Not before it is needed: each choice counts when a cluster's endpoints take turns. */
static bool choose_endpoint(struct sniffing *s)
{
    size_t index;

    if (!s->endpoint && s->cluster) {
        struct upstream *u = cluster_choose(s->cluster, NULL, &index);

        s->endpoint = u ? upstream_ref(u) : NULL;
    }
    return s->endpoint != NULL;
}

/* What was heard of the destination; NULL: there is none. */
static uint8_t *speaks(struct sniffing *s)
{
    return s->cluster ? &s->cluster->speaks : s->endpoint ? &s->endpoint->speaks : NULL;
}

static void heard(struct sniffing *s, enum speaks who)
{
    uint8_t *at = speaks(s);

    if (at)
        *at = (uint8_t)who;
}

/* ---- the end of it ---- */

static void free_sniffing(struct burial *b)
{
    struct sniffing *s = container_of(b, struct sniffing, burial);

    generation_unref(s->generation);
    free(s->bytes);
    free(s);
}

static void sniffing_end(struct sniffing *s)
{
    s->front->sniffing = NULL;
    list_remove(&s->link);
    timer_release(&s->timer);
    upstream_unref(s->endpoint);
    worker_bury(s->front->worker, &s->burial, free_sniffing);
}

static void close_upstream(struct sniffing *s)
{
    if (!s->upstream)
        return;
    conn_close(s->upstream);
    s->upstream = NULL;
    metrics_add(s->front->worker->metrics, COUNT_UPSTREAM_OPEN, -1);
}

static void close_both(struct sniffing *s, bool reset)
{
    struct front *f = s->front;

    close_upstream(s);
    if (reset)
        conn_reset(f->conn);
    else
        conn_close(f->conn);
    sniffing_end(s);
    front_end(f);
}

void front_sniff_cut(struct list *link)
{
    close_both(container_of(link, struct sniffing, link), true);
}

/* ---- a tunnel ---- */

static bool begin_span(struct sniffing *s, struct span *span)
{
    struct front *f = s->front;
    struct worker *w = f->worker;
    struct trace_context context;
    bool inbound = f->direction == DIRECTION_INBOUND;
    bool sampled;

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
static void fail(struct sniffing *s, enum span_error why)
{
    struct worker *w = s->front->worker;
    struct span span;

    if (begin_span(s, &span)) {
        span.error = (uint8_t)why;
        span_feed_push(w->spans, &span);
    }
    close_both(s, true);
}

static struct series *series_of(struct sniffing *s)
{
    if (s->cluster)
        return s->cluster->series[s->front->direction];
    return metrics_series(s->front->worker->metrics, s->front->direction, s->endpoint->cluster);
}

static void to_tunnel(struct sniffing *s, struct str from_client, struct str from_upstream)
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

    if (!choose_endpoint(s)) {
        fail(s, s->cluster ? SPAN_ERROR_NO_ENDPOINT : SPAN_ERROR_NO_ROUTE);
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
    sniffing_end(s);
    front_end(f);
}

/* ---- what the client says ---- */

static void to_http(struct sniffing *s, char *data, size_t n)
{
    struct front *f = s->front;

    heard(s, SPEAKS_CLIENT_FIRST);
    if (s->upstream) {
        metrics_add(f->worker->metrics, COUNT_UPSTREAM_OPEN, -1); /* the pool counts its own */
        upstream_donate(s->endpoint, s->upstream);
        s->upstream = NULL;
    }
    sniffing_end(s);
    front_http(f, data, n);
}

static void decide(struct sniffing *s, char *data, size_t n)
{
    enum sniffed what = sniff(str_of(data, n));

    switch (what) {
    case SNIFF_MORE:
        if (data != s->bytes) {
            free(s->bytes);
            s->bytes = malloc(n);
            if (!s->bytes) {
                close_both(s, true);
                return;
            }
            memcpy(s->bytes, data, n);
            s->n = n;
            /* A first word that trickles is a head that trickles. */
            s->give_up = in(s, worker_config(s->front->worker)->timeouts.header);
            rearm(s);
        }
        return;
    case SNIFF_HTTP1:
        to_http(s, data, n);
        return;
    case SNIFF_HTTP2:
        if (!has_destination(s)) { /* it is answered in a way that says what is spoken here */
            to_http(s, data, n);
            return;
        }
        /* fall through */
    case SNIFF_TLS:
    case SNIFF_OTHER:
        heard(s, SPEAKS_CLIENT_FIRST);
        to_tunnel(s, str_of(data, n), (struct str){0});
        return;
    }
}

static void client_on_read(struct conn *c, char *data, size_t n)
{
    struct sniffing *s = c->owner_data;
    char *more;

    if (!s->n) {
        decide(s, data, n);
        return;
    }
    more = realloc(s->bytes, s->n + n);
    if (!more) {
        close_both(s, true);
        return;
    }
    memcpy(more + s->n, data, n);
    s->bytes = more;
    s->n += n;
    decide(s, s->bytes, s->n);
}

static void client_on_eof(struct conn *c)
{
    struct sniffing *s = c->owner_data;

    /* Silent, or a word nobody knows: the destination may know what to make of it. */
    if (has_destination(s) && s->n)
        to_tunnel(s, str_of(s->bytes, s->n), (struct str){0});
    else
        close_both(s, false);
}

static void client_on_error(struct conn *c, int error)
{
    close_both(c->owner_data, false);
}

static void nothing(struct conn *c)
{
}

static const struct conn_owner client_owner = {client_on_read, client_on_eof, nothing, nothing,
                                               client_on_error};

/* ---- what the destination says ---- */

static void dial_failed(struct sniffing *s, int error)
{
    struct worker *w = s->front->worker;

    s->dial_error = error;
    s->dial_until = 0;
    metrics_add(w->metrics, COUNT_UPSTREAM_CONNECT_FAILED, 1);
    if (!s->n)
        s->give_up = in(s, LAST_WORD);
    rearm(s);
}

static void dial(struct sniffing *s)
{
    struct worker *w = s->front->worker;
    int error;

    if (!choose_endpoint(s)) {
        dial_failed(s, EHOSTUNREACH);
        return;
    }
    if (front_is_loop(s->front, worker_config(w), &s->endpoint->address)) {
        metrics_add(w->metrics, COUNT_LOOPS, 1);
        fail(s, SPAN_ERROR_LOOP);
        return;
    }
    s->upstream = conn_connect(w, &s->endpoint->address, &upstream_owner, s, &error);
    if (!s->upstream) {
        dial_failed(s, error);
        return;
    }
    metrics_add(w->metrics, COUNT_UPSTREAM_OPEN, 1);
    s->dial_until = in(s, s->endpoint->pool.connect_timeout);
    rearm(s);
}

static void upstream_on_read(struct conn *c, char *data, size_t n)
{
    struct sniffing *s = c->owner_data;

    heard(s, SPEAKS_SERVER_FIRST);
    to_tunnel(s, str_of(s->bytes, s->n), str_of(data, n));
}

static void upstream_on_eof(struct conn *c)
{
    struct sniffing *s = c->owner_data;

    to_tunnel(s, str_of(s->bytes, s->n), (struct str){0});
}

static void upstream_on_connected(struct conn *c)
{
    struct sniffing *s = c->owner_data;

    s->connected = true;
    metrics_add(c->worker->metrics, COUNT_UPSTREAM_CONNECTS, 1);
    s->dial_until = 0;
    rearm(s);
    conn_read(c, true);
}

static void upstream_on_error(struct conn *c, int error)
{
    struct sniffing *s = c->owner_data;

    close_upstream(s);
    s->connected = false;
    dial_failed(s, error);
}

static const struct conn_owner upstream_owner = {upstream_on_read, upstream_on_eof, nothing,
                                                 upstream_on_connected, upstream_on_error};

/* ---- silence ---- */

/* Nothing came that tells, for as long as is waited for it. */
static void give_up(struct sniffing *s)
{
    bool partial = s->n > 0;

    if (s->dial_error && !partial) {
        fail(s, connect_error(s->dial_error));
        return;
    }
    metrics_add(s->front->worker->metrics, partial ? COUNT_HEADER_TIMEOUTS : COUNT_IDLE_TIMEOUTS,
                1);
    close_both(s, false);
}

static void on_timer(struct timer *t)
{
    struct sniffing *s = container_of(t, struct sniffing, timer);
    nsec_t now = worker_now(s->front->worker);

    if (now >= s->give_up) {
        give_up(s);
    } else if (s->dial_until && now >= s->dial_until) {
        close_upstream(s);
        dial_failed(s, ETIMEDOUT);
    } else if (s->dial_at && now >= s->dial_at) {
        s->dial_at = 0;
        dial(s);
    } else {
        rearm(s);
    }
}

/* When the destination is dialled though its client has said nothing. */
static nsec_t silence(struct sniffing *s)
{
    uint8_t known = *speaks(s);
    bool needs_request = front_rules(s->front, s->generation->config)->needs_request;

    if (known == SPEAKS_SERVER_FIRST || (known == SPEAKS_UNKNOWN && !needs_request))
        return 0; /* at once: after a look at what is there */
    return SILENCE;
}

void front_sniff(struct front *f, int fd, const struct address *peer)
{
    struct worker *w = f->worker;
    struct sniffing *s = calloc(1, sizeof *s);
    nsec_t idle = worker_config(w)->timeouts.idle;

    f->conn = conn_accepted(w, fd, peer, &client_owner, s);
    if (!s || !f->conn) {
        if (f->conn)
            conn_close(f->conn);
        f->conn = NULL;
        free(s);
        return;
    }
    s->front = f;
    s->generation = generation_ref(w->generation);
    f->sniffing = s;
    list_init(&s->link);
    list_push_back(&w->sniffing, &s->link);
    timer_init(&s->timer, on_timer);
    find_destination(s);
    conn_read(f->conn, true);
    if (has_destination(s))
        s->dial_at = in(s, silence(s));
    s->give_up = in(s, idle ? idle : SECONDS(3600));
    rearm(s);
}
