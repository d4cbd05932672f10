/*
 * The addresses that a cluster has at a time, and what is to be said of them: an
 * immutable set, counted, which the main thread publishes and workers follow.
 */
#ifndef SIDESPAN_PROXY_ENDPOINT_SET_H
#define SIDESPAN_PROXY_ENDPOINT_SET_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/address.h"
#include "base/str.h"

struct endpoint {
    struct address address;
    unsigned weight;
    char text[ADDRESS_TEXT_MAX]; /* "10.0.0.7:8080" */
};
struct endpoint_set {
    atomic_uint refs;
    char *cluster; /* owned: its name */
    char *error;   /* owned; NULL: fine. Else why a name has no addresses; n may be 0 */
    bool pending;  /* a name has not been answered for the first time */
    size_t n;
    struct endpoint v[];
};
/* One reference; room for `most` endpoints. NULL: no memory. */
struct endpoint_set *endpoint_set_new(struct str cluster, size_t most);
/* Of an address that is there already only the weight is added. The path of a Unix socket is
 * copied. */
void endpoint_set_add(struct endpoint_set *s, const struct address *address, unsigned weight);
/* The same endpoints in the same order, and the same to be said of them. */
bool endpoint_set_eq(const struct endpoint_set *a, const struct endpoint_set *b);
struct endpoint_set *endpoint_set_ref(struct endpoint_set *s);
void endpoint_set_unref(struct endpoint_set *s); /* NULL is fine */

#endif
