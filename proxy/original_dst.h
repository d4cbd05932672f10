/*
 * Where an intercepted connection was going (SO_ORIGINAL_DST of netfilter's
 * REDIRECT, IPv4 and IPv6).
 */
#ifndef SIDESPAN_PROXY_ORIGINAL_DST_H
#define SIDESPAN_PROXY_ORIGINAL_DST_H

#include <stdbool.h>

#include "base/address.h"

enum original_dst {
    ORIGINAL_DST_FOUND,
    ORIGINAL_DST_ITSELF, /* it was addressed to this listener: passing it on would be a loop */
    ORIGINAL_DST_NONE,   /* it was not redirected */
};

/* listener_port: what the accepting socket is bound to. ITSELF where the original destination is
 * the socket's own local address and port (or any local address with the listener's port). */
enum original_dst original_dst_get(int fd, uint16_t listener_port, struct address *out);

/* The decision alone: whether a connection for dst, accepted at local (the socket's own name) by a
 * listener of that port, was addressed to the listener. Asks the system whether dst is an address
 * of this machine only where the ports are the same. */
bool original_dst_is_listener(const struct address *dst, const struct address *local,
                              uint16_t listener_port);

#endif
