/*
 * Copies of texts that are mostly short, where a call would cost more than the
 * copy.
 */
#ifndef SIDESPAN_OTLP_COPY_H
#define SIDESPAN_OTLP_COPY_H

#include <stddef.h>
#include <string.h>

/* Two copies of one size, which may overlap, make any length from that size to twice of it. Returns
 * what is behind the copy. */
static inline char *copy_bytes(char *to, const char *from, size_t n)
{
    if (n > 32) {
        memcpy(to, from, n);
    } else if (n >= 16) {
        memcpy(to, from, 16);
        memcpy(to + n - 16, from + n - 16, 16);
    } else if (n >= 8) {
        memcpy(to, from, 8);
        memcpy(to + n - 8, from + n - 8, 8);
    } else if (n >= 4) {
        memcpy(to, from, 4);
        memcpy(to + n - 4, from + n - 4, 4);
    } else {
        for (size_t i = 0; i < n; i++)
            to[i] = from[i];
    }
    return to + n;
}

#endif
