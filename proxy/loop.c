/*
 * The life of a loop, and the end of its turns.
 */
#include "proxy/loop.h"

#include <assert.h>
#include <stdlib.h>

/* Callbacks in a row before the kernel is asked for more. */
enum { CALLBACKS_MAX = 32, SCRATCH_BLOCK_BYTES = 16384 };

/* ---- turns ---- */

void loop_see_time(struct loop *l)
{
    l->now = l->clock();
    if (l->now >= l->wall_due) {
        l->wall_offset = clock_wall_offset();
        l->wall_due = l->now + SECONDS(1);
    }
}

void loop_begin_turn_untimed(struct loop *l)
{
    l->turns++;
}

void loop_begin_turn(struct loop *l)
{
    loop_begin_turn_untimed(l);
    loop_see_time(l);
}

void loop_run_turn_ends(struct loop *l)
{
    while (!list_empty(&l->turn_ends)) {
        struct turn_end *e = container_of(l->turn_ends.next, struct turn_end, link);

        list_remove(&e->link);
        e->run(e);
    }
}

static void free_buried(struct loop *l)
{
    struct burial *b = l->buried;

    l->buried = NULL;
    while (b) {
        struct burial *next = b->next;

        b->free(b);
        b = next;
    }
}

/* Nothing that was lent or buried is in use from here on. */
static void finish_turn(struct loop *l)
{
    l->gathering = false;
    while (!list_empty(&l->turn_ends) || !list_empty(&l->dirty) || l->buried) {
        for (loop_run_turn_ends(l); !list_empty(&l->dirty); loop_run_turn_ends(l))
            l->send(l);
        free_buried(l);
    }
    if (l->scratch.used_bytes)
        arena_reset(&l->scratch);
    l->received = 0;
}

static void on_end_of_turn(evutil_socket_t fd, short what, void *arg)
{
    loop_begin_turn(arg); /* what is told now happens now */
    loop_end_turn_now(arg);
}

/* What gathers does so until the callbacks that are due were made: many answers, one send(2). */
static bool goes_on(struct loop *l)
{
    if (!list_empty(&l->dirty))
        l->send(l);
    if (!l->gathering && !list_empty(&l->turn_ends)) {
        l->gathering = true;
        event_active(l->end_of_turn, EV_TIMEOUT, 0);
    }
    return l->gathering;
}

void loop_end_turn(struct loop *l)
{
    assert(l->turns > 0);
    /* Those further out still hold what was buried. */
    if (l->turns == 1 && !goes_on(l))
        finish_turn(l);
    l->turns--;
}

void loop_end_turn_now(struct loop *l)
{
    assert(l->turns == 1);
    finish_turn(l);
    l->turns--;
}

void loop_bury(struct loop *l, struct burial *b, void (*fn)(struct burial *b))
{
    b->free = fn;
    b->next = l->buried;
    l->buried = b;
}

/* ---- what is under way ---- */

void loop_busy_add(struct loop *l, int n)
{
    unsigned was = atomic_load_explicit(l->busy, memory_order_relaxed);

    atomic_store_explicit(l->busy, was + (unsigned)n, memory_order_relaxed);
}

unsigned loop_busy(struct loop *l)
{
    return atomic_load_explicit(l->busy, memory_order_relaxed);
}

/* ---- timers ---- */

static void begin_hook(void *arg)
{
    loop_begin_turn(arg);
}

static void end_hook(void *arg)
{
    loop_end_turn(arg);
}

void loop_fire(struct loop *l)
{
    loop_begin_turn(l);
    timers_advance(l->timers, l->now);
    loop_end_turn(l);
}

/* ---- making and unmaking ---- */

static struct event_base *base_new(void)
{
    struct event_config *config = event_config_new();
    struct event_base *base = NULL;

    if (!config)
        return NULL;
    event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
    event_config_set_flag(config, EVENT_BASE_FLAG_IGNORE_ENV);
    /* What one conn makes ready again and again must not keep the others from being asked. */
    event_config_set_max_dispatch_interval(config, NULL, CALLBACKS_MAX, 0);
    base = event_base_new_with_config(config);
    event_config_free(config);
    return base;
}

bool loop_init(struct loop *l, nsec_t (*clock)(void))
{
    *l = (struct loop){.clock = clock ? clock : clock_monotonic};
    l->busy = &l->own_busy;
    list_init(&l->turn_ends);
    list_init(&l->dirty);
    arena_init(&l->scratch, SCRATCH_BLOCK_BYTES, 0);
    random_init(&l->random);
    loop_see_time(l);
    if (!(l->base = base_new()) || !(l->timers = timers_new(clock ? NULL : l->base)) ||
        !(l->end_of_turn = event_new(l->base, -1, 0, on_end_of_turn, l)) ||
        !(l->mailbox = mailbox_new(l->base)) || !(l->receive = malloc(LOOP_RECEIVE_BYTES)))
        return false;
    timers_set_turn(l->timers, begin_hook, end_hook, l);
    return true;
}

void loop_end(struct loop *l)
{
    mailbox_free(l->mailbox);
    timers_free(l->timers);
    arena_release(&l->scratch);
    free(l->receive);
    if (l->end_of_turn)
        event_free(l->end_of_turn);
    if (l->base)
        event_base_free(l->base);
}
