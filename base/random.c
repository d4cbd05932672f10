#include "base/random.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/types.h>

static inline uint64_t rotate(uint64_t x, int by)
{
    return x << by | x >> (64 - by);
}

void random_init(struct random *r)
{
    char *at = (char *)r->s;
    size_t left = sizeof(r->s);

    while (left) {
        ssize_t n = getrandom(at, left, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            perror("getrandom");
            abort();
        }
        at += n;
        left -= (size_t)n;
    }
    if (!(r->s[0] | r->s[1] | r->s[2] | r->s[3]))
        r->s[0] = 1; /* all zero would stay so */
}

/* splitmix64 spreads the seed over the state, which is then not all zero. */
void random_init_seed(struct random *r, uint64_t seed)
{
    for (int i = 0; i < 4; i++) {
        uint64_t z = seed += 0x9e3779b97f4a7c15;
        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
        z = (z ^ z >> 27) * 0x94d049bb133111eb;
        r->s[i] = z ^ z >> 31;
    }
}

uint64_t random_next(struct random *r)
{
    uint64_t *s = r->s;
    uint64_t result = rotate(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;

    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate(s[3], 45);
    return result;
}

/* Multiply instead of divide; the few products that would favour some results are drawn again
 * (D. Lemire, "Fast Random Integer Generation in an Interval", 2019). */
uint64_t random_below(struct random *r, uint64_t bound)
{
    unsigned __int128 product = (unsigned __int128)random_next(r) * bound;

    if ((uint64_t)product < bound) {
        uint64_t unfair = -bound % bound;
        while ((uint64_t)product < unfair)
            product = (unsigned __int128)random_next(r) * bound;
    }
    return (uint64_t)(product >> 64);
}
