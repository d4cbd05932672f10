/*
 * How many requests a `fault ... first N` has struck. The count is all of a
 * configuration that changes while it is in force, so it lives beside it, and
 * goes on when a new one has the same fault.
 */
#ifndef SIDESPAN_MESH_FAULT_COUNT_H
#define SIDESPAN_MESH_FAULT_COUNT_H

#include "mesh/config.h"

/* Gives the fault, which is being read, a count of its own, which is 0. Aborts without memory. */
void fault_counter_add(struct config *c, struct fault *f);
void fault_counters_release(struct fault_counter *first); /* NULL is fine */

/* The faults of c that old has too, the same words in the same route of the same host and
 * direction, count on where those of old are; while both are in use they count together. Before c
 * is given to anyone. */
void config_keep_counts(struct config *c, const struct config *old);

#endif
