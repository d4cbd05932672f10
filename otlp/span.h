/*
 * A span as the request path leaves it: facts, not attributes. A fixed-size
 * record with slices, copied with all they hold into a worker's ring when the
 * hop is over. Each exchange has one, so it is kept small.
 * What the semantic conventions make of the facts (names, attributes, status) is
 * decided where the record is read, on the telemetry thread: conventions.h.
 */
#ifndef SIDESPAN_OTLP_SPAN_H
#define SIDESPAN_OTLP_SPAN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/ring.h"
#include "otlp/span_error.h"
#include "propagation/context.h"

/* The numbers of opentelemetry.proto.trace.v1.Span.SpanKind. */
enum span_kind { SPAN_SERVER = 2, SPAN_CLIENT = 3 };

/* Which conventions say what the facts mean. */
enum span_protocol {
    SPAN_HTTP,
    SPAN_TCP, /* a tunnel: bytes each way; TLS that passes through has a server name (SNI) */
};

/* When each part of the hop was over, since the start; -1: it never came to that. In the order of
 * the life of an exchange. */
enum span_phase {
    PHASE_HEAD,       /* the request head was complete */
    PHASE_FAULT,      /* an injected delay was over */
    PHASE_QUEUE,      /* a place was had, after waiting for one in the cluster's pool */
    PHASE_CONNECTED,  /* an upstream connection was had: pooled or new */
    PHASE_REQUEST,    /* the request was sent whole */
    PHASE_FIRST_BYTE, /* the response head was complete */
    PHASE_COUNT,
};

/* An attribute that the configuration or a captured header puts on the span. */
enum span_extra_kind { EXTRA_ATTRIBUTE, EXTRA_REQUEST_HEADER, EXTRA_RESPONSE_HEADER };
struct span_extra {
    enum span_extra_kind kind;
    struct str key, value; /* a header's key is its lower-case name */
};
enum { SPAN_EXTRAS_MAX = 32 };

/* The text facts, so that one loop copies them all. */
enum span_text {
    SPAN_TRACESTATE,
    SPAN_METHOD,
    SPAN_SCHEME,
    SPAN_AUTHORITY, /* Host or :authority as received */
    SPAN_PATH,      /* without the query */
    SPAN_QUERY,     /* without '?'; p NULL: there was none */
    SPAN_ROUTE,     /* http.route: the template of the route taken */
    SPAN_USER_AGENT,
    SPAN_FORWARDED_FOR,   /* the left-most x-forwarded-for, or empty */
    SPAN_FORWARDED_PROTO, /* x-forwarded-proto, or empty */
    SPAN_FORWARDED_HOST,  /* the left-most x-forwarded-host, or empty */
    SPAN_CLUSTER,         /* sidespan.cluster: the arm chosen */
    SPAN_FAULT,           /* sidespan.fault: "delay 2s for 10%"; several joined by "; " */
    SPAN_RULE,            /* by which rule of ours it ended: "content-length-repeated"; empty: its
                             row's, see span_error.h */
    SPAN_SERVER_NAME,     /* tls.client.server_name of a tunnel: SNI */
    SPAN_TEXT_COUNT,
    /* sidespan.endpoint of a tunnel's SERVER span, which has no such field: "127.0.0.1:5432" */
    SPAN_TUNNEL_ENDPOINT = SPAN_USER_AGENT,
};

struct span {
    struct trace_id trace_id;
    struct span_id span_id, parent_span_id; /* parent all zero: a root */
    uint8_t flags;                          /* W3C */
    uint8_t kind;                           /* enum span_kind */
    uint8_t protocol;                       /* enum span_protocol */
    uint8_t error;                          /* enum span_error */
    uint8_t http_version; /* of the side the span speaks for: 10, 11, 20; 0: none */
    uint8_t n_extras;
    uint8_t ended_by; /* enum ended_by: of a tunnel, whose end came first; else its error says */
    bool parent_remote : 1;
    bool invalid_parent : 1; /* a context came in and could not be used */
    bool pooled : 1;         /* CLIENT: on a kept connection */
    bool upgraded : 1;       /* 101: bytes after it are counted as the body's */
    bool grpc : 1;           /* a call of gRPC */
    bool answered_here : 1;  /* the status is the sidecar's own, not an upstream's */
    uint16_t status;         /* of the response; 0: none was sent or received */
    uint16_t resend_count;
    int16_t grpc_status;           /* -1: none was sent or received */
    uint16_t n_dropped_extras;     /* those that did not fit; it stops at its largest value */
    uint32_t weight, total_weight; /* of the arm chosen; 0: no choice was made */
    nsec_t start;                  /* wall clock */
    nsec_t duration;               /* monotonic */
    nsec_t phase[PHASE_COUNT];
    nsec_t fault_delay;                     /* injected, as drawn */
    uint64_t request_bytes, response_bytes; /* of the bodies; of a tunnel: from and to the client */
    struct address peer;         /* SERVER: who connected; CLIENT: whom we connected to */
    union {                      /* SERVER */
        struct address endpoint; /* whom we connected to, or tried to last; family 0: nobody */
        struct address local;    /* of a tunnel: where the client wanted to */
    };
    struct str text[SPAN_TEXT_COUNT];
    struct span_extra *extras; /* n_extras of them, in an arena or behind a copy; NULL: none */
};

/* Zeroes all but the phases, which become -1. */
void span_init(struct span *s, enum span_kind kind, enum span_protocol protocol);

/* Whom we connected to, or try to. A tunnel's SERVER span has it as text. */
static inline void span_set_upstream(struct span *s, const struct address *upstream)
{
    if (s->kind == SPAN_CLIENT)
        s->peer = *upstream;
    else if (s->protocol == SPAN_HTTP)
        s->endpoint = *upstream;
}

/* Span.flags of OTLP: bits 0 to 7 are W3C's; 0x100: it is known whether the parent is remote;
 * 0x200: it is. */
static inline uint32_t span_otlp_flags(const struct span *s)
{
    return s->flags | 0x100u | (s->parent_remote ? 0x200u : 0);
}

/* Wall clock, never before the start. */
static inline uint64_t span_end(const struct span *s)
{
    return (uint64_t)s->start + (uint64_t)(s->duration > 0 ? s->duration : 0);
}

/* False: there are SPAN_EXTRAS_MAX already, or the arena is full, and it was left out and counted.
 * The array is in the arena, the same at each call; slices are borrowed until pushed. */
bool span_add_extra(struct span *s, struct arena *arena, enum span_extra_kind kind, struct str key,
                    struct str value);

/*
 * Copies the span with all its text into the ring, for the telemetry thread.
 * Each text is cut to SPAN_TEXT_BYTES_MAX. False: the ring is full, the span is lost
 * (the caller counts it).
 */
enum { SPAN_TEXT_BYTES_MAX = 4096 };
bool span_push(struct ring *ring, const struct span *s);
/* The oldest in the ring, good until ring_pop(); NULL: none. */
const struct span *span_peek(struct ring *ring);

/* The same copy into memory of span_copy_bytes(), for who wants to keep one: the copy points into
 * itself only, so it is one block to free. */
size_t span_copy_bytes(const struct span *s);
struct span *span_copy(const struct span *s, void *memory);

#endif
