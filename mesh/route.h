/*
 * Which route takes a request: hosts first (exact beats *.suffix, the longest
 * suffix first, beats *), then the first route of that host that matches, then
 * the first of those outside any host. Only one host is asked: the others may
 * not take what it leaves.
 */
#ifndef SIDESPAN_MESH_ROUTE_H
#define SIDESPAN_MESH_ROUTE_H

#include "mesh/config.h"
#include "mesh/request.h"

struct route_choice {
    const struct route *route;
    const struct host *host; /* NULL: a route outside of any host */
    struct path_params params;
};

enum route_found {
    ROUTE_NONE, /* no route takes it; *out is undefined */
    ROUTE_TAKES,
    /* Whether out->route takes it is not decided, and none before it does: it is to be refused. */
    ROUTE_UNDECIDED,
};
enum route_found route_find(const struct direction *d, const struct request *r,
                            struct route_choice *out);

/*
 * True when every request that later takes, earlier takes too, so that after it
 * in the same list later would never be reached. Never wrongly, though there
 * are pairs it does not see.
 */
bool route_covers(const struct route *earlier, const struct route *later);

/* Bytes that are not HTTP do not go past it, for it answers requests by itself or resets them:
 * respond, redirect, fault abort, fault reset. A fault of some of the requests is no bar. */
bool route_bars_opaque(const struct route *r, enum bars which);
/* It has a fault of that kind. */
bool route_strikes_some(const struct route *r);
/* Every request takes it that no route before it took, and there is one place they all go to. */
bool route_takes_all(const struct route *r);

/* ---- the order of routes (route_index.c) ---- */

/*
 * The routes' paths in a tree, a segment a level, so that a request looks at
 * the few that could take it. It narrows and never decides: the answer is that
 * of trying the routes in turn. Everything in the arena; routes is borrowed,
 * and so are their patterns. NULL: no memory.
 */
struct route_index *route_index_new(struct arena *arena, struct route *const *routes, size_t n);
/* The first of the routes that takes the request, or of which it is not decided; NULL: none. */
const struct route *route_index_find(const struct route_index *index, const struct request *r,
                                     enum verdict *verdict);
/* The same without an index. */
const struct route *route_find_in_turn(struct route *const *routes, size_t n,
                                       const struct request *r, enum verdict *verdict);

/* ---- match (match.c) ---- */

/*
 * Whether one `match` line (or a `when`) holds.
 *
 * header NAME = VALUE, ~ REGEX: any field of that name fulfils it, each value
 * taken whole and as it came. query NAME: names and values are compared decoded
 * (%XX, and + for a space); any parameter of that name fulfils it. The first of
 * several values that cannot be decided leaves the rule undecided.
 */
enum verdict match_rule_holds(const struct match_rule *m, const struct request *r);
/* Whether the route's conditions hold, its path aside: that it is a call of gRPC, for a route of
 * gRPC, and all `match` lines; where one of these does not, or is not decided, *failed (may be
 * NULL) is it. */
enum verdict match_rules_hold(const struct route *route, const struct request *r,
                              const struct match_rule **failed);
/* Both: its path, which is that of pattern (the route's own), and its conditions. */
enum verdict route_holds(const struct route *route, const struct pattern *pattern,
                         const struct request *r);
/* True when a request that fulfils given fulfils wanted too; never wrongly. */
bool match_rule_implies(const struct match_rule *given, const struct match_rule *wanted);
/* The first query parameter of that (decoded) name, its value as it came; p NULL: there is none. */
struct str query_value(struct str query, struct str name);

/* ---- hosts (host_table.c) ---- */

/*
 * Case does not matter, and neither does one dot at the end. A port in the name
 * must match, an authority without one standing for 80; a name without a port
 * takes any, but of two that fit otherwise alike the one with the port wins.
 *
 * NULL: a name stands twice, or is none; err says where. Called by the loader.
 */
struct host_table *host_table_new(struct arena *arena, struct host *const *hosts, size_t n,
                                  struct error *err);
void host_table_release(struct host_table *t); /* NULL is fine */
/* NULL: none takes it. */
const struct host *host_table_find(const struct host_table *t, struct str authority);
/* The name of the host that took it, as it was written, for explain; p NULL: none takes it. */
struct str host_table_name_for(const struct host_table *t, struct str authority);

#endif
