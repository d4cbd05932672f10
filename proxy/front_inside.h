/*
 * What is inside a CONNECT is a client's connection again: it is looked at as one
 * that the kernel redirected, whose original destination is the authority that
 * the CONNECT named. What is HTTP is carried request for request, and the CONNECT
 * has no span besides theirs; what is not is a tunnel, and the CONNECT's span is
 * the tunnel's.
 */
#ifndef SIDESPAN_PROXY_FRONT_INSIDE_H
#define SIDESPAN_PROXY_FRONT_INSIDE_H

#include "proxy/front.h"
#include "proxy/upstream.h"

struct inside_setup {
    const struct front *outer; /* the connection that the CONNECT came on; it is over */
    struct conn *client;       /* taken; among the open connections it is not counted any more */
    struct str from_client;    /* what came behind the CONNECT; lent for this turn */
    struct conn *upstream;     /* taken, connected, likewise; NULL: there is none */
    struct upstream *endpoint; /* whose it is; a reference is taken */
    struct str authority;      /* copied */
    const struct span *span;   /* of the tunnel, should it become one; copied */
    bool sampled;
    struct series *series;         /* of what comes out of the CONNECT; NULL: none */
    struct series *requests;       /* of the CONNECT itself; with series */
    nsec_t answered;               /* how long it took to be answered */
    enum span_error otherwise;     /* without upstream: why what is not HTTP cannot pass */
    const struct refusal *refusal; /* the rule; static; NULL: by none */
    const struct route *drawn;     /* whose faults were drawn for the CONNECT; only compared */
};

void front_inside(const struct inside_setup *setup);
/* The same for one that cannot go on: closes both connections, pushes the span. */
void front_inside_failed(const struct inside_setup *setup);

#endif
