/*
 * Our times as libevent takes them.
 */
#ifndef SIDESPAN_PROXY_TIMEVAL_H
#define SIDESPAN_PROXY_TIMEVAL_H

#include <sys/time.h>

#include "base/clock.h"

/* Rounded up to the microsecond, so that a timer is never early; nothing is less than 0. */
static inline struct timeval timeval_of(nsec_t t)
{
    nsec_t us = t > 0 ? t / 1000 + (t % 1000 != 0) : 0;

    return (struct timeval){.tv_sec = us / 1000000, .tv_usec = us % 1000000};
}

#endif
