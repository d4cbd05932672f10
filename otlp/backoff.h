/*
 * How long to wait before a batch is sent again: exponential backoff with
 * jitter. OTLP demands both and leaves the numbers open: 1 s, half as much again each
 * time, at most 5 s, and up to a fifth more or less by chance.
 */
#ifndef SIDESPAN_OTLP_BACKOFF_H
#define SIDESPAN_OTLP_BACKOFF_H

#include "base/clock.h"
#include "base/random.h"

#define BACKOFF_FIRST      SECONDS(1)
#define BACKOFF_MAX        SECONDS(5)
#define BACKOFF_JITTER_PCT 20 /* percent */

/* After `failures` in a row (from 1). at_least: what the collector asked for; 0: nothing. */
nsec_t backoff_wait(unsigned failures, nsec_t at_least, struct random *random);

#endif
