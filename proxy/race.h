/*
 * A race makes one connection to the first that answers of several addresses:
 * those of a name, or a cluster's endpoints. They are tried in turn; the next
 * one when the last has failed, or has not answered for a moment, while that is
 * waited for all the same (RFC 8305, "Happy Eyeballs").
 *
 * For connections that are not pooled: tunnels. What an exchange does is in
 * exchange_connect.c.
 */
#ifndef SIDESPAN_PROXY_RACE_H
#define SIDESPAN_PROXY_RACE_H

#include "proxy/conn.h"
#include "proxy/upstream.h"

/* How long an attempt is alone (RFC 8305 section 5). */
#define RACE_DELAY MILLISECONDS(250)

enum { RACE_TRIES_MAX = 16 };

/* Where a connection may go. Borrowed by whoever is given it, but for what race_start() says. */
struct race_from {
    struct cluster_state *cluster; /* its endpoints, as it balances them; NULL: addresses */
    struct upstream *first; /* of the cluster, chosen already: tried first; NULL: it is chosen */
    const struct address *addresses;
    size_t n;
    struct trace_id key; /* what `balance random` draws from */
    nsec_t timeout;      /* of each attempt; 0: none. A cluster's endpoints have their own. */
    const struct direction
        *own; /* whose listeners are no place to go to: a name of the cluster may
                 have turned out to be this machine; of its generation. NULL: none */
};

struct race_events {
    /* c is open and the callee's. at: where that is. */
    void (*connected)(void *arg, struct conn *c, const struct address *at);
    /* None could be connected to. at, error: of the last that was tried. */
    void (*failed)(void *arg, const struct address *at, int error);
};

struct race;

/* Begins. dialled: an attempt at `first` that is under way already, taken; or NULL. The cluster
 * must be of the worker's present generation, or of one that the caller holds: a reference is
 * taken. One of the events follows, never from within, and the race is gone then. NULL: every
 * address failed at once, or there was no memory; *at and *error say how. */
struct race *race_start(struct worker *w, struct generation *g, const struct race_from *from,
                        struct conn *dialled, const struct race_events *events, void *arg,
                        struct address *at, int *error);
/* Ends it; nothing is told. NULL is fine. */
void race_cancel(struct race *r);

/* Puts the addresses of a name into the order in which they are tried: families in turn, each from
 * a random one on, those that did not answer of late last. */
void race_order(struct worker *w, struct address *v, size_t n);

#endif
