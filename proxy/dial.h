/*
 * A dial makes one connection to a location: it resolves the name, and tries
 * each address in turn, the next one when the last has failed or has not answered
 * for a moment, until one answers (RFC 8305).
 */
#ifndef SIDESPAN_PROXY_DIAL_H
#define SIDESPAN_PROXY_DIAL_H

#include <event2/event.h>

#include "mesh/config.h"
#include "proxy/resolver.h"

struct dial;

/* Called once, never from within dial_start(); the dial is gone then. fd: connected, non-blocking,
 * the callee's; -1: detail says why, for people ("connect to 127.0.0.1:4317: refused"). */
typedef void dialled_fn(void *arg, int fd, const char *detail);

/* All of it may take allowed. to is borrowed until the end. NULL: no memory. */
struct dial *dial_start(struct event_base *base, struct resolver *resolver,
                        const struct location *to, nsec_t allowed, dialled_fn *fn, void *arg);
/* Ends it; fn is not called. NULL is fine. */
void dial_cancel(struct dial *d);

#endif
