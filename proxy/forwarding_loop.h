/*
 * What leads a request back to this sidecar: an address at which it listens
 * itself, and, where addresses do not show it (another proxy stands between), the
 * marks that each pass leaves in the request.
 *
 * A mark is the name of this process in the field sidespan-via, as RFC 8586 has
 * it for content delivery networks. Via is not used for it: servers treat a
 * request with Via otherwise (nginx does not compress for it).
 */
#ifndef SIDESPAN_PROXY_FORWARDING_LOOP_H
#define SIDESPAN_PROXY_FORWARDING_LOOP_H

#include "base/headers.h"
#include "mesh/config.h"

/* Whether a connection to that address arrives at one of these listeners. now: monotonic. */
bool forwarding_loop_to_listeners(const struct direction *d, const struct address *to, nsec_t now);
/* The same of the admin port. */
bool forwarding_loop_to_admin(const struct config *c, const struct address *to, nsec_t now);

/* How often a request may pass one sidecar: a service that is a proxy, and hands on every field it
 * gets, may well send one request to itself a few times. */
enum { FORWARDING_LOOP_PASSES_MAX = 10 };
/* How often this process has sent that request on. */
unsigned forwarding_loop_passes(const struct headers *f);
/* Adds this process' mark. False: the arena is full. */
bool forwarding_loop_mark(struct headers *f, struct arena *a);

#endif
