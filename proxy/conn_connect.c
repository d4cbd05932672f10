/*
 * Making a connection to an upstream.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/conn_private.h"
#include "proxy/connect_error.h"
#include "proxy/loop.h"
#include "proxy/own_dials.h"

static void on_connect(evutil_socket_t fd, short what, void *arg)
{
    struct conn *c = arg;
    struct loop *l = c->loop;
    int error = 0;
    socklen_t len = sizeof error;

    loop_begin_turn(l);
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
        error = errno;
    c->registered = false; /* the event was for once */
    if (error) {
        c->owner->on_error(c, error);
    } else {
        conn_established(c);
        c->owner->on_connected(c);
    }
    loop_end_turn(l);
}

struct conn *conn_connect(struct loop *l, const struct address *to, const struct conn_owner *owner,
                          void *data, int *error)
{
    struct sockaddr_storage sa;
    struct conn *c;
    socklen_t len;
    int fd, one = 1;

    *error = EAFNOSUPPORT;
    if (!address_to_sockaddr(to, &sa, &len))
        return NULL;
    fd = socket(sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        *error = errno;
        return NULL;
    }
    if (to->family != AF_UNIX) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        socket_keep_alive(fd, l->conns.rules.keepalive, l->conns.rules.keepalive_timeout);
    }
    if (connect(fd, (struct sockaddr *)&sa, len) != 0 && errno != EINPROGRESS) {
        *error = errno;
        close(fd);
        *error = connect_error_known(*error, (struct sockaddr *)&sa, len);
        return NULL;
    }
    c = conn_accepted(l, fd, to, owner, data);
    if (!c) {
        *error = ENOMEM;
        return NULL;
    }
    c->dial = own_dial_note(fd, to);
    c->state = CONN_CONNECTING;
    event_assign(&c->event, l->base, fd, EV_WRITE, on_connect, c);
    event_add(&c->event, NULL);
    c->registered = true;
    return c;
}
