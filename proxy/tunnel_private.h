/*
 * What a tunnel is, for the files that make it: tunnel.c carries its bytes,
 * tunnel_end.c ends it.
 */
#ifndef SIDESPAN_PROXY_TUNNEL_PRIVATE_H
#define SIDESPAN_PROXY_TUNNEL_PRIVATE_H

#include "proxy/tunnel.h"
#include "proxy/tunnel_record.h"
#include "proxy/websocket.h"

/* What each state waits for: */
enum tunnel_state {
    TUNNEL_CONNECTING, /* the upstream; the client waits, unread */
    TUNNEL_OPEN,       /* bytes, until both sides have ended */
    TUNNEL_FINISHING,  /* both have; what is queued is still to be sent */
    TUNNEL_ENDED,      /* nothing: freed when the turn ends */
};

/* The two ends are alike: what one sends, the other gets. */
struct side {
    struct tunnel *tunnel;
    struct side *other;
    struct conn *conn;              /* owned; NULL: there is none yet, or it is closed */
    struct websocket_frames frames; /* that it sent */
    bool ended;                     /* its FIN came */
    uint64_t bytes;                 /* that it sent */
};

struct tunnel {
    struct list link; /* in worker->tunnels */
    struct burial burial;
    struct worker *worker; /* borrowed */
    struct timer timer;    /* the idle timeout */
    struct race *race;     /* owned; NULL: the upstream is there, or nobody is left to try */
    struct side client, upstream;
    struct str pending;    /* owned: the client's first bytes, until there is an upstream */
    struct series *series; /* borrowed; NULL: none */
    struct tunnel_record record;
    nsec_t idle, half_closed;
    nsec_t began;                   /* the span, monotonic */
    nsec_t opaque;                  /* the connection of opaque bytes began, monotonic */
    struct address from, to;        /* for the log; to: as far as it is known */
    const char *detail;             /* for the log, of a connection that was not made; NULL: none */
    const struct tunnel_rule *rule; /* by which it ended; NULL: what the error's row says */
    uint8_t state;                  /* enum tunnel_state */
    uint8_t direction;              /* enum direction_kind */
    uint8_t first;                  /* enum ended_by: whose end came first */
    bool websocket;
};

/* ---- tunnel_end.c ---- */
/* The one way out. The sides that are still there have been closed, or are now. */
void tunnel_end(struct tunnel *t, enum span_error why);
/* Its memory, and what is owned with it. */
void tunnel_free(struct burial *b);
/* Of its direction: the gauge of those that are open. */
enum counter tunnel_open_counter(const struct tunnel *t);

#endif
