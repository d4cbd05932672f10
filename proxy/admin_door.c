/*
 * How many connections the admin port has. evhttp (2.1) tells of a connection's
 * end only once a request was read from it, so a reference of each bufferevent
 * is held here: when evhttp has given it up, it has no callbacks any more.
 */
#include <event2/bufferevent.h>
#include <event2/listener.h>
#include <stdlib.h>

#include "proxy/admin_private.h"

struct admin_door {
    struct evconnlistener *listener; /* the evhttp's; NULL: it is no more */
    struct event *sweep;
    struct bufferevent *v[ADMIN_CONNECTIONS_MAX]; /* a reference each */
    unsigned n;
};

static bool in_use(struct bufferevent *b)
{
    bufferevent_data_cb on_read, on_write;
    bufferevent_event_cb on_event;
    void *arg;

    bufferevent_getcb(b, &on_read, &on_write, &on_event, &arg);
    return on_event != NULL;
}

/* Closes what evhttp is done with. */
static void sweep(struct admin_door *d)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < d->n; i++) {
        if (in_use(d->v[i]))
            d->v[kept++] = d->v[i];
        else
            bufferevent_decref(d->v[i]);
    }
    d->n = kept;
}

static void on_sweep(evutil_socket_t fd, short what, void *arg)
{
    struct admin_door *d = arg;

    (void)fd;
    (void)what;
    sweep(d);
    if (d->listener && d->n < ADMIN_CONNECTIONS_MAX)
        evconnlistener_enable(d->listener);
    if (d->n == 0)
        event_del(d->sweep);
}

/* For each connection that is accepted. NULL: evhttp makes one itself, which is not counted. */
static struct bufferevent *on_accept(struct event_base *base, void *arg)
{
    struct timeval often = {0, 100 * 1000};
    struct admin_door *d = arg;

    sweep(d);
    struct bufferevent *b = bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);
    if (!b || d->n == ADMIN_CONNECTIONS_MAX)
        return b;
    bufferevent_incref(b);
    d->v[d->n++] = b;
    if (d->n == ADMIN_CONNECTIONS_MAX)
        evconnlistener_disable(d->listener);
    event_add(d->sweep, &often);
    return b;
}

struct admin_door *admin_door_new(struct event_base *base, struct evhttp *http,
                                  struct evhttp_bound_socket *bound)
{
    struct admin_door *d = calloc(1, sizeof(*d));

    if (!d)
        return NULL;
    d->listener = evhttp_bound_socket_get_listener(bound);
    d->sweep = event_new(base, -1, EV_PERSIST, on_sweep, d);
    if (!d->sweep) {
        free(d);
        return NULL;
    }
    evhttp_set_bevcb(http, on_accept, d);
    return d;
}

void admin_door_close(struct admin_door *d)
{
    d->listener = NULL;
}

void admin_door_free(struct admin_door *d)
{
    if (!d)
        return;
    for (unsigned i = 0; i < d->n; i++)
        bufferevent_decref(d->v[i]);
    event_free(d->sweep);
    free(d);
}
