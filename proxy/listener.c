#include "proxy/listener.h"

#include <assert.h>
#include <errno.h>
#include <event2/event_struct.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

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
    bool paused[2];      /* by limits.connections, by direction */
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
        if (l->starved || l->paused[a->listener.direction])
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

    if (log_limit_allow(&l->starved_log, 1, worker_now(l->worker), &held))
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

/* False: there is none left, or none can be accepted now. */
static bool accept_one(struct accepting *a)
{
    struct sockaddr_storage sa;
    socklen_t len = sizeof(sa);
    struct address peer = {0};

    int fd = accept4(a->bound->fd, (struct sockaddr *)&sa, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        if (is_of_connection(errno))
            return true;
        if (errno != EAGAIN)
            starve(a->all, errno);
        return false;
    }
    address_from_sockaddr((struct sockaddr *)&sa, len, &peer);
    if (peer.family == AF_UNIX)
        peer.path = ""; /* clients do not bind; and the path would be on this stack */
    worker_see_time(a->all->worker);
    a->all->accepted(a->all->worker, &a->listener, fd, &peer);
    return true;
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct accepting *a = arg;
    struct worker *w = a->all->worker;

    worker_begin_turn(w);
    for (int i = 0; i < ACCEPTED_IN_A_GO && !a->all->paused[a->listener.direction] &&
                    !is_full(a->all) && accept_one(a);
         i++)
        ;
    worker_end_turn(w);
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
    for (size_t i = 0; i < sockets->n; i++)
        add_entry(l, base, &sockets->v[i], worker_index);
    watch(l);
    return l;
}

/* What has come to a socket that nobody will accept from again would be reset. */
static void empty_queue(struct accepting *a)
{
    while (accept_one(a))
        ;
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
    config_unref(l->config);
    free(l);
}

void listeners_pause(struct listeners *l, enum direction_kind direction, bool paused)
{
    if (l->paused[direction] == paused)
        return;
    l->paused[direction] = paused;
    watch(l);
}
