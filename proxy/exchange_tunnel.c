/*
 * When an exchange becomes a tunnel: after 101 Switching Protocols, and for the
 * CONNECT of a stream.
 */
#include "proxy/conn.h"
#include "proxy/exchange_private.h"
#include "proxy/tunnel.h"
#include "proxy/websocket.h"

/* The request is over with its answer: what follows is a connection. */
static void count_request(struct exchange *x)
{
    x->switched = loop_now(&x->worker->loop);
    if (x->series)
        series_record(exchange_requests(x), x->span.status, x->switched - x->started,
                      x->span.request_bytes, x->span.response_bytes);
}

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
        .half_closed = exchange_config(x)->timeouts.tunnel_half_closed,
        .span = &x->span,
        .sampled = x->sampled,
        .series = x->series,
        .began = x->switched,
    };
}

/* The connections are the tunnel's now, and still open. */
static void keep_counts(struct exchange *x)
{
    front_count(x->worker, x->front->direction, 1);
    metrics_add(x->worker->metrics, COUNT_UPSTREAM_OPEN, 1);
}

/* Both connections are these two streams' alone: they become a tunnel. */
static void hand_over(struct exchange *x, bool websocket)
{
    struct stream *client = x->client, *upstream = x->upstream;
    struct tunnel_setup setup;

    count_request(x);
    setup = setup_of(x);
    setup.websocket = websocket;
    client->codec->settle(client);
    setup.client = client->codec->detach(client, &setup.from_client);
    setup.upstream = upstream->codec->detach(upstream, &setup.from_upstream);
    x->client = x->upstream = NULL;
    keep_counts(x);
    tunnel_start(&setup);
    leave(x);
}

void exchange_go_on_as_bytes(struct exchange *x, bool held)
{
    count_request(x);
    if (x->request
            ->upgrade) /* through HTTP/2 it is a WebSocket; without memory it has no goodbye */
        x->frames = arena_zalloc(&x->arena, 2 * sizeof *x->frames);
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

void exchange_half_ended(struct exchange *x)
{
    nsec_t limit = exchange_config(x)->timeouts.tunnel_half_closed;

    if (!x->switched || !limit)
        return;
    if (!x->idle_limit || limit < x->idle_limit)
        x->idle_limit = limit;
    x->last_activity = loop_now(&x->worker->loop);
    exchange_rearm(x);
}

/* The limit that was met is the one of a tunnel of which a side has ended. */
static bool is_by_half(const struct exchange *x)
{
    return x->switched && (x->request_ended || x->response_ended) &&
           x->idle_limit == exchange_config(x)->timeouts.tunnel_half_closed;
}

void exchange_fail_idle(struct exchange *x)
{
    const struct tunnel_rule *half = &tunnel_rule_half_closed;

    if (is_by_half(x))
        exchange_fail_by(x, &(struct failure){.why = SPAN_ERROR_IDLE,
                                              .detail = half->detail,
                                              .rule = half->rule,
                                              .cure = half->cure});
    else
        exchange_fail(x, SPAN_ERROR_IDLE, "no byte came for the idle timeout");
}

/* What is sent on that stream is over. A mask is for servers. */
static void go_away(struct exchange *x, struct stream *to, const struct websocket_frames *sent,
                    uint32_t mask)
{
    char *frame = loop_scratch(&x->worker->loop, WEBSOCKET_CLOSE_MAX);

    if (frame && sent && websocket_between(sent))
        to->codec->send_body(to, str_of(frame, websocket_going_away((uint8_t *)frame, mask)));
    to->codec->send_end(to, NULL);
}

void exchange_go_away(struct exchange *x)
{
    struct websocket_frames *frames = x->frames;

    if (x->client && !x->response_ended)
        go_away(x, x->client, frames ? &frames[1] : NULL, 0);
    if (x->upstream && !x->request_ended)
        go_away(x, x->upstream, frames ? &frames[0] : NULL,
                (uint32_t)random_next(&x->worker->loop.random) | 1);
    x->request_ended = x->response_ended = true;
}

void exchange_upgrade(struct exchange *x, struct message *m)
{
    bool websocket;

    /* What the client is sending is its message, to the end (RFC 9110 section 7.8). */
    if (x->request->body != BODY_NONE && !x->request_ended) {
        x->switching = m;
        return;
    }
    x->switching = NULL;
    x->span.upgraded = true;
    exchange_capture(x, m, true);
    if (!exchange_edit_response(x, m)) {
        exchange_fail(x, SPAN_ERROR_OVERLOAD, "the response's headers are too large to rewrite");
        return;
    }
    websocket = headers_have_member(&m->fields, HEADER_UPGRADE, STR("websocket"));
    m->close = false;
    m->body = BODY_NONE;
    x->response_begun = true;
    x->span.status = x->span.kind == SPAN_SERVER ? x->client->codec->switched_status
                                                 : x->upstream->codec->switched_status;
    x->client->codec->send_head(x->client, m, false);
    if (x->client->codec->detach && x->upstream->codec->detach)
        hand_over(x, websocket);
    else
        exchange_go_on_as_bytes(x, false);
}
