/*
 * Percent-encoding (RFC 3986 section 2.1): OTEL_RESOURCE_ATTRIBUTES and
 * grpc-message use it.
 */
#ifndef SIDESPAN_OTLP_PERCENT_H
#define SIDESPAN_OTLP_PERCENT_H

#include <stdbool.h>

#include "base/str.h"

/* Decodes into out[s.n]; returns the length. A '%' without two hex digits stays as it is, and
 * *valid becomes false. */
size_t percent_decode(struct str s, char *out, bool *valid);

#endif
