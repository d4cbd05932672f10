/*
 * The ledger of one exporter: started = exported + rejected + dropped (by
 * reason) + waiting, at every moment. Written by the telemetry thread, read by
 * any.
 */
#ifndef SIDESPAN_OTLP_LEDGER_H
#define SIDESPAN_OTLP_LEDGER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* X(id, name on the admin port) */
#define DROP_REASONS(X)                                                                           \
    X(DROP_RING_FULL, "ring_full")   /* a worker's ring: the telemetry thread fell behind */      \
    X(DROP_QUEUE_FULL, "queue_full") /* the exporter's queue: the collector is slow or gone */    \
    X(DROP_REFUSED, "refused")       /* the collector answered with an error not to be retried */ \
    X(DROP_EXPIRED, "expired")       /* retried until the batch's time was up */                  \
    X(DROP_TOO_LARGE, "too_large")   /* over the largest request a collector takes */             \
    X(DROP_SHUTDOWN, "shutdown")     /* still waiting when the time to flush was over */

#define DROP_REASON_ROW(id, name) id,
enum drop_reason { DROP_REASONS(DROP_REASON_ROW) DROP_REASON_COUNT };
#undef DROP_REASON_ROW
const char *drop_reason_name(enum drop_reason r);

struct ledger {
    /* Odd while the writer is between two states that balance. */
    atomic_uint_fast64_t version;
    atomic_uint_fast64_t started; /* sampled spans that ended and were offered to this exporter */
    atomic_uint_fast64_t exported;
    atomic_uint_fast64_t rejected; /* partial success: the collector took the rest */
    atomic_uint_fast64_t dropped[DROP_REASON_COUNT];
    atomic_uint_fast64_t waiting;
};

struct ledger_view {
    uint64_t started, exported, rejected, dropped[DROP_REASON_COUNT], waiting;
};

/* Each is one step from a balance to the next. Of the one writing thread. */
void ledger_start_waiting(struct ledger *l, uint64_t n);
void ledger_start_dropped(struct ledger *l, uint64_t n, enum drop_reason why);
void ledger_start_exported(struct ledger *l, uint64_t n);
/* Of n that waited, rejected (at most n) were rejected, the rest exported. */
void ledger_settle_exported(struct ledger *l, uint64_t n, uint64_t rejected);
void ledger_settle_dropped(struct ledger *l, uint64_t n, enum drop_reason why);

/* A reading that balances: retried while the writer is in between. */
struct ledger_view ledger_read(const struct ledger *l);
bool ledger_balances(const struct ledger_view *v);
uint64_t ledger_dropped(const struct ledger_view *v); /* for all reasons */

#endif
