/*
 * What a call of gRPC was: its method, and how it ended. Spans and metrics tell
 * the same of it.
 */
#ifndef SIDESPAN_OTLP_RPC_CALL_H
#define SIDESPAN_OTLP_RPC_CALL_H

#include "otlp/span.h"

/*
 * "/package.Service/Method". Whoever calls may send any path, and a name is to
 * be one of few: false where it is longer than RPC_METHOD_BYTES_MAX or is not
 * two words of identifiers and dots. *full, of path, is then what is behind the
 * first slash.
 */
enum { RPC_METHOD_BYTES_MAX = 200 };
struct rpc_method {
    struct str full, service, name; /* of the path */
};
bool rpc_method_parse(struct str path, struct rpc_method *out);

/* The code that the caller sees: the grpc-status that was sent or received, else what stands for it
 * (grpc/grpc doc/http-grpc-status-mapping.md), else what the hop failed by. Above 16 where the
 * server says so. */
unsigned rpc_call_status(const struct span *s);

/* The conventions' rule by kind: every code but OK is an error of a CLIENT span; of a SERVER span
 * those that are not the caller's doing. */
bool rpc_status_is_error(enum span_kind kind, unsigned code);

#endif
