/*
 * Time in nanoseconds. Decisions take it as an argument; only proxy/ reads a
 * clock.
 */
#ifndef SIDESPAN_BASE_CLOCK_H
#define SIDESPAN_BASE_CLOCK_H

#include <stdint.h>

typedef int64_t nsec_t;

#define MICROSECONDS(n) ((nsec_t)(n)*1000)
#define MILLISECONDS(n) ((nsec_t)(n)*1000000)
#define SECONDS(n)      ((nsec_t)(n)*1000000000)

/* CLOCK_MONOTONIC. */
nsec_t clock_monotonic(void);
/* CLOCK_REALTIME: since 1970. */
nsec_t clock_wall(void);
/* The wall clock's time minus the monotonic one. The clocks are read several times, and the pair
 * that was read with the least time between its two calls counts: the thread may be suspended
 * between them. */
nsec_t clock_wall_offset(void);

#endif
