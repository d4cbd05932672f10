/*
 * Memory while a config is read: a few kilobytes, bounded by the size of the
 * files. A process that cannot have them could not serve either, so asking in
 * vain ends it, and readers of the language need not carry that case.
 */
#ifndef SIDESPAN_MESH_MUST_H
#define SIDESPAN_MESH_MUST_H

#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"

static inline void *must(void *p)
{
    if (!p) {
        fputs("out of memory\n", stderr);
        abort();
    }
    return p;
}

static inline struct str must_str(struct str s)
{
    must((void *)(uintptr_t)s.p);
    return s;
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
