/*
 * Finding out what a connection speaks. Whoever speaks first decides: the
 * client, and then its first bytes tell; or the server, where the destination
 * is known without a request and was dialled. What a destination spoke is
 * remembered, so that the next connection need not be guessed at.
 */
#include <errno.h>
#include <stdlib.h>

#include "proxy/connect_error.h"
#include "proxy/front_inside.h"
#include "proxy/front_private.h"
#include "proxy/http1.h"
#include "proxy/sniff.h"
#include "proxy/tunnel.h"
#include "proxy/upstream.h"

/* How long a client may be silent before its destination is dialled, where that was not done at
 * once. */
#define SILENCE MILLISECONDS(20)
/* How long it may stay silent when that failed: a request may still get an answer that says why. */
#define LAST_WORD MILLISECONDS(200)
/* How long is waited for the rest of a first line which may be a word of another protocol that ends
 * with none. */
#define GRACE MILLISECONDS(200)

/* A client that says nothing may wait for its server to speak first, or be one of many who are
 * there to take up room: each that is dialled for costs the service a connection. */
enum { EARLY_MAX = 256 };
/* And those who come after them are looked at again. */
#define EARLY_AGAIN SECONDS(1)

static const struct conn_owner client_owner, upstream_owner;

/* ---- time ---- */

static void rearm(struct sniffing *s)
{
    nsec_t at = s->give_up;

    if (s->dial_at && s->dial_at < at)
        at = s->dial_at;
    if (s->dial_until && s->dial_until < at)
        at = s->dial_until;
    if (s->pass_at && s->pass_at < at)
        at = s->pass_at;
    if (at == TIMER_NEVER)
        timer_disarm(&s->timer);
    else
        timer_arm(s->front->worker->loop.timers, &s->timer, at);
}

static nsec_t in(const struct sniffing *s, nsec_t after)
{
    return loop_now(&s->front->worker->loop) + after;
}

static void heard(struct sniffing *s, enum speaks who)
{
    uint8_t *at = sniffing_speaks(s);

    if (at)
        *at = (uint8_t)who;
}

/* ---- the end of it ---- */

static void free_sniffing(struct burial *b)
{
    struct sniffing *s = container_of(b, struct sniffing, burial);

    generation_unref(s->generation);
    inside_free(s->inside);
    free(s->bytes);
    free(s);
}

void sniffing_end(struct sniffing *s)
{
    s->front->sniffing = NULL;
    list_remove(&s->link);
    timer_release(&s->timer);
    upstream_unref(s->endpoint);
    s->front->worker->early -= s->early;
    loop_bury(&s->front->worker->loop, &s->burial, free_sniffing);
}

void sniffing_close_upstream(struct sniffing *s)
{
    if (!s->upstream)
        return;
    conn_close(s->upstream);
    s->upstream = NULL;
    s->connected = false;
    metrics_add(s->front->worker->metrics, COUNT_UPSTREAM_OPEN, -1);
}

void sniffing_close(struct sniffing *s, bool reset)
{
    struct front *f = s->front;

    if (s->inside && !s->inside->told)
        inside_tell(s, SPAN_ERROR_CANCELLED);
    sniffing_close_upstream(s);
    if (reset)
        conn_reset(f->conn);
    else
        conn_close(f->conn);
    sniffing_end(s);
    front_end(f);
}

void front_sniff_cut(struct list *link)
{
    sniffing_close(container_of(link, struct sniffing, link), true);
}

/* ---- what the client says ---- */

static void to_http(struct sniffing *s, char *data, size_t n, bool http2)
{
    struct front *f = s->front;

    heard(s, SPEAKS_CLIENT_FIRST);
    if (s->upstream) {
        metrics_add(f->worker->metrics, COUNT_UPSTREAM_OPEN, -1); /* the pool counts its own */
        upstream_donate(s->endpoint, s->upstream, http2);
        s->upstream = NULL;
    }
    sniffing_end(s);
    if (http2)
        front_http2(f, data, n);
    else
        front_http(f, data, n);
}

/* They do not tell yet. A first line that trickles is a head that trickles. */
static void keep(struct sniffing *s, char *data, size_t n, bool waits)
{
    if (!s->n) {
        s->bytes = malloc(n);
        if (!s->bytes) {
            sniffing_close(s, true);
            return;
        }
        memcpy(s->bytes, data, n);
        s->n = n;
        s->give_up = in(s, worker_config(s->front->worker)->timeouts.header);
    }
    s->pass_at = waits || !sniffing_may_pass(s) ? 0 : in(s, GRACE);
    rearm(s);
}

static void not_http(struct sniffing *s, struct str first, enum sniffed what)
{
    heard(s, SPEAKS_CLIENT_FIRST);
    if (sniffing_may_pass(s) || s->inside) /* the CONNECT says why not */
        sniffing_to_tunnel(s, first, (struct str){0});
    else
        sniffing_refuse(s, what);
}

static void decide(struct sniffing *s, char *data, size_t n)
{
    struct str first = str_of(data, n);
    enum sniffed what = sniff(first);

    /* A CONNECT inside a CONNECT is for another proxy. */
    if (s->inside && str_starts(first, STR("CONNECT ")))
        what = SNIFF_OTHER;
    switch (what) {
    case SNIFF_MORE:
        keep(s, data, n, sniff_begins_http(first));
        return;
    case SNIFF_HTTP1:
        to_http(s, data, n, false);
        return;
    case SNIFF_HTTP2:
        to_http(s, data, n, true);
        return;
    case SNIFF_TLS:
        if (sniffing_needs_name(s, first))
            keep(s, data, n, true);
        else
            not_http(s, first, what);
        return;
    case SNIFF_OTHER:
        not_http(s, first, what);
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
        sniffing_close(s, true);
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

    /* A word nobody knows: the destination may know what to make of it. */
    if (s->n || s->inside)
        not_http(s, str_of(s->bytes, s->n), SNIFF_OTHER);
    else
        sniffing_close(s, false);
}

static void client_on_error(struct conn *c, int error)
{
    sniffing_close(c->owner_data, false);
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

/* It has said nothing, and neither have so many others. */
static bool is_too_early(struct sniffing *s)
{
    if (s->n || s->front->worker->early < EARLY_MAX)
        return false;
    s->dial_at = in(s, EARLY_AGAIN);
    rearm(s);
    return true;
}

static void dial(struct sniffing *s)
{
    struct worker *w = s->front->worker;
    int error;

    if (is_too_early(s))
        return;
    if (!sniffing_choose(s)) {
        dial_failed(s, EHOSTUNREACH);
        return;
    }
    if (sniffing_leads_back(s)) {
        metrics_add(w->metrics, COUNT_LOOPS, 1);
        sniffing_fail(s, SPAN_ERROR_LOOP);
        return;
    }
    s->dialled = loop_now(&w->loop);
    s->upstream = conn_connect(&w->loop, &s->endpoint->address, &upstream_owner, s, &error);
    if (!s->upstream) {
        dial_failed(s, error);
        return;
    }
    metrics_add(w->metrics, COUNT_UPSTREAM_OPEN, 1);
    if (!s->n && !s->early) {
        s->early = true;
        w->early++;
    }
    if (s->endpoint->pool.connect_timeout)
        s->dial_until = in(s, s->endpoint->pool.connect_timeout);
    rearm(s);
}

static void upstream_on_read(struct conn *c, char *data, size_t n)
{
    struct sniffing *s = c->owner_data;

    if (sniff_http2_server(str_of(data, n))) { /* not a word that a client waits for */
        heard(s, SPEAKS_CLIENT_FIRST);
        sniffing_close_upstream(s);
        return;
    }
    heard(s, SPEAKS_SERVER_FIRST);
    if (sniffing_may_pass(s))
        sniffing_to_tunnel(s, str_of(s->bytes, s->n), str_of(data, n));
    else
        sniffing_refuse(s, SNIFF_OTHER);
}

static void upstream_on_eof(struct conn *c)
{
    struct sniffing *s = c->owner_data;

    if (sniffing_may_pass(s))
        sniffing_to_tunnel(s, str_of(s->bytes, s->n), (struct str){0});
    else
        sniffing_close_upstream(s); /* a request will find out by itself */
}

static void upstream_on_connected(struct conn *c)
{
    struct sniffing *s = c->owner_data;

    s->connected = true;
    s->connected_at = loop_now(c->loop);
    metrics_add(s->front->worker->metrics, COUNT_UPSTREAM_CONNECTS, 1);
    s->dial_until = 0;
    rearm(s);
    conn_read(c, true);
}

static void upstream_on_error(struct conn *c, int error)
{
    struct sniffing *s = c->owner_data;

    sniffing_close_upstream(s);
    if (s->inside)
        sniffing_fail(s, SPAN_ERROR_RESET);
    else
        dial_failed(s, error);
}

static const struct conn_owner upstream_owner = {upstream_on_read, upstream_on_eof, nothing,
                                                 upstream_on_connected, upstream_on_error};

/* ---- silence ---- */

/* Nothing came that tells, for as long as is waited for it. */
static void give_up(struct sniffing *s)
{
    struct front *f = s->front;

    if (s->inside && s->n) {
        sniffing_to_tunnel(s, str_of(s->bytes, s->n), (struct str){0});
        return;
    }
    if (s->inside) {
        metrics_add(f->worker->metrics, COUNT_IDLE_TIMEOUTS, 1);
        sniffing_fail(s, SPAN_ERROR_IDLE);
        return;
    }
    if (s->n) {
        metrics_add(f->worker->metrics, COUNT_HEADER_TIMEOUTS, 1);
        sniffing_close_upstream(s);
        sniffing_end(s);
        front_refuse(f, &refusal_head_timeout);
        return;
    }
    if (s->dial_error) {
        sniffing_fail(s, connect_error(s->dial_error));
        return;
    }
    metrics_add(f->worker->metrics, COUNT_IDLE_TIMEOUTS, 1);
    sniffing_close(s, false);
}

static void on_timer(struct timer *t)
{
    struct sniffing *s = container_of(t, struct sniffing, timer);
    nsec_t now = loop_now(&s->front->worker->loop);

    if (now >= s->give_up) {
        give_up(s);
    } else if (s->pass_at && now >= s->pass_at) {
        not_http(s, str_of(s->bytes, s->n), SNIFF_OTHER);
    } else if (s->dial_until && now >= s->dial_until) {
        sniffing_close_upstream(s);
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
    uint8_t known = *sniffing_speaks(s);
    bool needs_request = front_rules(s->front, s->generation->config)->needs_request;

    if (known == SPEAKS_SERVER_FIRST || (known == SPEAKS_UNKNOWN && !needs_request))
        return 0; /* at once: after a look at what is there */
    return SILENCE;
}

/* NULL: no memory. */
static struct sniffing *sniffing_new(struct front *f)
{
    struct worker *w = f->worker;
    struct sniffing *s = calloc(1, sizeof *s);

    if (!s)
        return NULL;
    s->front = f;
    s->generation = generation_ref(w->generation);
    f->sniffing = s;
    list_init(&s->link);
    list_push_back(&w->sniffing, &s->link);
    timer_init(&s->timer, on_timer);
    return s;
}

void front_sniff(struct front *f, int fd, const struct address *peer)
{
    struct worker *w = f->worker;
    struct sniffing *s;
    nsec_t idle = worker_config(w)->timeouts.idle;

    f->conn = conn_accepted(&w->loop, fd, peer, &client_owner, NULL);
    if (!f->conn)
        return;
    if (!(s = sniffing_new(f))) {
        conn_close(f->conn);
        f->conn = NULL;
        return;
    }
    f->conn->owner_data = s;
    sniffing_find_destination(s);
    s->give_up = in(s, idle ? idle : SECONDS(3600));
}

void front_sniff_begin(struct front *f)
{
    struct sniffing *s = f->sniffing;

    if (f->carries == CARRIES_TCP) {
        sniffing_to_tunnel(s, (struct str){0}, (struct str){0});
        return;
    }
    conn_read(f->conn, true);
    if (sniffing_has_destination(s))
        s->dial_at = in(s, silence(s));
    rearm(s);
    conn_read_now(f->conn); /* a client that speaks first has often spoken already */
}

/* ---- inside a CONNECT ---- */

/* What both sides said before they were ours is told now. */
static void go_on_inside(struct sniffing *s, struct str first)
{
    struct front *f = s->front;

    if (first.n)
        client_on_read(f->conn, (char *)(uintptr_t)first.p, first.n);
    if (f->sniffing == s && f->conn->eof)
        client_on_eof(f->conn);
    if (f->sniffing == s && s->upstream && s->upstream->eof)
        upstream_on_eof(s->upstream);
}

bool front_sniff_inside(struct front *f, struct inside *in, const struct inside_setup *setup)
{
    nsec_t idle = worker_config(f->worker)->timeouts.tunnel_idle;
    struct sniffing *s = sniffing_new(f);

    if (!s)
        return false;
    s->inside = in;
    s->give_up = idle ? loop_now(&f->worker->loop) + idle : TIMER_NEVER;
    conn_give(f->conn, &client_owner, s);
    conn_read(f->conn, true);
    if (setup->upstream) {
        s->endpoint = upstream_ref(setup->endpoint);
        s->upstream = setup->upstream;
        s->connected = true;
        metrics_add(f->worker->metrics, COUNT_UPSTREAM_OPEN, 1);
        conn_give(s->upstream, &upstream_owner, s);
        conn_read(s->upstream, true);
    }
    rearm(s);
    go_on_inside(s, setup->from_client);
    return true;
}
