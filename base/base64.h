/*
 * Base64 (RFC 4648 section 4), as gRPC sends binary metadata: read padded or
 * not, written without padding.
 */
#ifndef SIDESPAN_BASE_BASE64_H
#define SIDESPAN_BASE_BASE64_H

#include <stdbool.h>

#include "base/str.h"

/* How many digits n bytes become. */
#define BASE64_LENGTH(n) (((n)*4 + 2) / 3)

/* Into out[3 * s.n / 4 + 3]. False: not base64. */
bool base64_decode(struct str s, uint8_t *out, size_t *n);
/* Into out[BASE64_LENGTH(n)]; no NUL. */
void base64_encode(const uint8_t *bytes, size_t n, char *out);

#endif
