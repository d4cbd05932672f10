/*
 * What the workers know of one another: how many connections of clients are open
 * in the whole process, by direction, who may accept one more, and how much is
 * under way. One count for all workers: the kernel does not
 * deal connections out evenly, so that no share of a limit would be the limit.
 *
 * It is written when a connection comes and when it goes, without a lock. A
 * worker that found no place is told by its descriptor that there may be one.
 */
#ifndef SIDESPAN_PROXY_ADMISSION_H
#define SIDESPAN_PROXY_ADMISSION_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "mesh/config.h"

struct admission;

/* For workers 0 to workers - 1. NULL: no memory or no descriptor; errno says which. */
struct admission *admission_new(unsigned workers);
/* No worker uses it any more. NULL is fine. */
void admission_free(struct admission *a);

/* All that follows is for any thread; what has a worker in it is that worker's own. */

/* Takes a place for a connection that may be accepted; limit 0: none. False: there is none, and
 * from now on the worker waits: its descriptor becomes readable when one is given back. */
bool admission_take(struct admission *a, unsigned worker, enum direction_kind direction,
                    size_t limit);
/* A place whatever the limit: a connection that is there goes on as another thing, or would be
 * reset. */
void admission_take_anyway(struct admission *a, enum direction_kind direction);
/* A connection is closed, or none came. */
void admission_give_back(struct admission *a, enum direction_kind direction);
size_t admission_open(const struct admission *a, enum direction_kind direction);

/* Borrowed: exchanges and tunnels of that worker under way. It alone writes it, and anyone reads.
 */
atomic_uint *admission_busy(struct admission *a, unsigned worker);
/* Those of all workers. */
unsigned admission_busy_in_all(const struct admission *a);

/* Borrowed: readable when a place that the worker waits for may be there. */
int admission_descriptor(const struct admission *a, unsigned worker);
/* Makes it unreadable. */
void admission_heard(struct admission *a, unsigned worker);
/* Whether nothing was given back since the worker last found no place. */
bool admission_waits(const struct admission *a, unsigned worker, enum direction_kind direction);

#endif
