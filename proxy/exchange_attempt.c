/*
 * One try of a request at one endpoint, and whether there may be another.
 */
#include <stdlib.h>
#include <string.h>

#include "proxy/exchange_private.h"
#include "proxy/http_rules.h"
#include "proxy/http_upgrade.h"
#include "proxy/upstream_login.h"
#include "proxy/websocket.h"

/* Gives up the attempt's connection. */
static void drop_stream(struct exchange *x)
{
    struct stream *s = x->upstream;

    x->upstream = NULL;
    if (s)
        s->codec->abort(s, STREAM_NO_ERROR);
}

/* ---- the request goes out ---- */

static void send_what_is_there(struct exchange *x)
{
    struct stream *s = x->upstream;
    struct message *m = x->request;
    bool bodyless = m->body == BODY_NONE && !m->upgrade;

    s->codec->send_head(s, m, bodyless);
    if (x->held.n) {
        exchange_send_held(x);
        s->codec->settle(s); /* held may grow, and move, in this turn */
    }
    if (!s->replayable && !method_is_idempotent(m->method) && (x->held.n || !x->request_ended)) {
        x->replayable = false; /* on a fresh connection it is hardly ever sent again */
        buffer_reset(&x->held);
    }
    if (x->request_ended) {
        s->codec->send_end(s, x->request_trailers);
        exchange_phase(x, PHASE_REQUEST);
    } else if (x->client && !s->codec->blocked(s)) {
        x->client->codec->pause(x->client, false);
    }
}

static void send_again(struct exchange *x, enum span_error why, bool elsewhere)
{
    x->retried = true;
    x->span.error = (uint8_t)why;
    exchange_span_again(x);
    x->upstream_code = STREAM_NO_ERROR;
    drop_stream(x);
    if (elsewhere) {
        exchange_leave_endpoint(x, true);
    } else {
        x->endpoint->in_flight--;
        x->counted = false;
    }
}

void exchange_attempt(struct exchange *x, struct stream *s, bool reused, bool queued)
{
    x->upstream = s;
    x->reused = reused;
    s->events = &exchange_upstream_events;
    s->owner = x;
    s->arena = &x->arena;
    x->span.pooled = reused;
    if (x->span.kind == SPAN_CLIENT)
        x->span.http_version = s->codec->version;
    span_set_upstream(&x->span, &x->endpoint->address);
    if (queued)
        exchange_phase(x, PHASE_QUEUE);
    exchange_enter(x, EXCHANGE_ASKED);
    if (x->connects) {
        exchange_connected(x);
        return;
    }
    if (!x->edited && !(x->edited = exchange_edit_request(x))) {
        if (!x->refused)
            exchange_fail(x, SPAN_ERROR_OVERLOAD, "the request's headers are too large to rewrite");
        return;
    }
    if (!exchange_inject(x)) {
        exchange_fail(x, SPAN_ERROR_OVERLOAD, "the request's headers are too large to rewrite");
        return;
    }
    /* A request that may not be sent twice is worth a look before it is sent once. */
    if (!x->retried && !method_is_idempotent(x->request->method) && s->codec->stale(s)) {
        metrics_add(x->worker->metrics, COUNT_STALE_RETRIES, 1);
        send_again(x, SPAN_ERROR_CLOSED_EARLY, false);
        exchange_connect(x);
        return;
    }
    if (exchange_grpc_send_timeout(x))
        send_what_is_there(x);
}

/* ---- again ---- */

/* The first time at once, then later and later: whoever refuses has no place, and will have one. */
static nsec_t pause_after(unsigned refusals, nsec_t left)
{
    nsec_t pause = refusals < 2 ? 0 : MILLISECONDS(20) << (refusals < 12 ? refusals - 1 : 11);

    return pause < left ? pause : left;
}

/* Nothing of it was processed (RFC 9113 section 8.7), whatever its method: to be refused is to wait
 * for a place, which the pool says how long may be done. */
static bool again_after_refusal(struct exchange *x)
{
    struct asking *a = x->asking;
    nsec_t now = loop_now(&x->worker->loop);

    if (a->refusals++ == 0)
        a->refused_until = now + x->endpoint->pool.queue;
    if (now >= a->refused_until)
        return false;
    metrics_add(x->worker->metrics, COUNT_REFUSED_RETRIES, 1);
    send_again(x, SPAN_ERROR_REFUSED_STREAM, exchange_has_another_than(x));
    exchange_connect_after(x, pause_after(a->refusals, a->refused_until - now));
    return true;
}

/*
 * True: it is sent again. That is where nobody can have read it, or where it may
 * be read twice and no byte of an answer came. A kept connection that ended says
 * nothing of its endpoint, which is asked again; a fresh one that ended does, so
 * another is asked then.
 */
static bool retry(struct exchange *x, enum span_error why)
{
    enum replay may = x->upstream->codec->replay(x->upstream, why);
    bool elsewhere;

    if (x->response_begun || x->interim || !x->replayable || may == REPLAY_NEVER ||
        (may == REPLAY_IF_IDEMPOTENT && !method_is_idempotent(x->request->method)))
        return false;
    if (why == SPAN_ERROR_REFUSED_STREAM)
        return again_after_refusal(x);
    elsewhere = !x->reused && exchange_has_another_than(x);
    if (x->retried || (may != REPLAY_SAFE && !x->reused && !elsewhere))
        return false;
    metrics_add(x->worker->metrics, COUNT_STALE_RETRIES, 1);
    send_again(x, why, elsewhere && may != REPLAY_SAFE);
    exchange_connect(x);
    return true;
}

/* ---- what the upstream tells ---- */

/* The client waited for a 100 and is told something else: it need not send its body any more, nor
 * say so (RFC 9110 section 10.1.1). */
static bool body_unwanted(const struct exchange *x)
{
    return !x->request_ended && !x->interim && x->span.request_bytes == 0 &&
           headers_find(&x->request->fields, HEADER_EXPECT);
}

/* A client's connection that other streams share may be several clients', as behind another proxy:
 * then the login is nobody's. */
static void note_login(struct exchange *x, const struct message *m)
{
    struct stream *s = x->upstream;
    struct front *f = x->front;

    if (!s->codec->set_login || !login_passes(&x->request->fields, m->status, &m->fields))
        return;
    if (!f->logins && !f->ended && x->client && x->client->codec->detach)
        f->logins = logins_new();
    s->codec->set_login(s, f->logins);
}

static void on_final_head(struct exchange *x, struct message *m)
{
    bool unwanted = body_unwanted(x);

    exchange_phase(x, PHASE_FIRST_BYTE);
    exchange_enter(x, EXCHANGE_ANSWERING);
    x->span.status = m->status;
    x->replayable = false;
    x->upstream_closes = m->close || unwanted;
    note_login(x, m);
    if (m->upgrade) {
        exchange_upgrade(x, m);
        return;
    }
    exchange_grpc_status(x, &m->fields);
    exchange_capture(x, m, true);
    if (!exchange_edit_response(x, m)) {
        exchange_fail(x, SPAN_ERROR_OVERLOAD, "the response's headers are too large to rewrite");
        return;
    }
    m->close |= unwanted;
    x->response_begun = true;
    x->client->codec->send_head(x->client, m, m->body == BODY_NONE);
}

static void on_head(void *owner, struct message *m)
{
    struct exchange *x = owner;

    if (m->status >= 200 || m->status == 101) {
        if (m->status == 101 &&
            (!x->request->upgrade || !upgrade_agreed(&m->fields, &x->request->fields))) {
            exchange_fail(x, SPAN_ERROR_PROTOCOL,
                          x->request->upgrade
                              ? "the upstream switched to a protocol that was not asked for"
                              : "the upstream switched protocols unasked");
            return;
        }
        on_final_head(x, m);
        return;
    }
    x->interim = true;
    /* HTTP/1.0 knows no interim responses (RFC 9110 section 15.2). */
    if (x->request->version >= 11 && exchange_edit_response(x, m))
        x->client->codec->send_head(x->client, m, true);
}

static void on_chunk(void *owner, uint64_t size)
{
    struct exchange *x = owner;

    x->client->codec->send_chunk(x->client, size);
}

static void on_body(void *owner, struct str data)
{
    struct exchange *x = owner;

    x->last_activity = loop_now(&x->worker->loop);
    x->span.response_bytes += data.n;
    if (x->frames)
        websocket_feed(&x->frames[1], data);
    x->client->codec->send_body(x->client, data);
    if (x->client->codec->blocked(x->client))
        x->upstream->codec->pause(x->upstream, true);
}

static void on_end(void *owner, const struct headers *trailers)
{
    struct exchange *x = owner;

    if (x->switching) /* the end of its head: what follows is not HTTP */
        return;
    if (x->switched && !x->span.ended_by)
        x->span.ended_by = ENDED_BY_UPSTREAM;
    /* HTTP/1.0 and HEAD have no place for trailers; the codec leaves them out. */
    exchange_grpc_status(x, trailers);
    x->client->codec->send_end(x->client, trailers);
    x->response_ended = true;
    /* An early response: whoever reads on is given the rest of the request. A call of gRPC is over
     * with its status. */
    if (x->request_ended || x->upstream_closes || x->span.grpc)
        exchange_end(x);
    else
        exchange_half_ended(x);
}

static void on_refused(void *owner, const struct refusal *why, struct message *partial)
{
}

static const char *failure_detail(enum span_error why)
{
    switch (why) {
    case SPAN_ERROR_CLOSED_EARLY:
        return "the upstream closed the connection before the response was complete";
    case SPAN_ERROR_PROTOCOL:
        return "the upstream's response is not valid HTTP";
    default:
        return span_error_row(why)->what;
    }
}

/* What came, or what was to be sent, is against a rule that is known. */
static void fail_by_rule(struct exchange *x, enum span_error why, const struct refusal *rule)
{
    if (why == SPAN_ERROR_REQUEST)
        exchange_refuse(x, rule);
    else
        exchange_fail_by(x, &(struct failure){.why = why,
                                              .detail = span_error_row(why)->what,
                                              .rule = rule->rule,
                                              .cure = rule->cure});
}

static void on_failed(void *owner, enum span_error why)
{
    struct exchange *x = owner;
    const struct refusal *rule = x->upstream->rule;
    /* Nothing came that breaks the rule: another endpoint may be one that keeps it, and a gRPC
     * client may try again later. */
    bool hung_up = rule && (why == SPAN_ERROR_CLOSED_EARLY || why == SPAN_ERROR_RESET);

    x->upstream_code = x->upstream->code;
    if (x->response_ended) /* all that was wanted of it is here */
        exchange_end(x);
    else if (rule && !hung_up)
        fail_by_rule(x, why, rule);
    else if (retry(x, why) || (why == SPAN_ERROR_RESET && exchange_fail_as_own(x)))
        return;
    else if (hung_up)
        fail_by_rule(x, x->span.grpc ? why : SPAN_ERROR_PROTOCOL, rule);
    else
        exchange_fail(x, why, failure_detail(why));
}

static void on_drained(void *owner)
{
    struct exchange *x = owner;

    x->last_activity = loop_now(&x->worker->loop);
    if (x->client && !x->request_ended)
        x->client->codec->pause(x->client, false);
}

const struct stream_events exchange_upstream_events = {
    on_head, on_chunk, on_body, on_end, on_refused, on_failed, on_drained,
};

/* ---- the end of an attempt ---- */

void exchange_release_upstream(struct exchange *x, bool whole)
{
    struct stream *s = x->upstream;

    exchange_stop_asking(x);
    x->upstream = NULL;
    if (s && whole)
        s->codec->finish(s);
    else if (s)
        s->codec->abort(s, x->client_code ? x->client_code : STREAM_NO_ERROR);
    exchange_leave_endpoint(x, false);
}
