#include "proxy/timer.h"

#include <assert.h>
#include <stdlib.h>

/*
 * Time is cut into ticks of 1 ms, and a tick into digits of 6 bits. A timer
 * stands in the level of the highest digit in which its tick differs from the
 * present one, in the slot of that digit. So all of a level lies before all of
 * the next higher, within a level slots are in order of time, and what comes
 * next is the lowest set bit of the lowest level that has one. When the present
 * tick reaches a slot of a higher level, its timers move down.
 */
enum {
    DIGIT_BITS = 6,
    SLOTS = 1 << DIGIT_BITS,
    LEVELS = 8, /* 48 bits: INT64_MAX ns are fewer ms than 2^44 */
};
#define TICK      MILLISECONDS(1)
#define TICK_MAX  (INT64_MAX / TICK)
#define TICK_NONE INT64_MAX

struct level {
    uint64_t filled; /* slots that may have timers; one left by timer_release() may be empty */
    struct list slots[SLOTS];
};

struct timers {
    int64_t tick; /* all before and at it has been fired */
    struct level levels[LEVELS];
    struct event *event; /* owned; NULL without a loop */
    nsec_t event_at;     /* when the event will wake the wheel; TIMER_NEVER */
    bool advancing;
    void (*begin)(void *arg);
    void (*end)(void *arg);
    void *arg; /* borrowed */
};

static unsigned level_of(int64_t tick, int64_t present)
{
    uint64_t differ = (uint64_t)tick ^ (uint64_t)present;

    if (differ == 0)
        return 0;
    return (63u - (unsigned)__builtin_clzll(differ)) / DIGIT_BITS;
}

/* The first tick at which a timer with that deadline may fire. */
static int64_t tick_of(nsec_t deadline)
{
    int64_t tick = deadline / TICK + (deadline % TICK > 0);

    return tick < TICK_MAX ? tick : TICK_MAX;
}

/* Returns the tick at which its slot must be looked at. */
static int64_t place(struct timers *w, struct timer *t, int64_t tick)
{
    unsigned at = level_of(tick, w->tick);
    unsigned shift = at * DIGIT_BITS;
    unsigned slot = (unsigned)(tick >> shift) % SLOTS;
    struct level *level = &w->levels[at];

    t->stands = tick * TICK;
    level->filled |= (uint64_t)1 << slot;
    list_push_back(&level->slots[slot], &t->link);
    return tick >> shift << shift;
}

/* The slot to be looked at next, and the tick when; TICK_NONE: there is none. */
static int64_t next_slot(const struct timers *w, unsigned *level, unsigned *slot)
{
    for (unsigned i = 0; i < LEVELS; i++) {
        uint64_t filled = w->levels[i].filled;
        if (filled == 0)
            continue;
        unsigned shift = i * DIGIT_BITS;
        int64_t above = w->tick >> (shift + DIGIT_BITS) << (shift + DIGIT_BITS);
        *level = i;
        *slot = (unsigned)__builtin_ctzll(filled);
        return above | (int64_t)*slot << shift;
    }
    return TICK_NONE;
}

nsec_t timers_next(const struct timers *w)
{
    unsigned level, slot;
    int64_t tick = next_slot(w, &level, &slot);

    return tick == TICK_NONE ? TIMER_NEVER : tick * TICK;
}

static void take_slot(struct timers *w, unsigned level, unsigned slot, struct list *out)
{
    struct list *from = &w->levels[level].slots[slot];

    w->levels[level].filled &= ~((uint64_t)1 << slot);
    list_init(out);
    if (list_empty(from))
        return;
    *out = *from;
    out->next->prev = out->prev->next = out;
    list_init(from);
}

/* All in the list are due, or were when they were placed. They leave it one by one, since what
 * fires may release those that follow. */
static void fire_due(struct timers *w, struct list *due)
{
    while (!list_empty(due)) {
        struct timer *t = container_of(due->next, struct timer, link);
        list_remove(&t->link);
        if (t->deadline == TIMER_NEVER)
            continue;
        int64_t tick = tick_of(t->deadline);
        if (tick > w->tick) {
            place(w, t, tick);
            continue;
        }
        t->deadline = TIMER_NEVER;
        t->fire(t);
    }
}

/* Timers of a higher level whose time has come near move down; those that moved on, or were
 * disarmed, are found here. */
static void move_down(struct timers *w, struct list *slot)
{
    while (!list_empty(slot)) {
        struct timer *t = container_of(slot->next, struct timer, link);
        list_remove(&t->link);
        if (t->deadline == TIMER_NEVER)
            continue;
        int64_t tick = tick_of(t->deadline);
        place(w, t, tick > w->tick ? tick : w->tick);
    }
}

void timers_advance(struct timers *w, nsec_t now)
{
    int64_t present = now / TICK;
    unsigned level, slot;
    int64_t tick;

    assert(!w->advancing);
    w->advancing = true;
    while ((tick = next_slot(w, &level, &slot)) <= present && tick != TICK_NONE) {
        struct list taken;
        w->tick = tick;
        take_slot(w, level, slot, &taken);
        if (level == 0)
            fire_due(w, &taken);
        else
            move_down(w, &taken);
    }
    /* No slot begins up to the present, so each timer keeps its level and slot. */
    if (present > w->tick)
        w->tick = present;
    w->advancing = false;
}

static void set_event(struct timers *w, nsec_t at)
{
    nsec_t wait = at - clock_monotonic();
    if (wait < 0)
        wait = 0;
    nsec_t us = (wait + MICROSECONDS(1) - 1) / MICROSECONDS(1);
    struct timeval tv = {.tv_sec = us / 1000000, .tv_usec = us % 1000000};

    w->event_at = at;
    evtimer_add(w->event, &tv);
}

static void on_event(evutil_socket_t fd, short what, void *arg)
{
    struct timers *w = arg;

    if (w->begin)
        w->begin(w->arg);
    timers_advance(w, clock_monotonic());
    if (w->end)
        w->end(w->arg);

    nsec_t next = timers_next(w);
    w->event_at = TIMER_NEVER;
    if (next != TIMER_NEVER)
        set_event(w, next);
}

struct timers *timers_new(struct event_base *base)
{
    struct timers *w = calloc(1, sizeof(*w));
    if (!w)
        return NULL;
    for (unsigned i = 0; i < LEVELS; i++) {
        for (unsigned j = 0; j < SLOTS; j++)
            list_init(&w->levels[i].slots[j]);
    }
    w->event_at = TIMER_NEVER;
    if (base) {
        w->tick = clock_monotonic() / TICK;
        w->event = evtimer_new(base, on_event, w);
        if (!w->event) {
            free(w);
            return NULL;
        }
    }
    return w;
}

void timers_free(struct timers *w)
{
    if (!w)
        return;
    if (w->event)
        event_free(w->event);
    free(w);
}

void timers_set_turn(struct timers *w, void (*begin)(void *arg), void (*end)(void *arg), void *arg)
{
    w->begin = begin;
    w->end = end;
    w->arg = arg;
}

void timer_init(struct timer *t, void (*fire)(struct timer *t))
{
    list_init(&t->link);
    t->deadline = TIMER_NEVER;
    t->stands = TIMER_NEVER;
    t->fire = fire;
}

void timer_arm(struct timers *w, struct timer *t, nsec_t deadline)
{
    bool in_wheel = !list_empty(&t->link);

    t->deadline = deadline;
    if (deadline == TIMER_NEVER || (in_wheel && t->stands <= deadline))
        return;
    int64_t tick = tick_of(deadline);
    if (tick <= w->tick)
        tick = w->tick + 1;
    if (in_wheel && t->stands <= tick * TICK)
        return;
    list_remove(&t->link);
    nsec_t at = place(w, t, tick) * TICK;
    if (at < w->event_at && w->event && !w->advancing)
        set_event(w, at);
}

void timer_release(struct timer *t)
{
    list_remove(&t->link);
    t->deadline = TIMER_NEVER;
}
