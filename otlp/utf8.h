/*
 * UTF-8 (RFC 3629). A collector refuses a whole request for one string that is
 * not valid, and what peers send in paths and headers need not be.
 */
#ifndef SIDESPAN_OTLP_UTF8_H
#define SIDESPAN_OTLP_UTF8_H

#include <stdbool.h>
#include <stdint.h>

#include "base/octets.h"
#include "base/str.h"

/* No byte over 0x7f: valid UTF-8 without a closer look. */
static inline bool utf8_is_ascii(struct str s)
{
    return octets_are_ascii(s.p, s.n);
}

/* No overlong form, no surrogate, nothing over U+10FFFF. */
bool utf8_valid(struct str s);

/* Each byte that belongs to no character becomes U+FFFD, into out[3 * s.n]; returns the length. */
size_t utf8_repair(struct str s, char *out);

#endif
