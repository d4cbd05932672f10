/*
 * Memory for what lives as long as a stream or a frame: nghttp2 asks for several
 * small blocks a request, of few sizes. A worker keeps what is given back, up
 * to a bound, so that most requests ask the system for nothing.
 */
#include "proxy/http2_memory.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define WATCHED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define WATCHED 1
#endif
#ifndef WATCHED
#define WATCHED 0 /* else each block is the system's, so that its misuse is seen */
#endif

enum { STEP = 64, CLASSES = 16, KEPT_BYTES_MAX = 1 << 20 };

/* Before each block, which is aligned as malloc's are. */
struct block {
    size_t size; /* of what follows */
    struct block *next;
};

struct http2_memory {
    size_t kept_bytes;
    struct block *kept[CLASSES + 1]; /* by size / STEP */
};

struct http2_memory *http2_memory_new(void)
{
    return calloc(1, sizeof(struct http2_memory));
}

void http2_memory_delete(struct http2_memory *m)
{
    for (size_t i = 0; m && i <= CLASSES; i++)
        while (m->kept[i]) {
            struct block *next = m->kept[i]->next;

            free(m->kept[i]);
            m->kept[i] = next;
        }
    free(m);
}

static struct block *block_of(void *p)
{
    return (struct block *)p - 1;
}

void *http2_memory_get(size_t size, void *arg)
{
    struct http2_memory *m = arg;
    size_t class = (size + STEP - 1) / STEP;
    struct block *b;

    if (class <= CLASSES && (b = m->kept[class])) {
        m->kept[class] = b->next;
        m->kept_bytes -= b->size;
        return b + 1;
    }
    if (class <= CLASSES)
        size = class * STEP;
    if (size > SIZE_MAX - sizeof *b || !(b = malloc(sizeof *b + size)))
        return NULL;
    b->size = size;
    return b + 1;
}

void http2_memory_give(void *p, void *arg)
{
    struct http2_memory *m = arg;
    struct block *b;

    if (!p)
        return;
    b = block_of(p);
    if (WATCHED || b->size > CLASSES * STEP || m->kept_bytes + b->size > KEPT_BYTES_MAX) {
        free(b);
        return;
    }
    b->next = m->kept[b->size / STEP];
    m->kept[b->size / STEP] = b;
    m->kept_bytes += b->size;
}

void *http2_memory_zeroed(size_t count, size_t size, void *arg)
{
    size_t bytes;
    void *p;

    if (__builtin_mul_overflow(count, size, &bytes) || !(p = http2_memory_get(bytes, arg)))
        return NULL;
    return memset(p, 0, bytes);
}

void *http2_memory_resize(void *p, size_t size, void *arg)
{
    void *more;

    if (!p)
        return http2_memory_get(size, arg);
    if (size <= block_of(p)->size)
        return p;
    if (!(more = http2_memory_get(size, arg)))
        return NULL;
    memcpy(more, p, block_of(p)->size);
    http2_memory_give(p, arg);
    return more;
}
