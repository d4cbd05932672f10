/*
 * A writer writes text to a descriptor from a thread of its own, so that a slow
 * reader blocks no other thread. A full pipe, a stopped terminal and a file on a
 * disk that hangs all block write(), and O_NONBLOCK does not help, since it
 * belongs to the open file and so to every process that shares it.
 *
 * What is put waits in a ring of fixed size, into which any thread writes
 * without a lock and without a system call while the writer is awake. Where
 * there is no room the text is lost and counted. Texts are written whole and in
 * the order in which they were put.
 */
#ifndef SIDESPAN_BASE_WRITER_H
#define SIDESPAN_BASE_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"

struct writer;

/* Called on the writer's thread once text flows again after some was lost: makes the text that says
 * so, at most size bytes. Returns its length. */
typedef size_t writer_notice_fn(uint64_t lost, char *out, size_t size);

/* fd is borrowed. capacity_bytes is a power of two and at least 4 KiB; pages are allocated when
 * they are first used. name is that of the thread, at most 15 bytes. notice may be NULL. Returns
 * NULL if memory or a thread is lacking. */
struct writer *writer_new(int fd, size_t capacity_bytes, const char *name,
                          writer_notice_fn *notice);
/* Queues the text, from any thread. Returns false if the ring has no room for it, or if it is
 * longer than half of the ring; it is then dropped and counted. errno may change. */
bool writer_put(struct writer *w, const char *p, size_t n);
/* From any thread: the number of texts that were dropped or could not be written. */
uint64_t writer_lost(const struct writer *w);
/* From any thread: the number of texts the thread is done with, and how many of these could not be
 * written. */
uint64_t writer_done(const struct writer *w);
uint64_t writer_failed(const struct writer *w);

/* Waits at most that long until the thread is done with every text; returns false if it is not.
 * Only one thread may call it. */
bool writer_flush(struct writer *w, nsec_t wait);
/* Drops the texts that are queued and interrupts a write() that is under way. No thread may put any
 * text from then on. NULL is fine. */
void writer_free(struct writer *w);

#endif
