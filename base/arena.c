#include "base/arena.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/pages.h"
#include "base/poison.h"

enum { ALIGNMENT = 16, CHUNK_BYTES_DEFAULT = 4096, CHUNK_BYTES_MIN = 64 };

struct arena_chunk {
    struct arena_chunk *next;
    size_t size; /* behind this header */
    _Alignas(ALIGNMENT) char data[];
};

_Static_assert(sizeof(struct arena_chunk) % ALIGNMENT == 0, "the data must be aligned");

/* The header is part of a chunk's bytes, so that a chunk fills whole pages. */
static size_t ordinary_size(const struct arena *a)
{
    return a->chunk_bytes - sizeof(struct arena_chunk);
}

/* What the limit forbids is cut off the chunk's end: the fast path need not know of limits. */
static void set_end(struct arena *a, char *chunk_end)
{
    a->end = chunk_end;
    if (a->limit_bytes && a->limit_bytes - a->used_bytes < (size_t)(chunk_end - a->at))
        a->end = a->at + (a->limit_bytes - a->used_bytes);
}

static void fill_from(struct arena *a, struct arena_chunk *chunk)
{
    a->at = chunk->data;
    set_end(a, chunk->data + chunk->size);
}

void arena_init(struct arena *a, size_t chunk_bytes, size_t limit_bytes)
{
    if (chunk_bytes == 0)
        chunk_bytes = CHUNK_BYTES_DEFAULT;
    if (chunk_bytes < CHUNK_BYTES_MIN)
        chunk_bytes = CHUNK_BYTES_MIN;
    *a = (struct arena){.chunk_bytes = (chunk_bytes + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1),
                        .limit_bytes = limit_bytes};
}

static bool is_page(const struct arena *a, size_t size)
{
    return a->pages && size == PAGE_BYTES - sizeof(struct arena_chunk);
}

static struct arena_chunk *chunk_new(const struct arena *a, size_t size)
{
    struct arena_chunk *chunk =
        is_page(a, size) ? pages_take(a->pages) : malloc(sizeof(*chunk) + size);

    if (!chunk)
        return NULL;
    chunk->size = size;
    POISON(chunk->data, size);
    return chunk;
}

static void chunk_free(const struct arena *a, struct arena_chunk *chunk)
{
    if (is_page(a, chunk->size))
        pages_give(a->pages, chunk);
    else
        free(chunk);
}

void arena_reset(struct arena *a)
{
    struct arena_chunk *kept = NULL;

    for (struct arena_chunk *chunk = a->chunks, *next; chunk; chunk = next) {
        next = chunk->next;
        if (!kept && chunk->size == ordinary_size(a))
            kept = chunk;
        else
            chunk_free(a, chunk);
    }
    a->chunks = kept;
    a->at = a->end = NULL;
    a->used_bytes = 0;
    if (kept) {
        kept->next = NULL;
        POISON(kept->data, kept->size);
        fill_from(a, kept);
    }
}

void arena_release(struct arena *a)
{
    for (struct arena_chunk *chunk = a->chunks, *next; chunk; chunk = next) {
        next = chunk->next;
        chunk_free(a, chunk);
    }
    a->chunks = NULL;
    a->at = a->end = NULL;
    a->used_bytes = 0;
}

bool arena_has(const struct arena *a, const void *p)
{
    for (const struct arena_chunk *chunk = a->chunks; chunk; chunk = chunk->next)
        if ((const char *)p >= chunk->data && (const char *)p < chunk->data + chunk->size)
            return true;
    return false;
}

/* A large piece gets a chunk of its own, listed behind the one being filled. */
static void *alloc_own_chunk(struct arena *a, size_t need)
{
    struct arena_chunk *chunk = chunk_new(a, need);

    if (!chunk)
        return NULL;
    a->used_bytes += need;
    if (a->chunks) {
        chunk->next = a->chunks->next;
        a->chunks->next = chunk;
    } else {
        chunk->next = NULL;
        a->chunks = chunk;
    }
    if (a->at)
        set_end(a, a->end);
    return chunk->data;
}

static void *alloc_next_chunk(struct arena *a, size_t need)
{
    struct arena_chunk *chunk = chunk_new(a, ordinary_size(a));

    if (!chunk)
        return NULL;
    chunk->next = a->chunks;
    a->chunks = chunk;
    a->used_bytes += (size_t)(a->end - a->at);
    fill_from(a, chunk);

    void *p = a->at;
    a->at += need;
    a->used_bytes += need;
    return p;
}

static __attribute__((noinline, cold)) void *alloc_slow(struct arena *a, size_t size)
{
    size_t limit = a->limit_bytes ? a->limit_bytes : SIZE_MAX / 2;

    if (size > limit)
        return NULL;
    size_t need = size ? (size + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1) : ALIGNMENT;
    if (need > limit - a->used_bytes)
        return NULL;

    void *p = NULL;
    if (need <= (size_t)(a->end - a->at)) { /* of size 0 */
        p = a->at;
        a->at += need;
        a->used_bytes += need;
    } else if (need > ordinary_size(a) / 2) {
        p = alloc_own_chunk(a, need);
    } else if ((size_t)(a->end - a->at) <= limit - a->used_bytes - need) {
        p = alloc_next_chunk(a, need);
    }
    if (p)
        UNPOISON(p, size);
    return p;
}

void *arena_alloc(struct arena *a, size_t size)
{
    size_t need = (size + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);

    /* need - 1 is huge where size is 0 or the sum overflowed: one comparison sees all three. */
    if (__builtin_expect(need - 1 >= (size_t)(a->end - a->at), 0))
        return alloc_slow(a, size);
    void *p = a->at;
    a->at += need;
    a->used_bytes += need;
    UNPOISON(p, size);
    return p;
}

void *arena_zalloc(struct arena *a, size_t size)
{
    void *p = arena_alloc(a, size);

    if (p)
        memset(p, 0, size);
    return p;
}

void *arena_array(struct arena *a, size_t count, size_t size)
{
    size_t total;

    if (__builtin_mul_overflow(count, size, &total))
        return NULL;
    return arena_zalloc(a, total);
}

static __attribute__((noinline)) struct str dup_any(struct arena *a, struct str s)
{
    char *p = s.n < SIZE_MAX ? arena_alloc(a, s.n + 1) : NULL;

    if (!p)
        return (struct str){NULL, 0};
    if (s.n)
        memcpy(p, s.p, s.n);
    p[s.n] = '\0';
    return (struct str){p, s.n};
}

/* Texts of a header field are short: 4 to 32 bytes are two pieces, which may overlap. */
struct str arena_dup(struct arena *a, struct str s)
{
    size_t need = (s.n + ALIGNMENT) & ~(size_t)(ALIGNMENT - 1);
    char *p = a->at;

    if (s.n < 4 || s.n > 32 || need > (size_t)(a->end - p))
        return dup_any(a, s);
    a->at += need;
    a->used_bytes += need;
    UNPOISON(p, s.n + 1);
    if (s.n >= 16) {
        memcpy(p, s.p, 16);
        memcpy(p + s.n - 16, s.p + s.n - 16, 16);
    } else if (s.n >= 8) {
        memcpy(p, s.p, 8);
        memcpy(p + s.n - 8, s.p + s.n - 8, 8);
    } else {
        memcpy(p, s.p, 4);
        memcpy(p + s.n - 4, s.p + s.n - 4, 4);
    }
    p[s.n] = '\0';
    return (struct str){p, s.n};
}

struct str arena_printf(struct arena *a, const char *format, ...)
{
    char text[512];
    va_list args;

    va_start(args, format);
    int n = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (n < 0)
        return (struct str){NULL, 0};
    if ((size_t)n < sizeof(text))
        return arena_dup(a, str_of(text, (size_t)n));

    char *p = arena_alloc(a, (size_t)n + 1);
    if (!p)
        return (struct str){NULL, 0};
    va_start(args, format);
    vsnprintf(p, (size_t)n + 1, format, args);
    va_end(args);
    return (struct str){p, (size_t)n};
}
