/*
 * A tunnel carries opaque bytes both ways between two conns: what is not HTTP,
 * TLS that passes through, CONNECT, and what follows a 101. It has one span,
 * which counts the bytes and ends with it. Half-close is passed on; a slow side
 * stops the reading of the other; a reset is passed on as a reset.
 */
#ifndef SIDESPAN_PROXY_TUNNEL_H
#define SIDESPAN_PROXY_TUNNEL_H

#include "otlp/span.h"
#include "proxy/conn.h"
#include "proxy/race.h"
#include "proxy/worker.h"

struct tunnel;

struct tunnel_setup {
    struct worker *worker;
    enum direction_kind direction;
    struct conn *client;           /* taken, and with it its place among the open connections:
                                      see front_count() */
    struct conn *upstream;         /* taken likewise (COUNT_UPSTREAM_OPEN); while it is still being
                                      made, it is the first attempt at `from`, and not counted; NULL:
                                      begin at once */
    struct race_from from;         /* where to, until upstream is open */
    struct generation *generation; /* of from.cluster; borrowed */
    nsec_t idle;                   /* between bytes in either direction; 0: none */
    nsec_t half_closed;            /* the same once one side has ended, if that is less; 0: none */
    struct str from_client;        /* bytes that came already, to be sent first; copied */
    struct str from_upstream;      /* likewise */
    const struct span *span; /* copied, text included; protocol SPAN_TCP, or SPAN_HTTP after an
                                upgrade or CONNECT. Its start is the tunnel's. */
    nsec_t began;            /* of the connection, monotonic, for its series; 0: with the span */
    bool sampled;            /* push the span at the end */
    bool websocket;          /* the bytes are frames of a WebSocket */
    struct series *series;   /* to record the connection in; NULL: none */
};

/* A rule of the sidecar's by which a tunnel ends, in words for its span and log line. */
struct tunnel_rule {
    const char *detail, *rule, *cure;
};
/* timeouts { tunnel-half-closed }, with SPAN_ERROR_IDLE. */
extern const struct tunnel_rule tunnel_rule_half_closed;

/* NULL: no memory; both conns are closed then. The tunnel frees itself when it ends, which may be
 * in this turn: only what is called before the turn is over may hold it. */
struct tunnel *tunnel_start(const struct tunnel_setup *setup);
/* Ends it with that error on its span and resets both sides; nothing when it has ended. */
void tunnel_cut(struct tunnel *t, enum span_error why);
/* Ends every tunnel of a worker, as who goes away does: a WebSocket is told with a close frame
 * where its frames leave room for one, and all end with FIN after what was read from the other
 * side. */
void tunnels_cut_all(struct worker *w, enum span_error why);

#endif
