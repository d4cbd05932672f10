/*
 * An idle exchange gives its memory back. A stream of events, or a call of gRPC
 * that waits for news, may be open for days with nothing passing, and there may
 * be thousands. Of what its request took up, only what the span says is needed
 * still; the rest of the arena is worth more than all else that the exchange
 * has. So a look goes round once in a while, which costs a request nothing, and
 * has each exchange rest that has been idle amid its response: the texts of the
 * span move into a block of just their size, and the arena goes.
 */
#include <stdlib.h>

#include "base/pages.h"
#include "proxy/exchange_private.h"

enum { SMALL_CHUNK = 64 }; /* what is larger has a chunk of its own size */

/* How often the look goes round. */
#define ROUND SECONDS(1)

/* In the arena itself, which is released when the turn is over: what was written in this turn may
 * be lent from it. */
struct rested_arena {
    struct rested_arena *next;
    struct arena arena;
};

/* ---- moving ---- */

/* A text of the configuration, or a literal, stays where it is. */
static bool must_move(const struct exchange *x, struct str s)
{
    return s.n && arena_has(&x->arena, s.p);
}

static size_t bytes_to_move(const struct exchange *x)
{
    const struct span *s = &x->span;
    size_t bytes = s->n_extras * sizeof *s->extras;

    for (size_t i = 0; i < SPAN_TEXT_COUNT; i++)
        bytes += must_move(x, s->text[i]) ? s->text[i].n : 0;
    for (size_t i = 0; i < s->n_extras; i++) {
        bytes += must_move(x, s->extras[i].key) ? s->extras[i].key.n : 0;
        bytes += must_move(x, s->extras[i].value) ? s->extras[i].value.n : 0;
    }
    return bytes;
}

static void move(const struct exchange *x, struct str *s, char **to)
{
    if (!must_move(x, *s)) {
        if (s->p && !s->n)
            s->p = ""; /* it is there, and empty */
        return;
    }
    memcpy(*to, s->p, s->n);
    s->p = *to;
    *to += s->n;
}

static void move_span(struct exchange *x, char *to)
{
    struct span *s = &x->span;
    struct span_extra *extras = (void *)to;

    if (s->n_extras) {
        memcpy(extras, s->extras, s->n_extras * sizeof *extras);
        to += s->n_extras * sizeof *extras;
        s->extras = extras;
    }
    for (size_t i = 0; i < SPAN_TEXT_COUNT; i++)
        move(x, &s->text[i], &to);
    for (size_t i = 0; i < s->n_extras; i++) {
        move(x, &s->extras[i].key, &to);
        move(x, &s->extras[i].value, &to);
    }
}

static void release_rested(struct burial *b)
{
    struct exchange_pool *p = container_of(b, struct exchange_pool, burial);

    while (p->rested) {
        struct arena arena = p->rested->arena;

        p->rested = p->rested->next;
        arena_release(&arena);
    }
    pages_trim(p->pages);
}

bool exchange_rest(struct exchange *x)
{
    struct exchange_pool *p = x->worker->pool;
    struct rested_arena *old = arena_alloc(&x->arena, sizeof *old);
    size_t bytes = bytes_to_move(x);
    struct arena fresh;
    char *to;

    arena_init(&fresh, SMALL_CHUNK,
               x->arena.limit_bytes); /* what little may still come: trailers */
    if (!old || !(to = arena_alloc(&fresh, bytes)))
        return false;
    move_span(x, to);
    x->asking = NULL;
    x->request = NULL;
    x->request_trailers = NULL; /* they were sent on, or are still to come */
    buffer_release(&x->held);
    if (!p->rested)
        loop_bury(&x->worker->loop, &p->burial, release_rested);
    *old = (struct rested_arena){.next = p->rested, .arena = x->arena};
    p->rested = old;
    x->arena = fresh;
    x->rested = true;
    return true;
}

/* ---- going round ---- */

/* It will never rest: what it has is used as long as it lives, or it is over in a moment. */
static bool may_rest(const struct exchange *x)
{
    return !x->rested && x->response_begun && !x->local && !x->span.upgraded && x->client &&
           x->upstream;
}

/* A head or trailers that are not whole are in the arena, and more of them is to come. */
static bool holds(struct stream *s)
{
    return s->codec->holds && s->codec->holds(s);
}

static bool is_idle(const struct exchange *x, nsec_t now)
{
    return now - x->last_activity >= EXCHANGE_REST_AFTER && !holds(x->client) &&
           !holds(x->upstream);
}

static void go_round(struct timer *t)
{
    struct exchange_pool *p = container_of(t, struct exchange_pool, rest);
    nsec_t now = loop_now(&p->worker->loop);
    bool again = false;

    LIST_FOR_EACH (at, &p->worker->active) {
        struct exchange *x = container_of(at, struct exchange, link);

        if (may_rest(x) && (!is_idle(x, now) || !exchange_rest(x)))
            again = true;
    }
    if (again)
        timer_arm(p->worker->loop.timers, t, now + ROUND);
}

void exchange_rest_init(struct exchange_pool *p)
{
    timer_init(&p->rest, go_round);
}

void exchange_rest_release(struct exchange_pool *p)
{
    timer_release(&p->rest);
}
