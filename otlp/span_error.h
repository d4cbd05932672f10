/*
 * Why a hop failed: one table, from which the span, the log line, the counter
 * and the answer to the client all take their words. Whoever makes an exchange
 * or a tunnel fail names a row; nobody else says whose doing it was.
 *
 * "Ended by" is who acted. The sidecar has ended what a rule of its own ended: a
 * limit, a timeout, a drain, a refusal, abuse, an injected fault. Such a row has
 * a rule, the name of what in the configuration or the standard it was, and a
 * cure, one sentence of what to do; a caller that knows them better says so.
 * What a peer did is the peer's, and needs neither.
 */
#ifndef SIDESPAN_OTLP_SPAN_ERROR_H
#define SIDESPAN_OTLP_SPAN_ERROR_H

#include <stdint.h>

#include "base/grpc_status.h"

enum ended_by { ENDED_BY_NOBODY, ENDED_BY_CLIENT, ENDED_BY_UPSTREAM, ENDED_BY_SIDECAR };

/*
 * X(id, name, by, http, grpc, what, rule, cure)
 *   name        error.type, the label `reason`, and what sidespan-reason says
 *   by          enum ended_by without its prefix
 *   http, grpc  what the client is answered with, where nothing was answered yet
 *   what        for a person: the span's status description
 *   rule, cure  of the sidecar's; NULL: of a peer's
 */
#define SPAN_ERRORS(X)                                                                            \
    X(SPAN_ERROR_NONE, "", NOBODY, 502, GRPC_UNKNOWN, "", NULL, NULL)                             \
    X(SPAN_ERROR_TIMEOUT, "timeout", SIDECAR, 504, GRPC_DEADLINE_EXCEEDED,                        \
      "the route's timeout was over", "timeout",                                                  \
      "find out what the upstream waits for, or raise the route's timeout")                       \
    X(SPAN_ERROR_CONNECT_TIMEOUT, "connect_timeout", SIDECAR, 504, GRPC_UNAVAILABLE,              \
      "no connection to the upstream within the connect timeout", "connect-timeout",              \
      "see whether its host is up and its firewall answers, or raise connect-timeout")            \
    X(SPAN_ERROR_REFUSED, "connection_refused", UPSTREAM, 502, GRPC_UNAVAILABLE,                  \
      "the upstream refused the connection", NULL, NULL)                                          \
    X(SPAN_ERROR_UNREACHABLE, "host_unreachable", UPSTREAM, 502, GRPC_UNAVAILABLE,                \
      "the upstream's host cannot be reached", NULL, NULL)                                        \
    X(SPAN_ERROR_RESET, "connection_reset", UPSTREAM, 502, GRPC_UNAVAILABLE,                      \
      "the upstream reset the connection", NULL, NULL)                                            \
    X(SPAN_ERROR_CLOSED_EARLY, "upstream_closed_early", UPSTREAM, 502, GRPC_UNAVAILABLE,          \
      "the upstream closed the connection before its response was whole", NULL, NULL)             \
    X(SPAN_ERROR_DNS, "dns_error", UPSTREAM, 503, GRPC_UNAVAILABLE,                               \
      "the upstream's name was not resolved", NULL, NULL)                                         \
    X(SPAN_ERROR_PROTOCOL, "protocol_error", SIDECAR, 502, GRPC_INTERNAL,                         \
      "the upstream's response is not valid", "response-invalid",                                 \
      "the upstream's server must send what the standard allows")                                 \
    X(SPAN_ERROR_RESPONSE_LIMIT, "response_limit", SIDECAR, 502, GRPC_RESOURCE_EXHAUSTED,         \
      "the upstream's response is larger than a limit of the sidecar", "limits",                  \
      "raise the limit that the rule names, or let the upstream send less")                       \
    X(SPAN_ERROR_OVERLOAD, "overload", SIDECAR, 503, GRPC_UNAVAILABLE,                            \
      "a limit of the sidecar was reached", "limits",                                             \
      "raise the limit, or give the sidecar less to do")                                          \
    X(SPAN_ERROR_QUEUE, "pool_queue_timeout", SIDECAR, 503, GRPC_UNAVAILABLE,                     \
      "no connection to the upstream became free in time", "pool-queue",                          \
      "raise pool max, or pool queue where waiting longer helps, in the cluster")                 \
    X(SPAN_ERROR_NO_ROUTE, "no_route", SIDECAR, 404, GRPC_UNIMPLEMENTED,                          \
      "no route takes the request", "route", "add a route")                                       \
    X(SPAN_ERROR_NO_ENDPOINT, "no_endpoint", SIDECAR, 503, GRPC_UNAVAILABLE,                      \
      "the cluster has no endpoint that may be used", "endpoint",                                 \
      "see on GET /config which endpoints the cluster names, and whether they are known yet")     \
    X(SPAN_ERROR_LOOP, "loop", SIDECAR, 508, GRPC_INTERNAL,                                       \
      "the destination is the sidecar itself", "loop",                                            \
      "send it to the service's own address, not to a port that the sidecar listens on")          \
    X(SPAN_ERROR_FAULT, "fault_injected", SIDECAR, 503, GRPC_UNAVAILABLE, "a fault was injected", \
      "fault", "the route asks for it: take its fault away when the trial is over")               \
    X(SPAN_ERROR_CANCELLED, "client_closed", CLIENT, 408, GRPC_CANCELLED, "the caller went away", \
      NULL, NULL)                                                                                 \
    X(SPAN_ERROR_HALF_CLOSED, "half_closed_timeout", SIDECAR, 408, GRPC_DEADLINE_EXCEEDED,        \
      "the client had ended its side, and nothing was sent to it in time", "half-closed",         \
      "nothing, if it has left; where it still waits, raise timeouts { half-closed }")            \
    X(SPAN_ERROR_DRAINING, "draining", SIDECAR, 503, GRPC_UNAVAILABLE,                            \
      "the sidecar is shutting down", "drain",                                                    \
      "raise timeouts { drain } where exchanges take longer than it")                             \
    X(SPAN_ERROR_REQUEST, "bad_request", SIDECAR, 400, GRPC_INTERNAL, "the request was refused",  \
      "request-invalid", "the client must send what the standard allows")                         \
    X(SPAN_ERROR_ABUSE, "abuse", SIDECAR, 502, GRPC_UNAVAILABLE,                                  \
      "the connection was ended because of what its peer did to it", "abuse",                     \
      "sidespan_http2_abuse_total says by what; the peer must send less that costs us more")      \
    X(SPAN_ERROR_PING, "ping_timeout", SIDECAR, 504, GRPC_UNAVAILABLE,                            \
      "the peer did not answer a PING: its connection is taken for dead", "ping-timeout",         \
      "see what forgets connections between the two: a NAT, a firewall, a host that is gone")     \
    X(SPAN_ERROR_IDLE, "idle_timeout", SIDECAR, 504, GRPC_DEADLINE_EXCEEDED,                      \
      "nothing was sent for the idle timeout", "idle",                                            \
      "raise the idle timeout where silence is usual")                                            \
    X(SPAN_ERROR_STREAM_RESET, "stream_reset", UPSTREAM, 502, GRPC_INTERNAL,                      \
      "the upstream reset the stream", NULL, NULL)                                                \
    X(SPAN_ERROR_REFUSED_STREAM, "refused_stream", UPSTREAM, 502, GRPC_UNAVAILABLE,               \
      "the upstream refused the stream", NULL, NULL)

#define SPAN_ERROR_ROW(id, name, by, http, grpc, what, rule, cure) id,
enum span_error { SPAN_ERRORS(SPAN_ERROR_ROW) SPAN_ERROR_COUNT };
#undef SPAN_ERROR_ROW

struct span_error_row {
    const char *name;
    enum ended_by by;
    uint16_t http_status;
    uint8_t grpc_status; /* enum grpc_status */
    const char *what, *rule, *cure;
};
/* Never NULL, a constant. */
const struct span_error_row *span_error_row(enum span_error e);

/* "timeout", ...; "" for SPAN_ERROR_NONE. */
static inline const char *span_error_text(enum span_error e)
{
    return span_error_row(e)->name;
}

/* "client", "upstream", "sidecar"; "" for nobody. */
const char *ended_by_text(enum ended_by by);

#endif
