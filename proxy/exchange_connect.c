/*
 * How an exchange comes to a stream: endpoints are asked for one in turn. The
 * next is asked when the last has failed, or while that lets itself be waited
 * for (RFC 8305); the first that has a stream gets the request, and nobody else
 * has seen any of it.
 */
#include <errno.h>

#include "proxy/connect_error.h"
#include "proxy/exchange_private.h"
#include "proxy/http_rules.h"
#include "proxy/race.h"
#include "proxy/upstream_login.h"

static void on_ready(struct upstream_ask *a, struct stream *s, bool reused);
static void on_failed(struct upstream_ask *a, enum span_error why, int error);

/* ---- those that are asked ---- */

static struct asked *asked_at(const struct exchange *x, size_t i)
{
    if (i == 0)
        return &x->asking->first;
    return x->asking->more ? &x->asking->more[i - 1] : NULL;
}

static size_t n_asked(const struct exchange *x)
{
    size_t n = 0;

    for (size_t i = 0; i < ASKS_MAX; i++) {
        const struct asked *a = asked_at(x, i);

        n += a && a->endpoint;
    }
    return n;
}

/* NULL: there are enough, or no memory. */
static struct asked *free_place(struct exchange *x)
{
    struct asking *a = x->asking;

    if (!a->first.endpoint)
        return &a->first;
    if (!a->more)
        a->more = arena_zalloc(&x->arena, (ASKS_MAX - 1) * sizeof *a->more);
    for (size_t i = 1; a->more && i < ASKS_MAX; i++)
        if (!asked_at(x, i)->endpoint)
            return asked_at(x, i);
    return NULL;
}

static void stop_one(struct asked *a)
{
    if (!a->endpoint)
        return;
    upstream_cancel(&a->ask);
    a->endpoint->in_flight--;
    upstream_unref(a->endpoint);
    a->endpoint = NULL;
}

void exchange_stop_asking(struct exchange *x)
{
    struct asking *a = x->asking;

    if (!a)
        return;
    stop_one(&a->first);
    for (size_t i = 0; a->more && i < ASKS_MAX - 1; i++)
        stop_one(&a->more[i]);
    list_remove(&a->names.link);
    a->queue_until = a->ask_another = a->ask_again = 0;
}

/* ---- where to ---- */

static void note_tried(struct exchange *x, const struct upstream *u)
{
    struct tried *t;

    if (was_tried(x->asking->tried, &u->address) || !(t = arena_alloc(&x->arena, sizeof *t)))
        return; /* without memory it may be tried again, as often as TRIES_MAX says */
    *t = (struct tried){u->address, x->asking->tried};
    x->asking->tried = t;
}

void exchange_leave_endpoint(struct exchange *x, bool tried)
{
    struct upstream *u = x->endpoint;

    if (!u)
        return;
    if (tried)
        note_tried(x, u);
    if (x->counted)
        u->in_flight--;
    x->counted = false;
    x->endpoint = NULL;
    upstream_unref(u);
}

bool exchange_has_another(const struct exchange *x)
{
    const struct asking *a = x->asking;

    return x->cluster ? cluster_has_another(x->cluster, a->tried, false)
                      : a->next_address < a->n_addresses;
}

bool exchange_has_another_than(struct exchange *x)
{
    struct tried present = {x->endpoint->address, x->asking->tried};

    return x->cluster ? cluster_has_another(x->cluster, &present, false) : exchange_has_another(x);
}

/* While somebody is waited for, only who is likely to answer is worth asking. */
static bool has_one_that_answers(const struct exchange *x)
{
    return x->cluster ? cluster_has_another(x->cluster, x->asking->tried, true)
                      : exchange_has_another(x);
}

static void choose_endpoint(struct exchange *x)
{
    struct logins *logins = x->front->logins;
    struct upstream *u = NULL;

    if (!x->cluster) {
        if (x->asking->next_address < x->asking->n_addresses)
            exchange_next_address(x);
        return;
    }
    if (logins && !x->tries)
        u = logins_endpoint(logins, x->cluster->name);
    if (!u)
        u = cluster_choose(x->cluster, x->asking->tried, &x->asking->context.trace_id);
    if (u)
        x->endpoint = upstream_ref(u);
}

static const char *no_endpoint_text(const struct cluster_state *c)
{
    if (c->set && c->set->error)
        return c->set->error;
    if (c->set && c->set->pending)
        return "the cluster's name is still being resolved";
    return "the cluster has no endpoint";
}

static void on_names_known(struct names_wait *w)
{
    struct exchange *x = w->arg;

    x->asking->queue_until = 0;
    exchange_connect(x);
}

/* The names of a file that has just come into force may take a moment. True: it waits for them, as
 * long as it would for a connection. */
static bool wait_for_names(struct exchange *x)
{
    struct asking *a = x->asking;

    if (!x->cluster || x->state >= EXCHANGE_RESOLVING ||
        !cluster_await_names(x->cluster, &a->names))
        return false;
    a->names.known = on_names_known;
    a->names.arg = x;
    if (x->cluster->pool.connect_timeout)
        a->queue_until = loop_now(&x->worker->loop) + x->cluster->pool.connect_timeout;
    exchange_enter(x, EXCHANGE_RESOLVING);
    exchange_rearm(x);
    return true;
}

/* The file did not show it: a name turned out to be this machine. */
static void refuse_loop(struct exchange *x)
{
    exchange_leave_endpoint(x, true);
    metrics_add(x->worker->metrics, COUNT_LOOPS, 1);
    exchange_fail(x, SPAN_ERROR_LOOP,
                  "the cluster's endpoint is this sidecar itself: name the port of the service");
}

/* False: it has been dealt with. */
static bool have_endpoint(struct exchange *x)
{
    if (!x->endpoint)
        choose_endpoint(x);
    if (!x->endpoint && wait_for_names(x))
        return false;
    if (!x->endpoint)
        exchange_fail(
            x, x->cluster && x->cluster->set->error ? SPAN_ERROR_DNS : SPAN_ERROR_NO_ENDPOINT,
            x->cluster ? no_endpoint_text(x->cluster) : "there is no address left");
    else if (x->cluster && front_is_loop(x->front, exchange_config(x), &x->endpoint->address))
        refuse_loop(x);
    else
        return true;
    return false;
}

/* ---- failing ---- */

static void fail_to_connect(struct exchange *x, enum span_error why, int error)
{
    struct failure f = {.why = why};
    char where[ADDRESS_TEXT_MAX];
    struct str text;

    if (error == ECONNRESET && exchange_fail_as_own(x))
        return;
    if (x->cluster && error)
        cluster_has_not_answered(x->generation, x->cluster, &x->endpoint->address, error);
    address_format(&x->endpoint->address, where);
    if (why == SPAN_ERROR_OVERLOAD && !error) {
        text = arena_printf(&x->arena, "%u requests wait for a connection to %s already",
                            UPSTREAM_WAITING_MAX, where);
        f.rule = "pool";
        f.cure = "raise pool max in the cluster, or give it more endpoints";
    } else {
        text = arena_printf(&x->arena, "connecting to %s: %s", where,
                            why == SPAN_ERROR_CONNECT_TIMEOUT ? "no answer within connect-timeout"
                                                              : connect_error_text(error));
    }
    if (error == EADDRNOTAVAIL) {
        f.rule = "local-ports";
        f.cure = "give its cluster more endpoints, keep more connections (pool idle-max), or widen "
                 "net.ipv4.ip_local_port_range";
    } else if (error == EMFILE || error == ENFILE) {
        f.rule = "open-files";
        f.cure = "raise the limit of open files (ulimit -n, LimitNOFILE=)";
    }
    f.detail = text.p ? text.p : "connecting to the upstream failed";
    exchange_fail_by(x, &f);
}

/* No stream was had of x->endpoint, so nothing was sent. True: there is another place to go to. */
static bool go_elsewhere(struct exchange *x, enum span_error why, int error)
{
    bool waits = n_asked(x) > 0;
    bool may;

    note_tried(x, x->endpoint);
    may = !connect_error_is_everywhere(error) && x->tries < TRIES_MAX &&
          (waits ? has_one_that_answers(x) : exchange_has_another(x));
    if (waits) { /* the attempt goes on */
        exchange_leave_endpoint(x, true);
        return may;
    }
    span_set_upstream(&x->span, &x->endpoint->address);
    if (!may) {
        fail_to_connect(x, why, error);
        return false;
    }
    x->span.error = (uint8_t)why;
    exchange_span_again(x);
    exchange_leave_endpoint(x, true);
    return true;
}

/* ---- asking ---- */

/* Asks the endpoint that is chosen: it is the ask's from then on. A reason: it could not be asked,
 * and is still chosen. */
static enum span_error ask(struct exchange *x, struct asked *a, int *error)
{
    struct upstream *u = x->endpoint;
    enum span_error why;

    a->exchange = x;
    a->endpoint = u;
    u->in_flight++;
    x->endpoint = NULL;
    x->tries++;
    exchange_enter(x, EXCHANGE_CONNECTING);
    a->ask.ready = on_ready;
    a->ask.failed = on_failed;
    a->ask.method = x->request->method;
    a->ask.logins = x->front->logins;
    a->ask.version = x->request->version;
    a->ask.grpc = x->span.grpc;
    a->ask.upgrade = x->request->upgrade;
    a->ask.alone = x->connects; /* bytes need a connection of their own */
    a->ask.fresh = x->retried || x->connects;
    a->ask.once = !method_is_idempotent(x->request->method);
    a->ask.busy_too = x->asking->refusals > 1;
    a->ask.queued = false;
    why = upstream_ask(u, &a->ask, error);
    if (why) {
        u->in_flight--;
        a->endpoint = NULL;
        x->endpoint = u;
    }
    return why;
}

/* It is waited for: not for ever, and not alone. */
static void wait_for(struct exchange *x, const struct asked *a)
{
    const struct pool_rules *pool = &a->endpoint->pool;
    nsec_t now = loop_now(&x->worker->loop);
    nsec_t until = now + (a->ask.queued ? pool->queue : pool->connect_timeout + SECONDS(1));

    if (a->ask.queued || pool->connect_timeout)
        x->asking->queue_until = until;
    x->asking->ask_another = a->ask.queued ? 0 : now + RACE_DELAY;
    exchange_rearm(x);
}

void exchange_connect(struct exchange *x)
{
    struct asked *a;
    enum span_error why;
    int error;

    do {
        if (!have_endpoint(x))
            return;
        if (!(a = free_place(x))) {
            exchange_fail(x, SPAN_ERROR_OVERLOAD, "no memory to ask for a connection");
            return;
        }
        why = ask(x, a, &error);
    } while (why && go_elsewhere(x, why, error));
    if (!why && x->state == EXCHANGE_CONNECTING && a->endpoint && a->ask.upstream)
        wait_for(x, a);
}

void exchange_connect_after(struct exchange *x, nsec_t pause)
{
    if (!pause) {
        exchange_connect(x);
        return;
    }
    x->asking->ask_again = loop_now(&x->worker->loop) + pause;
    exchange_enter(x, EXCHANGE_CONNECTING);
}

static void on_failed(struct upstream_ask *ask, enum span_error why, int error)
{
    struct asked *a = container_of(ask, struct asked, ask);
    struct exchange *x = a->exchange;

    exchange_leave_endpoint(x, false);
    x->endpoint = a->endpoint;
    x->counted = true;
    a->endpoint = NULL;
    if (go_elsewhere(x, why, error))
        exchange_connect(x);
}

static void on_ready(struct upstream_ask *ask, struct stream *s, bool reused)
{
    struct asked *a = container_of(ask, struct asked, ask);
    struct exchange *x = a->exchange;

    x->endpoint = a->endpoint;
    x->counted = true;
    a->endpoint = NULL;
    exchange_stop_asking(x);
    if (x->cluster && !x->cluster->answered)
        cluster_has_answered(x->generation, x->cluster, &x->endpoint->address);
    exchange_attempt(x, s, reused, a->ask.queued);
}

/* ---- time ---- */

/* Whoever is waited for takes its time. */
static void ask_another(struct exchange *x)
{
    x->asking->ask_another = 0;
    for (size_t i = 0; i < ASKS_MAX; i++) {
        const struct asked *a = asked_at(x, i);

        if (a && a->endpoint)
            note_tried(x, a->endpoint);
    }
    if (n_asked(x) == ASKS_MAX || x->tries >= TRIES_MAX || !has_one_that_answers(x)) {
        exchange_rearm(x);
        return;
    }
    for (size_t i = 0; i < ASKS_MAX; i++) {
        const struct asked *a = asked_at(x, i);

        if (a && a->endpoint)
            upstream_is_slow(a->endpoint);
    }
    exchange_connect(x);
}

/* The latest that was asked. */
static const struct asked *one_asked(const struct exchange *x)
{
    for (size_t i = ASKS_MAX; i-- > 0;) {
        const struct asked *a = asked_at(x, i);

        if (a && a->endpoint)
            return a;
    }
    return NULL;
}

static void queue_over(struct exchange *x)
{
    const struct asked *a = one_asked(x);
    struct failure f = {.why = SPAN_ERROR_CONNECT_TIMEOUT,
                        .detail = "no connection to the upstream became ready in time"};
    char where[ADDRESS_TEXT_MAX];
    struct str text;

    if (a && a->ask.queued) {
        address_format(&a->endpoint->address, where);
        text = arena_printf(
            &x->arena, "every connection to %s that pool max %u allows was busy for %lld ms", where,
            a->endpoint->pool.max, (long long)(a->endpoint->pool.queue / MILLISECONDS(1)));
        f = (struct failure){.why = SPAN_ERROR_QUEUE,
                             .detail = text.p ? text.p : "no connection became free in time"};
        metrics_add(x->worker->metrics, COUNT_QUEUE_TIMEOUTS, 1);
    }
    exchange_fail_by(x, &f);
}

void exchange_connect_timer(struct exchange *x)
{
    nsec_t now = loop_now(&x->worker->loop);

    if (x->asking->queue_until && now >= x->asking->queue_until) {
        queue_over(x);
    } else if (x->asking->ask_again) {
        x->asking->ask_again = 0;
        exchange_connect(x);
    } else {
        ask_another(x);
    }
}
