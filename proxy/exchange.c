/*
 * The life of an exchange: its states, what both sides tell it, and its end.
 */
#include "proxy/exchange.h"

#include <assert.h>

#include "proxy/exchange_private.h"
#include "proxy/websocket.h"
#include "proxy/without_context.h"

#define TO(state) (1u << (state))
static const unsigned may_enter[] = {
    [EXCHANGE_NEW] = TO(EXCHANGE_FAULT) | TO(EXCHANGE_RESOLVING) | TO(EXCHANGE_CONNECTING) |
                     TO(EXCHANGE_ANSWERING) | TO(EXCHANGE_ENDED),
    [EXCHANGE_FAULT] = TO(EXCHANGE_RESOLVING) | TO(EXCHANGE_CONNECTING) | TO(EXCHANGE_ANSWERING) |
                       TO(EXCHANGE_ENDED),
    [EXCHANGE_RESOLVING] = TO(EXCHANGE_CONNECTING) | TO(EXCHANGE_ANSWERING) | TO(EXCHANGE_ENDED),
    [EXCHANGE_CONNECTING] =
        TO(EXCHANGE_CONNECTING) | TO(EXCHANGE_ASKED) | TO(EXCHANGE_ANSWERING) | TO(EXCHANGE_ENDED),
    [EXCHANGE_ASKED] = TO(EXCHANGE_CONNECTING) | TO(EXCHANGE_ANSWERING) | TO(EXCHANGE_ENDED),
    [EXCHANGE_ANSWERING] = TO(EXCHANGE_ENDED),
    [EXCHANGE_ENDED] = 0,
};

void exchange_phase(struct exchange *x, enum span_phase phase)
{
    if (x->span.phase[phase] < 0)
        x->span.phase[phase] = loop_now(&x->worker->loop) - x->began;
}

/* The one place where the state changes: checks the step, stamps the span, sets the new deadline.
 */
void exchange_enter(struct exchange *x, enum exchange_state next)
{
    assert(may_enter[x->state] & TO(next));
    if (x->state == EXCHANGE_FAULT)
        exchange_phase(x, PHASE_FAULT);
    if (next == EXCHANGE_ASKED)
        exchange_phase(x, PHASE_CONNECTED);
    if (next == EXCHANGE_ANSWERING && !x->local) {
        exchange_rest_watch(x->worker->pool);
    }
    x->state = (uint8_t)next;
    x->last_activity = loop_now(&x->worker->loop);
    if (x->deadline || x->idle_limit || next == EXCHANGE_FAULT || next == EXCHANGE_CONNECTING)
        exchange_rearm(x);
}

/* ---- time ---- */

static void earliest(nsec_t *at, nsec_t other)
{
    if (other && other < *at)
        *at = other;
}

void exchange_rearm(struct exchange *x)
{
    nsec_t at = TIMER_NEVER;

    earliest(&at, x->deadline);
    if (x->state == EXCHANGE_FAULT)
        earliest(&at, x->asking->fault_until);
    if (x->state == EXCHANGE_RESOLVING)
        earliest(&at, x->asking->queue_until);
    if (x->state == EXCHANGE_CONNECTING) {
        earliest(&at, x->asking->queue_until);
        earliest(&at, x->asking->ask_another);
        earliest(&at, x->asking->ask_again);
    }
    if (x->idle_limit)
        earliest(&at, x->last_activity + x->idle_limit);
    if (at == TIMER_NEVER)
        timer_disarm(&x->timer);
    else
        timer_arm(x->worker->loop.timers, &x->timer, at);
}

void exchange_on_timer(struct timer *t)
{
    struct exchange *x = container_of(t, struct exchange, timer);
    nsec_t now = loop_now(&x->worker->loop);

    if (x->deadline && now >= x->deadline) {
        metrics_add(x->worker->metrics, COUNT_ROUTE_TIMEOUTS, x->callers_deadline ? 0 : 1);
        exchange_fail_timeout(x);
    } else if (x->state == EXCHANGE_FAULT && now >= x->asking->fault_until) {
        exchange_go_on(x);
    } else if (x->state == EXCHANGE_CONNECTING && exchange_connect_is_due(x)) {
        exchange_connect_timer(x);
    } else if (x->state == EXCHANGE_RESOLVING && x->asking->queue_until &&
               now >= x->asking->queue_until) {
        exchange_fail(x, SPAN_ERROR_DNS,
                      "the cluster's name was not resolved within connect-timeout");
    } else if (x->idle_limit && now >= x->last_activity + x->idle_limit) {
        metrics_add(x->worker->metrics, COUNT_IDLE_TIMEOUTS, 1);
        exchange_fail_idle(x);
    } else {
        exchange_rearm(x);
    }
}

/* ---- what the client tells ---- */

static void client_on_head(void *owner, struct message *m)
{
    exchange_begin(owner, m);
}

static void client_on_chunk(void *owner, uint64_t size)
{
    struct exchange *x = owner;

    if (x->local)
        return;
    if ((!x->upstream || x->replayable) && !exchange_hold_chunk(x, size)) {
        exchange_fail(x, SPAN_ERROR_OVERLOAD, "no memory for the request body");
        return;
    }
    if (x->upstream)
        x->upstream->codec->send_chunk(x->upstream, size);
}

static bool body_allowed(struct exchange *x, size_t n)
{
    uint64_t limit = exchange_config(x)->limits.body_bytes;

    x->span.request_bytes += n;
    return !limit || x->span.upgraded || x->span.request_bytes <= limit;
}

static void client_on_body(void *owner, struct str data)
{
    struct exchange *x = owner;

    x->last_activity = loop_now(&x->worker->loop);
    if (x->local)
        return;
    if (!body_allowed(x, data.n)) {
        exchange_refuse(x, &exchange_body_too_large);
        return;
    }
    if (!x->upstream) {
        if (!exchange_hold_data(x, data))
            exchange_fail(x, SPAN_ERROR_OVERLOAD, "no memory for the request body");
        else if (x->held.n > conns_high_mark(&x->worker->loop.conns))
            x->client->codec->pause(x->client, true);
        return;
    }
    if (x->replayable)
        exchange_hold_data(x, data);
    if (x->frames)
        websocket_feed(&x->frames[0], data);
    x->upstream->codec->send_body(x->upstream, data);
    if (x->upstream->codec->blocked(x->upstream))
        x->client->codec->pause(x->client, true);
}

static void client_on_end(void *owner, const struct headers *trailers)
{
    struct exchange *x = owner;

    x->request_ended = true;
    x->request_trailers = trailers;
    if (x->switched && !x->span.ended_by)
        x->span.ended_by = ENDED_BY_CLIENT;
    if (x->end_with_request)
        exchange_end(x);
    if (x->local || !x->upstream)
        return;
    x->upstream->codec->send_end(x->upstream, trailers);
    exchange_phase(x, PHASE_REQUEST);
    if (x->switching)
        exchange_upgrade(x, x->switching);
    else if (x->response_ended)
        exchange_end(x);
    else
        exchange_half_ended(x);
}

static void client_on_refused(void *owner, const struct refusal *why, struct message *partial)
{
    struct exchange *x = owner;

    if (!x->span_open)
        exchange_begin_refused(x, partial);
    exchange_refuse(x, why);
}

static void client_on_failed(void *owner, enum span_error why)
{
    struct exchange *x = owner;

    if (why == SPAN_ERROR_HALF_CLOSED && !x->response_ended) { /* it may still read */
        exchange_fail(x, why, span_error_row(why)->what);
        return;
    }
    if (!x->response_ended) /* else it has had all it wanted */
        x->span.error = (uint8_t)why;
    x->client_code = x->client->code ? x->client->code : STREAM_CANCEL;
    exchange_end(x);
}

static void client_on_drained(void *owner)
{
    struct exchange *x = owner;

    x->last_activity = loop_now(&x->worker->loop);
    if (x->upstream)
        x->upstream->codec->pause(x->upstream, false);
}

static const struct stream_events client_events = {
    client_on_head,    client_on_chunk,  client_on_body,    client_on_end,
    client_on_refused, client_on_failed, client_on_drained,
};

/* ---- life ---- */

/* What an exchange begins with; the span is made by exchange_span_begin(), the arena is empty. */
static void exchange_clear(struct exchange *x)
{
    x->client = x->upstream = NULL;
    x->request = NULL;
    x->request_trailers = NULL;
    x->switching = NULL;
    x->frames = NULL;
    x->route = NULL;
    x->aborted = NULL;
    x->cluster = NULL;
    x->endpoint = NULL;
    x->series = NULL;
    x->switched = x->deadline = x->idle_limit = 0;
    x->tries = 0;
    x->state = EXCHANGE_NEW;
    x->request_ended = x->response_begun = x->response_ended = false;
    x->has_parent = x->sampled = x->recording = x->span_open = false;
    x->local = x->reused = x->counted = x->retried = x->refused = x->tunnelled = x->told = false;
    x->edited = x->interim = x->end_with_request = x->upstream_closes = false;
    x->callers_deadline = x->connects = x->rested = false;
    x->client_code = x->upstream_code = STREAM_NO_ERROR;
    x->replayable = true;
}

/* Both heads have their place, however large they may be. */
static size_t arena_limit(const struct limits *l)
{
    return EXCHANGE_ARENA_LIMIT + 8 * l->header_bytes + 256 * l->headers +
           4 * l->response_header_bytes + 128 * l->response_headers;
}

static void count_active(const struct front *f, int n)
{
    struct worker *w = f->worker;
    bool inbound = f->direction == DIRECTION_INBOUND;

    metrics_add(w->metrics, inbound ? COUNT_ACTIVE_INBOUND : COUNT_ACTIVE_OUTBOUND, n);
    if (inbound)
        without_context_serves(w->index, n);
}

bool exchange_open(struct front *f, struct stream *client)
{
    struct worker *w = f->worker;
    struct exchange *x = exchange_take(w->pool);

    if (!x)
        return false;
    if (!(x->asking = arena_zalloc(&x->arena, sizeof *x->asking))) {
        exchange_give(x);
        return false;
    }
    list_init(&x->asking->names.link);
    exchange_clear(x);
    x->front = f;
    x->generation = generation_ref(w->generation);
    x->arena.limit_bytes = arena_limit(&exchange_config(x)->limits);
    x->client = client;
    x->started = client->began;
    client->events = &client_events;
    client->owner = x;
    client->arena = &x->arena;
    list_push_back(&w->active, &x->link);
    loop_busy_add(&w->loop, 1);
    count_active(f, 1);
    return true;
}

/* The turn is over: nobody holds it any more. */
static void bury(struct burial *b)
{
    struct exchange *x = container_of(b, struct exchange, burial);

    generation_unref(x->generation); /* what was written may have been the config's */
    exchange_give(x);
}

/* What the client is told of a response that does not come to its end. */
static enum stream_code abort_code(const struct exchange *x)
{
    if (!x->response_begun && x->span.error == SPAN_ERROR_CANCELLED)
        return STREAM_NO_ERROR; /* it has gone by itself */
    /* A caller whose deadline is over reads this as DEADLINE_EXCEEDED, any other code as its own.
     */
    if (x->span.grpc && (x->span.error == SPAN_ERROR_TIMEOUT || x->span.error == SPAN_ERROR_IDLE))
        return STREAM_CANCEL;
    return x->upstream_code ? x->upstream_code : STREAM_INTERNAL_ERROR;
}

static void give_back_client(struct exchange *x)
{
    struct stream *s = x->client;

    x->client = NULL;
    if (!s)
        return;
    if (x->response_ended)
        s->codec->finish(s);
    else
        s->codec->abort(s, abort_code(x));
}

void exchange_end(struct exchange *x)
{
    struct worker *w = x->worker;
    char endpoint[ADDRESS_TEXT_MAX];

    if (x->state == EXCHANGE_ENDED)
        return;
    exchange_enter(x, EXCHANGE_ENDED);
    timer_disarm(&x->timer);
    if (x->asking && x->asking->resolving)
        resolver_cancel(x->asking->resolving);
    if (x->asking)
        list_remove(&x->asking->names.link);
    endpoint[0] = '\0';
    if (x->endpoint && log_enabled(LOG_DEBUG))
        address_format(&x->endpoint->address, endpoint);
    exchange_release_upstream(x, x->response_ended && x->request_ended && !x->local);
    if (!x->tunnelled) {
        exchange_span_report(x);
        exchange_log(x, endpoint);
    }
    list_remove(&x->link);
    loop_busy_add(&w->loop, -1);
    count_active(x->front, -1);
    loop_bury(&w->loop, &x->burial, bury);
    give_back_client(x);
}

/* A client that has nothing of its response yet is answered with why. */
static void cut(struct exchange *x, enum span_error why)
{
    const char *what = span_error_row(why)->what;

    if (x->client && x->request && !x->response_begun && !x->switched) {
        exchange_fail(x, why, what);
    } else {
        x->span.error = (uint8_t)why;
        exchange_grpc_cut(x, what);
        if (x->switched)
            exchange_go_away(x);
    }
    exchange_end(x);
}

void exchanges_cut_all(struct worker *w, enum span_error why)
{
    while (!list_empty(&w->active))
        cut(container_of(w->active.next, struct exchange, link), why);
}
