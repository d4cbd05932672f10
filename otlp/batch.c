#include "otlp/batch.h"

#include <assert.h>
#include <stdlib.h>

void batch_queue_init(struct batch_queue *q, struct batch_limits limits)
{
    *q = (struct batch_queue){.limits = limits};
    list_init(&q->closed);
}

static void batch_free(struct batch *b)
{
    if (!b)
        return;
    buffer_release(&b->bytes);
    free(b);
}

void batch_queue_release(struct batch_queue *q)
{
    while (!list_empty(&q->closed))
        batch_queue_pop(q);
    batch_free(q->open);
    batch_free(q->spare);
    q->open = q->spare = NULL;
}

static struct batch *batch_new(struct batch_queue *q)
{
    struct batch *b = q->spare;

    q->spare = NULL;
    if (!b) {
        b = calloc(1, sizeof(*b));
        if (!b)
            return NULL;
        buffer_init(&b->bytes, 0);
    }
    buffer_reset(&b->bytes);
    if (!buffer_reserve(&b->bytes, q->limits.room)) {
        batch_free(b);
        return NULL;
    }
    list_init(&b->link);
    b->bytes.n = q->limits.room;
    b->n_spans = 0;
    b->first_try = -1;
    return b;
}

/* Where batches wait behind each other, what a buffer grew to beyond its content is given back: it
 * may be half of it. The one that is sent at once keeps it, to be used again. */
static void give_slack_back(struct batch *b)
{
    char *p = realloc(b->bytes.p, b->bytes.n);

    if (p) {
        b->bytes.p = p;
        b->bytes.cap = b->bytes.n;
    }
}

void batch_queue_close(struct batch_queue *q)
{
    if (!q->open || q->open->n_spans == 0)
        return;
    if (!list_empty(&q->closed))
        give_slack_back(q->open);
    list_push_back(&q->closed, &q->open->link);
    q->open = NULL;
}

struct batch *batch_queue_head(const struct batch_queue *q)
{
    return list_empty(&q->closed) ? NULL : container_of(q->closed.next, struct batch, link);
}

void batch_queue_pop(struct batch_queue *q)
{
    struct batch *b = batch_queue_head(q);

    assert(b);
    list_remove(&b->link);
    q->n_spans -= b->n_spans;
    q->n_bytes -= b->bytes.n - q->limits.room;
    if (q->spare)
        batch_free(b);
    else
        q->spare = b;
}

static void count(struct batch_queue *q, size_t bytes)
{
    q->open->n_spans++;
    q->n_spans++;
    q->n_bytes += bytes;
    if (q->open->n_spans >= q->limits.batch_spans)
        batch_queue_close(q);
}

/* The last n bytes of the open batch made it too long: they begin a new one. */
static enum batch_result move_to_next(struct batch_queue *q, size_t n, nsec_t now)
{
    struct batch *full = q->open;
    struct batch *next = batch_new(q);

    full->bytes.n -= n;
    if (!next || !buffer_add(&next->bytes, full->bytes.p + full->bytes.n, n)) {
        batch_free(next);
        return BATCH_FULL;
    }
    next->opened = now;
    batch_queue_close(q);
    q->open = next;
    count(q, n);
    return BATCH_TAKEN;
}

enum batch_result batch_queue_add(struct batch_queue *q, const struct span *s,
                                  const struct described_span *d, nsec_t now)
{
    if (batch_queue_full(q))
        return BATCH_FULL;
    if (!q->open && !(q->open = batch_new(q)))
        return BATCH_FULL;

    struct batch *b = q->open;
    size_t before = b->bytes.n;
    if (!encode_span(s, d, &b->bytes)) {
        b->bytes.failed = false; /* the batch is as it was, and may have room for a smaller one */
        return BATCH_FULL;
    }
    size_t n = b->bytes.n - before;
    if (n > q->limits.batch_bytes) {
        b->bytes.n = before;
        return BATCH_TOO_LARGE;
    }
    if (b->bytes.n - q->limits.room > q->limits.batch_bytes)
        return move_to_next(q, n, now);
    if (b->n_spans == 0)
        b->opened = now;
    count(q, n);
    return BATCH_TAKEN;
}
