/*
 * A socket's bytes. The read event stays registered for the life of the conn,
 * the write event exists only while the socket is full. Both are edge-triggered:
 * the kernel tells once, and what was not read then is remembered here.
 */
#include "proxy/conn.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "proxy/conn_private.h"
#include "proxy/loop.h"
#include "proxy/own_dials.h"

/* EV_CLOSED: a FIN that came with the last bytes has no edge of its own. */
#define READ_EDGE (EV_READ | EV_CLOSED | EV_ET | EV_PERSIST)

static void on_event(evutil_socket_t fd, short what, void *arg);

static struct conn *conn_new(struct loop *l, int fd, const struct address *peer,
                             const struct conn_owner *owner, void *data)
{
    struct conn *c = calloc(1, sizeof *c);

    if (!c)
        return NULL;
    c->fd = fd;
    c->loop = l;
    c->owner = owner;
    c->owner_data = data;
    c->peer = *peer;
    list_init(&c->doubt);
    list_init(&c->all);
    conn_watch(c);
    event_assign(&c->event, l->base, fd, READ_EDGE, on_event, c);
    return c;
}

struct conn *conn_accepted(struct loop *l, int fd, const struct address *peer,
                           const struct conn_owner *owner, void *data)
{
    struct conn *c = conn_new(l, fd, peer, owner, data);

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
    if (!on || c->eof || c->state != CONN_OPEN)
        return;
    if (!c->registered) {
        event_add(&c->event, NULL);
        c->registered = true;
    } else if (c->ready) {
        conn_read_soon(c);
    }
}

/* conn_connect() came to an end well: from here it is like any other. */
void conn_established(struct conn *c)
{
    c->state = CONN_OPEN;
    event_assign(&c->event, c->loop->base, c->fd, READ_EDGE, on_event, c);
    if (c->reading) {
        event_add(&c->event, NULL);
        c->registered = true;
    }
    conn_output_start(c);
}

/* ---- reading ---- */

/* The kernel will not tell again: the loop's next round reads. */
void conn_read_soon(struct conn *c)
{
    if (c->registered)
        event_active(&c->event, EV_READ, 0);
}

static void unregister(struct conn *c)
{
    if (c->registered)
        event_del(&c->event);
    c->registered = false;
}

/*
 * A reset that comes with the last bytes has no edge of its own, and libevent
 * tells it as more to read. To read until nothing is left would cost each
 * request a call, so it is looked for a moment later; and only where nothing was
 * sent meanwhile, since sending would have met it.
 */
#define DOUBT_TIME MILLISECONDS(20)

static void doubt(struct conn *c)
{
    struct loop *l = c->loop;

    c->sent_when_read = c->sent_bytes;
    if (!list_empty(&c->doubt))
        return;
    list_push_back(&l->conns.doubtful, &c->doubt);
    if (!timer_armed(&l->conns.doubt_timer))
        timer_arm(l->timers, &l->conns.doubt_timer, loop_now(l) + DOUBT_TIME);
}

void conn_lost(struct conn *c, int error)
{
    c->broken = true;
    c->error = error;
    unregister(c);
    c->owner->on_error(c, error);
}

/* Looking takes the error off the socket: reading after it would find an end that is none. */
static void look_again(struct conn *c)
{
    char byte;

    if (!c->registered || c->sent_bytes != c->sent_when_read)
        return;
    if (recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0)
        conn_read_soon(c);
    else if (errno != EAGAIN && errno != EINTR)
        conn_lost(c, errno);
}

void conns_look_again(struct timer *t)
{
    struct loop *l = container_of(t, struct loop, conns.doubt_timer);

    while (!list_empty(&l->conns.doubtful)) {
        struct conn *c = container_of(l->conns.doubtful.next, struct conn, doubt);

        list_remove(&c->doubt);
        if (c->reading)
            look_again(c);
        else
            c->ready = true; /* it will be read when it is wanted */
    }
}

/* What was read before in this turn may still be lent. Where there is no room behind it, it goes
 * first. */
static size_t receive_room(struct loop *l)
{
    if (l->received > LOOP_RECEIVE_BYTES / 2) {
        loop_see_time(l);
        conns_send(l);
        l->received = 0;
    }
    return LOOP_RECEIVE_BYTES - l->received;
}

/* A slow reader's queue grows by what is read at once. */
static size_t receive_bytes(struct loop *l)
{
    size_t room = receive_room(l);

    return memory_state() != MEMORY_FINE && room > MEMORY_SHORT_BYTES ? MEMORY_SHORT_BYTES : room;
}

static void note_fin(struct conn *c)
{
    if (c->fin_seen)
        return;
    c->fin_seen = true;
    c->fin_at = loop_now(c->loop);
    c->fin_sent = c->sent_bytes;
    c->fin_received = c->received_bytes;
}

static void read_once(struct conn *c)
{
    struct loop *l = c->loop;
    size_t room = receive_bytes(l);
    char *at = l->receive + l->received;
    ssize_t n;

    if (c->state != CONN_OPEN) /* what was sent to make room may have ended it */
        return;
    n = recv(c->fd, at, room, 0);
    loop_see_time(l);
    /* A full buffer, or a FIN that has come, means that there is more; a short read, that there is
     * not. */
    c->ready = n == (ssize_t)room || (n > 0 && c->fin_seen) || (n < 0 && errno == EINTR);
    if (c->ready)
        conn_read_soon(c);
    if (n > 0) {
        c->received_bytes += (uint64_t)n;
        l->received += (size_t)n;
        if (!c->ready)
            doubt(c);
        c->owner->on_read(c, at, (size_t)n);
    } else if (n == 0) {
        c->eof = true;
        note_fin(c);
        unregister(c);
        c->owner->on_eof(c);
    } else if (errno != EAGAIN && errno != EINTR) {
        conn_lost(c, errno);
    }
}

static void on_event(evutil_socket_t fd, short what, void *arg)
{
    struct conn *c = arg;
    struct loop *l = c->loop;

    if (c->reading && !(what & EV_CLOSED))
        loop_begin_turn_untimed(l); /* read_once() sees the time when it has read */
    else
        loop_begin_turn(l);
    if (what & EV_CLOSED)
        note_fin(c);
    if (c->reading)
        read_once(c);
    else
        c->ready = true;
    loop_end_turn(l);
}

void conn_read_now(struct conn *c)
{
    if (!c->reading || c->state != CONN_OPEN || c->eof)
        return;
    read_once(c);
}

enum conn_end conn_end_now(const struct conn *c)
{
    struct pollfd p = {.fd = c->fd, .events = POLLRDHUP};

    if (c->state != CONN_OPEN || c->broken)
        return CONN_RESET;
    if (poll(&p, 1, 0) > 0 && (p.revents & (POLLERR | POLLHUP)))
        return CONN_RESET;
    return c->eof || p.revents ? CONN_FIN : CONN_GOES_ON;
}

void conn_acknowledge(struct conn *c)
{
    int one = 1;

    if (c->state == CONN_OPEN && c->peer.family != AF_UNIX)
        setsockopt(c->fd, IPPROTO_TCP, TCP_QUICKACK, &one, sizeof one);
}

/* ---- closing ---- */

static void free_conn(struct burial *b)
{
    struct conn *c = container_of(b, struct conn, burial);

    free(c);
}

static void close_now(struct conn *c)
{
    struct loop *l = c->loop;

    if (c->state == CONN_CLOSED)
        return;
    unregister(c);
    list_remove(&c->doubt);
    list_remove(&c->all);
    l->conns.n--;
    conn_drop_output(c);
    own_dial_forget(c->dial);
    close(c->fd);
    c->fd = -1;
    c->state = CONN_CLOSED;
    c->reading = false;
    loop_bury(l, &c->burial, free_conn);
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

/* ---- all of a loop ---- */

void conns_init(struct loop *l)
{
    l->send = conns_flush_written;
    list_init(&l->conns.all);
    list_init(&l->conns.doubtful);
    list_init(&l->conns.lingering);
    timer_init(&l->conns.doubt_timer, conns_look_again);
    timer_init(&l->conns.lost_timer, conns_look_for_lost);
}

void conns_end(struct loop *l)
{
    timer_release(&l->conns.doubt_timer);
    timer_release(&l->conns.lost_timer);
    out_turns_free(l);
}

void conns_follow(struct loop *l, const struct conn_rules *rules)
{
    l->conns.rules = *rules;
}
