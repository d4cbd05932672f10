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
/* What is to be added to a monotonic time for the wall clock's: both are read at one moment, which
 * is told apart from two with a pause of the thread between them. */
nsec_t clock_wall_offset(void);

#endif
