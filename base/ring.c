/*
 * Positions only grow; a position modulo the capacity is a place in memory.
 * What is between head and tail belongs to the consumer, the rest to the
 * producer. A record starts with a header of 16 bytes and never goes around the
 * end: where one does not fit before it, a padding record fills the end.
 */
#include "base/ring.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { CACHE_LINE = 64, ALIGNMENT = 16, RELEASE_PARTS = 32, RELEASE_FROM_BYTES = 1024 * 1024 };

struct record {
    size_t bytes; /* with this header; a multiple of 16 */
    size_t size;  /* as committed, or PADDING */
};

#define PADDING SIZE_MAX

_Static_assert(sizeof(struct record) == ALIGNMENT, "what follows the header must be aligned");

struct ring {
    char *memory; /* owned */
    size_t capacity;

    /* The producer's line: it reads the consumer's only when what it saw there leaves no room. */
    _Alignas(CACHE_LINE) atomic_size_t tail;
    size_t head_seen;
    size_t reserved_at, reserved_bytes; /* bytes 0: nothing is reserved */

    /* The consumer's line. What is between head and consumed is given back in larger pieces. */
    _Alignas(CACHE_LINE) atomic_size_t head;
    size_t consumed, tail_seen;
    size_t release_bytes; /* 0: each record at once */
    size_t page_bytes;
};

static inline struct record *record_at(const struct ring *r, size_t position)
{
    return (struct record *)(void *)(r->memory + (position & (r->capacity - 1)));
}

static inline size_t bytes_for(size_t size)
{
    return sizeof(struct record) + ((size + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1));
}

struct ring *ring_new(size_t capacity_bytes)
{
    size_t capacity = (size_t)sysconf(_SC_PAGESIZE);

    if (capacity_bytes > SIZE_MAX / 2)
        return NULL;
    while (capacity < capacity_bytes)
        capacity *= 2;

    struct ring *r = aligned_alloc(CACHE_LINE, sizeof(*r));
    if (!r)
        return NULL;
    char *memory = mmap(NULL, capacity, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
        free(r);
        return NULL;
    }
    *r = (struct ring){.memory = memory, .capacity = capacity};
    r->page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    if (capacity >= RELEASE_FROM_BYTES)
        r->release_bytes = capacity / RELEASE_PARTS;
    return r;
}

void ring_free(struct ring *r)
{
    if (!r)
        return;
    munmap(r->memory, r->capacity);
    free(r);
}

/* True when bytes after tail are free, asking the consumer's side only if need be. */
static bool has_room(struct ring *r, size_t tail, size_t bytes)
{
    if (bytes <= r->capacity - (tail - r->head_seen))
        return true;
    /* Pairs with the release in ring_pop(): it has done with what it gave back. */
    r->head_seen = atomic_load_explicit(&r->head, memory_order_acquire);
    return bytes <= r->capacity - (tail - r->head_seen);
}

void *ring_reserve(struct ring *r, size_t size)
{
    r->reserved_bytes = 0;
    if (size > r->capacity / 2 - sizeof(struct record))
        return NULL;

    size_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
    size_t to_end = r->capacity - (tail & (r->capacity - 1));
    size_t bytes = bytes_for(size);
    size_t padding = bytes > to_end ? to_end : 0;

    if (!has_room(r, tail, padding + bytes))
        return NULL;
    if (padding)
        *record_at(r, tail) = (struct record){.bytes = padding, .size = PADDING};
    r->reserved_at = tail + padding;
    r->reserved_bytes = bytes;
    return record_at(r, r->reserved_at) + 1;
}

void ring_commit(struct ring *r, size_t size)
{
    size_t bytes = bytes_for(size);

    assert(r->reserved_bytes > 0 && bytes <= r->reserved_bytes);
    *record_at(r, r->reserved_at) = (struct record){.bytes = bytes, .size = size};
    r->reserved_bytes = 0;
    /* Publishes the record, and the padding before it, all at once. */
    atomic_store_explicit(&r->tail, r->reserved_at + bytes, memory_order_release);
}

void *ring_peek(struct ring *r, size_t *size)
{
    if (r->consumed == r->tail_seen) {
        r->tail_seen = atomic_load_explicit(&r->tail, memory_order_acquire);
        if (r->consumed == r->tail_seen)
            return NULL;
    }
    struct record *record = record_at(r, r->consumed);
    if (record->size == PADDING) { /* the record it made way for came with it */
        r->consumed += record->bytes;
        record = record_at(r, r->consumed);
    }
    *size = record->size;
    return record + 1;
}

/* The pages that lie whole in [from, to), which does not go around the end, go to the system. */
static void forget_pages(struct ring *r, size_t from, size_t to)
{
    size_t page = r->page_bytes;

    from = (from + page - 1) & ~(page - 1);
    to &= ~(page - 1);
    if (from < to)
        madvise(r->memory + from, to - from, MADV_DONTNEED);
}

/*
 * Gives the producer back what was consumed. Where little waits, the memory is
 * not needed soon: what a burst has touched must not stay with the process.
 */
static void give_back(struct ring *r)
{
    size_t head = atomic_load_explicit(&r->head, memory_order_relaxed);

    if (r->release_bytes && r->tail_seen - r->consumed < r->release_bytes) {
        size_t from = head & (r->capacity - 1), to = from + (r->consumed - head);

        forget_pages(r, from, to < r->capacity ? to : r->capacity);
        if (to > r->capacity)
            forget_pages(r, 0, to - r->capacity);
    }
    atomic_store_explicit(&r->head, r->consumed, memory_order_release);
}

void ring_pop(struct ring *r)
{
    const struct record *record = record_at(r, r->consumed);

    assert(r->consumed != r->tail_seen && record->size != PADDING); /* it was peeked at */
    r->consumed += record->bytes;
    if (r->consumed - atomic_load_explicit(&r->head, memory_order_relaxed) >= r->release_bytes)
        give_back(r);
}

size_t ring_used(const struct ring *r)
{
    /* In this order: the tail read later is never behind the head. */
    size_t head = atomic_load_explicit(&r->head, memory_order_acquire);
    size_t used = atomic_load_explicit(&r->tail, memory_order_acquire) - head;

    return used < r->capacity ? used : r->capacity;
}

size_t ring_capacity(const struct ring *r)
{
    return r->capacity;
}
