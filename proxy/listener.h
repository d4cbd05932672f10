/*
 * The listening sockets. The main thread opens them, all before any is used, so
 * that a reload which cannot bind changes nothing; each worker has its own
 * (SO_REUSEPORT) and accepts from it. A reload keeps the sockets whose address
 * stays, so no connection in a queue is lost.
 */
#ifndef SIDESPAN_PROXY_LISTENER_H
#define SIDESPAN_PROXY_LISTENER_H

#include "mesh/config.h"

struct event_base;
struct worker;

/* All sockets of a config, for all workers. Counted; of the main thread. */
struct listen_sockets;
/* old may be NULL; what is common is shared. NULL: err says which address and why ("in use by
 * another program", "needs root or CAP_NET_BIND_SERVICE"). */
struct listen_sockets *listen_sockets_open(struct config *config, const struct listen_sockets *old,
                                           unsigned workers, struct error *err);
void listen_sockets_unref(struct listen_sockets *s);
struct listen_sockets *listen_sockets_ref(struct listen_sockets *s);

/* Adds "127.0.0.1:15001 (transparent), [::]:8080": where that direction really listens. */
struct buffer;
void listen_sockets_describe(const struct listen_sockets *s, enum direction_kind direction,
                             struct buffer *out);

/* What a worker accepts from. */
struct listener {
    const struct listen_config *config; /* of listeners->sockets' config, which is referenced */
    enum direction_kind direction;
    uint16_t port; /* it is bound to */
};

/* Called for each connection; the fd is taken, non-blocking, TCP_NODELAY inherited, and with it its
 * place in the worker's admission. l is good during the call only. */
typedef void accepted_fn(struct worker *w, const struct listener *l, int fd,
                         const struct address *peer);

struct listeners; /* a worker's: one a socket, with its event */
/* On the worker's thread, or before it runs. Takes references of its own: of the config, and of
 * this worker's socket of each address. Each go is a turn of the worker's and accepts up to 64;
 * when descriptors run out it stops for a moment and says so, and while limits.connections is met
 * the kernel's queue holds new connections. NULL: no memory. */
struct listeners *listeners_start(struct worker *w, struct event_base *base,
                                  struct listen_sockets *sockets, unsigned worker_index,
                                  accepted_fn *accepted);
/* Stops accepting, and frees; called within a turn of the worker's. A socket from which others
 * accept (listeners started for a reload before this) is left as it is. Of any other, what waits in
 * its queue is accepted first, and then it listens no more, whoever still holds it. */
void listeners_stop(struct listeners *l);
/* The same for those of one direction; the others go on. */
void listeners_shut(struct listeners *l, enum direction_kind direction);
/* limits.connections may be another: who found it met looks again. */
void listeners_look_again(struct listeners *l);

/* Why an address cannot be listened on, and what to do: errno of bind(2) or listen(2) in words. Of
 * the admin port too: one failure has one voice. */
const char *listen_error_text(const struct address *a, int error);

#endif
