/*
 * An exporter is one destination of spans: a row of a table with its own
 * queue, acknowledgement, retry state and ledger.
 *
 * It has no socket and no clock. All calls are of the telemetry thread but for
 * those that say otherwise. Call exporter_tick() after spans were added, when
 * the time it named has come, and after each turn of the loop in which a
 * transport may have answered: the answer is only noted when it comes.
 *
 * OTLP: spans are encoded into batches as they come. One request is under way
 * at a time. A batch that could not be delivered is sent again, after 1 s, then
 * 1.5 times as long each time up to 5 s (a fifth more or less by chance), or
 * later if the collector asks for it, until retry_for is over; those behind it wait.
 * What waits is bounded by queue_spans and by bytes (1 KiB a span of
 * queue_spans, at least 8 MiB); beyond it new spans are dropped and counted.
 */
#ifndef SIDESPAN_OTLP_EXPORTER_H
#define SIDESPAN_OTLP_EXPORTER_H

#include "base/buffer.h"
#include "base/random.h"
#include "otlp/conventions.h"
#include "otlp/ledger.h"
#include "otlp/resource.h"
#include "otlp/span.h"
#include "otlp/transport.h"

enum exporter_kind { EXPORTER_OTLP_GRPC, EXPORTER_OTLP_HTTP, EXPORTER_CONSOLE, EXPORTER_MEMORY };

struct exporter_header {
    struct str name, value;
};

/* Copied by exporter_new(). */
struct exporter_options {
    enum exporter_kind kind;
    struct str name; /* for the ledger and the log: its URL, "console", "memory" */
    struct str path; /* OTLP/HTTP; empty: /v1/traces */
    bool gzip;
    const struct exporter_header *headers;
    size_t n_headers;
    nsec_t timeout;                  /* of one request; 0: none */
    size_t queue_spans, batch_spans; /* batch_spans <= queue_spans; 0: 2048 and 512 */
    nsec_t delay;                    /* a batch that is not full is sent after it */
    nsec_t retry_for;    /* a batch is retried so long, then DROP_EXPIRED; 0: without end */
    size_t memory_spans; /* 0: 1000 */
    bool pretty;         /* console: each span as an indented object of OTLP JSON */
    int console;         /* the descriptor that console writes to, borrowed; 0: standard output */
    struct conventions conventions;
};

/* A line for the log. Called when something an operator should know changed: the collector cannot
 * be reached, is back, refused spans, rejected some. Not for every batch. */
typedef void exporter_report_fn(void *arg, bool warning, const char *text);

struct exporter;

/*
 * transport is taken, also when it fails (NULL for console and memory). The
 * resource is not needed any longer afterwards. NULL: no memory.
 */
struct exporter *exporter_new(const struct exporter_options *options,
                              const struct resource *resource, struct transport *transport,
                              exporter_report_fn *report, void *arg);
void exporter_free(struct exporter *e);
struct str exporter_name(const struct exporter *e);
enum exporter_kind exporter_kind_of(const struct exporter *e);

/* Takes a span in: encoded at once into the open batch. The span is not needed afterwards. */
void exporter_add(struct exporter *e, const struct span *s, nsec_t now);
/* Counts spans that were lost before they came here (a worker's ring was full). */
void exporter_add_lost(struct exporter *e, uint64_t n);
/* Sends what is due. Returns when it wants to be called again (monotonic), INT64_MAX: never. */
nsec_t exporter_tick(struct exporter *e, nsec_t now);
/* Sends all that waits without regard to the delay, until exporter_idle(). What failed waits for
 * its next try all the same. */
void exporter_flush(struct exporter *e, nsec_t now);
bool exporter_idle(const struct exporter *e);
/* Drops all that waits, what is under way too, as DROP_SHUTDOWN. */
void exporter_abandon(struct exporter *e);
/* From any thread. */
struct ledger_view exporter_ledger(const struct exporter *e);

/* EXPORTER_MEMORY, from any thread: the spans kept, oldest first, as OTLP JSON (TracesData). Only
 * those of one trace when trace_id is not NULL; at most limit spans, the newest. */
void exporter_memory_json(const struct exporter *e, const struct trace_id *trace_id, size_t limit,
                          struct buffer *out);

#endif
