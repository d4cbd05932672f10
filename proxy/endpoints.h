/*
 * Which addresses each cluster has now. The main thread keeps them: literals as
 * they are, names resolved again as their TTL runs out, every address counting.
 * What it finds is published as an immutable set.
 */
#ifndef SIDESPAN_PROXY_ENDPOINTS_H
#define SIDESPAN_PROXY_ENDPOINTS_H

#include <stdatomic.h>

#include "base/buffer.h"
#include "mesh/config.h"
#include "proxy/resolver.h"

struct endpoint {
    struct address address;
    unsigned weight;
    char text[ADDRESS_TEXT_MAX]; /* "10.0.0.7:8080" */
};
struct endpoint_set {
    atomic_uint refs;
    char *cluster; /* owned: its name */
    char *error;   /* owned; NULL: fine. Else why a name has no addresses; n may be 0 */
    bool pending;  /* a name has not been answered for the first time */
    size_t n;
    struct endpoint v[];
};
/* One reference; room for `most` endpoints. NULL: no memory. */
struct endpoint_set *endpoint_set_new(struct str cluster, size_t most);
/* Of an address that is there already only the weight is added. The path of a Unix socket is
 * copied. */
void endpoint_set_add(struct endpoint_set *s, const struct address *address, unsigned weight);
/* The same endpoints in the same order, and the same to be said of them. */
bool endpoint_set_eq(const struct endpoint_set *a, const struct endpoint_set *b);
struct endpoint_set *endpoint_set_ref(struct endpoint_set *s);
void endpoint_set_unref(struct endpoint_set *s); /* NULL is fine */

struct endpoints;
/* publish is called on the main thread with a set whose reference it takes: for each cluster that
 * the config before did not have, and whenever something changed. */
typedef void endpoints_publish_fn(void *arg, struct endpoint_set *set);
struct endpoints *endpoints_new(struct event_base *base, struct resolver *resolver,
                                endpoints_publish_fn *publish, void *arg);
void endpoints_free(struct endpoints *e);
/* Follows the clusters of this config from now on. Known answers are published at once. When a name
 * cannot be resolved again its last addresses stay, and the set says why. */
void endpoints_follow(struct endpoints *e, struct config *config);
/* True when no cluster's name waits for its first answer: part of readiness at the start. */
bool endpoints_settled(const struct endpoints *e);
/* Why it is not settled, for people: "users-v1: users.shop has not been resolved yet", a line each.
 */
void endpoints_unsettled_print(const struct endpoints *e, struct buffer *out);
/* sidespan_cluster_endpoints and sidespan_cluster_resolution_failing. */
void endpoints_metrics_print(const struct endpoints *e, struct buffer *out);
/* When an address refused connections the name is asked again soon (bounded to once a second). */
void endpoints_hint_stale(struct endpoints *e, struct str cluster);

#endif
