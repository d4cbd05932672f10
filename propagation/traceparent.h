/*
 * traceparent: W3C Trace Context level 2, section "traceparent Header".
 */
#ifndef SIDESPAN_PROPAGATION_TRACEPARENT_H
#define SIDESPAN_PROPAGATION_TRACEPARENT_H

#include "propagation/context.h"

enum { TRACEPARENT_LENGTH = 55 };

/*
 * Parses one header value. Surrounding OWS is ignored. Versions above 00 are
 * read by the layout of 00 as the specification says; unknown flag bits are
 * dropped. Does not set tracestate. False: invalid, out untouched.
 */
bool traceparent_parse(struct str value, struct trace_context *out);

/* Writes version 00 into out[TRACEPARENT_LENGTH]; no NUL. */
void traceparent_format(const struct trace_context *ctx, char *out);

#endif
