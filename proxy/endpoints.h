/*
 * Which addresses each cluster has now. The main thread keeps them: literals as
 * they are, names resolved again as their TTL runs out, every address counting.
 * What it finds is published as an immutable set.
 */
#ifndef SIDESPAN_PROXY_ENDPOINTS_H
#define SIDESPAN_PROXY_ENDPOINTS_H

#include "base/buffer.h"
#include "mesh/config.h"
#include "proxy/endpoint_set.h"
#include "proxy/resolver.h"

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
