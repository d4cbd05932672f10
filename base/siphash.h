/*
 * SipHash-2-4, the one hash behind all that looks like chance (weighted choice,
 * whether a fault strikes) and behind every hash table. J.-P. Aumasson and
 * D. J. Bernstein, "SipHash: a fast short-input PRF", 2012.
 */
#ifndef SIDESPAN_BASE_SIPHASH_H
#define SIDESPAN_BASE_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

struct siphash_key {
    uint64_t k0, k1;
};

uint64_t siphash(const struct siphash_key *key, const void *data, size_t n);

#endif
