/*
 * The status codes of gRPC: their names, and what HTTP says in their place.
 *
 * The two translations are no inverse of each other: what a server that is not
 * of gRPC answered becomes a code, and what a call was refused with becomes the
 * status for a client that does not speak gRPC.
 */
#ifndef SIDESPAN_BASE_GRPC_STATUS_H
#define SIDESPAN_BASE_GRPC_STATUS_H

#include <stdbool.h>

#include "base/str.h"

/* grpc/grpc doc/statuscodes.md */
enum grpc_status {
    GRPC_OK = 0,
    GRPC_CANCELLED = 1,
    GRPC_UNKNOWN = 2,
    GRPC_INVALID_ARGUMENT = 3,
    GRPC_DEADLINE_EXCEEDED = 4,
    GRPC_NOT_FOUND = 5,
    GRPC_ALREADY_EXISTS = 6,
    GRPC_PERMISSION_DENIED = 7,
    GRPC_RESOURCE_EXHAUSTED = 8,
    GRPC_FAILED_PRECONDITION = 9,
    GRPC_ABORTED = 10,
    GRPC_OUT_OF_RANGE = 11,
    GRPC_UNIMPLEMENTED = 12,
    GRPC_INTERNAL = 13,
    GRPC_UNAVAILABLE = 14,
    GRPC_DATA_LOSS = 15,
    GRPC_UNAUTHENTICATED = 16,
    GRPC_STATUS_MAX = GRPC_UNAUTHENTICATED,
};

/* "OK", "CANCELLED", ...; NULL: there is no such code. */
const char *grpc_status_name(unsigned code);
/* False, and *code untouched: none of that name. Case counts. */
bool grpc_status_named(struct str name, unsigned *code);

/* What a response without grpc-status means (grpc/grpc doc/http-grpc-status-mapping.md); 200 too is
 * UNKNOWN then. */
unsigned grpc_status_of_http(unsigned http);
/* The status for a client that is not of gRPC (google/rpc/code.proto); of what is no code, 500. */
unsigned grpc_status_to_http(unsigned code);

#endif
