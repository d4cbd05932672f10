/*
 * A loop is the event loop of one thread, with what all that runs on it shares:
 * the time, timers, the mailbox, the buffer that is read into, memory until the
 * end of a turn, and what has to happen when a turn ends (turn.h). Nothing here
 * is locked.
 *
 * A test may give it a clock of its own: then time passes when the test says so.
 */
#ifndef SIDESPAN_PROXY_LOOP_H
#define SIDESPAN_PROXY_LOOP_H

#include <event2/event.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/random.h"
#include "proxy/conns.h"
#include "proxy/mailbox.h"
#include "proxy/memory.h"
#include "proxy/timer.h"
#include "proxy/turn.h"

enum { LOOP_RECEIVE_BYTES = 128 * 1024 };

struct loop {
    struct event_base *base; /* owned, like the next two */
    struct timers *timers;
    struct mailbox *mailbox;
    struct random random;
    nsec_t (*clock)(void); /* monotonic */
    nsec_t now;            /* by that clock, of this turn */
    nsec_t wall_offset;    /* wall clock - monotonic, refreshed each second */
    nsec_t wall_due;
    char *receive;   /* owned: LOOP_RECEIVE_BYTES, lent to the conn that reads */
    size_t received; /* of these are lent until the end of the turn */
    /* The end of a turn: conns with something to send, and things to free. */
    unsigned turns;            /* begun and not ended: a turn may lie in another */
    struct list turn_ends;     /* of struct turn_end: before the conns send */
    struct event *end_of_turn; /* owned; behind the callbacks that are due */
    bool gathering;            /* the turn goes on until then */
    struct list dirty;         /* what was written to: conn_output.c */
    /* Sends what is dirty until nothing is; of the conns. */
    void (*send)(struct loop *l);
    struct burial *buried;
    struct arena scratch; /* of this turn: what is written and need not live longer */
    size_t took;          /* bytes, since it last looked at what the process has */
    /* What a drain waits for is under way; read by other threads. Where it is kept: own_busy, or
     * beside those of other loops. */
    atomic_uint *busy, own_busy;
    struct conns conns;
};

/* For a thread that will run l->base; conns_init() is called next. clock: of a test, whose timers
 * fire in loop_fire() alone; NULL: the machine's, and libevent's. False: no memory, or no
 * descriptor; loop_end() takes it all the same. */
bool loop_init(struct loop *l, nsec_t (*clock)(void));
/* Frees all. What is on the loop has ended before, the conns by conns_end(). */
void loop_end(struct loop *l);
/* With a clock of a test's own: a turn in which the timers fire that are due by it. */
void loop_fire(struct loop *l);

/* Monotonic, refreshed at the start of each callback. */
static inline nsec_t loop_now(const struct loop *l)
{
    return l->now;
}
static inline nsec_t loop_wall(const struct loop *l)
{
    return l->now + l->wall_offset;
}
/* Refreshes it amid a turn: something was received, and it cannot have been sent later than now. A
 * sender in another process has its own time of that, and a child must not begin before its parent.
 */
void loop_see_time(struct loop *l);

/* Every callback from libevent is a turn. One that is called within another's is part of it. */
void loop_begin_turn(struct loop *l);
/* The same without a look at the clock: who begins it calls loop_see_time() before anything that
 * asks for the time. */
void loop_begin_turn_untimed(struct loop *l);
/* Sends what was written, frees what was buried, when the outermost turn ends. */
void loop_end_turn(struct loop *l);
/* The same for an outermost turn that no callback that is due may prolong: the loop ends. */
void loop_end_turn_now(struct loop *l);
/* fn frees it when the turn is over. */
void loop_bury(struct loop *l, struct burial *b, void (*fn)(struct burial *b));
/* It is run before this turn's output goes out. */
static inline void loop_at_turn_end(struct loop *l, struct turn_end *e)
{
    if (list_empty(&e->link))
        list_push_back(&l->turn_ends, &e->link);
}
/* What is gathered becomes bytes now; more may be gathered meanwhile. */
void loop_run_turn_ends(struct loop *l);
/* Memory until the end of the turn. NULL: no memory. */
static inline char *loop_scratch(struct loop *l, size_t n)
{
    return arena_alloc(&l->scratch, n);
}

/* Something begins (n = 1) or ends (-1) for which a drain waits. */
void loop_busy_add(struct loop *l, int n);
/* From any thread: how much of that is under way. */
unsigned loop_busy(struct loop *l);

/* So many bytes were allocated for what may last: memory is looked at once in a while. */
static inline void loop_took(struct loop *l, size_t bytes)
{
    l->took += bytes;
    if (l->took < MEMORY_STEP_BYTES)
        return;
    l->took = 0;
    if (memory_is_watched())
        memory_look();
}

#endif
