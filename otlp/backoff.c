#include "otlp/backoff.h"

nsec_t backoff_wait(unsigned failures, nsec_t at_least, struct random *random)
{
    nsec_t wait = BACKOFF_FIRST;

    for (unsigned i = 1; i < failures && wait < BACKOFF_MAX; i++)
        wait += wait / 2;
    if (wait > BACKOFF_MAX)
        wait = BACKOFF_MAX;
    nsec_t spread = wait * BACKOFF_JITTER_PCT / 100;
    wait += (nsec_t)random_below(random, (uint64_t)(2 * spread + 1)) - spread;
    return wait > at_least ? wait : at_least;
}
