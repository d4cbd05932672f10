/*
 * An arena hands out memory that is given back all at once. What belongs to a
 * request, a config or an export batch comes from its arena and is never freed
 * singly. Every arena has a ceiling; meeting it is an answer (NULL), not a crash.
 */
#ifndef SIDESPAN_BASE_ARENA_H
#define SIDESPAN_BASE_ARENA_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

struct arena_chunk;
struct pages;

struct arena {
    struct arena_chunk *chunks; /* owned: the one being filled first */
    char *at, *end;             /* what is free in the first */
    size_t used_bytes;          /* handed out or lost to chunk ends */
    size_t limit_bytes;         /* 0: none */
    size_t chunk_bytes;         /* of the next chunk at least */
    struct pages *pages;        /* borrowed: where chunks of a page come from; NULL: malloc() */
};

/* Takes no memory yet. chunk_bytes 0: 4096. pages is NULL; whoever has some sets it. */
void arena_init(struct arena *a, size_t chunk_bytes, size_t limit_bytes);
/* Forgets everything handed out; keeps one chunk of the ordinary size for the next time. */
void arena_reset(struct arena *a);
/* Gives all memory back; the arena may be used again. */
void arena_release(struct arena *a);

/* Whether p points into memory of the arena. */
bool arena_has(const struct arena *a, const void *p);

/* Memory of 16-byte alignment, not zeroed. NULL: the limit, or no memory. */
void *arena_alloc(struct arena *a, size_t size);
/* The same, zeroed. */
void *arena_zalloc(struct arena *a, size_t size);
/* An array; NULL also where count * size overflows. Zeroed. */
void *arena_array(struct arena *a, size_t count, size_t size);
/* A copy, followed by a NUL that is not counted. p NULL: no memory (also for an empty s p is set).
 */
struct str arena_dup(struct arena *a, struct str s);
/* Formatted text, NUL behind it. p NULL: no memory. */
struct str arena_printf(struct arena *a, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
