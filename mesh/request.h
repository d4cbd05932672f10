/*
 * What a decision may look at. All of it is borrowed.
 */
#ifndef SIDESPAN_MESH_REQUEST_H
#define SIDESPAN_MESH_REQUEST_H

#include "base/address.h"
#include "base/headers.h"
#include "propagation/context.h"

struct request {
    struct str method;
    struct str authority; /* Host or :authority, perhaps with a port */
    struct str path;      /* without the query */
    struct str query;     /* without '?'; p NULL: there was no '?' */
    const struct headers *headers;
    bool grpc;                /* a call of gRPC, by its content-type */
    struct trace_id trace_id; /* of the context that is sent on */
    struct address source;    /* the peer */
};

#endif
