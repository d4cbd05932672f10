/*
 * An HTTP/1.1 response read whole, within limits: for our own requests (exports),
 * not for what is relayed.
 */
#ifndef SIDESPAN_PROXY_HTTP1_REPLY_H
#define SIDESPAN_PROXY_HTTP1_REPLY_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/buffer.h"
#include "base/headers.h"

struct http1_reply_parser; /* llhttp's */

struct http1_reply {
    int status;             /* never 1xx */
    struct headers headers; /* in arena; trailers are not kept */
    struct buffer body;     /* with the ceiling */
    bool begun;             /* a byte came */
    bool complete;
    bool keep_alive;   /* when complete: the connection can carry another request */
    const char *error; /* why it cannot be read, for people; NULL: it can */
    struct arena arena;
    struct http1_reply_parser *parser; /* owned */
};

/* False: no memory; the reply may be released all the same. */
bool http1_reply_init(struct http1_reply *r, size_t head_limit_bytes, size_t body_limit_bytes);
void http1_reply_release(struct http1_reply *r);
/* Expects the next response. */
void http1_reply_reset(struct http1_reply *r);

/* Returns how many bytes belong to the response: all of them unless it is complete. False in *ok:
 * error says why. Interim responses are passed over. */
size_t http1_reply_feed(struct http1_reply *r, const char *data, size_t n, bool *ok);
/* The peer closed: ends a body without a length. False: the response is not whole. */
bool http1_reply_end(struct http1_reply *r);

#endif
