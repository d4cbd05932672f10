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

/* What is true of a field by its name alone; bits. */
enum header_column {
    HEADER_IS_HOP = 1,      /* between neighbours: ends here (RFC 9110 section 7.6.1) */
    HEADER_IS_HTTP1 = 2,    /* HTTP/2 has no such field (RFC 9113 section 8.2.2) */
    HEADER_IS_FRAMING = 4,  /* says where the message ends */
    HEADER_IS_TRACE = 8,    /* written by the sidecar alone */
    HEADER_IS_FRESH = 16,   /* another value in each request: not worth a place in HPACK's table */
    HEADER_IS_KEPT = 32,    /* a Connection field that names it does not take it away */
    HEADER_IS_TRAILING = 64 /* made to stand behind a body */
};

/*
 * X(id, lower-case name, columns): what a field is, in one place. A new one is a
 * row, and a case in header_id_of(). The columns are those of enum header_column
 * without their first words.
 */
#define HEADER_NAMES(X)                                                            \
    X(HEADER_HOST, "host", KEPT)                                                   \
    X(HEADER_CONNECTION, "connection", HOP | HTTP1 | KEPT)                         \
    X(HEADER_KEEP_ALIVE, "keep-alive", HOP | HTTP1)                                \
    X(HEADER_PROXY_CONNECTION, "proxy-connection", HOP | HTTP1)                    \
    X(HEADER_TE, "te", HOP | KEPT)                                                 \
    X(HEADER_TRAILER, "trailer", HOP)                                              \
    X(HEADER_TRANSFER_ENCODING, "transfer-encoding", HOP | HTTP1 | FRAMING | KEPT) \
    X(HEADER_UPGRADE, "upgrade", HOP | HTTP1 | KEPT)                               \
    X(HEADER_CONTENT_LENGTH, "content-length", FRAMING | KEPT)                     \
    X(HEADER_CONTENT_TYPE, "content-type", 0)                                      \
    X(HEADER_EXPECT, "expect", 0)                                                  \
    X(HEADER_AUTHORIZATION, "authorization", 0)                                    \
    X(HEADER_PROXY_AUTHORIZATION, "proxy-authorization", 0)                        \
    X(HEADER_WWW_AUTHENTICATE, "www-authenticate", 0)                              \
    X(HEADER_PROXY_AUTHENTICATE, "proxy-authenticate", 0)                          \
    X(HEADER_VIA, "via", 0)                                                        \
    X(HEADER_MAX_FORWARDS, "max-forwards", 0)                                      \
    X(HEADER_FORWARDED, "forwarded", KEPT)                                         \
    X(HEADER_X_FORWARDED_FOR, "x-forwarded-for", KEPT)                             \
    X(HEADER_X_FORWARDED_PROTO, "x-forwarded-proto", KEPT)                         \
    X(HEADER_X_FORWARDED_HOST, "x-forwarded-host", KEPT)                           \
    X(HEADER_USER_AGENT, "user-agent", 0)                                          \
    X(HEADER_COOKIE, "cookie", 0)                                                  \
    X(HEADER_RETRY_AFTER, "retry-after", 0)                                        \
    X(HEADER_TRACEPARENT, "traceparent", TRACE | FRESH | KEPT)                     \
    X(HEADER_TRACESTATE, "tracestate", TRACE | FRESH | KEPT)                       \
    X(HEADER_BAGGAGE, "baggage", KEPT)                                             \
    X(HEADER_X_TRACE_ID, "x-trace-id", FRESH | KEPT)                               \
    X(HEADER_GRPC_TRACE_BIN, "grpc-trace-bin", KEPT)                               \
    X(HEADER_GRPC_TIMEOUT, "grpc-timeout", 0)                                      \
    X(HEADER_GRPC_STATUS, "grpc-status", TRAILING)                                 \
    X(HEADER_GRPC_MESSAGE, "grpc-message", TRAILING)                               \
    X(HEADER_SIDESPAN_REASON, "sidespan-reason", 0)                                \
    X(HEADER_SIDESPAN_VIA, "sidespan-via", KEPT)

#define HEADER_ENUM_ROW(id, name, columns) id,
enum header_id { HEADER_OTHER, HEADER_NAMES(HEADER_ENUM_ROW) HEADER_ID_COUNT };
#undef HEADER_ENUM_ROW

/* A set of ids is a word with the bit of each. */
#define HEADER_BIT(id) (UINT64_C(1) << (id))
_Static_assert(HEADER_ID_COUNT <= 64, "a set of ids fits a word");
#define HEADER_ANY_ID (~UINT64_C(0))

struct header {
    struct str name, value;
    enum header_id id; /* HEADER_OTHER: compare the name */
};

/* Most fields that are looked for are not there, and `absent` tells so without a look: no field has
 * one of these ids. It may be less than the truth, as in a list that is zeroed or made by hand. */
struct headers {
    struct header *v;
    size_t n, cap;
    uint64_t absent;
};

/* enum header_column of each id; of HEADER_OTHER none is true. */
extern const uint8_t header_columns[HEADER_ID_COUNT];

/* Whether any of these columns is true of the field. */
static inline bool header_is(enum header_id id, unsigned columns)
{
    return (header_columns[id] & columns) != 0;
}

/* The ids of which HEADER_IS_HOP is true. */
extern const uint64_t header_hop_ids;

/* An empty list with room for cap fields at v, whose absent ids are told from here on: what is
 * added to it goes by headers_add() or headers_add_id(). */
static inline struct headers headers_empty(struct header *v, size_t cap)
{
    return (struct headers){v, 0, cap, HEADER_ANY_ID};
}

/* Whether a field may have one of the ids. */
static inline bool headers_may_have(const struct headers *h, uint64_t ids)
{
    return (ids & ~h->absent) != 0;
}

/* The id of a name in any case; HEADER_OTHER when it is not known. */
enum header_id header_id_of(struct str name);

/* Zeroed is empty. Appends; the array grows in the arena. False: the arena is full. */
bool headers_add(struct headers *h, struct arena *a, struct str name, struct str value);
/* The same for a name whose id the caller knows (HEADER_OTHER: it is not a known one). */
bool headers_add_id(struct headers *h, struct arena *a, enum header_id id, struct str name,
                    struct str value);
/* The first with that id, or NULL. */
const struct header *headers_find_first(const struct headers *h, enum header_id id);
static inline const struct header *headers_find(const struct headers *h, enum header_id id)
{
    return headers_may_have(h, HEADER_BIT(id)) ? headers_find_first(h, id) : NULL;
}
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
