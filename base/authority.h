/*
 * host [":" port], as a URL (RFC 3986 section 3.2), a Host field (RFC 9110
 * section 7.2) and the configuration write it: the one place where the two are
 * taken apart and judged.
 */
#ifndef SIDESPAN_BASE_AUTHORITY_H
#define SIDESPAN_BASE_AUTHORITY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

/* Slices of the text that was split. */
struct authority {
    struct str host; /* an IPv6 address keeps its brackets */
    struct str port; /* what stands behind the colon, digits or not */
    bool has_port;   /* there is a colon; nothing may stand behind it */
};

/*
 * Splits at the first colon behind a bracketed IP address, else at the only
 * colon: several without brackets are an IPv6 address, or a list, and all of
 * it is the host. Total: whether host and port are right is another question.
 */
struct authority authority_split(struct str text);

/* Behind "user:password@", which a URL may have and a request may not. */
struct str authority_without_user(struct str text);

/* Decimal digits, 0 to 65535; leading zeros are allowed. False: anything else, also nothing. */
bool authority_port(struct str port, uint16_t *number);

/* The host without the brackets of an IPv6 address. */
struct str authority_bare_host(struct str host);

/*
 * What nearly every authority is: a name or an IPv4 address of letters, digits, '-' and '.', and
 * perhaps a port of one to five digits, up to 65535. *port is 0 where there is none. False: it is
 * none of these, which may be right all the same; *host and *port are undefined.
 */
bool authority_plain(struct str text, struct str *host, uint16_t *port);

/* One host of the characters that RFC 3986 section 3.2.2 allows, and a port that may be empty: no
 * userinfo, no port above 65535, no more bytes than a name of DNS and a port have. */
bool authority_valid(struct str text);
/* The same; or several of them with commas between, as grpc-core calls a list of addresses. */
bool authority_list_valid(struct str text);

#endif
