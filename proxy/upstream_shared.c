/*
 * HTTP/2 connections to one endpoint: each is shared by as many requests as its
 * peer takes at once, and further ones are opened when these are full.
 */
#include <errno.h>

#include "proxy/connect_error.h"
#include "proxy/http2.h"
#include "proxy/upstream_private.h"

/* An endpoint that has spoken HTTP/2 and ends so many connections in a row without a word is not
 * restarted, but another. */
enum { HANG_UPS_OF_ANOTHER = 2 };

/* ---- whoever waits ---- */

static struct upstream_ask *next_waiting(struct upstream *u)
{
    struct upstream_ask *a;

    if (list_empty(&u->shared_waiting))
        return NULL;
    a = container_of(u->shared_waiting.next, struct upstream_ask, link);
    list_remove(&a->link);
    u->n_shared_waiting--;
    a->upstream = NULL;
    return a;
}

static bool takes_more(const struct upstream *u, const struct http2 *h)
{
    return http2_has_room(h) && (!u->pool.requests || http2_messages(h) < u->pool.requests);
}

/* False: no memory; whoever asked was told. */
static bool give(struct upstream *u, struct upstream_ask *a, struct http2 *h)
{
    bool reused = http2_messages(h) > 0;
    struct stream *s = http2_take(h);

    if (!s) {
        a->failed(a, SPAN_ERROR_OVERLOAD, ENOMEM);
        return false;
    }
    if (reused)
        metrics_add(u->worker->metrics, COUNT_UPSTREAM_REUSED, 1);
    a->ready(a, s, reused);
    return true;
}

static void give_waiting(struct upstream *u, struct http2 *h)
{
    struct upstream_ask *a;

    while (takes_more(u, h) && (a = next_waiting(u)))
        if (!give(u, a, h))
            break;
}

/* Connections from which room is still to come: those that are made, and those whose peer has not
 * said yet how much it takes. */
static unsigned n_to_come(const struct upstream *u)
{
    unsigned n = u->n_shared_connecting;

    LIST_FOR_EACH (at, &u->shared)
        n += !http2_is_settled(http2_from_link(at));
    return n;
}

/* ---- a connection ---- */

static nsec_t keeper_idle(void *keeper, struct http2 *h)
{
    const struct upstream *u = keeper;
    bool used_up = u->pool.requests && http2_messages(h) >= u->pool.requests;

    return u->retired || used_up ? 0 : u->pool.idle;
}

static void keeper_on_room(void *keeper, struct http2 *h)
{
    struct upstream *u = keeper;

    if (http2_is_settled(h)) {
        u->streams = http2_capacity(h);
        u->streams_told = true;
        u->hang_ups = 0;
        upstream_hear(u, HEARD_HTTP2, HEARD_NO_HTTP2);
    }
    upstream_ref(u);
    give_waiting(u, h);
    shared_dial_for_waiting(u);
    if (u->n_waiting > u->n_connecting && !upstream_may_open(u))
        shared_make_way(u);
    upstream_unref(u);
}

/* Whoever still waits asks as if for the first time. */
static void ask_again(struct upstream *u)
{
    struct upstream_ask *a;
    unsigned n = u->n_shared_waiting;

    upstream_ref(u);
    while (n-- && (a = next_waiting(u))) {
        int error = ECONNRESET;
        /* To a call of gRPC it may only have hung up: to ask at once again would not help. */
        enum span_error why = a->grpc && !(upstream_heard(u) & HEARD_NO_HTTP2)
                                  ? SPAN_ERROR_RESET
                                  : upstream_ask(u, a, &error);

        if (why)
            a->failed(a, why, error);
    }
    upstream_unref(u);
}

/* It has spoken HTTP/2, and ends a connection without a word. It may be restarted, and has not
 * forgotten HTTP/2 then. If it goes on so, it is to be asked as one that was never heard. */
static void note_hang_up(struct upstream *u)
{
    if (u->pool.protocol != PROTOCOL_AUTO || ++u->hang_ups < HANG_UPS_OF_ANOTHER)
        return;
    u->hang_ups = 0;
    u->streams_told = false;
    upstream_hear(u, 0, HEARD_HTTP2 | HEARD_NO_HTTP1);
}

static enum stranger keeper_on_stranger(void *keeper, struct http2 *h)
{
    struct upstream *u = keeper;
    bool automatic = u->pool.protocol == PROTOCOL_AUTO, answered = http2_was_answered(h);
    char where[ADDRESS_TEXT_MAX], others[LOG_HELD_TEXT];
    unsigned held;

    if (!answered && (u->streams_told || (upstream_heard(u) & HEARD_HTTP2))) {
        note_hang_up(u);
        return STRANGER_NOT;
    }
    if (automatic) {
        u->streams_told = false;
        upstream_hear(u, answered ? HEARD_NO_HTTP2 : 0, HEARD_HTTP2 | HEARD_NO_HTTP1);
        ask_again(u);
    }
    if (log_limit_allow(&u->worker->upstream_log, 10, loop_now(&u->worker->loop), &held)) {
        address_format(&u->address, where);
        log_write(automatic ? LOG_INFO : LOG_WARN, "upstream", "%s %s: %s%s", where,
                  answered ? "does not speak HTTP/2 by prior knowledge"
                           : "hung up on the preface of HTTP/2",
                  automatic ? "it is asked in HTTP/1.1"
                            : "say protocol h1, or auto, in its cluster",
                  log_held_text(held, others));
    }
    return automatic ? STRANGER_FALLBACK : STRANGER_FAILS;
}

void shared_note_http2_alone(struct upstream *u)
{
    bool automatic = u->pool.protocol == PROTOCOL_AUTO;
    char where[ADDRESS_TEXT_MAX], others[LOG_HELD_TEXT];
    unsigned held;

    if (upstream_heard(u) & HEARD_NO_HTTP1) /* it is known */
        return;
    if (!log_limit_allow(&u->worker->upstream_log, 10, loop_now(&u->worker->loop), &held))
        return;
    address_format(&u->address, where);
    log_write(automatic ? LOG_INFO : LOG_WARN, "upstream", "%s speaks HTTP/2 alone: %s%s", where,
              automatic ? "it is asked in that" : "say protocol h2, or auto, in its cluster",
              log_held_text(held, others));
}

static void tell_failed(struct upstream *u, int error)
{
    struct upstream_ask *a;
    unsigned n = u->n_shared_waiting; /* who asks again meanwhile waits for the next */

    while (n-- && (a = next_waiting(u)))
        a->failed(a, connect_error(error), error);
}

/* One that never said how much it takes is no better than one that could not be made. */
static void keeper_on_gone(void *keeper, struct http2 *h)
{
    struct upstream *u = keeper;

    upstream_ref(u);
    upstream_closed(u);
    if (http2_is_settled(h))
        shared_dial_for_waiting(u);
    else if (n_to_come(u) == 0)
        tell_failed(u, ECONNRESET);
    upstream_unref(u);
}

static const struct http2_keeper shared_keeper = {
    .idle = keeper_idle,
    .on_room = keeper_on_room,
    .on_stranger = keeper_on_stranger,
    .on_gone = keeper_on_gone,
};

/* A peer may refuse what is more than it takes even before it could say so: of one that was never
 * heard, the first connection carries one request until then. */
static unsigned streams_at_first(const struct upstream *u)
{
    unsigned streams = u->streams_told ? u->streams : 1;

    return streams == 0 ? 1 : streams < SHARED_STREAMS ? streams : SHARED_STREAMS;
}

void shared_connected(struct upstream *u, struct conn *c)
{
    struct http2 *h = http2_client(&u->worker->http, c, &shared_keeper, u, streams_at_first(u));

    if (!h) {
        upstream_ref(u);
        upstream_closed(u);
        shared_connect_failed(u, ENOMEM);
        upstream_unref(u);
        return;
    }
    list_push_front(&u->shared, http2_link(h));
    give_waiting(u, h);
}

/* It is one connection for many: all who waited for it are told. */
void shared_connect_failed(struct upstream *u, int error)
{
    upstream_count_failed(u);
    if (n_to_come(u) == 0)
        tell_failed(u, error);
}

void shared_retire(struct upstream *u)
{
    LIST_FOR_EACH_SAFE (at, next, &u->shared)
        http2_drain(http2_from_link(at));
}

void shared_close(struct upstream *u)
{
    upstream_ref(u);
    while (!list_empty(&u->shared))
        http2_close(http2_from_link(u->shared.next));
    upstream_unref(u);
}

/* ---- asking ---- */

static bool suffices_for(const struct upstream *u, unsigned waiting)
{
    unsigned each = u->streams ? u->streams : 1;

    return (uint64_t)n_to_come(u) * each >= waiting;
}

static bool connecting_suffices(const struct upstream *u)
{
    return suffices_for(u, u->n_shared_waiting);
}

/* It is waited for until one that takes no streams (RFC 9113 section 6.5.2) takes some, or goes: to
 * make another for each request would not help it. */
static bool is_shut(const struct upstream *u)
{
    if (!u->streams_told || u->streams)
        return false;
    LIST_FOR_EACH (at, &u->shared)
        if (http2_is_shut(http2_from_link(at)))
            return true;
    return false;
}

bool shared_wants_room(const struct upstream *u)
{
    return u->n_shared_waiting && !connecting_suffices(u) && !upstream_may_open(u);
}

void shared_make_way(struct upstream *u)
{
    for (struct list *at = u->shared.prev; at != &u->shared; at = at->prev)
        if (http2_is_idle(http2_from_link(at))) {
            http2_retire(http2_from_link(at));
            return;
        }
}

void shared_dial_for_waiting(struct upstream *u)
{
    upstream_ref(u); /* whoever is told may be the last to hold it */
    while (!connecting_suffices(u) && !is_shut(u) && upstream_may_open(u)) {
        int error = upstream_dial(u, true);

        if (error)
            shared_connect_failed(u, error);
    }
    upstream_unref(u);
}

/* NULL: all are full, or have refused a stream a moment ago. */
static struct http2 *choose(struct upstream *u, bool busy_too)
{
    LIST_FOR_EACH (at, &u->shared) {
        struct http2 *h = http2_from_link(at);

        if (takes_more(u, h) && (busy_too || !http2_is_busy(h)))
            return h;
    }
    return NULL;
}

static void wait_in_line(struct upstream *u, struct upstream_ask *a)
{
    a->upstream = u;
    a->shared = true;
    list_push_back(&u->shared_waiting, &a->link);
    u->n_shared_waiting++;
}

enum span_error shared_ask(struct upstream *u, struct upstream_ask *a, int *error)
{
    struct http2 *h = choose(u, a->busy_too);

    if (!h && !upstream_may_open(u))
        h = choose(u, true);
    if (h)
        return give(u, a, h) ? SPAN_ERROR_NONE : SPAN_ERROR_OVERLOAD;
    if (u->n_shared_waiting >= UPSTREAM_WAITING_MAX)
        return SPAN_ERROR_OVERLOAD;
    if (!suffices_for(u, u->n_shared_waiting + 1) && !upstream_may_open(u))
        upstream_make_way(u);
    wait_in_line(u, a);
    if (connecting_suffices(u))
        return SPAN_ERROR_NONE;
    if (is_shut(u) || !upstream_may_open(u)) {
        a->queued = true;
        metrics_add(u->worker->metrics, COUNT_UPSTREAM_QUEUED, 1);
    } else if ((*error = upstream_dial(u, true))) {
        upstream_count_failed(u);
        upstream_cancel(a);
        return connect_error(*error);
    }
    return SPAN_ERROR_NONE;
}
