/*
 * Where a request goes: to the target of its route, to where the client's
 * connection was going, or to the name that it gave a forward proxy.
 */
#include "base/authority.h"
#include "mesh/split.h"
#include "proxy/exchange_private.h"
#include "proxy/race.h"
#include "proxy/upstream_login.h"

static void no_route(struct exchange *x, const char *cure)
{
    struct message *m = x->request;
    struct str what = arena_printf(&x->arena, "no route takes %.*s %.*s%.*s", STR_ARG(m->method),
                                   STR_ARG(m->authority), STR_ARG(m->path));

    exchange_fail_by(x, &(struct failure){.why = SPAN_ERROR_NO_ROUTE,
                                          .detail = what.p ? what.p : "no route takes it",
                                          .cure = cure});
}

/* One that leads back here is none. Returns why the last of them does; NULL: none does. */
static const char *drop_loops(struct exchange *x)
{
    struct asking *a = x->asking;
    const char *why = NULL;
    size_t n = 0;

    for (size_t i = 0; i < a->n_addresses; i++) {
        const char *barred = front_bars(x->front, exchange_config(x), &a->addresses[i]);

        if (barred)
            why = barred;
        else
            a->addresses[n++] = a->addresses[i];
    }
    a->n_addresses = n;
    return why;
}

static void to_addresses(struct exchange *x)
{
    const char *why = drop_loops(x);

    if (x->asking->n_addresses == 0) {
        metrics_add(x->worker->metrics, COUNT_LOOPS, 1);
        exchange_fail(x, SPAN_ERROR_LOOP, why ? why : "there is no address");
    } else {
        exchange_connect(x);
    }
}

void exchange_next_address(struct exchange *x)
{
    struct asking *a = x->asking;

    x->endpoint = upstream_original(x->worker->upstreams, &a->addresses[a->next_address++]);
}

/* A client that has logged in at one of them goes there first. */
static void login_first(const struct logins *logins, struct address *v, size_t n)
{
    for (size_t i = 0; logins && i < n; i++)
        if (logins_have(logins, &v[i])) {
            struct address first = v[i];

            memmove(&v[1], &v[0], i * sizeof *v);
            v[0] = first;
            return;
        }
}

/* All of them: the next is tried where one refuses, or does not answer. */
static bool keep_addresses(struct exchange *x, const struct address *v, size_t n, uint16_t port)
{
    struct asking *a = x->asking;

    a->addresses = arena_array(&x->arena, n, sizeof *a->addresses);
    if (!a->addresses)
        return false;
    for (size_t i = 0; i < n; i++) {
        a->addresses[i] = v[i];
        a->addresses[i].port = port;
    }
    a->n_addresses = n;
    race_order(x->worker, a->addresses, n);
    login_first(x->front->logins, a->addresses, n);
    return true;
}

/* The name is the client's; one of a cluster is told with its endpoint. */
static void no_name(struct exchange *x, const char *why)
{
    struct str authority = x->front->authority.n ? x->front->authority : x->request->authority;
    struct str what = arena_printf(&x->arena, "%.*s: %s", STR_ARG(authority), why);

    exchange_fail(x, SPAN_ERROR_DNS, what.p ? what.p : why);
}

static void on_resolved(void *arg, const struct resolved *result)
{
    struct exchange *x = arg;
    struct worker *w = x->worker;

    loop_begin_turn(&w->loop);
    x->asking->resolving = NULL;
    if (result->error)
        no_name(x, result->error);
    else if (!keep_addresses(x, result->v, result->n, x->asking->resolve_port))
        exchange_fail(x, SPAN_ERROR_OVERLOAD, "no memory for the addresses of the name");
    else
        to_addresses(x);
    loop_end_turn(&w->loop);
}

/* Host and port; that of the scheme where there is none. */
static bool read_authority(struct str authority, struct str *host, uint16_t *port)
{
    struct authority a = authority_split(authority);

    *host = a.host;
    *port = 80;
    return a.host.n > 0 && (a.port.n == 0 || (authority_port(a.port, port) && *port > 0));
}

static void to_original(struct exchange *x)
{
    struct str host, authority = x->request->authority;
    struct error err = {0};
    struct resolver *r;

    x->series = metrics_series(x->worker->metrics, x->front->direction, STR("original"));
    x->span.text[SPAN_CLUSTER] = STR("original");
    if (x->front->original.family) {
        if (keep_addresses(x, &x->front->original, 1, x->front->original.port))
            to_addresses(x);
        else
            exchange_fail(x, SPAN_ERROR_OVERLOAD, "no memory for the destination");
        return;
    }
    if (x->front->mode != LISTEN_FORWARD_PROXY) {
        exchange_fail(x, SPAN_ERROR_LOOP,
                      "the connection was not redirected here, so it has no original destination");
        return;
    }
    if (x->front->authority.n)
        authority = x->front->authority;
    if (!read_authority(authority, &host, &x->asking->resolve_port)) {
        static const struct refusal bad = {"authority", 400, "the authority is HOST or HOST:PORT"};

        exchange_refuse(x, &bad);
        return;
    }
    if (!(r = worker_resolver(x->worker, &err))) {
        exchange_fail(x, SPAN_ERROR_DNS, "names cannot be resolved");
        return;
    }
    exchange_enter(x, EXCHANGE_RESOLVING);
    x->asking->resolving = resolver_ask(r, host, on_resolved, x);
}

static void to_target(struct exchange *x, const struct target *t)
{
    if (x->route->n_targets > 1) {
        x->span.weight = t->weight;
        x->span.total_weight = (uint32_t)x->route->total_weight;
    }
    if (t->kind == TARGET_ORIGINAL) {
        to_original(x);
        return;
    }
    x->cluster = x->generation->clusters[t->cluster->index];
    x->series = x->cluster->series[x->front->direction];
    x->span.text[SPAN_CLUSTER] = t->name;
    exchange_connect(x);
}

void exchange_to_target(struct exchange *x)
{
    const struct target *t;

    if (!x->route) {
        if (!x->front->original.family && x->front->mode != LISTEN_FORWARD_PROXY)
            no_route(x,
                     x->front->mode == LISTEN_TRANSPARENT
                         ? "call the service's own address, which the interception rules redirect "
                           "here, or add a route"
                         : "add a route");
        else if (front_rules(x->front, exchange_config(x))->unmatched == UNMATCHED_REJECT)
            no_route(x, "add a route, or say: unmatched pass");
        else
            to_original(x);
        return;
    }
    if (x->route->action != ACTION_FORWARD) {
        exchange_respond(x);
        return;
    }
    t = split_choose(x->route, &x->asking->facts);
    if (t)
        to_target(x, t);
    else
        no_route(x, "the route has no target");
}
