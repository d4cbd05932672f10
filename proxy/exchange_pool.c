/*
 * Exchanges that are over, to be used again with the memory that they have.
 */
#include <stdlib.h>

#include "base/pages.h"
#include "proxy/exchange_private.h"

struct exchange_pool *exchange_pool_new(struct worker *w)
{
    struct exchange_pool *p = calloc(1, sizeof *p);

    if (!p || !(p->pages = pages_new())) {
        free(p);
        return NULL;
    }
    p->worker = w;
    exchange_rest_init(p);
    return p;
}

static void exchange_free(struct exchange *x)
{
    arena_release(&x->arena);
    buffer_release(&x->held);
    timer_release(&x->timer);
    free(x);
}

void exchange_pool_free(struct exchange_pool *p)
{
    if (!p)
        return;
    while (p->n)
        exchange_free(p->free[--p->n]);
    exchange_rest_release(p);
    pages_free(p->pages);
    free(p);
}

void exchange_pool_trim(struct exchange_pool *p)
{
    while (p->n)
        exchange_free(p->free[--p->n]);
    pages_trim(p->pages);
}

static void arena_begin(struct exchange *x)
{
    arena_init(&x->arena, PAGE_BYTES, EXCHANGE_ARENA_LIMIT);
    x->arena.pages = x->worker->pool->pages;
}

struct exchange *exchange_take(struct exchange_pool *p)
{
    struct exchange *x;

    if (p->n)
        return p->free[--p->n];
    if (!(x = calloc(1, sizeof *x)))
        return NULL;
    x->worker = p->worker;
    loop_took(&p->worker->loop, sizeof *x + PAGE_BYTES);
    arena_begin(x);
    buffer_init(&x->held, 0);
    timer_init(&x->timer, exchange_on_timer);
    return x;
}

void exchange_give(struct exchange *x)
{
    struct exchange_pool *p = x->worker->pool;

    if (p->n == EXCHANGE_POOL_MAX || x->held.cap > 2 * REPLAY_BYTES_MAX) {
        exchange_free(x);
        return;
    }
    if (x->rested) {
        arena_release(&x->arena);
        arena_begin(x);
    } else {
        arena_reset(&x->arena);
    }
    buffer_reset(&x->held);
    p->free[p->n++] = x;
}
