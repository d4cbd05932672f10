#include "base/buffer.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_BYTES = 64 }; /* most bodies that are kept are a small message of gRPC */

void buffer_init(struct buffer *b, size_t limit_bytes)
{
    *b = (struct buffer){.limit_bytes = limit_bytes};
}

void buffer_release(struct buffer *b)
{
    free(b->p);
    buffer_init(b, b->limit_bytes);
}

void buffer_reset(struct buffer *b)
{
    b->n = 0;
    b->failed = false;
}

/* Memory for `need` bytes in all; the limit has been checked. */
static bool grow(struct buffer *b, size_t need)
{
    size_t cap = b->cap ? b->cap : FIRST_BYTES;

    while (cap < need && cap <= SIZE_MAX / 2)
        cap *= 2;
    if (cap < need || (b->limit_bytes && cap > b->limit_bytes))
        cap = need > b->limit_bytes ? need : b->limit_bytes;
    char *p = realloc(b->p, cap);
    if (!p) {
        b->failed = true;
        return false;
    }
    b->p = p;
    b->cap = cap;
    return true;
}

bool buffer_reserve(struct buffer *b, size_t n)
{
    size_t limit = b->limit_bytes ? b->limit_bytes : SIZE_MAX / 2;

    if (b->failed)
        return false;
    if (b->n > limit || n > limit - b->n) {
        b->failed = true;
        return false;
    }
    return n <= b->cap - b->n || grow(b, b->n + n);
}

bool buffer_add(struct buffer *b, const void *data, size_t n)
{
    if (!buffer_reserve(b, n))
        return false;
    if (n)
        memcpy(b->p + b->n, data, n);
    b->n += n;
    return true;
}

bool buffer_add_str(struct buffer *b, struct str s)
{
    return buffer_add(b, s.p, s.n);
}

bool buffer_add_char(struct buffer *b, char c)
{
    if (!buffer_reserve(b, 1))
        return false;
    b->p[b->n++] = c;
    return true;
}

bool buffer_printf(struct buffer *b, const char *format, ...)
{
    va_list args;

    if (b->failed)
        return false;
    va_start(args, format);
    size_t room = b->cap - b->n;
    int n = vsnprintf(room ? b->p + b->n : NULL, room, format, args);
    va_end(args);
    if (n < 0 || !buffer_reserve(b, (size_t)n)) {
        b->failed = true;
        return false;
    }
    if ((size_t)n >= room) {
        /* printf ends its text with a NUL, which takes room but does not count. */
        if ((size_t)n >= b->cap - b->n && !grow(b, b->n + (size_t)n + 1))
            return false;
        va_start(args, format);
        vsnprintf(b->p + b->n, (size_t)n + 1, format, args);
        va_end(args);
    }
    b->n += (size_t)n;
    return true;
}

void buffer_consume(struct buffer *b, size_t n)
{
    assert(n <= b->n);
    b->n -= n;
    if (n && b->n)
        memmove(b->p, b->p + n, b->n);
}
