#include "mesh/route.h"

#include "mesh/fault.h"

static const struct route *find_among(const struct route_index *index, struct route *const *routes,
                                      size_t n, const struct request *r, enum verdict *verdict)
{
    if (n == 0)
        return NULL;
    return index ? route_index_find(index, r, verdict) : route_find_in_turn(routes, n, r, verdict);
}

enum route_found route_find(const struct direction *d, const struct request *r,
                            struct route_choice *out)
{
    enum verdict verdict = VERDICT_NO;

    out->host = d->n_hosts && d->table ? host_table_find(d->table, r->authority) : NULL;
    out->route = NULL;
    if (out->host)
        out->route =
            find_among(out->host->index, out->host->routes, out->host->n_routes, r, &verdict);
    if (!out->route) {
        out->host = NULL;
        out->route = find_among(d->index, d->routes, d->n_routes, r, &verdict);
    }
    if (!out->route)
        return ROUTE_NONE;
    out->params.n = 0;
    if (verdict == VERDICT_YES && pattern_names(out->route->pattern, NULL))
        verdict = pattern_match(out->route->pattern, r->path, &out->params);
    return verdict == VERDICT_YES ? ROUTE_TAKES : ROUTE_UNDECIDED;
}

bool route_covers(const struct route *earlier, const struct route *later)
{
    if (!pattern_covers(earlier->pattern, later->pattern) || (earlier->grpc && !later->grpc))
        return false;
    for (size_t i = 0; i < earlier->n_matches; i++) {
        size_t j = 0;
        while (j < later->n_matches &&
               !match_rule_implies(&later->matches[j], &earlier->matches[i]))
            j++;
        if (j == later->n_matches)
            return false;
    }
    return true;
}

bool route_bars_opaque(const struct route *r, enum bars which)
{
    for (size_t i = 0; which == BARS_ALL && i < r->n_faults; i++)
        if (r->faults[i].kind != FAULT_DELAY && fault_strikes_all(&r->faults[i]))
            return true;
    return r->action != ACTION_FORWARD;
}

bool route_strikes_some(const struct route *r)
{
    for (size_t i = 0; i < r->n_faults; i++)
        if (r->faults[i].kind != FAULT_DELAY && !fault_strikes_all(&r->faults[i]))
            return true;
    return false;
}

bool route_takes_all(const struct route *r)
{
    return r->action == ACTION_FORWARD && r->n_matches == 0 && r->n_targets == 1 &&
           r->targets[0].kind == TARGET_CLUSTER && str_eq(r->text, STR("/"));
}
