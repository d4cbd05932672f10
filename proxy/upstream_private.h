/*
 * What the files of upstream*.c and cluster_state.c share.
 */
#ifndef SIDESPAN_PROXY_UPSTREAM_PRIVATE_H
#define SIDESPAN_PROXY_UPSTREAM_PRIVATE_H

#include "proxy/upstream.h"

struct originals; /* endpoints that no cluster names */
struct path;      /* of a Unix socket */

enum { CLUSTER_BUCKETS = 1024 };

/* All a worker knows of the other side. */
struct upstreams {
    struct worker *worker;
    struct list clusters[CLUSTER_BUCKETS]; /* by the hash of their names */
    struct originals *originals;           /* owned; NULL until there is one */
    struct path *paths;                    /* owned */
};

enum {
    SHARED_STREAMS = 100, /* on an HTTP/2 connection, before its peer has said how many */
};

/* ---- upstream.c, for connections of either kind ---- */
/* enum heard_bits: what it is known to speak; of use where the cluster says auto, else 0. */
unsigned upstream_heard(const struct upstream *u);
void upstream_hear(struct upstream *u, unsigned set, unsigned clear);
/* A connection is there: counted, and it holds a reference. */
void upstream_opened(struct upstream *u);
void upstream_closed(struct upstream *u);
/* A connection for HTTP/1 was made, or could not be. It is counted as opened. */
void upstream_connected(struct upstream *u, struct conn *c);
void upstream_could_not_connect(struct upstream *u, int error);
bool upstream_may_open(const struct upstream *u);
void upstream_count_failed(struct upstream *u);
/* Closes a kept connection of HTTP/1, if there is one: its place is wanted. */
void upstream_make_way(struct upstream *u);

/* ---- upstream_dial.c ---- */
/* 0, or the errno. */
int upstream_dial(struct upstream *u, bool http2);
/* Takes the conn, which is being made. */
void upstream_follow(struct upstream *u, struct conn *c, bool http2);

/* ---- upstream_shared.c ---- */
enum span_error shared_ask(struct upstream *u, struct upstream_ask *a, int *error);
/* A connection for HTTP/2 was made, or could not be. It is counted as opened. */
void shared_connected(struct upstream *u, struct conn *c);
void shared_connect_failed(struct upstream *u, int error);
/* Whoever waits has a connection on its way, where one more may be opened. */
void shared_dial_for_waiting(struct upstream *u);
/* The same for a shared connection that is idle; there is room when that has been told. */
void shared_make_way(struct upstream *u);
/* An endpoint has answered a request of HTTP/1.1 with SETTINGS: the log is told. */
void shared_note_http2_alone(struct upstream *u);
/* Somebody waits for one who has no connection on its way and may not open another. */
bool shared_wants_room(const struct upstream *u);
/* Nobody will ask again. */
void shared_retire(struct upstream *u);
void shared_close(struct upstream *u);

/* With one reference. NULL: no memory. */
struct upstream *upstream_new(struct upstreams *us, struct str cluster,
                              const struct address *address);
/* Nobody will ask it again: what is idle is closed, what is under way ends by itself. */
void upstream_retire(struct upstream *u);
void originals_free(struct originals *o); /* NULL is fine */

#endif
