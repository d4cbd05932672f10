/*
 * Where a socket is: an IPv4 or IPv6 address with a port, or a Unix socket's path.
 */
#ifndef SIDESPAN_BASE_ADDRESS_H
#define SIDESPAN_BASE_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/str.h"

struct address {
    uint16_t family; /* AF_INET, AF_INET6, AF_UNIX; 0: none */
    uint16_t port;   /* host byte order */
    union {
        uint8_t ip[16];   /* the first 4 for AF_INET */
        const char *path; /* AF_UNIX alone: borrowed, NUL-ended */
    };
};

enum { ADDRESS_TEXT_MAX = 128 }; /* longest text with its NUL */

/* Numeric only: "1.2.3.4" or "::1" (brackets allowed), no port. v4-mapped IPv6 becomes IPv4.
 * False: not an IP literal. */
bool address_parse_ip(struct str text, struct address *out);
/* The same mapping. False: another family. A Unix path is borrowed from sa; "": it has no name. */
bool address_from_sockaddr(const struct sockaddr *sa, socklen_t len, struct address *out);
/* False: no family, or a path that does not fit. */
bool address_to_sockaddr(const struct address *a, struct sockaddr_storage *out, socklen_t *len);
/* "1.2.3.4", "::1" or a path, into out[ADDRESS_TEXT_MAX]; returns its length. */
size_t address_format_ip(const struct address *a, char *out);
/* With the port: "1.2.3.4:80", "[::1]:80", "unix:/path". */
size_t address_format(const struct address *a, char *out);
bool address_eq(const struct address *a, const struct address *b);
/* True if the address is in that network (CIDR, RFC 4632 section 3.1). Ports do not count;
 * addresses of another family are in none. */
bool address_within(const struct address *a, const struct address *network, unsigned bits);
/* Unix sockets are too. */
bool address_is_loopback(const struct address *a);

#endif
