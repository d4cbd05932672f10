/*
 * HTTP/2 on one connection (RFC 9113), as a server to a client or as a client
 * to an upstream: many streams, each one side of an exchange. nghttp2 reads and
 * writes the frames; what it lets pass is looked at first (http2_watch.c).
 */
#ifndef SIDESPAN_PROXY_HTTP2_H
#define SIDESPAN_PROXY_HTTP2_H

#include "proxy/codec.h"
#include "proxy/conn.h"
#include "proxy/http_shared.h"

struct http2;

/* What is to be done about a server that does not seem to know HTTP/2. */
enum stranger {
    STRANGER_NOT,      /* it has spoken it before: it has only gone */
    STRANGER_FALLBACK, /* its requests may be sent in HTTP/1.1 */
    STRANGER_FAILS,    /* they may not: the configuration says HTTP/2 */
};

/* Who keeps the connection: the front, or an upstream's pool. */
struct http2_keeper {
    /* Server: a request begins to come; sets events, owner and arena of the stream. False: it is
     * refused. */
    bool (*open)(void *keeper, struct stream *s);
    /* How long the connection may be kept without a stream; 0: not at all. */
    nsec_t (*idle)(void *keeper, struct http2 *h);
    /* Client: there may be room for another stream. */
    void (*on_room)(void *keeper, struct http2 *h);
    /* Client: the peer has answered with something else, or hung up on the preface; only in the
     * latter case may it be STRANGER_NOT. */
    enum stranger (*on_stranger)(void *keeper, struct http2 *h);
    /* The connection is closed, and no stream is left: forget it. */
    void (*on_gone)(void *keeper, struct http2 *h);
};

/* Both take the conn; shared outlives it. NULL: no memory; the conn is closed. */
struct http2 *http2_server(struct http_shared *shared, struct conn *c,
                           const struct http2_keeper *keeper, void *data);
/* streams: that the peer is thought to take at once, until it has said so. */
struct http2 *http2_client(struct http_shared *shared, struct conn *c,
                           const struct http2_keeper *keeper, void *data, unsigned streams);

/* Bytes that were read before the codec had the conn. */
void http2_feed(struct http2 *h, char *data, size_t n);

/* Client: whether the peer takes another stream now. */
bool http2_has_room(const struct http2 *h);
/* Client: it has said how many it takes. */
bool http2_is_settled(const struct http2 *h);
/* Client: something came, be it HTTP/2 or not. */
bool http2_was_answered(const struct http2 *h);
/* Client: it takes no streams for the time being, and has said so. */
bool http2_is_shut(const struct http2 *h);
/* Client: it carries nothing, and could. */
bool http2_is_idle(const struct http2 *h);
/* Client: it refused a stream a moment ago; another connection is better, if there may be one. */
bool http2_is_busy(const struct http2 *h);
/* Client, with room: a stream for the next request; whoever takes it sets events, owner and arena.
 */
struct stream *http2_take(struct http2 *h);
/* Requests that were ever begun on it. */
uint64_t http2_messages(const struct http2 *h);
/* Streams that the peer takes at once, as far as it has said so. */
unsigned http2_capacity(const struct http2 *h);
/* No new streams: the peer is told in two steps (RFC 9113 section 6.8), and the connection is
 * closed when those under way are over. A client that has just come and asked nothing yet is told
 * when it was served, or has had the time to ask. */
void http2_drain(struct http2 *h);
/* Server, in a drain: a request may still be on its way, or is coming. */
bool http2_is_awaited(const struct http2 *h);
void *http2_keeper_data(const struct http2 *h);
/* Client, without a stream in use: closes it. on_gone() is called. */
void http2_retire(struct http2 *h);
/* Closes it at once: streams fail, on_gone() is called. */
void http2_close(struct http2 *h);
/* A link for the keeper's list. */
struct list *http2_link(struct http2 *h);
struct http2 *http2_from_link(struct list *link);

/* What the HTTP/2 connections of one loop share. */
struct http2_common;
void http2_common_free(struct http2_common *c); /* NULL is fine */

#endif
