/*
 * Connections to one endpoint: taken, waited for and kept.
 */
#include "proxy/upstream.h"

#include <errno.h>
#include <stdlib.h>

#include "proxy/connect_error.h"
#include "proxy/http1.h"
#include "proxy/upstream_login.h"
#include "proxy/upstream_private.h"

/* ---- a connection that is kept ---- */

static void on_pool_idle(void *keeper, struct http1 *h);
static void on_pool_gone(void *keeper, struct http1 *h);
static bool on_pool_http2(void *keeper, struct http1 *h);

static const struct http1_keeper pool_keeper = {
    .on_idle = on_pool_idle, .on_gone = on_pool_gone, .on_http2 = on_pool_http2};

static void dial_for_waiting(struct upstream *u);

void upstream_closed(struct upstream *u)
{
    u->n_open--;
    metrics_add(u->worker->metrics, COUNT_UPSTREAM_OPEN, -1);
    dial_for_waiting(u); /* there may be room again */
    shared_dial_for_waiting(u);
    upstream_unref(u); /* each connection holds one */
}

static void drop_idle(struct upstream *u, struct list *link)
{
    struct http1 *h = http1_from_link(link);

    list_remove(link);
    u->n_idle--;
    http1_close_idle(h);
    upstream_closed(u);
}

void upstream_make_way(struct upstream *u)
{
    if (!list_empty(&u->idle))
        drop_idle(u, u->idle.prev);
    else
        login_make_way(u);
}

void upstream_opened(struct upstream *u)
{
    u->n_open++;
    metrics_add(u->worker->metrics, COUNT_UPSTREAM_OPEN, 1);
    upstream_ref(u);
}

unsigned upstream_heard(const struct upstream *u)
{
    return u->pool.protocol == PROTOCOL_AUTO ? heard_bits(&u->heard, loop_now(&u->worker->loop))
                                             : 0;
}

void upstream_hear(struct upstream *u, unsigned set, unsigned clear)
{
    if (u->pool.protocol == PROTOCOL_AUTO)
        heard_note(&u->heard, set, clear, loop_now(&u->worker->loop));
}

static void give(struct upstream *u, struct upstream_ask *a, struct http1 *h, bool reused)
{
    struct stream *s = http1_take(h, a->method);
    unsigned heard = upstream_heard(u);

    /* A fresh connection is not stale; but who was never heard may speak HTTP/2 alone, and who has
     * no other connection may have been replaced by one that does. */
    s->replayable =
        reused || (u->pool.protocol == PROTOCOL_AUTO && (!(heard & HEARD_HTTP1) || u->n_open == 1));
    if (u->pool.protocol == PROTOCOL_AUTO && !http1_messages(h) && !a->alone &&
        !(heard & (HEARD_HTTP1 | HEARD_NO_HTTP2)))
        http1_doubt(h);
    if (reused)
        metrics_add(u->worker->metrics, COUNT_UPSTREAM_REUSED, 1);
    a->ready(a, s, reused);
}

static struct upstream_ask *next_waiting(struct upstream *u)
{
    struct upstream_ask *a;

    if (list_empty(&u->waiting))
        return NULL;
    a = container_of(u->waiting.next, struct upstream_ask, link);
    list_remove(&a->link);
    u->n_waiting--;
    a->upstream = NULL;
    return a;
}

/* How long it may be kept idle; 0: not at all. */
static nsec_t idle_time(const struct upstream *u, const struct http1 *h)
{
    nsec_t told = http1_idle_limit(h);

    if (u->retired)
        return 0;
    if (!told)
        return u->pool.idle;
    /* A peer that tells how long it waits is left a second before it does. */
    told -= SECONDS(1);
    if (told <= 0)
        return 0;
    return told < u->pool.idle ? told : u->pool.idle;
}

/* ---- how long the other side keeps what is idle ---- */

/*
 * A server that ends an idle connection just as it is reused may leave a request
 * in doubt: a reset does not tell whether anybody has read it. So a request that
 * may not be sent twice keeps away from that moment, as it was seen the last
 * time; one that is used beyond it shows that it was another's.
 */
static void note_end_of_idle(struct upstream *u, const struct http1 *h)
{
    nsec_t idle = http1_was_idle(h) ? http1_idle_time(h) : http1_idled(h);

    if (idle && http1_ended_unanswered(h))
        u->closes_after = idle;
}

static void note_use_after_idle(struct upstream *u, const struct http1 *h)
{
    if (http1_idled(h) >= u->closes_after)
        u->closes_after = 0;
}

static bool nears_its_end(const struct upstream *u, const struct http1 *h)
{
    nsec_t margin = u->closes_after / 4 < SECONDS(1) ? u->closes_after / 4 : SECONDS(1);

    return u->closes_after && http1_idle_time(h) >= u->closes_after - margin;
}

static void on_pool_idle(void *keeper, struct http1 *h)
{
    struct upstream *u = keeper;
    bool used_up = u->pool.requests && http1_messages(h) >= u->pool.requests;
    nsec_t time = idle_time(u, h);
    struct upstream_ask *a;

    if (http1_messages(h))
        upstream_hear(u, HEARD_HTTP1, HEARD_NO_HTTP1);
    note_use_after_idle(u, h);
    if (http1_is_login(h)) {
        login_idle(u, h);
        return;
    }
    if (!used_up && (a = next_waiting(u))) {
        give(u, a, h, true);
        return;
    }
    if (used_up || !time || shared_wants_room(u)) {
        http1_close_idle(h);
        upstream_closed(u);
        return;
    }
    list_push_front(&u->idle, http1_link(h));
    u->n_idle++;
    http1_expire(h, loop_now(&u->worker->loop) + time);
    if (u->pool.idle_max && u->n_idle > u->pool.idle_max)
        drop_idle(u, u->idle.prev);
}

static void on_pool_gone(void *keeper, struct http1 *h)
{
    struct upstream *u = keeper;

    if (http1_messages(h) && !(upstream_heard(u) & HEARD_NO_HTTP1))
        upstream_hear(u, HEARD_HTTP1, 0);
    note_end_of_idle(u, h);
    if (http1_was_idle(h) && http1_is_login(h))
        login_gone(h);
    else if (http1_was_idle(h))
        u->n_idle--;
    upstream_closed(u);
}

/* Whoever waits asks as if for the first time. */
static void ask_again(struct upstream *u)
{
    struct upstream_ask *a;
    unsigned n = u->n_waiting;

    while (n-- && (a = next_waiting(u))) {
        int error;
        enum span_error why = upstream_ask(u, a, &error);

        if (why)
            a->failed(a, why, error);
    }
}

static bool on_pool_http2(void *keeper, struct http1 *h)
{
    struct upstream *u = keeper;
    bool automatic = u->pool.protocol == PROTOCOL_AUTO;

    shared_note_http2_alone(u);
    if (!automatic)
        return false;
    upstream_hear(u, HEARD_HTTP2 | HEARD_NO_HTTP1, HEARD_HTTP1 | HEARD_NO_HTTP2);
    upstream_ref(u);
    ask_again(u);
    upstream_unref(u);
    return true;
}

/* ---- one that is made ---- */

void upstream_count_failed(struct upstream *u)
{
    metrics_add(u->worker->metrics, COUNT_UPSTREAM_CONNECT_FAILED, 1);
}

/* One attempt to connect failed: one of those who wait is told, if it was waited for. */
static void connect_failed(struct upstream *u, int error)
{
    struct upstream_ask *a;

    upstream_count_failed(u);
    if (u->n_waiting > u->n_connecting && (a = next_waiting(u)))
        a->failed(a, connect_error(error), error);
}

void upstream_connected(struct upstream *u, struct conn *c)
{
    struct http1 *h = http1_client(&u->worker->http, c, &pool_keeper, u);
    struct upstream_ask *a;

    if (!h) {
        upstream_closed(u);
        connect_failed(u, ENOMEM);
    } else if ((a = next_waiting(u))) {
        give(u, a, h, false);
    } else {
        on_pool_idle(u, h);
    }
}

void upstream_could_not_connect(struct upstream *u, int error)
{
    connect_failed(u, error);
    dial_for_waiting(u);
}

/* ---- asking ---- */

/*
 * A server of HTTP/1.1 takes the preface of HTTP/2 for a request and may serve
 * it, so auto sends it only to who was seen to speak HTTP/2. A call of gRPC says
 * of its server that it does, unless that has answered in HTTP/1.1.
 */
static bool speaks_http2(const struct upstream *u, const struct upstream_ask *a)
{
    unsigned heard;

    if (u->pool.protocol != PROTOCOL_AUTO)
        return u->pool.protocol == PROTOCOL_H2;
    heard = upstream_heard(u);
    if (heard & HEARD_NO_HTTP1)
        return true;
    if (a->version < 20 || a->upgrade)
        return false;
    return a->grpc ? !(heard & HEARD_NO_HTTP2) : heard & HEARD_HTTP2;
}

bool upstream_may_open(const struct upstream *u)
{
    return !u->pool.max || u->n_open + u->n_connecting + u->n_shared_connecting < u->pool.max;
}

/* Whoever waits has a connection on its way, where one more may be opened. */
static void dial_for_waiting(struct upstream *u)
{
    upstream_ref(u); /* whoever is told may be the last to hold it */
    while (u->n_waiting > u->n_connecting && upstream_may_open(u)) {
        int error = upstream_dial(u, false);

        if (error)
            connect_failed(u, error);
    }
    upstream_unref(u);
}

static void wait_in_line(struct upstream *u, struct upstream_ask *a)
{
    a->upstream = u;
    a->shared = false;
    list_push_back(&u->waiting, &a->link);
    u->n_waiting++;
}

enum span_error upstream_ask(struct upstream *u, struct upstream_ask *a, int *error)
{
    struct http1 *login;

    *error = 0;
    a->upstream = NULL;
    if (a->logins && !a->fresh && (login = logins_take(a->logins, u))) {
        give(u, a, login, true);
        return SPAN_ERROR_NONE;
    }
    if (!a->alone && speaks_http2(u, a))
        return shared_ask(u, a, error);
    if (!a->fresh && !list_empty(&u->idle) &&
        !(a->once && nears_its_end(u, http1_from_link(u->idle.next)))) {
        struct list *link = u->idle.next;

        list_remove(link);
        u->n_idle--;
        give(u, a, http1_from_link(link), true);
        return SPAN_ERROR_NONE;
    }
    if (u->n_waiting >= UPSTREAM_WAITING_MAX)
        return SPAN_ERROR_OVERLOAD;
    /* A connection that is being made and has nobody waiting for it will do. */
    if (u->n_connecting <= u->n_waiting) {
        if (!upstream_may_open(u)) /* kept ones take the place of a fresh one */
            upstream_make_way(u);
        if (!upstream_may_open(u)) {
            a->queued = true;
            metrics_add(u->worker->metrics, COUNT_UPSTREAM_QUEUED, 1);
            shared_make_way(u);
        } else if ((*error = upstream_dial(u, false))) {
            upstream_count_failed(u);
            return connect_error(*error);
        }
    }
    wait_in_line(u, a);
    return SPAN_ERROR_NONE;
}

void upstream_cancel(struct upstream_ask *a)
{
    if (!a->upstream)
        return;
    list_remove(&a->link);
    if (a->shared)
        a->upstream->n_shared_waiting--;
    else
        a->upstream->n_waiting--;
    a->upstream = NULL;
}

void upstream_donate(struct upstream *u, struct conn *c, bool http2)
{
    struct upstream_ask likely = {.version = http2 ? 20 : 11};
    struct http1 *h;

    http2 = speaks_http2(u, &likely);
    if (c->state == CONN_CONNECTING) {
        upstream_follow(u, c, http2);
        return;
    }
    upstream_opened(u);
    if (http2) {
        shared_connected(u, c);
        return;
    }
    h = http1_client(&u->worker->http, c, &pool_keeper, u);
    if (h)
        on_pool_idle(u, h);
    else
        upstream_closed(u);
}

/* ---- life ---- */

struct upstream *upstream_ref(struct upstream *u)
{
    u->refs++;
    return u;
}

void upstream_unref(struct upstream *u)
{
    if (!u || --u->refs)
        return;
    list_remove(&u->link);
    list_remove(&u->bucket);
    free((char *)(uintptr_t)u->cluster.p);
    free(u);
}

void upstream_retire(struct upstream *u)
{
    upstream_ref(u);
    u->retired = true;
    while (!list_empty(&u->idle))
        drop_idle(u, u->idle.next);
    logins_retire(u);
    shared_retire(u);
    upstream_unref(u);
}
