/*
 * Upgrade (RFC 9110 section 7.8): which protocols a client may ask the next hop
 * to switch to, and whether what was switched to is among them. Pure.
 *
 * Any protocol passes but those that are about the connection to us: h2c and
 * HTTP itself, whose versions are agreed hop by hop, and TLS.
 */
#ifndef SIDESPAN_PROXY_HTTP_UPGRADE_H
#define SIDESPAN_PROXY_HTTP_UPGRADE_H

#include "base/arena.h"
#include "base/headers.h"

enum upgrade_kept { UPGRADE_NONE, UPGRADE_SOME, UPGRADE_NO_MEMORY };

/* Leaves of all Upgrade fields the protocols that may pass; fields that have no other stay as they
 * came. only: nothing but that protocol; p NULL: any. */
enum upgrade_kept upgrade_keep(struct headers *f, struct arena *arena, struct str only);
/* Whether a 101 with these fields switches to what was asked for. One that does not say to what is
 * believed. */
bool upgrade_agreed(const struct headers *response, const struct headers *request);

#endif
