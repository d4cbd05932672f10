/*
 * What a connection speaks, by its first bytes. Pure.
 */
#ifndef SIDESPAN_PROXY_SNIFF_H
#define SIDESPAN_PROXY_SNIFF_H

#include "base/str.h"

enum sniffed {
    SNIFF_MORE,  /* cannot be told yet */
    SNIFF_HTTP1, /* a first line that means to be a request, however malformed */
    SNIFF_HTTP2, /* the preface of RFC 9113 section 3.4 */
    SNIFF_TLS,   /* a TLS ClientHello */
    SNIFF_OTHER,
};
enum { SNIFF_BYTES_MAX = 16384 };

/*
 * first: all that came so far. After a few empty lines, HTTP/1 is what has " HTTP/" and a digit in
 * its first line (not in quotes), and a known method before a path, so that a bad request is
 * refused as HTTP and not passed through. Text is waited for until its line ends; bytes that are
 * none are SNIFF_OTHER at once, so that no client waits that speaks a binary protocol, and more of
 * their line may still show SNIFF_HTTP1. Any other answer holds, whatever follows. Past
 * SNIFF_BYTES_MAX never SNIFF_MORE.
 */
enum sniffed sniff(struct str first);

/* What is SNIFF_MORE so far: the beginning of a request or of the preface of HTTP/2, and no word of
 * another protocol. */
bool sniff_begins_http(struct str first);

/* What a server said first is a SETTINGS frame: it speaks HTTP/2, and waits for its client. */
bool sniff_http2_server(struct str first);

/* The server_name of a TLS ClientHello (RFC 6066 section 3), bytes of first; p NULL: none. Sets
 * *more when the ClientHello is not whole yet. Only letters, digits, '-', '.', '_' are taken. */
struct str sniff_sni(struct str first, bool *more);

#endif
