/*
 * The telemetry thread: takes spans from each worker's ring, gives them to the
 * exporters, and carries what these send. It is woken when there is something
 * in a ring; the request path pays for it at most once in many requests.
 */
#ifndef SIDESPAN_PROXY_TELEMETRY_H
#define SIDESPAN_PROXY_TELEMETRY_H

#include <stdatomic.h>

#include "base/buffer.h"
#include "mesh/config.h"
#include "otlp/exporter.h"

struct telemetry;

/* A worker's end of it. Made before the worker starts, freed after the telemetry thread ended. */
struct span_feed;

/* Starts the thread. trace is read now and at each reload (exporters that did not change are kept,
 * with what waits in them). NULL: err says why. */
struct telemetry *telemetry_start(const struct config *config, struct error *err);
/* Exporters as the new config has them; spans that wait in one that is gone are flushed first,
 * within timeouts.flush, while the call is long over. What cannot be made (a certificate that
 * cannot be read) is logged, and the exporters stay as they were. From the main thread. */
void telemetry_reload(struct telemetry *t, const struct config *config);
/* Flushes for at most flush, then ends the thread and frees all, the feeds too: the workers have
 * ended before. Logs the last line of each ledger. NULL is fine. */
void telemetry_stop(struct telemetry *t, nsec_t flush);

/* As much as trace.batch.queue spans may need, but 1 MiB at least and 4 MiB at most: the ring
 * bridges the time between two drains, the queue is the exporter's. NULL: no memory. */
struct span_feed *span_feed_new(struct telemetry *t);
/* On its worker's thread: hands the span over, or counts it as lost. */
void span_feed_push(struct span_feed *f, const struct span *s);

/* From any thread: one JSON document for GET /ledger, with every exporter; each balances. */
void telemetry_ledger_json(struct telemetry *t, struct buffer *out);
/* The same as Prometheus text. */
void telemetry_metrics(struct telemetry *t, struct buffer *out);
/* GET /traces: the memory exporter's spans as OTLP JSON; false when there is no memory exporter. */
bool telemetry_traces_json(struct telemetry *t, const struct trace_id *trace_id, size_t limit,
                           struct buffer *out);

#endif
