/*
 * Names to addresses (c-ares) on the loop of one thread. Remembers answers for
 * as long as their TTL says (at least 1 s, at most 5 min; failures 1 s); asks
 * once for many who wait.
 */
#ifndef SIDESPAN_PROXY_RESOLVER_H
#define SIDESPAN_PROXY_RESOLVER_H

#include <event2/event.h>

#include "base/address.h"
#include "base/clock.h"
#include "base/str.h"

enum { RESOLVED_MAX = 64 };
struct resolved {
    const char *error; /* NULL: there is at least one address; else why not, for people */
    nsec_t ttl;        /* how long it holds from now on */
    size_t n;
    struct address v[RESOLVED_MAX]; /* port 0; sorted, so that equal answers compare equal */
};

typedef void resolved_fn(void *arg, const struct resolved *result);
struct resolver;
struct resolve; /* a question under way */

/* NULL: err says why. */
struct error;
struct resolver *resolver_new(struct event_base *base, struct error *err);
void resolver_free(struct resolver *r); /* questions under way are dropped, not answered */
/* Asks these servers ("127.0.0.1:5353,[::1]:53") instead of the system's. */
bool resolver_set_servers(struct resolver *r, const char *servers, struct error *err);
/* Calls fn exactly once, perhaps before it returns (then NULL is returned): an IP literal, an entry
 * of the cache. A and AAAA; the hosts file and search domains as the system has them. localhost is
 * the loopback of both families. fn must not free the resolver. */
struct resolve *resolver_ask(struct resolver *r, struct str name, resolved_fn *fn, void *arg);
void resolver_cancel(struct resolve *q); /* fn is not called; NULL is fine */

#endif
