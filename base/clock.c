#include "base/clock.h"

#include <time.h>

static nsec_t read_clock(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return SECONDS(t.tv_sec) + t.tv_nsec;
}

nsec_t clock_monotonic(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

nsec_t clock_wall(void)
{
    return read_clock(CLOCK_REALTIME);
}

nsec_t clock_wall_offset(void)
{
    enum { TRIES = 5 };
    nsec_t offset = 0, narrowest = INT64_MAX;

    for (int i = 0; i < TRIES && narrowest > MICROSECONDS(2); i++) {
        nsec_t before = clock_monotonic(), wall = clock_wall(), apart = clock_monotonic() - before;

        if (apart >= narrowest)
            continue;
        narrowest = apart;
        offset = wall - before - apart / 2;
    }
    return offset;
}
