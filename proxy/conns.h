/*
 * What a loop keeps for all of its conns, and what holds for all of them.
 */
#ifndef SIDESPAN_PROXY_CONNS_H
#define SIDESPAN_PROXY_CONNS_H

#include "base/clock.h"
#include "base/list.h"
#include "proxy/memory.h"
#include "proxy/timer.h"

struct loop;
struct out_turn;

/* Of the configuration in force: connections that are open follow another one at once. */
struct conn_rules {
    size_t high_mark;         /* bytes to hold for a socket that takes none: limits.buffer-bytes */
    nsec_t keepalive;         /* a peer that is silent so long is asked; 0: never */
    nsec_t keepalive_timeout; /* and given up when it has acknowledged nothing for so long */
};

struct conns {
    struct conn_rules rules;
    struct list all; /* that are open */
    unsigned n;
    struct list doubtful; /* they are to be looked at again */
    struct timer doubt_timer;
    struct timer lost_timer;
    struct list lingering; /* their peers are let read the end */
    unsigned n_lingering;
    struct out_turn *free_turns; /* owned: to be lent again */
};

/* The loop's conns: before any is made. */
void conns_init(struct loop *l);
/* None is open any more. */
void conns_end(struct loop *l);
void conns_follow(struct loop *l, const struct conn_rules *rules);
/* Ends what lingers; what is still queued is lost. */
void conns_cut_lingering(struct loop *l);

/* What may be held for one side of an exchange before its reading pauses: less while memory is
 * short. */
static inline size_t conns_high_mark(const struct conns *c)
{
    size_t n = c->rules.high_mark;

    return memory_state() != MEMORY_FINE && n > MEMORY_SHORT_BYTES ? MEMORY_SHORT_BYTES : n;
}

#endif
