#include "otlp/retry.h"

nsec_t retry_wait(unsigned failures, nsec_t at_least, struct random *random)
{
    nsec_t wait = RETRY_FIRST;

    for (unsigned i = 1; i < failures && wait < RETRY_MAX; i++)
        wait += wait / 2;
    if (wait > RETRY_MAX)
        wait = RETRY_MAX;
    nsec_t spread = wait * RETRY_JITTER_PCT / 100;
    wait += (nsec_t)random_below(random, (uint64_t)(2 * spread + 1)) - spread;
    return wait > at_least ? wait : at_least;
}
