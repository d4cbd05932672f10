/*
 * baggage: W3C Baggage. It belongs to the services; the sidecar passes it on as
 * it came, and holds only to the size that everyone must pass on.
 */
#ifndef SIDESPAN_PROPAGATION_BAGGAGE_H
#define SIDESPAN_PROPAGATION_BAGGAGE_H

#include "propagation/propagator.h"

/* Of all baggage fields of a message together, as if joined by commas. */
enum { BAGGAGE_MEMBERS_MAX = 64, BAGGAGE_BYTES_MAX = 8192 };

/* Always EXTRACT_ABSENT: baggage says nothing of a trace's identity. */
enum extract_result baggage_extract(const struct headers *fields, struct arena *arena,
                                    struct trace_context *out);

/*
 * Leaves baggage within the limits untouched. Beyond them the members up to the
 * limit stay, whole and in their fields; the rest and fields left without a
 * member go. Always true, and takes nothing from the arena.
 */
bool baggage_inject(const struct trace_context *ctx, struct headers *fields, struct arena *arena);

#endif
