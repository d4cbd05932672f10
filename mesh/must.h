/*
 * Memory while a config is read. Readers of the language ask with must() and
 * need not carry the case that there is none: whoever asks in vain is left
 * where it stands, and with_memory() returns false to who began. What is in an
 * arena goes with the arena. What is not is held (hold()) for as long as
 * somebody may ask, and is given back on the way out.
 */
#ifndef SIDESPAN_MESH_MUST_H
#define SIDESPAN_MESH_MUST_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/buffer.h"
#include "base/error.h"
#include "base/map.h"

/*
 * Calls fn(arg). False: it asked for memory in vain, and did not come to its
 * end. What it had then is in *arg, which its caller releases. Not to be nested.
 */
bool with_memory(void (*fn)(void *arg), void *arg);
/* Leaves the fn of with_memory(). Without one there is nowhere to go: it aborts. */
_Noreturn void memory_ended(void);

/* On the stack of who holds something; held are given back in the opposite order. */
struct held {
    struct held *outer;
    void (*give_back)(void *what);
    void *what;
};
void hold(struct held *h, void (*give_back)(void *what), void *what);
/* Makes an empty buffer, and holds it. */
void hold_buffer(struct held *h, struct buffer *b);
void hold_map(struct held *h, struct map *m);
/* Gives it back: the last that is held. */
void let_go(struct held *h);

static inline void *must(void *p)
{
    if (!p)
        memory_ended();
    return p;
}

static inline struct str must_str(struct str s)
{
    must((void *)(uintptr_t)s.p);
    return s;
}

/* A copy of what was written, if all of it was. */
static inline struct str must_text(struct arena *a, const struct buffer *b)
{
    if (b->failed)
        memory_ended();
    return must_str(arena_dup(a, buffer_str(b)));
}

/* False: the key was there. */
static inline bool must_add(struct map *m, struct str key, void *value)
{
    bool added = map_add(m, key, value);

    if (m->failed)
        memory_ended();
    return added;
}

/* Goes on unless the error is that there is no memory. */
static inline void must_not_be_memory(const struct error *err)
{
    if (err->no_memory)
        memory_ended();
}

/*
 * Room for one more at the end of an array of n in an arena. It grows by
 * doubling whenever n is a power of two, so nobody need keep its capacity.
 */
static inline void *array_room(struct arena *a, void *v, size_t n, size_t size)
{
    if (n & (n - 1))
        return v;
    void *bigger = must(arena_array(a, n ? n * 2 : 1, size));
    if (n)
        memcpy(bigger, v, n * size);
    return bigger;
}

#endif
