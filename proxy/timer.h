/*
 * Deadlines, many and mostly never reached: a hierarchical timing wheel of one
 * thread, behind one libevent timer. Arming one for later than it already
 * stands, and disarming it, only writes a number; it is moved when its old time
 * comes.
 */
#ifndef SIDESPAN_PROXY_TIMER_H
#define SIDESPAN_PROXY_TIMER_H

#include <event2/event.h>

#include "base/clock.h"
#include "base/list.h"

struct timers; /* a wheel */

struct timer {
    struct list link; /* in a slot of the wheel, or empty */
    nsec_t deadline;  /* when it is to fire; TIMER_NEVER: not */
    nsec_t stands;    /* the time of the slot it stands in; meaningless when in none */
    void (*fire)(struct timer *t);
};
#define TIMER_NEVER INT64_MAX

/* Resolution 1 ms: a timer never fires early, and at most 1 ms late (the loop's own delay aside).
 * base NULL: no loop; the clock is the caller's, who calls timers_advance(), and starts at 0.
 * NULL: no memory. */
struct timers *timers_new(struct event_base *base);
/* All timers must have been released. NULL is fine. */
void timers_free(struct timers *w);
/* begin(arg) and end(arg) are called around each batch of fires that the loop starts. */
void timers_set_turn(struct timers *w, void (*begin)(void *arg), void (*end)(void *arg), void *arg);
/* Fires what is due, in the order of the deadlines' ticks; called by the wheel's own libevent
 * timer, and by tests with a clock of theirs. What fires may arm and release any timer, itself too.
 * A timer that is armed for a time already past fires with the next tick. */
void timers_advance(struct timers *w, nsec_t now);
/* When timers_advance() is needed next; TIMER_NEVER. May be early, never late. */
nsec_t timers_next(const struct timers *w);

void timer_init(struct timer *t, void (*fire)(struct timer *t));
/* Sets or moves the deadline (monotonic). */
void timer_arm(struct timers *w, struct timer *t, nsec_t deadline);
static inline void timer_disarm(struct timer *t)
{
    t->deadline = TIMER_NEVER;
}
static inline int timer_armed(const struct timer *t)
{
    return t->deadline != TIMER_NEVER;
}
/* Takes it out of the wheel: before its memory goes. */
void timer_release(struct timer *t);

#endif
