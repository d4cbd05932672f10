/*
 * What the codecs of one loop share, handed to each connection that is made. It
 * says by which limits and times they go, and keeps what serves one after the
 * other.
 */
#ifndef SIDESPAN_PROXY_HTTP_SHARED_H
#define SIDESPAN_PROXY_HTTP_SHARED_H

#include "base/log.h"

struct http1_head;
struct http2_common;
struct limits;
struct metrics;
struct timeouts;

/* Zero it, but for the first three. */
struct http_shared {
    const struct limits *limits; /* borrowed, like the next: of the configuration in force */
    const struct timeouts *timeouts;
    struct metrics *metrics;       /* borrowed */
    struct http1_head *spare_head; /* owned: taken by the next head that comes; NULL: none */
    struct http2_common *http2;    /* owned; NULL until a connection speaks HTTP/2 */
    struct log_limit abuse_log;
};

/* No codec uses it any more. */
void http_shared_release(struct http_shared *s);

#endif
