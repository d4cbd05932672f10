/*
 * A queue of batches: encoded spans on their way to a collector. One batch is
 * open and takes spans in; those behind it are closed and wait to be sent, the
 * oldest first. How many spans wait, and in how many bytes, is bounded.
 */
#ifndef SIDESPAN_OTLP_BATCH_H
#define SIDESPAN_OTLP_BATCH_H

#include "base/clock.h"
#include "base/list.h"
#include "otlp/encode.h"

struct batch {
    struct list link;
    struct buffer bytes; /* `room` bytes for what is put in front, then the spans */
    size_t n_spans;
    nsec_t opened;    /* when the first span came */
    nsec_t first_try; /* when it was first sent; -1: not yet */
};

struct batch_limits {
    size_t spans;       /* of all batches */
    size_t bytes;       /* of all batches, closed ones without slack */
    size_t batch_spans; /* then it is closed */
    size_t batch_bytes; /* of the spans of one */
    size_t room;        /* kept free in front of the spans */
};

struct batch_queue {
    struct batch_limits limits;
    struct list closed;  /* of struct batch, owned, the oldest first */
    struct batch *open;  /* owned; NULL: none */
    struct batch *spare; /* owned: memory for the next one */
    size_t n_spans, n_bytes;
};

enum batch_result {
    BATCH_TAKEN,
    BATCH_FULL,      /* no room for one more span */
    BATCH_TOO_LARGE, /* the span alone is over what one batch may hold */
};

void batch_queue_init(struct batch_queue *q, struct batch_limits limits);
void batch_queue_release(struct batch_queue *q);

static inline bool batch_queue_full(const struct batch_queue *q)
{
    return q->n_spans >= q->limits.spans || q->n_bytes >= q->limits.bytes;
}

/* Encodes the span into the open batch; nothing changes unless it is taken. */
enum batch_result batch_queue_add(struct batch_queue *q, const struct span *s,
                                  const struct described_span *d, nsec_t now);
/* Closes the open batch, if there is one, though it is not full. */
void batch_queue_close(struct batch_queue *q);
/* The oldest closed one; NULL: none. It stays until batch_queue_pop(). */
struct batch *batch_queue_head(const struct batch_queue *q);
/* Forgets the oldest closed one. */
void batch_queue_pop(struct batch_queue *q);

#endif
