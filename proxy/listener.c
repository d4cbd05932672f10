#include "proxy/listener.h"

#include <assert.h>
#include <errno.h>
#include <event2/event_struct.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "proxy/admission.h"
#include "proxy/listener_private.h"
#include "proxy/own_dials.h"
#include "proxy/worker.h"

enum { ACCEPTED_IN_A_GO = 64 };

struct accepting {
    struct listener listener;
    struct listeners *all;
    struct bound *bound; /* a reference; NULL: it is shut */
    struct event readable;
};

struct listeners {
    struct worker *worker; /* borrowed */
    struct config *config; /* a reference */
    accepted_fn *accepted;
    bool full[2];        /* limits.connections is met in that direction: until `room` */
    struct event room;   /* the worker's descriptor of the admission */
    bool starved;        /* there were no descriptors, or memory is full: until `resume` */
    struct event resume; /* a timer */
    struct log_limit starved_log;
    size_t n;
    struct accepting v[];
};

/* Those from which something may be accepted now. */
static void watch(struct listeners *l)
{
    for (size_t i = 0; i < l->n; i++) {
        struct accepting *a = &l->v[i];

        if (!a->bound)
            continue;
        if (l->starved || l->full[a->listener.direction])
            event_del(&a->readable);
        else
            event_add(&a->readable, NULL);
    }
}

/* ---- accepting ---- */

/* Closing connections frees descriptors; to try without a pause would only burn the processor. */
static void starve(struct listeners *l, int error)
{
    static const struct timeval pause = {.tv_usec = 100 * 1000};
    char others[LOG_HELD_TEXT];
    unsigned held;

    if (log_limit_allow(&l->starved_log, 1, loop_now(&l->worker->loop), &held))
        log_write(LOG_WARN, "listener", "new connections have to wait: %s%s%s", strerror(error),
                  error == EMFILE ? " (raise the limit of open files: ulimit -n)" : "",
                  log_held_text(held, others));
    if (l->starved)
        return;
    l->starved = true;
    watch(l);
    evtimer_add(&l->resume, &pause);
}

/* What waits in the kernel costs less than what is accepted. */
static bool is_full(struct listeners *l)
{
    static const struct timeval pause = {.tv_usec = 100 * 1000};

    if (!worker_is_full(l->worker, 0))
        return false;
    l->starved = true;
    watch(l);
    evtimer_add(&l->resume, &pause);
    return true;
}

/* What is taken here is given back when the connection ends, or by accept_one(). What has no place
 * is held by the kernel's queue. */
static bool admit(struct accepting *a)
{
    struct worker *w = a->all->worker;
    const struct limits *limits = &worker_config(w)->limits;
    enum direction_kind d = a->listener.direction;
    size_t limit =
        d == DIRECTION_INBOUND ? limits->inbound_connections : limits->outbound_connections;

    if (admission_take(w->admission, w->index, d, limit))
        return true;
    metrics_add(w->metrics, COUNT_CONNECTION_LIMIT, 1);
    a->all->full[d] = true;
    watch(a->all);
    return false;
}

static void on_room(evutil_socket_t fd, short what, void *arg)
{
    struct listeners *l = arg;
    struct worker *w = l->worker;

    admission_heard(w->admission, w->index);
    for (unsigned d = 0; d < 2; d++)
        if (l->full[d])
            l->full[d] = admission_waits(w->admission, w->index, d);
    watch(l);
}

static void on_resume(evutil_socket_t fd, short what, void *arg)
{
    struct listeners *l = arg;

    l->starved = false;
    watch(l);
}

/* Errors of the connection that waited, which came up before it was accepted (accept(2)). */
static bool is_of_connection(int error)
{
    return error == ECONNABORTED || error == EINTR || error == EPROTO || error == EPERM ||
           error == ENETDOWN || error == ENOPROTOOPT || error == EHOSTDOWN || error == ENONET ||
           error == EHOSTUNREACH || error == EOPNOTSUPP || error == ENETUNREACH;
}

/* It has a place, which goes back where no connection came. False: there is none left, or none can
 * be accepted now. */
static bool accept_one(struct accepting *a)
{
    struct sockaddr_storage sa;
    socklen_t len = sizeof(sa);
    struct address peer = {0};

    int fd = accept4(a->bound->fd, (struct sockaddr *)&sa, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        int error = errno;

        admission_give_back(a->all->worker->admission, a->listener.direction);
        if (is_of_connection(error))
            return true;
        if (error != EAGAIN)
            starve(a->all, error);
        return false;
    }
    address_from_sockaddr((struct sockaddr *)&sa, len, &peer);
    if (peer.family == AF_UNIX)
        peer.path = ""; /* clients do not bind; and the path would be on this stack */
    loop_see_time(&a->all->worker->loop);
    a->all->accepted(a->all->worker, &a->listener, fd, &peer);
    return true;
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct accepting *a = arg;
    struct worker *w = a->all->worker;

    loop_begin_turn(&w->loop);
    for (int i = 0; i < ACCEPTED_IN_A_GO && !is_full(a->all) && admit(a) && accept_one(a); i++)
        ;
    loop_end_turn(&w->loop);
}

/* ---- life ---- */

static void add_entry(struct listeners *l, struct event_base *base, const struct listen_entry *e,
                      unsigned worker_index)
{
    struct accepting *a = &l->v[l->n++];

    if (e->config->mode == LISTEN_TRANSPARENT)
        own_dials_watch();

    a->listener = (struct listener){e->config, e->direction, e->port};
    a->all = l;
    a->bound = bound_ref(e->bound[worker_index]);
    atomic_fetch_add_explicit(&a->bound->accepting, 1, memory_order_acq_rel);
    event_assign(&a->readable, base, a->bound->fd, EV_READ | EV_PERSIST, on_readable, a);
}

struct listeners *listeners_start(struct worker *w, struct event_base *base,
                                  struct listen_sockets *sockets, unsigned worker_index,
                                  accepted_fn *accepted)
{
    assert(worker_index < sockets->workers);
    struct listeners *l = calloc(1, sizeof(*l) + sockets->n * sizeof(l->v[0]));
    if (!l)
        return NULL;
    l->worker = w;
    l->config = config_ref(sockets->config);
    l->accepted = accepted;
    evtimer_assign(&l->resume, base, on_resume, l);
    event_assign(&l->room, base, admission_descriptor(w->admission, w->index), EV_READ | EV_PERSIST,
                 on_room, l);
    event_add(&l->room, NULL);
    for (size_t i = 0; i < sockets->n; i++)
        add_entry(l, base, &sockets->v[i], worker_index);
    watch(l);
    return l;
}

/* What has come to a socket that nobody will accept from again would be reset. */
static void empty_queue(struct accepting *a)
{
    struct admission *admission = a->all->worker->admission;

    do
        admission_take_anyway(admission, a->listener.direction);
    while (accept_one(a));
    shutdown(a->bound->fd, SHUT_RDWR);
}

static void stop(struct accepting *a)
{
    struct bound *b = a->bound;

    if (!b)
        return;
    event_del(&a->readable);
    if (atomic_fetch_sub_explicit(&b->accepting, 1, memory_order_acq_rel) == 1)
        empty_queue(a);
    a->bound = NULL;
    bound_unref(b);
}

void listeners_shut(struct listeners *l, enum direction_kind direction)
{
    for (size_t i = 0; i < l->n; i++)
        if (l->v[i].listener.direction == direction)
            stop(&l->v[i]);
}

void listeners_stop(struct listeners *l)
{
    for (size_t i = 0; i < l->n; i++)
        stop(&l->v[i]);
    event_del(&l->resume);
    event_del(&l->room);
    config_unref(l->config);
    free(l);
}

void listeners_look_again(struct listeners *l)
{
    l->full[DIRECTION_INBOUND] = l->full[DIRECTION_OUTBOUND] = false;
    watch(l);
}
