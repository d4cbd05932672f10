/*
 * The weighted choice. Each arm draws a number from SipHash of the key with
 * the arm's own salt, and the greatest of ln(u) / weight wins (weighted
 * rendezvous hashing): the shares are exact, every sidecar chooses alike, and
 * raising a weight never moves a key out of that arm.
 */
#ifndef SIDESPAN_MESH_SPLIT_H
#define SIDESPAN_MESH_SPLIT_H

#include "mesh/config.h"
#include "mesh/request.h"

/* The salt of an arm of that name. It never changes: two releases choose alike. */
struct siphash_key split_salt(struct str name);

/* The key the route hashes: the trace id, or the header, cookie or source it names; where that is
 * absent or empty, the trace id. Bytes live in the request (or in scratch[16]). */
struct str split_key_of(const struct route *route, const struct request *r, uint8_t scratch[16]);

/* What an arm drew for a key: ln(u) / weight, at most 0; -INFINITY for a weight of 0. */
double split_draw(const struct target *target, struct str key);

/* NULL only when no target has a weight. A single arm costs no hash. */
const struct target *split_choose(const struct route *route, const struct request *r);

/* The first cookie of that name (RFC 6265 section 5.4: names by case, a quoted value with its
 * quotes); p NULL: there is none. */
struct str cookie_value(const struct headers *headers, struct str name);

#endif
