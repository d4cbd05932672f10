/*
 * Base64 (RFC 4648 section 4), as gRPC sends binary metadata: padded or not.
 */
#ifndef SIDESPAN_OTLP_BASE64_H
#define SIDESPAN_OTLP_BASE64_H

#include <stdbool.h>

#include "base/str.h"

/* Into out[3 * s.n / 4 + 3]. False: not base64. */
bool base64_decode(struct str s, uint8_t *out, size_t *n);

#endif
