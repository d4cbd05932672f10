/*
 * Eight bytes in one word, the first of them lowest, tested all at once. A test
 * answers in the top bit of each byte; the bytes tested must be below 0x80.
 */
#ifndef SIDESPAN_PROPAGATION_OCTETS_H
#define SIDESPAN_PROPAGATION_OCTETS_H

#include <endian.h>
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

#endif
