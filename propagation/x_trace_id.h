/*
 * x-trace-id: no standard, but what many log pipelines look for. It tells a
 * service the trace id in plain hex, and is never believed as one.
 */
#ifndef SIDESPAN_PROPAGATION_X_TRACE_ID_H
#define SIDESPAN_PROPAGATION_X_TRACE_ID_H

#include "propagation/propagator.h"

/* Always EXTRACT_ABSENT. */
enum extract_result x_trace_id_extract(const struct headers *fields, struct arena *arena,
                                       struct trace_context *out);

/* Adds one field: the 32 hex digits. The row of the format says that all that came are taken out
 * before. False: the arena is full. */
bool x_trace_id_inject(const struct trace_context *ctx, struct headers *fields,
                       struct arena *arena);

#endif
