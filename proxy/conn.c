/*
 * A socket's bytes. The read event is level-triggered and stays registered for
 * the life of the conn; the write event exists only while the socket is full.
 */
#include "proxy/conn.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "proxy/conn_private.h"
#include "proxy/worker.h"

static void on_event(evutil_socket_t fd, short what, void *arg);

static struct conn *conn_new(struct worker *w, int fd, const struct address *peer,
                             const struct conn_owner *owner, void *data)
{
    struct conn *c = calloc(1, sizeof *c);

    if (!c)
        return NULL;
    c->fd = fd;
    c->worker = w;
    c->owner = owner;
    c->owner_data = data;
    c->peer = *peer;
    event_assign(&c->event, w->base, fd, EV_READ | EV_PERSIST, on_event, c);
    return c;
}

struct conn *conn_accepted(struct worker *w, int fd, const struct address *peer,
                           const struct conn_owner *owner, void *data)
{
    struct conn *c = conn_new(w, fd, peer, owner, data);

    if (!c) {
        close(fd);
        return NULL;
    }
    c->state = CONN_OPEN;
    return c;
}

void conn_give(struct conn *c, const struct conn_owner *owner, void *data)
{
    c->owner = owner;
    c->owner_data = data;
}

void conn_read(struct conn *c, bool on)
{
    if (c->reading == on || c->state == CONN_CLOSED)
        return;
    c->reading = on;
    /* Turning it off is left until bytes come that nobody wants: often it is on again by then. */
    if (on && !c->registered && !c->eof && c->state == CONN_OPEN) {
        event_add(&c->event, NULL);
        c->registered = true;
    }
}

/* conn_connect() came to an end well: from here it is like any other. */
void conn_established(struct conn *c)
{
    c->state = CONN_OPEN;
    event_assign(&c->event, c->worker->base, c->fd, EV_READ | EV_PERSIST, on_event, c);
    if (c->reading) {
        event_add(&c->event, NULL);
        c->registered = true;
    }
    conn_output_start(c);
}

/* ---- reading ---- */

static void unregister(struct conn *c)
{
    if (c->registered)
        event_del(&c->event);
    c->registered = false;
}

static void read_once(struct conn *c)
{
    struct worker *w = c->worker;
    ssize_t n = recv(c->fd, w->receive, WORKER_RECEIVE_BYTES, 0);

    if (n > 0) {
        c->received_bytes += (uint64_t)n;
        c->owner->on_read(c, w->receive, (size_t)n);
    } else if (n == 0) {
        c->eof = true;
        unregister(c);
        c->owner->on_eof(c);
    } else if (errno != EAGAIN && errno != EINTR) {
        int error = errno;

        unregister(c);
        c->owner->on_error(c, error);
    }
}

static void on_event(evutil_socket_t fd, short what, void *arg)
{
    struct conn *c = arg;
    struct worker *w = c->worker;

    worker_begin_turn(w);
    if (c->reading)
        read_once(c);
    else
        unregister(c);
    worker_end_turn(w);
}

/* Reads at once what is known, or likely, to be there already: the first bytes of a new client. */
void conn_read_now(struct conn *c)
{
    if (c->reading && c->state == CONN_OPEN && !c->eof)
        read_once(c);
}

/* ---- closing ---- */

static void free_conn(struct burial *b)
{
    struct conn *c = container_of(b, struct conn, burial);

    free(c);
}

static void close_now(struct conn *c)
{
    struct worker *w = c->worker;

    if (c->state == CONN_CLOSED)
        return;
    unregister(c);
    conn_drop_output(c);
    close(c->fd);
    c->fd = -1;
    c->state = CONN_CLOSED;
    c->reading = false;
    worker_bury(w, &c->burial, free_conn);
}

void conn_close(struct conn *c)
{
    if (c->state == CONN_OPEN)
        conn_flush(c);
    close_now(c);
}

void conn_reset(struct conn *c)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};

    if (c->state == CONN_CLOSED)
        return;
    setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close_now(c);
}

/* ---- a lingering close: an owner of its own ---- */

enum { LINGER_SECONDS = 2, LINGER_MOST_SECONDS = 30 };

struct lingering {
    struct timer timer;
    struct conn *conn;
    nsec_t end; /* whatever still comes */
    struct burial burial;
};

static void free_lingering(struct burial *b)
{
    free(container_of(b, struct lingering, burial));
}

static void linger_end(struct lingering *l)
{
    struct conn *c = l->conn;

    timer_release(&l->timer);
    worker_bury(c->worker, &l->burial, free_lingering);
    conn_close(c);
}

static void linger_on_read(struct conn *c, char *data, size_t n)
{
    struct lingering *l = c->owner_data;
    nsec_t until = worker_now(c->worker) + SECONDS(LINGER_SECONDS);

    timer_arm(c->worker->timers, &l->timer, until < l->end ? until : l->end);
}

static void linger_on_eof(struct conn *c)
{
    linger_end(c->owner_data);
}

static void linger_on_drained(struct conn *c)
{
}

static void linger_on_error(struct conn *c, int error)
{
    linger_end(c->owner_data);
}

static void linger_on_timer(struct timer *t)
{
    linger_end(container_of(t, struct lingering, timer));
}

static const struct conn_owner linger_owner = {
    linger_on_read, linger_on_eof, linger_on_drained, linger_on_drained, linger_on_error,
};

void conn_close_lingering(struct conn *c)
{
    struct lingering *l;

    if (c->state != CONN_OPEN || (c->eof && conn_queued(c) == 0) || !(l = calloc(1, sizeof *l))) {
        conn_close(c);
        return;
    }
    l->conn = c;
    l->end = worker_now(c->worker) + SECONDS(LINGER_MOST_SECONDS);
    timer_init(&l->timer, linger_on_timer);
    timer_arm(c->worker->timers, &l->timer, worker_now(c->worker) + SECONDS(LINGER_SECONDS));
    conn_give(c, &linger_owner, l);
    conn_shut(c);
    conn_read(c, true);
}
