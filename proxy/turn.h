/*
 * A turn is one callback from the loop and all that follows from it. What is
 * freed in a turn is buried: its memory goes when the turn is over, since
 * callbacks under way may still hold it. Where something gathers what is
 * written, the callbacks that are due already are part of the same turn.
 */
#ifndef SIDESPAN_PROXY_TURN_H
#define SIDESPAN_PROXY_TURN_H

#include "base/list.h"

struct burial {
    struct burial *next;
    void (*free)(struct burial *b); /* not NULL: it is buried already */
};

/* Something that gathers what is written in a turn, and makes bytes of it before they are sent. */
struct turn_end {
    struct list link; /* in loop->turn_ends, or alone */
    void (*run)(struct turn_end *e);
};

#endif
