/*
 * Bytes as lower-case hex digits and back, four bytes at a time in one word,
 * since every request reads and writes ids. Upper-case digits are not read: W3C
 * Trace Context forbids them.
 */
#ifndef SIDESPAN_PROPAGATION_HEX_H
#define SIDESPAN_PROPAGATION_HEX_H

#include <stdbool.h>

#include "base/octets.h"

/* Bytes 0 to 3 of x moved to places 0, 2, 4 and 6. */
static inline uint64_t hex_spread(uint64_t x)
{
    x = (x | x << 16) & UINT64_C(0x0000ffff0000ffff);
    return (x | x << 8) & UINT64_C(0x00ff00ff00ff00ff);
}

/* And back, whatever is between them. */
static inline uint32_t hex_gather(uint64_t x)
{
    x &= UINT64_C(0x00ff00ff00ff00ff);
    x = (x | x >> 8) & UINT64_C(0x0000ffff0000ffff);
    return (uint32_t)(x | x >> 16);
}

/* Writes 8 digits. */
static inline void hex_encode4(const uint8_t *bytes, char *out)
{
    uint32_t word;
    uint64_t n, letters;

    memcpy(&word, bytes, sizeof word);
    n = hex_spread(le32toh(word));
    n = (n >> 4 | n << 8) & OCTETS(0x0f);
    letters = (n + OCTETS(6)) >> 4 & OCTETS(1);
    octets_store(out, n + OCTETS('0') + letters * ('a' - '0' - 10));
}

/* Reads 8 digits. Not 0: one was not a lower-case hex digit; out then holds rubbish. So a row of
 * them is read without a branch, and the answers put together. */
static inline uint64_t hex_decode4(const char *digits, uint8_t *out)
{
    uint64_t x = octets_load(digits), low = x & OCTETS(0x7f);
    uint64_t letters = octets_within(low, 'a', 'f');
    uint64_t n = (low & OCTETS(0x0f)) + (letters >> 7 & OCTETS(1)) * 9;
    uint32_t word = htole32(hex_gather(n << 4 | n >> 8));

    memcpy(out, &word, sizeof word);
    return (x | ~(octets_within(low, '0', '9') | letters)) & OCTETS(0x80);
}

/* n is below 16. */
static inline char hex_digit(unsigned n)
{
    return "0123456789abcdef"[n];
}

/* 0 to 15, or a number above 255 for what is no lower-case digit. */
static inline unsigned hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return (unsigned)(c - '0');
    return c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10 : 0x1000;
}

/* Reads 2 digits. False: one was not a lower-case hex digit; out is untouched. */
static inline bool hex_decode1(const char *digits, uint8_t *out)
{
    unsigned byte = hex_value(digits[0]) << 4 | hex_value(digits[1]);

    if (byte > 0xff)
        return false;
    *out = (uint8_t)byte;
    return true;
}

#endif
