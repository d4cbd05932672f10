/*
 * What the routes mean for CONNECT (RFC 9110 section 9.3.6), which has an
 * authority and no path.
 *
 * The CONNECT itself is taken by the first route that would take a request
 * whatever its path: route_find() with an empty path finds it. What is HTTP
 * inside is taken by routes request for request, so no rule is stepped over. What
 * is not HTTP shows no path: it may pass only where no rule of that authority
 * could have refused it.
 */
#ifndef SIDESPAN_MESH_CONNECT_H
#define SIDESPAN_MESH_CONNECT_H

#include "mesh/config.h"

struct connect_rules {
    /* The first rule that could refuse a request inside; NULL: none. */
    const struct route *refuses;
    /* A route other than the one that takes the CONNECT sends requests somewhere: what is inside
     * may find its way though the CONNECT's own does not. */
    bool elsewhere;
    /* A request inside may be taken by no route at all: then `unmatched` says what becomes of it.
     */
    bool may_miss;
};

/*
 * The rules that requests inside a CONNECT to that authority could meet, in
 * their order. taken: the route that takes the CONNECT, or NULL. Where it says
 * "match method CONNECT" it was written for the whole of what is inside, so what
 * stands behind it does not count.
 */
struct connect_rules connect_rules_find(const struct direction *d, struct str authority,
                                        const struct route *taken);

/* True if the route refuses requests: it responds with 400 or more, or has a fault that aborts or
 * resets every request (fault_strikes_all()). */
bool route_may_refuse(const struct route *r);

#endif
