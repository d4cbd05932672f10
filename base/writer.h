/*
 * A writer takes text to a descriptor on a thread of its own, so that nobody
 * ever waits for who reads it. A pipe that nobody empties, a terminal that was
 * stopped, a file on a disk that hangs: all of these block a write(), and
 * O_NONBLOCK is no way out, for it belongs to the open file and thereby to every
 * process that shares it.
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

/* fd is borrowed. capacity_bytes is a power of two, 4 KiB at least; pages are taken from the system
 * as they are first used. name: of the thread, 15 bytes at most. notice may be NULL. NULL: no
 * memory, or no thread. */
struct writer *writer_new(int fd, size_t capacity_bytes, const char *name,
                          writer_notice_fn *notice);
/* From any thread. False: there is no room (or it is over half of the ring); it was counted. errno
 * may change. */
bool writer_put(struct writer *w, const char *p, size_t n);
/* From any thread: how many texts had no room or could not be written. */
uint64_t writer_lost(const struct writer *w);
/* From any thread: how many of those put are over, and how many of these could not be written. */
uint64_t writer_done(const struct writer *w);
uint64_t writer_failed(const struct writer *w);

/* Waits until all that was put is over, for at most that long. Of one thread. False: it is not. */
bool writer_flush(struct writer *w, nsec_t wait);
/* What waits is given up, also a write() that is under way. Nobody may put any more. NULL is fine.
 */
void writer_free(struct writer *w);

#endif
