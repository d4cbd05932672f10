/*
 * Which route takes a request, and the times that it gives it.
 */
#include <string.h>

#include "mesh/route.h"
#include "proxy/exchange_private.h"

/* Without the places of names that the path does not have. */
static bool keep_params(struct exchange *x, const struct path_params *p)
{
    size_t bytes = offsetof(struct path_params, v) + p->n * sizeof p->v[0];
    struct path_params *kept;

    if (!p->n)
        return true;
    if (!(kept = arena_alloc(&x->arena, bytes)))
        return false;
    memcpy(kept, p, bytes);
    x->asking->params = kept;
    return true;
}

/* Where no rule sends it elsewhere it goes where the client's connection leads. */
static bool leads_on(const struct route *r)
{
    for (size_t i = 0; r && i < r->n_targets; i++)
        if (r->targets[i].kind == TARGET_ORIGINAL)
            return true;
    return !r;
}

/* Inside a CONNECT the rules of the authority that it named hold for what goes there, whatever the
 * request says of its host. */
static enum route_found find_inside(struct exchange *x, const struct direction *d,
                                    struct route_choice *choice, enum route_found found)
{
    struct request facts;

    if (!x->front->authority.n || found == ROUTE_UNDECIDED ||
        !leads_on(found == ROUTE_TAKES ? choice->route : NULL))
        return found;
    facts = x->asking->facts;
    facts.authority = x->front->authority;
    return route_find(d, &facts, choice);
}

bool exchange_find_route(struct exchange *x, const struct route **undecided)
{
    const struct direction *d = front_rules(x->front, exchange_config(x));
    struct route_choice choice;
    enum route_found found;

    x->deadline = 0;
    x->idle_limit = exchange_config(x)->timeouts.exchange_idle;
    found = find_inside(x, d, &choice, route_find(d, &x->asking->facts, &choice));
    *undecided = found == ROUTE_UNDECIDED ? choice.route : NULL;
    if (found != ROUTE_TAKES) {
        x->route = NULL;
        if (d->timeout)
            x->deadline = x->started + d->timeout;
        return true;
    }
    x->route = choice.route;
    if (x->route->timeout)
        x->deadline = x->started + x->route->timeout;
    if (x->route->idle_timeout)
        x->idle_limit = x->route->idle_timeout;
    return keep_params(x, &choice.params);
}
