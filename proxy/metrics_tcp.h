/*
 * Connections whose bytes pass as they are: what is not HTTP, CONNECT, what
 * follows a 101. They are no requests, and last as long as they like, so they
 * are counted apart, with bounds of their own.
 */
#ifndef SIDESPAN_PROXY_METRICS_TCP_H
#define SIDESPAN_PROXY_METRICS_TCP_H

#include "otlp/span_error.h"
#include "proxy/metrics.h"

/* One that has ended. Bytes: received from the client, sent to it. */
void series_record_tcp(struct series *s, enum ended_by by, nsec_t duration, uint64_t received,
                       uint64_t sent);
/* All workers together, in Prometheus' text. */
void metrics_tcp_print(struct metrics *const *v, size_t n, struct buffer *out);

#endif
