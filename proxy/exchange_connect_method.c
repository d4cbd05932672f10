/*
 * CONNECT (RFC 9110 section 9.3.6). It obeys its route like any request, and is
 * dialled like one. Over HTTP/1.1 what comes through is then looked at: requests
 * inside are requests, and only what is not HTTP is a tunnel. Over HTTP/2 its
 * bytes pass on its stream, where no rule could have refused a request in them.
 */
#include "mesh/connect.h"
#include "proxy/conn.h"
#include "proxy/exchange_private.h"
#include "proxy/front_inside.h"
#include "proxy/http_rules.h"

static const struct refusal on_stream = {
    "connect-over-http2", 403,
    "what is inside a CONNECT of HTTP/2 is not looked at: send the requests themselves, or CONNECT "
    "over HTTP/1.1"};
static const struct refusal opaque = {
    "connect-opaque", 403,
    "it is not HTTP, and a route of this host could refuse a request that cannot be seen in it: "
    "name the host with its port (host NAME:80), or let it pass by a route before: route / { match "
    "method CONNECT; to original; }"};
static const struct refusal unmatched = {"unmatched-reject", 403,
                                         "name the host in a host block, or say: unmatched pass"};

/* ---- the client is answered ---- */

static char *put(char *p, struct str s)
{
    if (s.n)
        memcpy(p, s.p, s.n);
    return p + s.n;
}

/* 200 has no framing here: what follows is not its body. False: no memory. */
static bool write_established(struct exchange *x, struct conn *client)
{
    static const struct str line = STR_INIT("HTTP/1.1 200 Connection established\r\n");
    struct message m = {.status = 200, .version = 11};
    size_t room = line.n + 2;
    char *start, *p;

    if (!exchange_edit_response(x, &m))
        return false;
    for (size_t i = 0; i < m.fields.n; i++)
        room += m.fields.v[i].name.n + m.fields.v[i].value.n + 4;
    if (!(start = loop_scratch(&x->worker->loop, room)))
        return false;
    p = put(start, line);
    for (size_t i = 0; i < m.fields.n; i++) {
        p = put(put(p, m.fields.v[i].name), STR(": "));
        p = put(put(p, m.fields.v[i].value), STR("\r\n"));
    }
    p = put(p, STR("\r\n"));
    conn_write(client, str_of(start, (size_t)(p - start)));
    return true;
}

/* The faults of its route were drawn for the first request inside as well. */
static const struct route *drawn(const struct exchange *x)
{
    return x->route && x->route->n_faults ? x->route : NULL;
}

/*
 * The client is told that it is connected, and its connection becomes one of
 * requests again. otherwise: why what is not HTTP cannot pass; SPAN_ERROR_NONE:
 * it can, to the upstream that there is then.
 */
static void look_inside(struct exchange *x, enum span_error otherwise, const struct refusal *why)
{
    struct stream *client = x->client, *upstream = x->upstream;
    struct inside_setup setup = {
        .outer = x->front,
        .authority = x->request->authority,
        .span = &x->span,
        .sampled = x->sampled,
        .series = x->series,
        .requests = x->series ? exchange_requests(x) : NULL,
        .answered = loop_now(&x->worker->loop) - x->started,
        .otherwise = otherwise,
        .refusal = why,
        .drawn = drawn(x),
    };
    struct str unasked;

    x->span.status = 200;
    x->span.upgraded = true;
    client->codec->settle(client);
    setup.client = client->codec->detach(client, &setup.from_client);
    x->client = NULL;
    if (upstream) {
        setup.endpoint = x->endpoint;
        setup.upstream = upstream->codec->detach(upstream, &unasked);
        x->upstream = NULL;
    }
    if (write_established(x, setup.client))
        front_inside(&setup);
    else
        front_inside_failed(&setup);
    x->tunnelled = true;
    x->response_ended = x->request_ended = true;
    exchange_end(x);
}

/* ---- where it goes ---- */

bool exchange_connect_method(struct exchange *x)
{
    const struct direction *d = front_rules(x->front, exchange_config(x));
    const struct route *r = x->route;
    struct connect_rules rules = connect_rules_find(d, x->request->authority, r);
    bool answers = r && r->action != ACTION_FORWARD;
    bool detachable = x->client->codec->detach != NULL;

    x->asking->elsewhere = rules.elsewhere && detachable;
    if (answers && r->status >= 300) {
        exchange_respond(x);
        return false;
    }
    if (!r && d->unmatched == UNMATCHED_REJECT && !x->asking->elsewhere) {
        exchange_refuse(x, &unmatched);
        return false;
    }
    x->connects = !answers && !rules.refuses && (r || d->unmatched == UNMATCHED_PASS) &&
                  (detachable || !rules.may_miss || d->unmatched == UNMATCHED_PASS);
    if (!x->connects && !detachable)
        exchange_refuse(x, &on_stream);
    else if (!x->connects)
        look_inside(x, SPAN_ERROR_REQUEST, rules.refuses ? &opaque : &unmatched);
    return x->connects;
}

/* There is no way to where the CONNECT itself would go. */
static bool is_no_way(enum span_error why)
{
    return why == SPAN_ERROR_DNS || why == SPAN_ERROR_NO_ENDPOINT || why == SPAN_ERROR_REFUSED ||
           why == SPAN_ERROR_UNREACHABLE || why == SPAN_ERROR_CONNECT_TIMEOUT;
}

bool exchange_connect_anyway(struct exchange *x, enum span_error why)
{
    if (!is_no_way(why) || !x->connects || !x->asking || !x->asking->elsewhere ||
        x->response_begun || !x->client)
        return false;
    x->asking->elsewhere = false;
    exchange_release_upstream(x, false);
    look_inside(x, why, NULL);
    return true;
}

/* ---- the upstream is there ---- */

/* Its connection carries other streams too: the bytes pass as the bodies of this one. */
static void pass_on_the_stream(struct exchange *x)
{
    struct message *m = arena_zalloc(&x->arena, sizeof *m);

    if (!m) {
        exchange_fail(x, SPAN_ERROR_OVERLOAD, "no memory for the answer");
        return;
    }
    m->status = 200;
    m->version = 20;
    m->body = BODY_CHUNKED; /* an end will be told */
    if (!exchange_edit_response(x, m)) {
        exchange_fail(x, SPAN_ERROR_OVERLOAD, "the response's headers are too large");
        return;
    }
    x->span.upgraded = true;
    x->span.status = m->status;
    exchange_enter(x, EXCHANGE_ANSWERING);
    x->response_begun = true;
    x->replayable = false;
    x->client->codec->send_head(x->client, m, false);
    exchange_go_on_as_bytes(x, true);
    if (x->client)
        x->client->codec->pause(x->client, false);
}

void exchange_connected(struct exchange *x)
{
    if (x->client->codec->detach)
        look_inside(x, SPAN_ERROR_NONE, NULL);
    else
        pass_on_the_stream(x);
}
