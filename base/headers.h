/*
 * The fields of a message, in the order and with the case they came (RFC 9110
 * section 5). Names and values are borrowed slices; the array belongs to an
 * arena. A known name carries its id, so that looking one up compares numbers.
 */
#ifndef SIDESPAN_BASE_HEADERS_H
#define SIDESPAN_BASE_HEADERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/str.h"

/* X(id, lower-case name). A new one is a row. */
#define HEADER_NAMES(X)                                  \
    X(HEADER_HOST, "host")                               \
    X(HEADER_CONNECTION, "connection")                   \
    X(HEADER_KEEP_ALIVE, "keep-alive")                   \
    X(HEADER_PROXY_CONNECTION, "proxy-connection")       \
    X(HEADER_TE, "te")                                   \
    X(HEADER_TRAILER, "trailer")                         \
    X(HEADER_TRANSFER_ENCODING, "transfer-encoding")     \
    X(HEADER_UPGRADE, "upgrade")                         \
    X(HEADER_CONTENT_LENGTH, "content-length")           \
    X(HEADER_CONTENT_TYPE, "content-type")               \
    X(HEADER_EXPECT, "expect")                           \
    X(HEADER_AUTHORIZATION, "authorization")             \
    X(HEADER_PROXY_AUTHORIZATION, "proxy-authorization") \
    X(HEADER_WWW_AUTHENTICATE, "www-authenticate")       \
    X(HEADER_PROXY_AUTHENTICATE, "proxy-authenticate")   \
    X(HEADER_VIA, "via")                                 \
    X(HEADER_MAX_FORWARDS, "max-forwards")               \
    X(HEADER_FORWARDED, "forwarded")                     \
    X(HEADER_X_FORWARDED_FOR, "x-forwarded-for")         \
    X(HEADER_X_FORWARDED_PROTO, "x-forwarded-proto")     \
    X(HEADER_X_FORWARDED_HOST, "x-forwarded-host")       \
    X(HEADER_USER_AGENT, "user-agent")                   \
    X(HEADER_COOKIE, "cookie")                           \
    X(HEADER_RETRY_AFTER, "retry-after")                 \
    X(HEADER_TRACEPARENT, "traceparent")                 \
    X(HEADER_TRACESTATE, "tracestate")                   \
    X(HEADER_BAGGAGE, "baggage")                         \
    X(HEADER_X_TRACE_ID, "x-trace-id")                   \
    X(HEADER_GRPC_TRACE_BIN, "grpc-trace-bin")           \
    X(HEADER_GRPC_TIMEOUT, "grpc-timeout")               \
    X(HEADER_GRPC_STATUS, "grpc-status")                 \
    X(HEADER_GRPC_MESSAGE, "grpc-message")               \
    X(HEADER_SIDESPAN_REASON, "sidespan-reason")         \
    X(HEADER_SIDESPAN_VIA, "sidespan-via")

#define HEADER_ENUM_ROW(id, name) id,
enum header_id { HEADER_OTHER, HEADER_NAMES(HEADER_ENUM_ROW) HEADER_ID_COUNT };
#undef HEADER_ENUM_ROW

struct header {
    struct str name, value;
    enum header_id id; /* HEADER_OTHER: compare the name */
};

struct headers {
    struct header *v;
    size_t n, cap;
};

/* The id of a name in any case; HEADER_OTHER when it is not known. */
enum header_id header_id_of(struct str name);

/* Zeroed is empty. Appends; the array grows in the arena. False: the arena is full. */
bool headers_add(struct headers *h, struct arena *a, struct str name, struct str value);
/* The same for a name whose id the caller knows (HEADER_OTHER: it is not a known one). */
bool headers_add_id(struct headers *h, struct arena *a, enum header_id id, struct str name,
                    struct str value);
/* The first with that id, or NULL. */
const struct header *headers_find(const struct headers *h, enum header_id id);
/* The first with that name in any case, or NULL. */
const struct header *headers_find_name(const struct headers *h, struct str name);
/* The next one of the same name after `after`, or NULL. */
const struct header *headers_next(const struct headers *h, const struct header *after);
size_t headers_count(const struct headers *h, enum header_id id);
/* Removes all of a name, keeping the order of the rest; returns how many. */
size_t headers_remove(struct headers *h, enum header_id id);
size_t headers_remove_name(struct headers *h, struct str name);
/* Removes the field at that index, keeping the order of the rest. */
void headers_remove_at(struct headers *h, size_t index);
/* True when the comma-separated value of any field with that id has the member (case ignored). */
bool headers_have_member(const struct headers *h, enum header_id id, struct str member);

#endif
