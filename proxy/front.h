/*
 * A front is one client's connection around its exchanges: where it came in,
 * where it was going, and, before anything else, what it speaks.
 */
#ifndef SIDESPAN_PROXY_FRONT_H
#define SIDESPAN_PROXY_FRONT_H

#include "proxy/worker.h"

struct http1;
struct logins;
struct sniffing;

struct front {
    struct worker *worker;
    struct conn *conn;         /* good as long as the front, closed or not */
    struct http1 *http;        /* NULL until it is known to be HTTP */
    struct sniffing *sniffing; /* owned; NULL once it is known what it speaks */
    struct logins *logins;     /* a reference; NULL: it has none */
    struct address original;   /* family 0: it was not redirected */
    uint16_t port;             /* of the listener */
    uint8_t direction;         /* enum direction_kind */
    uint8_t mode;              /* enum listen_mode */
    bool ended;
    struct burial burial;
};

/* A connection was accepted. */
void front_accepted(struct worker *w, const struct listener *l, int fd, const struct address *peer);
/* Closes the connections that are between exchanges; the others are told with their response. */
void fronts_close_idle(struct worker *w);
/* The same, and those whose protocol is not known yet. */
void fronts_close_all(struct worker *w);
/* A client connection more (n = 1) or less (-1) is open. */
void front_count(struct worker *w, unsigned direction, int n);
/* Accepts again, where limits.connections stopped it and allows it now. */
void fronts_resume(struct worker *w);
/* What direction's rules are, as they are now. */
const struct direction *front_rules(const struct front *f, const struct config *c);
/* True when a connection to that address would come back to one of this direction's listeners. */
bool front_is_loop(const struct front *f, const struct config *c, const struct address *to);

#endif
