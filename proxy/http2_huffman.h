/*
 * Text in the Huffman code of HPACK (RFC 7541 section 5.2), where it is too long
 * for nghttp2's decoder.
 */
#ifndef SIDESPAN_PROXY_HTTP2_HUFFMAN_H
#define SIDESPAN_PROXY_HTTP2_HUFFMAN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

/* The most that n octets can become: the shortest code has five bits. */
#define HTTP2_HUFFMAN_MOST(n) ((n) / 5 * 8 + 8)

/* to has room for HTTP2_HUFFMAN_MOST(from.n); *n: how much there is. False: it is not of that code.
 */
bool http2_huffman_decode(struct str from, char *to, size_t *n);

#endif
