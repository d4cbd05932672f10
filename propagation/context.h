/*
 * A trace context is all that travels with a request to say which trace it
 * belongs to: W3C Trace Context (level 2) and what came in tracestate and
 * baggage.
 */
#ifndef SIDESPAN_PROPAGATION_CONTEXT_H
#define SIDESPAN_PROPAGATION_CONTEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/random.h"
#include "base/str.h"

struct trace_id {
    uint8_t bytes[16];
};
struct span_id {
    uint8_t bytes[8];
};

/* W3C trace-flags; the other bits are reserved and sent as 0. */
enum { TRACE_FLAG_SAMPLED = 0x01, TRACE_FLAG_RANDOM = 0x02 };
enum { TRACE_ID_HEX = 32, SPAN_ID_HEX = 16 };

struct trace_context {
    struct trace_id trace_id;
    struct span_id span_id; /* of the caller when extracted, of our span when injected */
    uint8_t flags;
    struct str tracestate; /* as it is to be sent on; empty: none */
};

bool trace_id_is_zero(const struct trace_id *id);
bool span_id_is_zero(const struct span_id *id);
bool trace_id_eq(const struct trace_id *a, const struct trace_id *b);
bool span_id_eq(const struct span_id *a, const struct span_id *b);

/* Lower-case hex into out[32] and out[16]; no NUL. */
void trace_id_to_hex(const struct trace_id *id, char *out);
void span_id_to_hex(const struct span_id *id, char *out);
/* Exactly 32 (16) lower-case hex digits, not all zero. */
bool trace_id_from_hex(struct str hex, struct trace_id *out);
bool span_id_from_hex(struct str hex, struct span_id *out);

/* A new trace: ids of uniform randomness, TRACE_FLAG_RANDOM set, not sampled, no tracestate. */
void trace_context_start(struct trace_context *ctx, struct random *random);
/* A span id that is not zero. */
struct span_id span_id_new(struct random *random);

#endif
