/*
 * What listen_sockets.c, of the main thread, and listener.c, of a worker, share:
 * one bound socket, and which there are.
 */
#ifndef SIDESPAN_PROXY_LISTENER_PRIVATE_H
#define SIDESPAN_PROXY_LISTENER_PRIVATE_H

#include <stdatomic.h>
#include <sys/types.h>

#include "proxy/listener.h"

/* One file descriptor, closed with its last reference. */
struct bound {
    atomic_uint refs;
    atomic_uint
        accepting; /* listeners that accept from it: more than one for a moment of a reload */
    int fd;
    char *path; /* owned: of a Unix socket, unlinked at the end; NULL: none */
    dev_t dev;  /* of the path, to unlink no other's */
    ino_t ino;
};
struct bound *bound_ref(struct bound *b);
void bound_unref(struct bound *b); /* NULL is fine */

/* One `listen` of the config. */
struct listen_entry {
    const struct listen_config *config;
    enum direction_kind direction;
    uint16_t port;        /* really bound; 0 for a Unix socket */
    struct bound **bound; /* owned, each a reference: one a worker, or the same for all */
};

struct listen_sockets {
    atomic_uint refs;
    struct config *config; /* a reference */
    unsigned workers;
    size_t n;
    struct listen_entry v[];
};

#endif
