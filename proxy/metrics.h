/*
 * Counters and histograms. Each worker writes its own, plainly; the admin
 * thread adds them up. Names follow the semantic conventions as Prometheus
 * writes them.
 */
#ifndef SIDESPAN_PROXY_METRICS_H
#define SIDESPAN_PROXY_METRICS_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/str.h"
#include "otlp/span_error.h"
#include "proxy/metrics_histogram.h"

/* X(id, prometheus name, labels, type, help). One group shares name, type and help. */
#define COUNTERS(X)                                                                                \
    X(COUNT_ACCEPTED_INBOUND, "sidespan_connections_total", "direction=\"inbound\"", "counter",    \
      "Connections accepted")                                                                      \
    X(COUNT_ACCEPTED_OUTBOUND, "sidespan_connections_total", "direction=\"outbound\"", "counter",  \
      "Connections accepted")                                                                      \
    X(COUNT_OPEN_INBOUND, "sidespan_connections_open", "direction=\"inbound\"", "gauge",           \
      "Connections from clients that are open")                                                    \
    X(COUNT_OPEN_OUTBOUND, "sidespan_connections_open", "direction=\"outbound\"", "gauge",         \
      "Connections from clients that are open")                                                    \
    X(COUNT_TUNNELS_INBOUND, "sidespan_tunnels_total", "direction=\"inbound\"", "counter",         \
      "Connections passed through as opaque bytes")                                                \
    X(COUNT_TUNNELS_OUTBOUND, "sidespan_tunnels_total", "direction=\"outbound\"", "counter",       \
      "Connections passed through as opaque bytes")                                                \
    X(COUNT_TUNNELS_OPEN_INBOUND, "sidespan_tcp_connections_open", "direction=\"inbound\"",        \
      "gauge", "Connections of opaque bytes that are open")                                        \
    X(COUNT_TUNNELS_OPEN_OUTBOUND, "sidespan_tcp_connections_open", "direction=\"outbound\"",      \
      "gauge", "Connections of opaque bytes that are open")                                        \
    X(COUNT_ACTIVE_INBOUND, "sidespan_requests_active", "direction=\"inbound\"", "gauge",          \
      "Exchanges under way")                                                                       \
    X(COUNT_ACTIVE_OUTBOUND, "sidespan_requests_active", "direction=\"outbound\"", "gauge",        \
      "Exchanges under way")                                                                       \
    X(COUNT_UPSTREAM_CONNECTS, "sidespan_upstream_connects_total", "result=\"connected\"",         \
      "counter", "Connections to upstreams tried")                                                 \
    X(COUNT_UPSTREAM_CONNECT_FAILED, "sidespan_upstream_connects_total", "result=\"failed\"",      \
      "counter", "Connections to upstreams tried")                                                 \
    X(COUNT_UPSTREAM_OPEN, "sidespan_upstream_connections_open", "", "gauge",                      \
      "Connections to upstreams that are open, idle ones included")                                \
    X(COUNT_UPSTREAM_REUSED, "sidespan_upstream_reuses_total", "", "counter",                      \
      "Requests sent on a kept connection")                                                        \
    X(COUNT_UPSTREAM_QUEUED, "sidespan_upstream_queued_total", "", "counter",                      \
      "Requests that waited for a place in a pool, since pool max was met")                        \
    X(COUNT_STALE_RETRIES, "sidespan_stale_retries_total", "", "counter",                          \
      "Requests sent again because a kept connection had been closed")                             \
    X(COUNT_REFUSED_RETRIES, "sidespan_refused_retries_total", "", "counter",                      \
      "Requests sent again because their stream was refused, unprocessed")                         \
    X(COUNT_FAULT_DELAYS, "sidespan_faults_total", "kind=\"delay\"", "counter", "Faults injected") \
    X(COUNT_FAULT_ABORTS, "sidespan_faults_total", "kind=\"abort\"", "counter", "Faults injected") \
    X(COUNT_FAULT_RESETS, "sidespan_faults_total", "kind=\"reset\"", "counter", "Faults injected") \
    X(COUNT_INVALID_CONTEXTS, "sidespan_trace_contexts_invalid_total", "", "counter",              \
      "Requests whose trace context could not be used")                                            \
    X(COUNT_WITHOUT_CONTEXT, "sidespan_outbound_without_context_total", "", "counter",             \
      "Outbound requests that began a trace while inbound ones were served: the service may have " \
      "forgotten to pass on the trace context")                                                    \
    X(COUNT_UNSAMPLED, "sidespan_spans_unsampled_total", "", "counter",                            \
      "Hops whose trace was not sampled")                                                          \
    X(COUNT_LOOPS, "sidespan_loops_refused_total", "", "counter",                                  \
      "Connections addressed to the sidecar itself")                                               \
    X(COUNT_CONNECTION_LIMIT, "sidespan_limit_hits_total", "limit=\"connections\"", "counter",     \
      "Times a limit was met")                                                                     \
    X(COUNT_MEMORY_LIMIT, "sidespan_limit_hits_total", "limit=\"memory\"", "counter",              \
      "Times a limit was met")                                                                     \
    X(COUNT_HEADER_TIMEOUTS, "sidespan_timeouts_total", "timeout=\"header\"", "counter",           \
      "Times a timeout ended something")                                                           \
    X(COUNT_IDLE_TIMEOUTS, "sidespan_timeouts_total", "timeout=\"idle\"", "counter",               \
      "Times a timeout ended something")                                                           \
    X(COUNT_ROUTE_TIMEOUTS, "sidespan_timeouts_total", "timeout=\"route\"", "counter",             \
      "Times a timeout ended something")                                                           \
    X(COUNT_QUEUE_TIMEOUTS, "sidespan_timeouts_total", "timeout=\"pool-queue\"", "counter",        \
      "Times a timeout ended something")                                                           \
    X(COUNT_PING_TIMEOUTS, "sidespan_timeouts_total", "timeout=\"ping\"", "counter",               \
      "Times a timeout ended something")                                                           \
    X(COUNT_ABUSE_RAPID_RESET, "sidespan_http2_abuse_total", "kind=\"rapid-reset\"", "counter",    \
      "HTTP/2 connections ended because of what their peer did")                                   \
    X(COUNT_ABUSE_RESET, "sidespan_http2_abuse_total", "kind=\"reset\"", "counter",                \
      "HTTP/2 connections ended because of what their peer did")                                   \
    X(COUNT_ABUSE_CONTINUATION, "sidespan_http2_abuse_total", "kind=\"continuation\"", "counter",  \
      "HTTP/2 connections ended because of what their peer did")                                   \
    X(COUNT_ABUSE_SETTINGS, "sidespan_http2_abuse_total", "kind=\"settings\"", "counter",          \
      "HTTP/2 connections ended because of what their peer did")                                   \
    X(COUNT_ABUSE_PING, "sidespan_http2_abuse_total", "kind=\"ping\"", "counter",                  \
      "HTTP/2 connections ended because of what their peer did")                                   \
    X(COUNT_ABUSE_EMPTY_FRAMES, "sidespan_http2_abuse_total", "kind=\"empty-frames\"", "counter",  \
      "HTTP/2 connections ended because of what their peer did")                                   \
    X(COUNT_ABUSE_HEADER_LIST, "sidespan_http2_abuse_total", "kind=\"header-list\"", "counter",    \
      "HTTP/2 connections ended because of what their peer did")                                   \
    X(COUNT_ABUSE_PRIORITY, "sidespan_http2_abuse_total", "kind=\"priority\"", "counter",          \
      "HTTP/2 connections ended because of what their peer did")                                   \
    X(COUNT_ABUSE_WINDOW_UPDATE, "sidespan_http2_abuse_total", "kind=\"window-update\"",           \
      "counter", "HTTP/2 connections ended because of what their peer did")                        \
    X(COUNT_ABUSE_STALL, "sidespan_http2_abuse_total", "kind=\"stall\"", "counter",                \
      "HTTP/2 connections ended because of what their peer did")

#define COUNTER_ROW(id, name, labels, type, help) id,
enum counter { COUNTERS(COUNTER_ROW) COUNTER_COUNT };
#undef COUNTER_ROW

/* Connections of opaque bytes: metrics_tcp.h. */
enum { TCP_BUCKETS = 9, TCP_ENDS = ENDED_BY_SIDECAR + 1 };
struct tcp_counts {
    atomic_uint_fast64_t ended[TCP_ENDS]; /* by enum ended_by */
    atomic_uint_fast64_t buckets[TCP_BUCKETS + 1], sum_us;
    atomic_uint_fast64_t received, sent; /* bytes from and to clients */
};

/* Requests of one direction to one cluster by one route, and connections likewise, whatever their
 * route. It lives as long as its metrics. Past SERIES_MAX clusters the rest share one a direction,
 * named "other"; past ROUTE_SERIES_MAX routes, those of earlier configurations included, the rest
 * of a cluster share one, whose route is "other". */
enum { SERIES_MAX = 512, ROUTE_SERIES_MAX = 1024 };
struct series {
    struct series *next;              /* fixed before others can see it */
    unsigned direction;               /* enum direction_kind */
    struct str cluster, route;        /* owned; route empty: of none */
    const struct series *of;          /* of a route: its cluster's; NULL: of a cluster */
    struct series *rest;              /* owned: of the routes past the bound; NULL: none came */
    atomic_uint_fast64_t by_class[6]; /* status / 100; 0: no response */
    struct histogram duration;
    atomic_uint_fast64_t request_bytes, response_bytes;
    struct tcp_counts tcp;
};

/* What the sidecar answered by itself, X(id, label). */
#define LOCAL_ANSWERS(X)                                 \
    X(LOCAL_RESPOND, "respond")                          \
    X(LOCAL_REDIRECT, "redirect")                        \
    X(LOCAL_FAULT, "fault")                              \
    X(LOCAL_OPTIONS, "options") /* to Max-Forwards: 0 */ \
    X(LOCAL_FAILURE, "failure") /* the reason is in sidespan_failures_total */
#define LOCAL_ANSWER_ROW(id, label) id,
enum local_answer { LOCAL_ANSWERS(LOCAL_ANSWER_ROW) LOCAL_ANSWER_COUNT };
#undef LOCAL_ANSWER_ROW

/* One worker's. */
struct metrics_tables;
struct metrics {
    atomic_int_fast64_t v[COUNTER_COUNT];             /* written by the worker alone */
    atomic_int_fast64_t ended[2][SPAN_ERROR_COUNT];   /* by enum direction_kind; likewise */
    atomic_int_fast64_t local[2][LOCAL_ANSWER_COUNT]; /* likewise */
    struct metrics_tables *tables;                    /* owned: refusals, series, calls of gRPC */
};
/* NULL: no memory. */
struct metrics *metrics_new(void);
void metrics_free(struct metrics *m);

/* On the worker's thread: one writer, so a plain add that others may read. */
static inline void metrics_add(struct metrics *m, enum counter c, int64_t n)
{
    int64_t was = atomic_load_explicit(&m->v[c], memory_order_relaxed);
    atomic_store_explicit(&m->v[c], was + n, memory_order_relaxed);
}
/* An exchange or a tunnel, and why it ended; SPAN_ERROR_NONE is not counted. */
static inline void metrics_ended(struct metrics *m, unsigned direction, enum span_error why)
{
    atomic_int_fast64_t *v = &m->ended[direction][why];

    if (why)
        atomic_store_explicit(v, atomic_load_explicit(v, memory_order_relaxed) + 1,
                              memory_order_relaxed);
}
/* A response of the sidecar's own. */
static inline void metrics_answered(struct metrics *m, unsigned direction, enum local_answer what)
{
    atomic_int_fast64_t *v = &m->local[direction][what];

    atomic_store_explicit(v, atomic_load_explicit(v, memory_order_relaxed) + 1,
                          memory_order_relaxed);
}
/* A message that was refused, by the name of the rule (a literal); past REFUSAL_RULES_MAX names the
 * rest are counted as "other". */
enum { REFUSAL_RULES_MAX = 128 };
void metrics_refused(struct metrics *m, const char *rule);
/* Made at the first call; never NULL: without memory the request is counted in the shared one. */
struct series *metrics_series(struct metrics *m, unsigned direction, struct str cluster);
/* The same of a cluster's requests by that route (ROUTE_LABEL_OTHER: by those that have no label of
 * their own); empty: by none, the cluster's own. */
struct series *metrics_route_series(struct metrics *m, struct series *cluster, struct str route);
/* status 0: no response was had. */
void series_record(struct series *s, unsigned status, nsec_t duration, uint64_t request_bytes,
                   uint64_t response_bytes);

/* From any thread: the value over all. */
int64_t metrics_total(struct metrics *const *v, size_t n, enum counter c);
/* Prometheus text format 0.0.4 of all workers together. */
void metrics_print(struct metrics *const *v, size_t n, struct buffer *out);

#endif
