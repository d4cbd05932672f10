/*
 * The table of propagation formats, and the two things done with it: a context
 * is extracted by the first configured format that yields a valid one, and
 * injected in all of them, after every header of those formats was taken out,
 * so that no stale context goes on. A format may be in a set in kind: it is read
 * as the rest, and sent only to who was going to get it anyway.
 */
#ifndef SIDESPAN_PROPAGATION_PROPAGATOR_H
#define SIDESPAN_PROPAGATION_PROPAGATOR_H

#include <stdint.h>

#include "base/headers.h"
#include "propagation/context.h"

enum propagator_id {
    PROPAGATOR_TRACECONTEXT,
    PROPAGATOR_BAGGAGE,
    PROPAGATOR_X_TRACE_ID,
    PROPAGATOR_GRPC_TRACE_BIN,
    PROPAGATOR_COUNT,
};

enum extract_result {
    EXTRACT_ABSENT,  /* nothing of that format: start a trace */
    EXTRACT_INVALID, /* there was something, and it may not be used: start a trace, count it */
    EXTRACT_VALID,
};

struct propagator {
    const char *name; /* as in OTEL_PROPAGATORS */
    /* Reads the format from fields. out is untouched unless valid; its slices live in the fields
     * or in the arena. */
    enum extract_result (*extract)(const struct headers *fields, struct arena *arena,
                                   struct trace_context *out);
    /* Its fields that are written anew: bits 1 << enum header_id. They are taken out of a request
     * before any format is injected. */
    uint64_t replaces;
    /* Writes ctx to fields that have none of those. False: the arena is full. */
    bool (*inject)(const struct trace_context *ctx, struct headers *fields, struct arena *arena);
};

/* An ordered set of formats. */
struct propagators {
    unsigned n;
    enum propagator_id v[PROPAGATOR_COUNT];
    /* Bits 1 << enum propagator_id: injected only where a field of the format came in, which it
     * then replaces. */
    unsigned in_kind;
    /* Likewise: injected only where no field of the format came in; one that did is left alone. */
    unsigned where_none;
};

/* NULL: no such name. The rows are in the order of enum propagator_id. */
const struct propagator *propagator_named(struct str name, enum propagator_id *id);
const struct propagator *propagator_at(enum propagator_id id);
/* tracecontext, baggage, x-trace-id where none came, and grpc-trace-bin in kind. */
struct propagators propagators_default(void);
/* To be injected always. False: it is there already. */
bool propagators_add(struct propagators *set, enum propagator_id id);

/*
 * Extracts in the set's order. EXTRACT_INVALID when no format was valid and at
 * least one was invalid. A later failure never spoils an earlier valid context.
 */
enum extract_result propagators_extract(const struct propagators *set, const struct headers *fields,
                                        struct arena *arena, struct trace_context *out);

/*
 * Injects ctx in every format of the set (in_kind says of which only as an answer
 * in kind), and as traceparent and tracestate whether or not tracecontext is in
 * it: exactly one traceparent goes out, always.
 * Baggage is passed on as it came. False: the arena is full, and the fields may
 * have lost their old context without a new one: do not send them.
 */
bool propagators_inject(const struct propagators *set, const struct trace_context *ctx,
                        struct headers *fields, struct arena *arena);

#endif
