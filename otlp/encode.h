/*
 * Spans as OTLP protobuf (opentelemetry.proto.trace.v1, and the request of
 * collector.trace.v1). A span is written by hand: generic packing of some twenty
 * nested messages costs several times as much. The envelope around the spans
 * of a request (Resource, InstrumentationScope) is packed once by protobuf-c.
 */
#ifndef SIDESPAN_OTLP_ENCODE_H
#define SIDESPAN_OTLP_ENCODE_H

#include "base/buffer.h"
#include "otlp/conventions.h"
#include "otlp/resource.h"

#define OTLP_SCHEMA_URL "https://opentelemetry.io/schemas/1.44.0"
#define OTLP_SCOPE_NAME "sidespan"

/* Appends the span as a field `spans` of ScopeSpans: such fields one after the other are a batch.
 * False: out has no room, and is as it was but failed. */
bool encode_span(const struct span *s, const struct described_span *d, struct buffer *out);

/* What stands in front of the spans of a request, but for the lengths. */
struct envelope {
    struct buffer resource; /* the fields of ResourceSpans but scope_spans */
    struct buffer scope;    /* the fields of ScopeSpans but spans */
};

/* False: no memory. envelope_release() takes it all the same. */
bool envelope_init(struct envelope *e, const struct resource *resource);
void envelope_release(struct envelope *e);
/* The most bytes that envelope_put() writes. */
size_t envelope_room(const struct envelope *e);
/* Writes the envelope of n_bytes of spans so that it ends where they start: an
 * ExportTraceServiceRequest then begins envelope_put() bytes before spans, and ends with them.
 * There must be envelope_room() bytes in front of them. */
size_t envelope_put(const struct envelope *e, char *spans, size_t n_bytes);

#endif
