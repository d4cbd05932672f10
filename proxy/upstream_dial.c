/*
 * Connections to one endpoint on their way: made for whoever waits, or taken
 * over while they are made.
 */
#include <errno.h>
#include <stdlib.h>

#include "proxy/conn.h"
#include "proxy/upstream_private.h"

struct dialling {
    struct list link; /* in worker->dialling */
    struct timer timer;
    struct upstream *upstream; /* a reference */
    struct conn *conn;
    bool http2;
    struct burial burial;
};

static void free_dialling(struct burial *b)
{
    free(container_of(b, struct dialling, burial));
}

static void dialling_end(struct dialling *d)
{
    list_remove(&d->link);
    timer_release(&d->timer);
    if (d->http2)
        d->upstream->n_shared_connecting--;
    else
        d->upstream->n_connecting--;
    loop_bury(&d->upstream->worker->loop, &d->burial, free_dialling);
}

static void on_dialled(struct conn *c)
{
    struct dialling *d = c->owner_data;
    struct upstream *u = d->upstream;

    metrics_add(u->worker->metrics, COUNT_UPSTREAM_CONNECTS, 1);
    upstream_answered(u);
    dialling_end(d);
    upstream_opened(u);
    if (d->http2)
        shared_connected(u, c);
    else
        upstream_connected(u, c);
    upstream_unref(u);
}

static void on_dial_error(struct conn *c, int error)
{
    struct dialling *d = c->owner_data;
    struct upstream *u = d->upstream;

    upstream_did_not_answer(u, error);
    upstream_hear(u, 0, HEARD_HTTP1 | HEARD_NO_HTTP2); /* who comes in its place may speak else */
    dialling_end(d);
    conn_close(c);
    if (d->http2)
        shared_connect_failed(u, error);
    else
        upstream_could_not_connect(u, error);
    upstream_unref(u);
}

static void on_dial_timer(struct timer *t)
{
    on_dial_error(container_of(t, struct dialling, timer)->conn, ETIMEDOUT);
}

static void on_dial_read(struct conn *c, char *data, size_t n)
{
}

static void on_dial_eof(struct conn *c)
{
}

static const struct conn_owner dial_owner = {on_dial_read, on_dial_eof, on_dial_eof, on_dialled,
                                             on_dial_error};

static void follow(struct upstream *u, struct dialling *d)
{
    d->upstream = upstream_ref(u);
    if (d->http2)
        u->n_shared_connecting++;
    else
        u->n_connecting++;
    list_push_back(&u->worker->dialling, &d->link);
    if (u->pool.connect_timeout)
        timer_arm(u->worker->loop.timers, &d->timer,
                  loop_now(&u->worker->loop) + u->pool.connect_timeout);
}

static struct dialling *dialling_new(void)
{
    struct dialling *d = calloc(1, sizeof *d);

    if (d)
        timer_init(&d->timer, on_dial_timer);
    return d;
}

int upstream_dial(struct upstream *u, bool http2)
{
    struct dialling *d = dialling_new();
    int error = ENOMEM;

    if (!d)
        return error;
    d->http2 = http2;
    d->conn = conn_connect(&u->worker->loop, &u->address, &dial_owner, d, &error);
    if (!d->conn) {
        free(d);
        return error;
    }
    follow(u, d);
    return 0;
}

void upstream_follow(struct upstream *u, struct conn *c, bool http2)
{
    struct dialling *d = dialling_new();

    if (!d) {
        conn_close(c);
        return;
    }
    d->conn = c;
    d->http2 = http2;
    conn_give(c, &dial_owner, d);
    follow(u, d);
}

void upstreams_hang_up(struct worker *w)
{
    while (!list_empty(&w->dialling)) {
        struct dialling *d = container_of(w->dialling.next, struct dialling, link);
        struct upstream *u = d->upstream;

        dialling_end(d);
        conn_close(d->conn);
        upstream_unref(u);
    }
}
