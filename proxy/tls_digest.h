/*
 * Digests, from the library that TLS is from.
 */
#ifndef SIDESPAN_PROXY_TLS_DIGEST_H
#define SIDESPAN_PROXY_TLS_DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SHA1_BYTES = 20 };

/* False: the library has no SHA-1. */
bool tls_sha1(const void *data, size_t n, uint8_t out[SHA1_BYTES]);
/* Padded base64 (RFC 4648 section 4) and a NUL into out[4 * ((n + 2) / 3) + 1]. */
void tls_base64(const void *data, size_t n, char *out);

#endif
