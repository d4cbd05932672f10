/*
 * Eight bytes in one word, the first of them lowest, tested all at once. A test
 * answers in the top bit of each byte; the bytes tested must be below 0x80.
 */
#ifndef SIDESPAN_BASE_OCTETS_H
#define SIDESPAN_BASE_OCTETS_H

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* The same byte in all eight places. */
#define OCTETS(byte) (UINT64_C(0x0101010101010101) * (uint64_t)(byte))

static inline uint64_t octets_load(const char *p)
{
    uint64_t x;

    memcpy(&x, p, sizeof x);
    return le64toh(x);
}

/* n bytes, 1 to 7, in any order and some of them more than once: for what is asked of each byte. */
static inline uint64_t octets_of_few(const char *p, size_t n)
{
    uint32_t front, back;
    unsigned char first = (unsigned char)p[0], middle = (unsigned char)p[n / 2];
    unsigned char last = (unsigned char)p[n - 1];

    if (n >= 4) {
        memcpy(&front, p, sizeof front);
        memcpy(&back, p + n - sizeof back, sizeof back);
        return (uint64_t)back << 32 | front;
    }
    front = (uint32_t)last << 24 | (uint32_t)last << 16 | (uint32_t)middle << 8 | first;
    return (uint64_t)front << 32 | front;
}

static inline void octets_store(char *p, uint64_t x)
{
    x = htole64(x);
    memcpy(p, &x, sizeof x);
}

static inline uint64_t octets_at_least(uint64_t x, uint8_t min)
{
    return x + OCTETS(0x80 - min);
}

static inline uint64_t octets_within(uint64_t x, uint8_t min, uint8_t max)
{
    return octets_at_least(x, min) & ~octets_at_least(x, (uint8_t)(max + 1));
}

static inline uint64_t octets_differ(uint64_t x, uint8_t from)
{
    return (x ^ OCTETS(from)) + OCTETS(0x7f);
}

/* Any byte: those of 0x80 and above. */
static inline uint64_t octets_not_ascii(uint64_t x)
{
    return x;
}

/* Any byte, not only those below 0x80: those of 0x7f and above, of 0x20 and below. */
static inline uint64_t octets_not_visible(uint64_t x)
{
    uint64_t low = x & OCTETS(0x7f);

    return x | octets_at_least(low, 0x7f) | ~octets_at_least(low, 0x21);
}

/* Any byte: those that are no letter, digit, '-' or '.'. */
static inline uint64_t octets_not_of_name(uint64_t x)
{
    uint64_t low = x & OCTETS(0x7f), letters = octets_within(low | OCTETS(0x20), 'a', 'z');

    return x | ~(letters | (octets_within(low, '-', '9') & octets_differ(low, '/')));
}

/* Any bytes: those of A to Z become a to z. */
static inline uint64_t octets_lower(uint64_t x)
{
    uint64_t letters = octets_within(x & OCTETS(0x7f), 'A', 'Z') & ~x & OCTETS(0x80);

    return x | letters >> 2;
}

/* Whether the test is true of some byte of the text; it may be asked of the same byte twice. */
static inline __attribute__((always_inline)) bool octets_any(const char *p, size_t n,
                                                             uint64_t (*test)(uint64_t))
{
    uint64_t found = 0;
    size_t i = 0;

    if (n >= 8) {
        for (; i + 8 < n; i += 8)
            found |= test(octets_load(p + i));
        found |= test(octets_load(p + n - 8));
    } else if (n) {
        found = test(octets_of_few(p, n));
    }
    return (found & OCTETS(0x80)) != 0;
}

/* No byte of the text is 0x80 or above: it is ASCII. */
static inline bool octets_are_ascii(const char *p, size_t n)
{
    return !octets_any(p, n, octets_not_ascii);
}

/* Each byte of the text is a visible character of ASCII: 0x21 to 0x7e. */
static inline bool octets_are_visible(const char *p, size_t n)
{
    return !octets_any(p, n, octets_not_visible);
}

#endif
