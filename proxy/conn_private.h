/*
 * What the files of the conn share: how one conn is made and unmade.
 */
#ifndef SIDESPAN_PROXY_CONN_PRIVATE_H
#define SIDESPAN_PROXY_CONN_PRIVATE_H

#include "proxy/conn.h"
#include "proxy/timer.h"

/* Forgets all that was to be sent, and takes the conn out of the turn. */
void conn_drop_output(struct conn *c);
/* Sends the turn's output of every dirty conn, until there is none; tells errors. */
void conns_flush_written(struct loop *l);
/* The same for what is gathered too; errors are left for the end of the turn to tell. */
void conns_send(struct loop *l);
/* Reads in the loop's next round, though no event tells of it. */
void conn_read_soon(struct conn *c);
/* The socket of a conn that was connecting is connected. */
void conn_established(struct conn *c);
/* The connection was made: what was queued meanwhile goes out. */
void conn_output_start(struct conn *c);
/* Looks again at conns whose last read may have hidden a reset. */
void conns_look_again(struct timer *t);
/* Frees the turns that are not lent. */
void out_turns_free(struct loop *l);

/* ---- conn_silent.c ---- */
/* It is among those that are looked at from here on. */
void conn_watch(struct conn *c);
/* Ends those whose peer is gone though bytes wait for it. */
void conns_look_for_lost(struct timer *t);

/* ---- conn.c ---- */
/* The peer is gone: tells the owner. */
void conn_lost(struct conn *c, int error);

#endif
