#include "mesh/connect.h"

#include "mesh/fault.h"
#include "mesh/route.h"

bool route_may_refuse(const struct route *r)
{
    if (r->action == ACTION_RESPOND && r->status >= 400)
        return true;
    for (size_t i = 0; i < r->n_faults; i++)
        if (r->faults[i].kind != FAULT_DELAY && fault_strikes_all(&r->faults[i]))
            return true;
    return false;
}

static bool names_connect(const struct route *r)
{
    for (size_t i = 0; i < r->n_matches; i++)
        for (size_t k = 0; r->matches[i].kind == MATCH_METHOD && k < r->matches[i].n_methods; k++)
            if (str_eq(r->matches[i].methods[k], STR("CONNECT")))
                return true;
    return false;
}

/* No request gets past it. */
static bool takes_all(const struct route *r)
{
    return r->n_matches == 0 && !r->grpc && pattern_kind(r->pattern) == PATTERN_PREFIX &&
           str_eq(pattern_text(r->pattern), STR("/"));
}

/* False: what stands behind these routes is not reached. */
static bool look(struct connect_rules *rules, struct route *const *routes, size_t n,
                 const struct route *taken)
{
    for (size_t i = 0; i < n; i++) {
        const struct route *r = routes[i];

        if (r == taken && names_connect(r))
            return false;
        if (!rules->refuses && route_may_refuse(r))
            rules->refuses = r;
        if (r != taken && r->action == ACTION_FORWARD)
            rules->elsewhere = true;
        if (takes_all(r))
            return false;
    }
    return true;
}

struct connect_rules connect_rules_find(const struct direction *d, struct str authority,
                                        const struct route *taken)
{
    const struct host *host = d->n_hosts && d->table ? host_table_find(d->table, authority) : NULL;
    struct connect_rules rules = {0};

    if (!host || look(&rules, host->routes, host->n_routes, taken))
        rules.may_miss = look(&rules, d->routes, d->n_routes, taken);
    return rules;
}
