/*
 * What a conn sends: gathered during a turn, one sendmsg(2) at its end, queued
 * only when the socket is full.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "proxy/conn_private.h"
#include "proxy/loop.h"

enum { TURN_PIECES = 64, QUEUE_START_BYTES = 16 * 1024, SMALL_BYTES = 4096 };

struct out_turn {
    struct list link; /* in loop->dirty */
    struct conn *conn;
    struct out_turn *next_free;
    size_t bytes;
    int n;
    struct iovec v[TURN_PIECES];
};

/* Bytes the socket did not take, in one piece. */
struct out_queue {
    struct event writable;
    size_t start, end, cap;
    char *p;
};

/* ---- the turn ---- */

static struct out_turn *turn_of(struct conn *c)
{
    struct loop *l = c->loop;
    struct out_turn *t = c->turn;

    if (t)
        return t;
    t = l->conns.free_turns;
    if (t)
        l->conns.free_turns = t->next_free;
    else if (!(t = malloc(sizeof *t)))
        return NULL;
    t->conn = c;
    t->n = 0;
    t->bytes = 0;
    list_push_back(&l->dirty, &t->link);
    c->turn = t;
    return t;
}

static void turn_done(struct conn *c)
{
    struct out_turn *t = c->turn;

    list_remove(&t->link);
    t->next_free = c->loop->conns.free_turns;
    c->loop->conns.free_turns = t;
    c->turn = NULL;
}

void out_turns_free(struct loop *l)
{
    while (l->conns.free_turns) {
        struct out_turn *t = l->conns.free_turns;

        l->conns.free_turns = t->next_free;
        free(t);
    }
}

/* ---- the queue ---- */

static void write_failed(struct conn *c, int error)
{
    c->broken = true;
    if (c->queue)
        c->queue->start = c->queue->end = 0;
    c->write_error = c->error = error;
    /* The end of the turn tells it; without memory for that, reading finds it. */
    if (!turn_of(c))
        shutdown(c->fd, SHUT_RDWR);
}

static void queue_free(struct conn *c)
{
    if (!c->queue)
        return;
    event_del(&c->queue->writable);
    free(c->queue->p);
    free(c->queue);
    c->queue = NULL;
}

/* In a piece of that size. False: no memory, and all is as it was. */
static bool queue_move(struct out_queue *q, size_t cap)
{
    size_t used = q->end - q->start;
    char *p = malloc(cap);

    if (!p)
        return false;
    if (used)
        memcpy(p, q->p + q->start, used);
    free(q->p);
    q->p = p;
    q->cap = cap;
    q->start = 0;
    q->end = used;
    return true;
}

static bool queue_room(struct loop *l, struct out_queue *q, size_t n)
{
    size_t used = q->end - q->start;
    size_t cap = q->cap ? q->cap : QUEUE_START_BYTES;

    if (q->cap - q->end >= n)
        return true;
    if (q->start && q->cap - used >= n) {
        memmove(q->p, q->p + q->start, used);
        q->start = 0;
        q->end = used;
        return true;
    }
    while (cap - used < n)
        cap *= 2;
    loop_took(l, cap - q->cap);
    return queue_move(q, cap);
}

/* While memory is short a queue that a slow reader has half emptied is cut to what is in it. */
static void queue_shrink(struct out_queue *q)
{
    size_t cap = q->cap;

    while (cap > QUEUE_START_BYTES && cap / 4 >= q->end - q->start)
        cap /= 2;
    if (cap < q->cap)
        queue_move(q, cap);
}

static void on_writable(evutil_socket_t fd, short what, void *arg);

static void queue_add(struct conn *c, const char *p, size_t n)
{
    if (n == 0)
        return;
    if (!c->queue) {
        c->queue = calloc(1, sizeof *c->queue);
        if (!c->queue) {
            write_failed(c, ENOMEM);
            return;
        }
        event_assign(&c->queue->writable, c->loop->base, c->fd, EV_WRITE | EV_ET | EV_PERSIST,
                     on_writable, c);
        if (c->state == CONN_OPEN)
            event_add(&c->queue->writable, NULL);
    }
    if (!queue_room(c->loop, c->queue, n)) {
        write_failed(c, ENOMEM);
        return;
    }
    memcpy(c->queue->p + c->queue->end, p, n);
    c->queue->end += n;
}

static void queue_send(struct conn *c)
{
    struct out_queue *q = c->queue;
    ssize_t n = send(c->fd, q->p + q->start, q->end - q->start, MSG_NOSIGNAL);

    if (n < 0) {
        if (errno != EAGAIN && errno != EINTR)
            write_failed(c, errno);
        return;
    }
    q->start += (size_t)n;
    c->sent_bytes += (uint64_t)n;
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    struct conn *c = arg;
    struct loop *l = c->loop;
    bool was_blocked = c->blocked;

    loop_begin_turn(l);
    queue_send(c);
    if (c->queue->start == c->queue->end) {
        queue_free(c);
        if (c->shut)
            shutdown(c->fd, SHUT_WR);
    } else if (memory_state() != MEMORY_FINE) {
        queue_shrink(c->queue);
    }
    if (was_blocked && !c->broken && conn_queued(c) <= conns_high_mark(&l->conns) / 2) {
        c->blocked = false;
        c->owner->on_drained(c);
    }
    loop_end_turn(l);
}

/* ---- what a conn's owner calls ---- */

void conn_write(struct conn *c, struct str bytes)
{
    struct out_turn *t;

    if (bytes.n == 0 || c->broken || c->state == CONN_CLOSED)
        return;
    if (c->queue) {
        queue_add(c, bytes.p, bytes.n);
        return;
    }
    if (c->turn && c->turn->n == TURN_PIECES) {
        conn_flush(c);
        conn_write(c, bytes);
        return;
    }
    if (!(t = turn_of(c))) {
        write_failed(c, ENOMEM);
        return;
    }
    t->v[t->n++] = (struct iovec){(char *)(uintptr_t)bytes.p, bytes.n};
    t->bytes += bytes.n;
}

/* The pieces after the first `sent` bytes go to the queue. */
static void queue_rest(struct conn *c, const struct out_turn *t, size_t sent)
{
    for (int i = 0; i < t->n && !c->broken; i++) {
        if (sent >= t->v[i].iov_len) {
            sent -= t->v[i].iov_len;
            continue;
        }
        queue_add(c, (const char *)t->v[i].iov_base + sent, t->v[i].iov_len - sent);
        sent = 0;
    }
}

/* A little in several pieces is cheaper to copy together than to describe to the kernel. */
static ssize_t send_turn(struct conn *c, struct out_turn *t)
{
    char together[SMALL_BYTES];
    struct msghdr m = {.msg_iov = t->v, .msg_iovlen = (size_t)t->n};
    size_t at = 0;

    if (t->n == 1)
        return send(c->fd, t->v[0].iov_base, t->v[0].iov_len, MSG_NOSIGNAL);
    if (t->bytes > sizeof together)
        return sendmsg(c->fd, &m, MSG_NOSIGNAL);
    for (int i = 0; i < t->n; i++) {
        memcpy(together + at, t->v[i].iov_base, t->v[i].iov_len);
        at += t->v[i].iov_len;
    }
    return send(c->fd, together, at, MSG_NOSIGNAL);
}

void conn_flush(struct conn *c)
{
    struct out_turn *t = c->turn;
    ssize_t n = 0;

    if (!t || t->n == 0)
        return;
    if (c->state == CONN_OPEN && !c->queue && !c->broken) {
        n = send_turn(c, t);
        if (n < 0 && errno != EAGAIN && errno != EINTR) {
            write_failed(c, errno);
            n = 0;
        } else if (n < 0) {
            n = 0;
        }
        c->sent_bytes += (uint64_t)n;
    }
    if (!c->broken && (size_t)n < t->bytes)
        queue_rest(c, t, (size_t)n);
    t->n = 0;
    t->bytes = 0;
}

void conns_send(struct loop *l)
{
    loop_run_turn_ends(l);
    LIST_FOR_EACH (at, &l->dirty)
        conn_flush(container_of(at, struct out_turn, link)->conn);
}

void conns_flush_written(struct loop *l)
{
    while (!list_empty(&l->dirty)) {
        struct out_turn *t = container_of(l->dirty.next, struct out_turn, link);
        struct conn *c = t->conn;
        int error;

        conn_flush(c);
        error = c->write_error;
        c->write_error = 0;
        turn_done(c);
        /* What the peer sent before it broke is still to be read, and its end with it. */
        if (error && c->reading && c->registered)
            conn_read_soon(c);
        else if (error)
            c->owner->on_error(c, error);
    }
}

size_t conn_queued(const struct conn *c)
{
    return (c->queue ? c->queue->end - c->queue->start : 0) + (c->turn ? c->turn->bytes : 0);
}

bool conn_blocked(struct conn *c)
{
    if (c->blocked || (!c->turn && !c->queue))
        return c->blocked;
    /* What was gathered in this turn is no backlog yet: the socket has not been asked. */
    if (c->turn && c->turn->bytes > conns_high_mark(&c->loop->conns))
        conn_flush(c);
    if (c->queue && c->queue->end - c->queue->start > conns_high_mark(&c->loop->conns))
        c->blocked = true;
    return c->blocked;
}

void conn_shut(struct conn *c)
{
    if (c->shut || c->state != CONN_OPEN)
        return;
    conn_flush(c);
    c->shut = true;
    if (!c->queue)
        shutdown(c->fd, SHUT_WR);
}

void conn_drop_output(struct conn *c)
{
    if (c->turn)
        turn_done(c);
    queue_free(c);
}

/* A connection is there: what was queued while it was made goes out. */
void conn_output_start(struct conn *c)
{
    if (!c->queue)
        return;
    queue_send(c);
    if (c->queue->start == c->queue->end)
        queue_free(c);
    else
        event_add(&c->queue->writable, NULL);
}
