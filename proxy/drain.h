/*
 * The way out: the service's readiness goes first, the inbound listeners close
 * after timeouts.drain-delay, and what is under way or has begun may end.
 * Outbound goes last, since the service calls others for what it still answers.
 * What has not ended when timeouts.drain is over is cut.
 */
#ifndef SIDESPAN_PROXY_DRAIN_H
#define SIDESPAN_PROXY_DRAIN_H

#include "proxy/fleet.h"

struct drain;

/* Begins at once. done is called from the loop, once; cut: how many exchanges and tunnels were cut.
 * NULL: no memory, and nothing was begun. */
struct drain *drain_start(struct event_base *base, struct fleet *fleet,
                          const struct timeouts *timeouts, void (*done)(void *arg, unsigned cut),
                          void *arg);
void drain_free(struct drain *d); /* NULL is fine */

#endif
