/*
 * Spans as OTLP JSON (OTLP specification, "JSON Protobuf Encoding"): names in
 * lowerCamelCase, ids in hex, 64-bit numbers as text, enums as numbers, what has
 * its default value left out.
 */
#ifndef SIDESPAN_OTLP_SPAN_JSON_H
#define SIDESPAN_OTLP_SPAN_JSON_H

#include "otlp/conventions.h"
#include "otlp/resource.h"

/* Appends the Span. indent 0: in one line. False: no memory. */
bool span_to_json(const struct span *s, const struct described_span *d, unsigned indent,
                  struct buffer *out);

/* What a TracesData has before and after its spans (which a comma divides). */
bool traces_json_begin(const struct resource *resource, struct buffer *out);
bool traces_json_end(struct buffer *out);

#endif
