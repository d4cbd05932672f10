/*
 * HTTP/1.1 on one connection (RFC 9112), as a server to a client or as a client
 * to an upstream. Strict in what it takes: llhttp without leniency, and rules of
 * our own where it has none.
 */
#ifndef SIDESPAN_PROXY_HTTP1_H
#define SIDESPAN_PROXY_HTTP1_H

#include "proxy/codec.h"
#include "proxy/conn.h"
#include "proxy/http_shared.h"

struct http1;

/* Who keeps the connection between messages: the front, or an upstream's pool. */
struct http1_keeper {
    /* Server: a request has come, or was refused; sets events, owner and arena of the stream.
     * False: no memory. Client: not called. */
    bool (*open)(void *keeper, struct stream *s);
    /* The exchange is over and the connection may be used for the next. */
    void (*on_idle)(void *keeper, struct http1 *h);
    /* The connection is closed, or somebody else's: forget it. */
    void (*on_gone)(void *keeper, struct http1 *h);
    /* Server: the response under way is to be the last. NULL: none is. */
    bool (*leaves)(void *keeper);
    /* Client: the first that came is SETTINGS of HTTP/2. True: what was asked may be asked in that.
     * NULL: it may not. */
    bool (*on_http2)(void *keeper, struct http1 *h);
};

/* Both take the conn; shared outlives it. NULL: no memory; the conn is closed. */
struct http1 *http1_server(struct http_shared *shared, struct conn *c,
                           const struct http1_keeper *keeper, void *data);
struct http1 *http1_client(struct http_shared *shared, struct conn *c,
                           const struct http1_keeper *keeper, void *data);

extern const struct refusal refusal_head_timeout;
/* Server, before any byte: refuses what comes without reading it. */
void http1_server_refuse(struct http1 *h, const struct refusal *why);

/* Bytes that were read before the codec had the conn. */
void http1_feed(struct http1 *h, char *data, size_t n);

/* Client: the stream to send the next request on; whoever takes it sets events, owner and arena.
 * The method decides whether the response has a body. */
struct stream *http1_take(struct http1 *h, struct str method);
/* Client, with a stream that was taken: nothing has shown yet that the peer speaks HTTP/1.1. What
 * is sent may have to be sent again, so it is only a little until the peer has said something, or
 * has had time to say that it speaks HTTP/2 alone. */
void http1_doubt(struct http1 *h);
/* Client, idle: when the peer has said (Keep-Alive: timeout) how long it keeps the connection; 0:
 * not. */
nsec_t http1_idle_limit(const struct http1 *h);
/* Client, idle: closed at that time (monotonic). */
void http1_expire(struct http1 *h, nsec_t when);
/* Client: how long it has been idle; how long it was before its last request. */
nsec_t http1_idle_time(const struct http1 *h);
nsec_t http1_idled(const struct http1 *h);
/* Client, in on_gone(): the peer ended it, idle or before a byte of an answer. */
bool http1_ended_unanswered(const struct http1 *h);
/* In on_gone(): no request was on it. */
bool http1_was_idle(const struct http1 *h);
uint64_t http1_messages(const struct http1 *h);
struct conn *http1_conn(const struct http1 *h);
/* Client: what this stream's connection is. */
struct http1 *http1_of(struct stream *s);
/* Client: the server has authenticated the connection, or is about to: see upstream_login.h. */
bool http1_is_login(const struct http1 *h);
/* Whose it is; NULL: nobody's, it must not be kept. */
struct logins *http1_logins(const struct http1 *h);
/* Between messages: closes it. on_gone() is not called. */
void http1_close_idle(struct http1 *h);
/* The same, and on_gone() is called. */
void http1_close_gone(struct http1 *h);
/* Server, between messages: closes it, unless the next request has come, or begun to. */
void http1_drain(struct http1 *h);
/* The same without a look at what may have come in this moment. */
void http1_close_unasked(struct http1 *h);
/* Server: a part of a request has come. */
bool http1_has_begun(const struct http1 *h);
void *http1_keeper_data(const struct http1 *h);
/* A link for the keeper's list of idle ones. */
struct list *http1_link(struct http1 *h);
struct http1 *http1_from_link(struct list *link);

#endif
