/*
 * Which addresses are of this machine. The system is asked by trying to bind to
 * one: that needs no right and no list, and is true for all of 127.0.0.0/8 too.
 */
#ifndef SIDESPAN_PROXY_OWN_ADDRESS_H
#define SIDESPAN_PROXY_OWN_ADDRESS_H

#include <stdbool.h>

#include "base/address.h"
#include "base/clock.h"

/* A socket can be bound to no address but those of this machine (where ip_nonlocal_bind is set, to
 * any: then an address is taken for ours that is not, which is the safe mistake). The port does not
 * matter. Costs three system calls. */
bool address_is_own(const struct address *a);
/* The same, remembered by each thread for a few seconds. now: monotonic. */
bool address_was_own(const struct address *a, nsec_t now);

#endif
