/*
 * How much memory the process has, beside limits { memory }, and what is done
 * about it: from three quarters on slow readers are buffered less and what is
 * idle goes back to the system; from nine tenths on new connections wait and
 * new requests are refused. What is under way goes on. Each state is left well
 * below where it is entered.
 *
 * What counts is resident memory, all of it: what the kernel would count. The
 * main thread looks a few times a second; a worker that takes much for queues
 * looks itself, so that a burst between two looks has no room to run away.
 */
#ifndef SIDESPAN_PROXY_MEMORY_H
#define SIDESPAN_PROXY_MEMORY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"

enum memory_state { MEMORY_FINE, MEMORY_SHORT, MEMORY_FULL };

/* While it is short: what is buffered for one side, and what is read at once, at most. */
enum { MEMORY_SHORT_BYTES = 16 << 10 };

/* What a worker takes between two looks. */
enum { MEMORY_STEP_BYTES = 512 << 10 };

/* The state after `was`; limit 0: none. Pure. */
enum memory_state memory_decide(enum memory_state was, uint64_t bytes, uint64_t limit);
/* What `configured` (limits.memory) means where the container may have group_bytes; 0: no limit, of
 * either. Pure. */
uint64_t memory_limit(uint64_t configured, uint64_t group_bytes);

extern atomic_int memory_state_now;

/* From any thread; as cheap as a load. */
static inline enum memory_state memory_state(void)
{
    return (enum memory_state)atomic_load_explicit(&memory_state_now, memory_order_relaxed);
}
/* From any thread: finds out anew. A system call. */
void memory_look(void);

/* Whether so much could be had at once now, for what cannot go on without it. From any thread. */
bool memory_can_be_had(size_t bytes);

/* Of the main thread. limits.memory is that from now on. */
void memory_configure(uint64_t configured);
/* Whether there is a limit. */
bool memory_is_watched(void);
/* Looks, and says in the log what came up since it was called last. */
void memory_watch(void);
void memory_metrics_print(struct buffer *out);

#endif
