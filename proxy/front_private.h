/*
 * What front.c and front_sniff.c share.
 */
#ifndef SIDESPAN_PROXY_FRONT_PRIVATE_H
#define SIDESPAN_PROXY_FRONT_PRIVATE_H

#include "proxy/front.h"

/* Makes the conn and begins to find out what it speaks. f->conn stays NULL without memory. */
void front_sniff(struct front *f, int fd, const struct address *peer);
/* It is HTTP, and these are its first bytes. */
void front_http(struct front *f, char *data, size_t n);
/* The conn is closed or a tunnel's: counts it no more, frees the front. */
void front_end(struct front *f);
/* Ends a connection whose protocol is not known; link is that of worker->sniffing. */
void front_sniff_cut(struct list *link);

#endif
