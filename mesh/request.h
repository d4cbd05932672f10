/*
 * What a decision may look at. All of it is borrowed.
 */
#ifndef SIDESPAN_MESH_REQUEST_H
#define SIDESPAN_MESH_REQUEST_H

#include "base/address.h"
#include "base/clock.h"
#include "base/headers.h"
#include "propagation/context.h"

struct request {
    struct str method;
    struct str scheme;    /* empty: http */
    struct str authority; /* Host or :authority, perhaps with a port */
    struct str path;      /* without the query */
    struct str query;     /* without '?'; p NULL: there was no '?' */
    const struct headers *headers;
    bool grpc;                /* a call of gRPC, see is_grpc_content_type() */
    struct trace_id trace_id; /* of the context that is sent on */
    struct address source;    /* the peer */
    nsec_t now;               /* wall clock; 0: not known, and no `until` is over */
    /* The first inside a CONNECT that the same route took: for it the faults that ask for no header
     * have been drawn. */
    bool faults_drawn;
};

/* Whether a message of this content-type is of gRPC: application/grpc, perhaps with "+proto" or
 * parameters; not grpc-web, which only begins alike (grpc/grpc doc/PROTOCOL-HTTP2.md). Case does
 * not matter (RFC 9110 section 8.3.1). */
static inline bool is_grpc_content_type(struct str value)
{
    static const struct str type = STR_INIT("application/grpc");

    return str_eq_nocase(str_slice(value, 0, type.n), type) &&
           (value.n == type.n || value.p[type.n] == '+' || value.p[type.n] == ';');
}

#endif
