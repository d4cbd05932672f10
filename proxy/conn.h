/*
 * A conn is one socket's bytes: read into a buffer lent by the loop, written
 * at once and queued only when the socket is full. What is written in one turn
 * of the loop goes out in one sendmsg(2) when the turn ends.
 *
 * A conn lives on its loop's thread. Its owner is told what happens
 * through a table of functions, and may hand it to another owner at any time.
 */
#ifndef SIDESPAN_PROXY_CONN_H
#define SIDESPAN_PROXY_CONN_H

#include <event2/event_struct.h>
#include <stdbool.h>

#include "base/address.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/str.h"
#include "proxy/turn.h"

struct loop;
struct conn;

/* None of these may be NULL. After any of them the conn may have been closed by its owner. */
struct conn_owner {
    /* Bytes came. They are in the loop's buffer and gone when this returns, but for what was
     * given to conn_write() of any conn, which is sent or copied at the end of the turn. */
    void (*on_read)(struct conn *c, char *data, size_t n);
    /* The peer will send no more (FIN). Writing may go on. Told once. */
    void (*on_eof)(struct conn *c);
    /* What was queued has fallen under the low mark; only after conn_blocked() was true. */
    void (*on_drained)(struct conn *c);
    /* conn_connect() came to an end well. */
    void (*on_connected)(struct conn *c);
    /* The connection broke, or could not be made: errno. The owner closes it. */
    void (*on_error)(struct conn *c, int error);
};

enum conn_state { CONN_CONNECTING, CONN_OPEN, CONN_CLOSED };

struct out_turn;  /* what is written in this turn; lent by the loop */
struct out_queue; /* what the socket did not take; owned, NULL while there is nothing */

struct conn {
    struct event event; /* for reading; while connecting, for writing */
    int fd;
    uint8_t state;   /* enum conn_state */
    bool reading;    /* wanted */
    bool registered; /* the event is added */
    bool ready;      /* the kernel told that there is something to read, and it was not read */
    bool fin_seen;   /* FIN has come: what is read ends with it */
    bool eof;        /* FIN came */
    bool shut;       /* we have sent, or will after the queue, FIN */
    bool blocked;    /* over the high mark, and on_drained() is owed */
    bool broken;     /* writing failed: nothing more is sent */
    int write_error; /* not 0: an error met in writing, told when the turn ends */
    int error;       /* what broke it: errno */
    const struct conn_owner *owner;
    void *owner_data; /* the owner's */
    struct loop *loop;
    struct out_turn *turn;
    struct out_queue *queue;
    struct list doubt; /* in conns.doubtful, or alone */
    struct list all;   /* in conns.all */
    /* What it was like when it was last looked at: conn_silent.c. */
    uint64_t looked_received, looked_sent;
    nsec_t waits_since; /* 0: nothing waits */
    uint64_t received_bytes, sent_bytes;
    uint64_t sent_when_read;         /* what sent_bytes was at the last read */
    nsec_t fin_at;                   /* monotonic, once FIN was seen, read or not */
    uint64_t fin_sent, fin_received; /* what sent_bytes and received_bytes were then */
    struct address peer;
    uint64_t dial; /* see own_dials.h */
    struct burial burial;
};

/* Takes the fd (closed on failure). Reading is off until conn_read(). NULL: no memory. */
struct conn *conn_accepted(struct loop *l, int fd, const struct address *peer,
                           const struct conn_owner *owner, void *data);
/* Begins to connect; on_connected() or on_error() follows, never from within. NULL: *error is the
 * errno. */
struct conn *conn_connect(struct loop *l, const struct address *to, const struct conn_owner *owner,
                          void *data, int *error);
void conn_give(struct conn *c, const struct conn_owner *owner, void *data);

/* Whether on_read() and on_eof() are wanted. Turning it off and on costs no system call. */
void conn_read(struct conn *c, bool on);
/* Acknowledges at once what was received. The kernel would wait up to 40 ms for something to send
 * with it, and a peer that writes in small pieces (Nagle's algorithm, RFC 896) as long for that. */
void conn_acknowledge(struct conn *c);
/* What the kernel knows of the peer's end, read or not. A system call. */
enum conn_end { CONN_GOES_ON, CONN_FIN, CONN_RESET };
enum conn_end conn_end_now(const struct conn *c);
/* Reads once without waiting for readiness, where bytes are likely to be there. */
void conn_read_now(struct conn *c);

/* Queues bytes to be sent at the end of the turn. They are borrowed until then: the loop's
 * receive buffer, an arena that lives until the turn is over, a constant. Errors are told by
 * on_error(). */
void conn_write(struct conn *c, struct str bytes);
/* Sends what is queued in this turn at once. Needed only where the bytes would not live so long. */
void conn_flush(struct conn *c);
/* Bytes not taken by the socket yet. */
size_t conn_queued(const struct conn *c);
/* True when more is queued than the high mark (conns.h): stop producing until on_drained(). */
bool conn_blocked(struct conn *c);
/* FIN after all that was written. */
void conn_shut(struct conn *c);

/* After what was written has been handed to the socket; what it does not take is lost. The memory
 * goes at the end of the turn; nothing is told any more. */
void conn_close(struct conn *c);
/* FIN after all that was written, then reads and throws away until the peer closes, is silent for 2
 * s, or 30 s are over, so that the peer gets what was written even if it still sends (RFC 9112
 * section 9.6), or reads slowly: what is queued may take its time, as long as some of it goes every
 * 30 s. The conn is no longer the caller's. */
void conn_close_lingering(struct conn *c);
/* RST, without what is still queued. */
void conn_reset(struct conn *c);

/* Makes the kernel ask a peer that has been silent for the time `after` whether it is there, and
 * give it up when it has not answered for `timeout`; after 0: it does not ask. A listening socket
 * hands that on to what it accepts. */
void socket_keep_alive(int fd, nsec_t after, nsec_t timeout);

#endif
