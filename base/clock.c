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
