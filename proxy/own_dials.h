/*
 * The connections that this process has made, by both their ends, so that a
 * transparent listener knows one of them when it comes back: interception rules
 * that do not leave the sidecar's own user alone redirect what it sends to
 * itself, for ever.
 *
 * One table for all threads, without locks: a place holds one connection, and a
 * later one takes it over. So one may be overlooked, and the next time round it
 * is seen; but none is taken for another.
 */
#ifndef SIDESPAN_PROXY_OWN_DIALS_H
#define SIDESPAN_PROXY_OWN_DIALS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"
#include "base/clock.h"

/* From here on connections are noted: there is a transparent listener. */
void own_dials_watch(void);

/* fd has been told to connect to that address. What is returned is forgotten when it is closed; 0:
 * nothing was noted. */
uint64_t own_dial_note(int fd, const struct address *to);
void own_dial_forget(uint64_t dial);

/* A connection from there, which was going to that address, is one of ours; now: monotonic, it is
 * remembered that there was one. */
bool own_dial_returned(const struct address *from, const struct address *to, nsec_t now);
/* There was one a moment ago: what a connection of ours that broke now has met. */
bool own_dials_return(nsec_t now);

#endif
