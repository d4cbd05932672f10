/*
 * A lingering close: an owner of conns of its own.
 */
#include <stdlib.h>

#include "proxy/conn_private.h"
#include "proxy/loop.h"

/* How long the peer may be silent when all was sent; how long it may talk; how long it may take
 * nothing of what is still queued. And how many may linger: the next are closed at once. */
enum { LINGER_SECONDS = 2, LINGER_MOST_SECONDS = 30, LINGER_STUCK_SECONDS = 30, LINGER_MAX = 4096 };

struct lingering {
    struct list link; /* in loop->conns.lingering */
    struct timer timer;
    struct conn *conn;
    nsec_t end;    /* whatever still comes */
    uint64_t sent; /* when last looked at */
    bool sending;  /* something is queued: a drain waits for it */
    struct burial burial;
};

static void free_lingering(struct burial *b)
{
    free(container_of(b, struct lingering, burial));
}

static void linger_end(struct lingering *l, bool reset)
{
    struct conn *c = l->conn;

    if (l->sending)
        loop_busy_add(c->loop, -1);
    c->loop->conns.n_lingering--;
    list_remove(&l->link);
    timer_release(&l->timer);
    loop_bury(c->loop, &l->burial, free_lingering);
    if (reset)
        conn_reset(c);
    else
        conn_close(c);
}

static void linger_rearm(struct lingering *l)
{
    struct loop *loop = l->conn->loop;
    nsec_t until = loop_now(loop) + SECONDS(l->sending ? LINGER_STUCK_SECONDS : LINGER_SECONDS);

    if (!l->sending && until > l->end)
        until = l->end;
    timer_arm(loop->timers, &l->timer, until);
}

/* All was handed to the socket, FIN too: from here the peer is only waited for. */
static void linger_sent(struct lingering *l)
{
    struct loop *loop = l->conn->loop;

    if (l->sending)
        loop_busy_add(loop, -1);
    l->sending = false;
    l->end = loop_now(loop) + SECONDS(LINGER_MOST_SECONDS);
    if (l->conn->eof)
        linger_end(l, false);
    else
        linger_rearm(l);
}

static void linger_on_read(struct conn *c, char *data, size_t n)
{
    struct lingering *l = c->owner_data;

    if (!l->sending)
        linger_rearm(l);
}

static void linger_on_eof(struct conn *c)
{
    struct lingering *l = c->owner_data;

    if (!l->sending || c->broken) /* else a half-close: it may still read */
        linger_end(l, false);
}

static void linger_on_drained(struct conn *c)
{
    struct lingering *l = c->owner_data;

    if (conn_queued(c) == 0)
        linger_sent(l);
    else
        c->blocked = true; /* to be told again */
}

static void linger_on_connected(struct conn *c)
{
}

static void linger_on_error(struct conn *c, int error)
{
    linger_end(c->owner_data, false);
}

static void linger_on_timer(struct timer *t)
{
    struct lingering *l = container_of(t, struct lingering, timer);

    if (l->sending && l->conn->sent_bytes > l->sent) {
        l->sent = l->conn->sent_bytes;
        linger_rearm(l);
        return;
    }
    linger_end(l, l->sending);
}

static const struct conn_owner linger_owner = {
    linger_on_read, linger_on_eof, linger_on_drained, linger_on_connected, linger_on_error,
};

void conn_close_lingering(struct conn *c)
{
    struct loop *loop = c->loop;
    struct lingering *l;
    bool sending;

    conn_shut(c);
    sending = conn_queued(c) > 0;
    if (c->state != CONN_OPEN || c->broken || (c->eof && !sending) ||
        loop->conns.n_lingering >= LINGER_MAX || !(l = calloc(1, sizeof *l))) {
        conn_close(c);
        return;
    }
    l->conn = c;
    l->sent = c->sent_bytes;
    l->sending = sending;
    l->end = loop_now(loop) + SECONDS(LINGER_MOST_SECONDS);
    if (sending) {
        loop_busy_add(loop, 1);
        c->blocked = true; /* on_drained() is owed */
    }
    loop->conns.n_lingering++;
    list_push_back(&loop->conns.lingering, &l->link);
    timer_init(&l->timer, linger_on_timer);
    linger_rearm(l);
    conn_give(c, &linger_owner, l);
    conn_read(c, true);
}

void conns_cut_lingering(struct loop *loop)
{
    while (!list_empty(&loop->conns.lingering)) {
        struct lingering *l = container_of(loop->conns.lingering.next, struct lingering, link);

        linger_end(l, l->sending);
    }
}
