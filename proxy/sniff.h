/*
 * What a connection speaks, by its first bytes. Pure.
 */
#ifndef SIDESPAN_PROXY_SNIFF_H
#define SIDESPAN_PROXY_SNIFF_H

#include "base/str.h"

enum sniffed {
    SNIFF_MORE,  /* cannot be told yet */
    SNIFF_HTTP1, /* a method and a space: a token of known shape, then an HTTP/1 request line */
    SNIFF_HTTP2, /* the preface of RFC 9113 section 3.4 */
    SNIFF_TLS,   /* a TLS ClientHello */
    SNIFF_OTHER,
};
enum { SNIFF_BYTES_MAX = 16384 };

/* first: all that came so far. HTTP/1 is recognised from the method alone where that is
 * unmistakable, so that a bad request is refused as HTTP and not passed through: "GET " is HTTP
 * whatever follows; an unknown token needs " HTTP/1." at the end of the first line. Past
 * SNIFF_BYTES_MAX never SNIFF_MORE. */
enum sniffed sniff(struct str first);

/* What a server said first is a SETTINGS frame: it speaks HTTP/2, and waits for its client. */
bool sniff_http2_server(struct str first);

/* The server_name of a TLS ClientHello (RFC 6066 section 3), bytes of first; p NULL: none. Sets
 * *more when the ClientHello is not whole yet. Only letters, digits, '-', '.', '_' are taken. */
struct str sniff_sni(struct str first, bool *more);

#endif
