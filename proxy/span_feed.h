/*
 * A feed carries spans from one worker to the telemetry thread: a ring, and the
 * wake-up of a thread that may sleep. The side of the telemetry thread; the
 * worker's is span_feed_push() in telemetry.h.
 *
 * How no wake-up is lost, and hardly any is sent. The thread goes to sleep in
 * two steps: it says so (asleep), and then looks once more whether any feed has
 * news. The worker takes two steps too: it counts its span (pushed or lost), and
 * then looks whether the thread is asleep. All four are sequentially consistent,
 * so they stand in one order, and whichever second step comes last sees the
 * other's first: either the thread finds the span, or the worker finds it
 * asleep. Who finds it asleep takes that back and writes the eventfd, so it is
 * written once for each sleep. An awake thread looks at the feeds every few
 * milliseconds and needs no call, but when a ring is over half full.
 */
#ifndef SIDESPAN_PROXY_SPAN_FEED_H
#define SIDESPAN_PROXY_SPAN_FEED_H

#include <stdalign.h>
#include <stdatomic.h>

#include "base/list.h"
#include "proxy/telemetry.h"

enum { SPAN_FEED_LINE = 64 };

/* Shared by all feeds; read by all workers, and seldom written. */
struct span_wake {
    alignas(SPAN_FEED_LINE) atomic_bool asleep;
    int fd; /* eventfd, non-blocking */
};

struct span_feed {
    struct ring *ring;      /* owned */
    struct span_wake *wake; /* borrowed */
    size_t half_bytes;      /* of the ring */

    /* The worker's line. */
    alignas(SPAN_FEED_LINE) atomic_uint_fast64_t pushed;
    atomic_uint_fast64_t lost; /* the ring was full */
    bool alarmed;              /* it was called because of the half, and is not under it yet */

    /* The telemetry thread's line. */
    alignas(SPAN_FEED_LINE) uint64_t taken;
    uint64_t lost_told;
    struct list link; /* in its table */
};

/* NULL: no memory. */
struct span_feed *span_feed_make(struct span_wake *wake, size_t capacity_bytes);
void span_feed_free(struct span_feed *f);

/* The oldest span, good until span_feed_pop(); NULL: none. */
const struct span *span_feed_peek(struct span_feed *f);
void span_feed_pop(struct span_feed *f);
/* How many were lost since the last call. */
uint64_t span_feed_take_lost(struct span_feed *f);
bool span_feed_has_news(struct span_feed *f);

#endif
