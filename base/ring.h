/*
 * A ring of variable-sized records from one producing thread to one consuming
 * thread, without locks. A record is contiguous memory: the consumer reads it
 * in place, so pointers from a record into itself stay good until it is popped.
 */
#ifndef SIDESPAN_BASE_RING_H
#define SIDESPAN_BASE_RING_H

#include <stdbool.h>
#include <stddef.h>

struct ring;

/* capacity_bytes is rounded up to a power of two; pages are taken from the system as they are
 * first written. From 1 MiB on, room is given back to the producer in small parts of it, and while
 * little waits with it its pages to the system. NULL: no memory. */
struct ring *ring_new(size_t capacity_bytes);
void ring_free(struct ring *r);

/* Producer: memory for a record of 16-byte alignment, or NULL when the ring is full (or the record,
 * with its header of 16 bytes, is over half of it). It counts only after ring_commit(); a second
 * ring_reserve() forgets the first. */
void *ring_reserve(struct ring *r, size_t size);
/* Producer: makes the reserved record visible. size may be less than was reserved. */
void ring_commit(struct ring *r, size_t size);

/* Consumer: the oldest record, or NULL when there is none. It stays until ring_pop(). */
void *ring_peek(struct ring *r, size_t *size);
void ring_pop(struct ring *r);

/* Either side: bytes in use, headers and padding included. An estimate for the other side. */
size_t ring_used(const struct ring *r);
size_t ring_capacity(const struct ring *r);

#endif
