/*
 * A front is one client's connection around its exchanges: where it came in,
 * where it was going, and, before anything else, what it speaks.
 */
#ifndef SIDESPAN_PROXY_FRONT_H
#define SIDESPAN_PROXY_FRONT_H

#include "proxy/worker.h"

struct http1;
struct logins;
struct route;
struct sniffing;

struct front {
    struct worker *worker;
    struct conn *conn;         /* good as long as the front, closed or not */
    struct http1 *http;        /* NULL until it is known to be HTTP */
    struct sniffing *sniffing; /* owned; NULL once it is known what it speaks */
    struct logins *logins;     /* a reference; NULL: it has none */
    struct address original;   /* family 0: it was not redirected */
    struct address own_end;    /* at which the client reached us; family 0: not asked for so far */
    nsec_t accepted;
    struct str authority;      /* owned: it is inside a CONNECT to that; n 0: it is not */
    const struct route *drawn; /* faults were drawn for its first request; only compared */
    uint16_t port;             /* of the listener */
    uint8_t direction;         /* enum direction_kind */
    uint8_t mode;              /* enum listen_mode */
    uint8_t carries;           /* enum listen_carries */
    bool ended;
    struct burial burial;
};

/* A connection was accepted. */
void front_accepted(struct worker *w, const struct listener *l, int fd, const struct address *peer);
/* The direction is being left. HTTP/1.1 tells it with each response. HTTP/2 says GOAWAY, but not to
 * who has asked nothing so far: gRPC takes that for a server which serves nobody, so such a
 * connection, and every one that is made now, has its life until the listeners close. */
void fronts_leave(struct worker *w, enum direction_kind direction);
/* Nobody else can come: closes the connections that are between exchanges. One that was accepted a
 * moment ago, or has said a part of a request, is served. */
void fronts_shut(struct worker *w, enum direction_kind direction);
/* How many such there are in the directions that are shut; those that have stayed silent since are
 * closed. */
unsigned fronts_begun(struct worker *w);
/* All that are between exchanges, and those whose protocol is not known yet: the worker ends. */
void fronts_close_all(struct worker *w);
/* The client is to be told that its connection is the last here. */
static inline bool front_leaves(const struct front *f)
{
    return f->worker->leaving[f->direction] != LEAVING_NOT;
}
/* The client knows the sidecar as its proxy. What is inside a CONNECT does not. */
static inline bool front_is_proxy(const struct front *f)
{
    return f->mode == LISTEN_FORWARD_PROXY && !f->authority.n;
}
/* A client connection more (n = 1) or less (-1) is open, here and in the whole process. */
void front_count(struct worker *w, unsigned direction, int n);
/* What direction's rules are, as they are now. */
const struct direction *front_rules(const struct front *f, const struct config *c);
/* True when a connection to that address would come back to one of this direction's listeners. */
bool front_is_loop(struct front *f, const struct config *c, const struct address *to);
/* Why a destination that the client named is none of its business: it is a loop, or the admin port,
 * or, from outside, where only the service beside us may ask. (The service itself may ask for
 * what is inbound: that ends at the service.) A constant; NULL: it may go there. */
const char *front_bars(struct front *f, const struct config *c, const struct address *to);

#endif
