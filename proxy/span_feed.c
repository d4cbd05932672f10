#include "proxy/span_feed.h"

#include <stdlib.h>
#include <unistd.h>

struct span_feed *span_feed_make(struct span_wake *wake, size_t capacity_bytes)
{
    struct span_feed *f = aligned_alloc(SPAN_FEED_LINE, sizeof(*f));

    if (!f)
        return NULL;
    *f = (struct span_feed){.ring = ring_new(capacity_bytes), .wake = wake};
    if (!f->ring) {
        free(f);
        return NULL;
    }
    f->half_bytes = ring_capacity(f->ring) / 2;
    list_init(&f->link);
    return f;
}

void span_feed_free(struct span_feed *f)
{
    if (!f)
        return;
    list_remove(&f->link);
    ring_free(f->ring);
    free(f);
}

/* ---- the worker's side ---- */

static void call(struct span_wake *w)
{
    uint64_t one = 1;

    (void)!write(w->fd, &one, sizeof(one));
}

/* Only this thread writes the counter, so a load and a store do. The store is the first step. */
static void count(atomic_uint_fast64_t *counter)
{
    atomic_store(counter, atomic_load_explicit(counter, memory_order_relaxed) + 1);
}

/* True once for each time that the ring gets over its half. */
static bool gets_over_half(struct span_feed *f)
{
    bool was_over = f->alarmed;

    f->alarmed = ring_used(f->ring) > f->half_bytes;
    return f->alarmed && !was_over;
}

void span_feed_push(struct span_feed *f, const struct span *s)
{
    count(span_push(f->ring, s) ? &f->pushed : &f->lost);
    if (atomic_load(&f->wake->asleep)) { /* the second step */
        if (atomic_exchange(&f->wake->asleep, false))
            call(f->wake);
    } else if (gets_over_half(f)) {
        call(f->wake);
    }
}

/* ---- the telemetry thread's side ---- */

const struct span *span_feed_peek(struct span_feed *f)
{
    return span_peek(f->ring);
}

void span_feed_pop(struct span_feed *f)
{
    ring_pop(f->ring);
    f->taken++;
}

uint64_t span_feed_take_lost(struct span_feed *f)
{
    uint64_t lost = atomic_load(&f->lost), n = lost - f->lost_told;

    f->lost_told = lost;
    return n;
}

bool span_feed_has_news(struct span_feed *f)
{
    return atomic_load(&f->pushed) != f->taken || atomic_load(&f->lost) != f->lost_told;
}
