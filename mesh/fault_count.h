/*
 * The number of requests that a `fault ... first N` has struck. It is the only
 * part of a configuration that changes while it is in force; so it is allocated
 * apart, and goes on when the next configuration has the same fault.
 */
#ifndef SIDESPAN_MESH_FAULT_COUNT_H
#define SIDESPAN_MESH_FAULT_COUNT_H

#include "mesh/config.h"

/* Gives a fault that is being read a count of its own, of 0. Of the loader, see must.h. */
void fault_counter_add(struct config *c, struct fault *f);
void fault_counters_release(struct fault_counter *first); /* NULL is fine */

/* Faults of c that old has too (the same words, in the same route of the same host and direction)
 * share the count of those of old. Call it before another thread sees c. False: no memory; c counts
 * for itself. */
bool config_keep_counts(struct config *c, const struct config *old);

#endif
