/*
 * Uniform random numbers for ids and jitter: xoshiro256** seeded by the
 * kernel. Fast and of one thread; not for secrets.
 */
#ifndef SIDESPAN_BASE_RANDOM_H
#define SIDESPAN_BASE_RANDOM_H

#include <stdint.h>

struct random {
    uint64_t s[4];
};

/* Seeds from getrandom(2). Aborts where the kernel has none: nothing could be unique. */
void random_init(struct random *r);
/* The same sequence for the same seed, for tests. */
void random_init_seed(struct random *r, uint64_t seed);
uint64_t random_next(struct random *r);
/* 0 <= result < bound, unbiased; bound > 0. */
uint64_t random_below(struct random *r, uint64_t bound);

#endif
