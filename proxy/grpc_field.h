/*
 * What stands in the fields of a call of gRPC (grpc/grpc doc/PROTOCOL-HTTP2.md):
 * grpc-timeout, grpc-status, grpc-message; and what the end of a stream says in
 * their place.
 */
#ifndef SIDESPAN_PROXY_GRPC_FIELD_H
#define SIDESPAN_PROXY_GRPC_FIELD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/grpc_status.h"
#include "base/str.h"

/* One to eight digits and a unit: H M S m u n. False, and *timeout untouched: it is not that. What
 * is longer than anybody waits becomes ten years. */
bool grpc_timeout_read(struct str value, nsec_t *timeout);
/* As exactly as eight digits can say it, rounded down; timeout is at least 1 ns. Returns the
 * length. */
enum { GRPC_TIMEOUT_TEXT_MAX = 9 };
size_t grpc_timeout_write(nsec_t timeout, char out[GRPC_TIMEOUT_TEXT_MAX]);

/* The code; what is not the decimal number of one is UNKNOWN, as clients take it. */
enum grpc_status grpc_status_read(struct str value);

/* Percent-encodes UTF-8 into out[9 * text.n]; a byte that belongs to no character becomes U+FFFD.
 * Returns the length. */
size_t grpc_message_write(struct str text, char *out);

/* What a client makes of a stream that ended with that error code (RFC 9113 section 7) and without
 * grpc-status. */
enum grpc_status grpc_status_of_stream(uint32_t code);

#endif
