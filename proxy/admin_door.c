/*
 * Who comes in at the admin port. evhttp (2.1) tells of a connection's end only
 * once a request was read from it, so a reference of each bufferevent is held
 * here: when evhttp has given it up, it has no callbacks any more.
 *
 * The port answers when all else does not: where there are too many connections
 * the slowest makes room, and where there are no descriptors it has some that
 * are kept for it (process.h).
 */
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/listener.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "base/log.h"
#include "proxy/admin_private.h"
#include "proxy/process.h"

struct admin_door {
    struct list link;
    struct evhttp *http;
    struct evconnlistener *listener; /* the evhttp's; NULL: it is no more */
    struct event *sweep;
    struct bufferevent *v[ADMIN_CONNECTIONS_MAX]; /* a reference each; the oldest first */
    unsigned n;
    bool starved; /* it does not listen until the next sweep */
    bool spare;   /* the next one may take a descriptor of those kept */
    struct log_limit starved_log;
};

/* All there are, for libevent tells of a failure whose evhttp it is, and nothing of ours. */
static struct list doors = {&doors, &doors};

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

static void sweep_soon(struct admin_door *d)
{
    struct timeval often = {0, 100 * 1000};

    event_add(d->sweep, &often);
}

static void on_sweep(evutil_socket_t fd, short what, void *arg)
{
    struct admin_door *d = arg;

    (void)fd;
    (void)what;
    sweep(d);
    if (d->starved && d->listener) {
        d->starved = false;
        evconnlistener_enable(d->listener);
    }
    if (d->n == 0)
        event_del(d->sweep);
}

/* ---- room for one more ---- */

/* A request is answered as soon as it is there, so who is still here is slow to ask, or to read, or
 * has asked before and keeps the connection. The oldest that is sent nothing goes; where there is
 * none, the oldest. */
static void make_room(struct admin_door *d)
{
    struct bufferevent *slow = d->v[0];

    for (unsigned i = 0; i < d->n; i++) {
        if (evbuffer_get_length(bufferevent_get_output(d->v[i])) == 0) {
            slow = d->v[i];
            break;
        }
    }
    bufferevent_trigger_event(slow, BEV_EVENT_READING | BEV_EVENT_TIMEOUT, 0);
    sweep(d);
}

/* For each connection that is accepted. NULL: evhttp makes one itself, which is not counted. */
static struct bufferevent *on_accept(struct event_base *base, void *arg)
{
    struct admin_door *d = arg;

    if (d->spare)
        process_use_spare_descriptors(false);
    d->spare = false;
    sweep(d);
    if (d->n == ADMIN_CONNECTIONS_MAX)
        make_room(d);
    struct bufferevent *b = bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);
    if (!b || d->n == ADMIN_CONNECTIONS_MAX)
        return b;
    bufferevent_incref(b);
    d->v[d->n++] = b;
    sweep_soon(d);
    return b;
}

/* ---- no descriptors ---- */

static void starve(struct admin_door *d, int error)
{
    char others[LOG_HELD_TEXT];
    unsigned held;

    if (log_limit_allow(&d->starved_log, 1, clock_monotonic(), &held))
        log_write(LOG_WARN, "admin", "connections to the admin port have to wait: %s%s%s",
                  strerror(error),
                  error == EMFILE ? " (raise the limit of open files: ulimit -n)" : "",
                  log_held_text(held, others));
    d->starved = true;
    evconnlistener_disable(d->listener); /* to try without a pause would only burn the processor */
    sweep_soon(d);
}

static struct admin_door *door_of(const struct evhttp *http)
{
    LIST_FOR_EACH (at, &doors) {
        struct admin_door *d = container_of(at, struct admin_door, link);
        if (d->http == http)
            return d;
    }
    return NULL;
}

static void on_accept_failed(struct evconnlistener *listener, void *http)
{
    int error = EVUTIL_SOCKET_ERROR();
    struct admin_door *d = door_of(http);

    (void)listener;
    if (!d || !d->listener)
        return;
    if (error == EMFILE && !d->spare) {
        d->spare = process_use_spare_descriptors(true); /* it is tried again at once */
        if (d->spare)
            return;
    }
    if (d->spare)
        process_use_spare_descriptors(false);
    d->spare = false;
    starve(d, error);
}

/* ---- life ---- */

struct admin_door *admin_door_new(struct event_base *base, struct evhttp *http,
                                  struct evhttp_bound_socket *bound)
{
    struct admin_door *d = calloc(1, sizeof(*d));

    if (!d)
        return NULL;
    d->http = http;
    d->listener = evhttp_bound_socket_get_listener(bound);
    d->sweep = event_new(base, -1, EV_PERSIST, on_sweep, d);
    if (!d->sweep) {
        free(d);
        return NULL;
    }
    list_push_back(&doors, &d->link);
    evconnlistener_set_error_cb(d->listener, on_accept_failed);
    evhttp_set_bevcb(http, on_accept, d);
    return d;
}

void admin_door_close(struct admin_door *d)
{
    d->listener = NULL;
    if (d->spare)
        process_use_spare_descriptors(false);
    d->spare = false;
}

void admin_door_free(struct admin_door *d)
{
    if (!d)
        return;
    list_remove(&d->link);
    for (unsigned i = 0; i < d->n; i++)
        bufferevent_decref(d->v[i]);
    event_free(d->sweep);
    free(d);
}
