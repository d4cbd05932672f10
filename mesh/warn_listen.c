/*
 * Listeners that do less, or more, than one may think.
 */
#include <stdio.h>

#include "mesh/route.h"
#include "mesh/warnings.h"

static const char *where(struct place from, struct place at, char out[200])
{
    if (at.file == from.file)
        snprintf(out, 200, "line %u", at.line);
    else
        snprintf(out, 200, "line %u of %.150s", at.line, at.file);
    return out;
}

/* The rule that what is not HTTP could step over at this listener; NULL: none. */
static const struct route *rule_over(const struct direction *d, const struct listen_config *l)
{
    if (l->carries == CARRIES_HTTP || l->mode == LISTEN_FORWARD_PROXY)
        return NULL;
    /* Outbound, a rule for some hosts concerns the connections to them alone. */
    return l->mode == LISTEN_TRANSPARENT && d->kind == DIRECTION_OUTBOUND
               ? d->refusing_all[BARS_ALL]
               : d->refusing[BARS_ALL];
}

static void warn_of_rule_over(struct errors *warnings, const struct direction *d,
                              const struct listen_config *l)
{
    const struct route *r = rule_over(d, l);
    char place[200];

    if (!r)
        return;
    where(l->at, r->at, place);
    if (l->carries == CARRIES_AUTO)
        errors_add(
            warnings, l->at,
            "what is not HTTP is refused here, because the route in %s may refuse requests "
            "and could be stepped over: put that route into a host block of its own, or let a "
            "listener that says tcp carry the rest",
            place);
    else
        errors_add(warnings, l->at,
                   "this listener looks at nothing, so the route in %s, which may refuse requests, "
                   "does not hold for what comes here",
                   place);
}

/* The first of them; NULL: none. */
static const struct route *striking(struct route *const *routes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (route_strikes_some(routes[i]))
            return routes[i];
    return NULL;
}

/* A fault for a share is no bar, but what is not HTTP is not struck by it. */
static void warn_of_fault(struct errors *warnings, const struct direction *d,
                          const struct listen_config *l)
{
    const struct route *r = striking(d->routes, d->n_routes);
    char place[200];

    if (!r || l->carries == CARRIES_HTTP || l->mode == LISTEN_FORWARD_PROXY || rule_over(d, l))
        return;
    errors_add(warnings, l->at,
               "what is not HTTP is not struck by the fault in %s: it passes here as it is",
               where(l->at, r->at, place));
}

static bool has_route(const struct direction *d)
{
    bool any = d->n_routes > 0;

    for (size_t i = 0; i < d->n_hosts; i++)
        any |= d->hosts[i]->n_routes > 0;
    return any;
}

static void warn_of_no_route(struct errors *warnings, const struct direction *d,
                             const struct listen_config *l)
{
    bool inbound = d->kind == DIRECTION_INBOUND;

    if (has_route(d) || (l->mode != LISTEN_PLAIN && d->unmatched == UNMATCHED_PASS))
        return;
    errors_add(warnings, l->at,
               "every request that comes here is answered with 404, because %s has no route: add "
               "\"route / { to %s; }\"%s",
               inbound ? "inbound" : "outbound", inbound ? "127.0.0.1:PORT" : "HOST:PORT",
               l->mode == LISTEN_PLAIN ? "" : ", or say: unmatched pass");
}

void warn_of_listens(struct errors *warnings, const struct direction *d)
{
    for (size_t i = 0; i < d->n_listens; i++) {
        warn_of_rule_over(warnings, d, &d->listens[i]);
        warn_of_fault(warnings, d, &d->listens[i]);
        warn_of_no_route(warnings, d, &d->listens[i]);
    }
}
