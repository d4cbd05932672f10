/*
 * What a Forwarded field (RFC 7239) says of the first hop. Pure.
 */
#ifndef SIDESPAN_PROXY_FORWARDED_H
#define SIDESPAN_PROXY_FORWARDED_H

#include "base/str.h"

/* Of the field's first element; empty: not said, or not as the RFC has it. Slices of the value,
 * quotes taken off. */
struct forwarded {
    struct str node; /* for=: an address, perhaps with a port, "unknown" or "_hidden" */
    struct str host, proto;
};
struct forwarded forwarded_first(struct str value);

#endif
