/*
 * Bytes that grow, in one piece, up to a ceiling named when it is made.
 */
#ifndef SIDESPAN_BASE_BUFFER_H
#define SIDESPAN_BASE_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

struct buffer {
    char *p; /* owned */
    size_t n, cap;
    size_t limit_bytes; /* 0: none */
    bool failed;        /* an append met the limit or found no memory; it stays so until reset */
};

void buffer_init(struct buffer *b, size_t limit_bytes);
void buffer_release(struct buffer *b);
/* Empty, not failed; the memory stays. */
void buffer_reset(struct buffer *b);

/* Room for n more bytes at b->p + b->n, for the caller to fill and count. False: failed. */
bool buffer_reserve(struct buffer *b, size_t n);
bool buffer_add(struct buffer *b, const void *data, size_t n);
bool buffer_add_str(struct buffer *b, struct str s);
bool buffer_add_char(struct buffer *b, char c);
bool buffer_printf(struct buffer *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Takes n bytes off the front. */
void buffer_consume(struct buffer *b, size_t n);
static inline struct str buffer_str(const struct buffer *b)
{
    return (struct str){b->p, b->n};
}

#endif
