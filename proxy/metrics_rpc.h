/*
 * Calls of gRPC, counted by method and status: rpc.server.* for those that come
 * in, rpc.client.* for those that go out. A worker has its own table, which it
 * alone writes; the admin thread adds them up.
 *
 * Whoever calls may make up methods, so the table is bounded: a path that can be
 * no method is _OTHER, and past RPC_SETS_MAX the rest of a direction is one set,
 * marked as the metrics SDK marks it. Methods that were never answered with OK
 * take at most half of the table, so that made-up ones leave room for those that
 * exist.
 */
#ifndef SIDESPAN_PROXY_METRICS_RPC_H
#define SIDESPAN_PROXY_METRICS_RPC_H

#include "base/semconv.h"
#include "proxy/metrics.h"

enum { RPC_SETS_MAX = 1024 };

/* On the worker's thread. series: of the direction and the cluster, of the same metrics. status: as
 * the caller sees it (otlp/rpc_call.h). Only the first call of its kind takes memory; without any
 * it is counted among the rest. */
void metrics_rpc_record(struct metrics *m, const struct series *series, struct str path,
                        unsigned status, nsec_t duration);

/* Prometheus text of all workers together, under the names that were opted in for. A direction
 * without calls is left out. */
void metrics_rpc_print(struct metrics *const *v, size_t n, enum semconv names, struct buffer *out);

#endif
