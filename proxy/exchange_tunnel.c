/*
 * When an exchange becomes a tunnel: after 101 Switching Protocols, and for
 * CONNECT.
 */
#include "proxy/conn.h"
#include "proxy/exchange_private.h"
#include "proxy/http_rules.h"
#include "proxy/tunnel.h"

/* The exchange is over; the tunnel has its span. */
static void leave(struct exchange *x)
{
    x->tunnelled = true;
    x->response_ended = x->request_ended = true;
    exchange_end(x);
}

static struct tunnel_setup setup_of(struct exchange *x)
{
    return (struct tunnel_setup){
        .worker = x->worker,
        .direction = x->front->direction,
        .idle = exchange_config(x)->timeouts.tunnel_idle,
        .span = &x->span,
        .sampled = x->sampled,
        .series = x->series,
    };
}

/* The connections are the tunnel's now, and still open. */
static void keep_counts(struct exchange *x, bool upstream)
{
    front_count(x->worker, x->front->direction, 1);
    if (upstream)
        metrics_add(x->worker->metrics, COUNT_UPSTREAM_OPEN, 1);
}

/* Both connections are these two streams' alone: they become a tunnel. */
static void hand_over(struct exchange *x)
{
    struct stream *client = x->client, *upstream = x->upstream;
    struct tunnel_setup setup = setup_of(x);

    client->codec->settle(client);
    setup.client = client->codec->detach(client, &setup.from_client);
    setup.upstream = upstream->codec->detach(upstream, &setup.from_upstream);
    x->client = x->upstream = NULL;
    keep_counts(x, true);
    tunnel_start(&setup);
    leave(x);
}

/* One of them carries other streams too: the bytes pass as bodies, which both begin anew. What is
 * held was not sent yet. */
static void go_on_as_bytes(struct exchange *x, bool held)
{
    x->request_ended = x->response_ended = false;
    x->deadline = 0;
    x->idle_limit = exchange_config(x)->timeouts.tunnel_idle;
    exchange_rearm(x);
    x->upstream->codec->switch_protocols(x->upstream);
    if (held) {
        exchange_send_held(x);
        x->upstream->codec->settle(x->upstream);
    }
    if (x->client)
        x->client->codec->switch_protocols(x->client);
}

void exchange_upgrade(struct exchange *x, struct message *m)
{
    x->span.upgraded = true;
    exchange_capture(x, m, true);
    if (!exchange_edit_response(x, m)) {
        exchange_fail(x, SPAN_ERROR_OVERLOAD, "the response's headers are too large to rewrite");
        return;
    }
    m->close = false;
    m->body = BODY_NONE;
    x->response_begun = true;
    x->span.status = x->span.kind == SPAN_SERVER ? x->client->codec->switched_status
                                                 : x->upstream->codec->switched_status;
    x->client->codec->send_head(x->client, m, false);
    if (x->client->codec->detach && x->upstream->codec->detach)
        hand_over(x);
    else
        go_on_as_bytes(x, false);
}

/* ---- CONNECT (RFC 9110 section 9.3.6) ---- */

static void connected(struct conn *client)
{
    conn_write(client, STR("HTTP/1.1 200 Connection established\r\n\r\n"));
}

static void failed(struct conn *client, enum span_error why)
{
    const struct span_error_row *row = span_error_row(why);
    char *line = worker_scratch(client->worker, 256);
    struct str phrase = reason_phrase(row->http_status);
    int n;

    if (!line)
        return;
    n = snprintf(line, 256,
                 "HTTP/1.1 %u %.*s\r\nsidespan-reason: %s\r\nsidespan-ended-by: %s\r\n"
                 "Content-Length: 0\r\nConnection: close\r\n\r\n",
                 row->http_status, STR_ARG(phrase), row->name, ended_by_text(row->by));
    conn_write(client, str_of(line, (size_t)n));
    conn_flush(client);
}

static unsigned answered(enum span_error why)
{
    return why ? span_error_row(why)->http_status : 200;
}

static const struct tunnel_answer connect_answer = {
    .connected = connected, .failed = failed, .status = answered};

void exchange_connect_method(struct exchange *x)
{
    static const struct refusal forbidden = {
        "unmatched-reject", 403, "name the host in a host block, or say: unmatched pass"};
    const struct direction *d = front_rules(x->front, exchange_config(x));

    if (d->unmatched == UNMATCHED_REJECT && !host_table_find(d->table, x->request->authority)) {
        exchange_refuse(x, &forbidden);
        return;
    }
    exchange_to_original(x);
}

void exchange_dial_tunnel(struct exchange *x, const struct address *to)
{
    struct stream *client = x->client;
    struct tunnel_setup setup = setup_of(x);

    if (!client->codec->detach) { /* its connection carries other streams too */
        x->connects = true;
        x->endpoint = upstream_original(x->worker->upstreams, to);
        exchange_connect(x);
        return;
    }
    x->span.peer = *to;
    setup.span = &x->span;
    setup.to = *to;
    setup.connect_timeout = SECONDS(5);
    setup.answer = &connect_answer;
    setup.client = client->codec->detach(client, &setup.from_client);
    x->client = NULL;
    keep_counts(x, false);
    exchange_enter(x, EXCHANGE_ANSWERING);
    tunnel_start(&setup);
    leave(x);
}

void exchange_connected(struct exchange *x)
{
    struct message *m = arena_zalloc(&x->arena, sizeof *m);

    if (!m) {
        exchange_fail(x, SPAN_ERROR_OVERLOAD, "no memory for the answer");
        return;
    }
    m->status = 200;
    m->version = 20;
    m->body = BODY_CHUNKED; /* an end will be told */
    x->span.upgraded = true;
    x->span.status = m->status;
    exchange_enter(x, EXCHANGE_ANSWERING);
    x->response_begun = true;
    x->replayable = false;
    x->client->codec->send_head(x->client, m, false);
    go_on_as_bytes(x, true);
    if (x->client)
        x->client->codec->pause(x->client, false);
}
