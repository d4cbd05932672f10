/*
 * grpc-trace-bin: the binary format of OpenCensus (encodings/BinaryEncoding.md
 * of opencensus-specs) as the binary metadata of gRPC, which is base64. Older
 * gRPC services speak it alone.
 */
#ifndef SIDESPAN_PROPAGATION_GRPC_TRACE_BIN_H
#define SIDESPAN_PROPAGATION_GRPC_TRACE_BIN_H

#include "propagation/propagator.h"

/* Several values, in one field or in more, are none: nobody can say which of them is the caller's.
 */
enum extract_result grpc_trace_bin_extract(const struct headers *fields, struct arena *arena,
                                           struct trace_context *out);

/* Adds one field: 29 bytes as 39 digits, for gRPC sends no padding. False: the arena is full. */
bool grpc_trace_bin_inject(const struct trace_context *ctx, struct headers *fields,
                           struct arena *arena);

#endif
