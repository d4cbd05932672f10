/*
 * What the main thread asks of a worker: each a message, carried out on the
 * worker's thread.
 */
#include <stdlib.h>

#include "proxy/conn_private.h"
#include "proxy/exchange.h"
#include "proxy/front.h"
#include "proxy/tunnel.h"
#include "proxy/upstream.h"
#include "proxy/worker.h"

struct order {
    struct worker *worker;
    struct worker_setup setup;
    struct listen_sockets *sockets;
    struct endpoint_set *endpoints;
    enum direction_kind direction;
    void (*told)(void *arg, bool ready); /* what became of the preparing */
    void *arg;
};

static void post(struct worker *w, void (*fn)(void *arg), const struct order *m)
{
    struct order *copy = malloc(sizeof *copy);

    if (!copy)
        abort(); /* a few hundred bytes for each reload: what is large was had before */
    *copy = *m;
    copy->worker = w;
    mailbox_post(w->loop.mailbox, fn, copy);
}

static void on_listen(void *arg)
{
    struct order *m = arg;
    struct worker *w = m->worker;
    struct listeners *old = w->listeners;

    loop_begin_turn(&w->loop);
    w->listeners = listeners_start(w, w->loop.base, m->sockets, w->index, front_accepted);
    if (!w->listeners)
        log_write(LOG_ERROR, "worker", "no memory to listen: worker %u accepts nothing", w->index);
    if (old)
        listeners_stop(old);
    listen_sockets_unref(m->sockets);
    loop_end_turn(&w->loop);
    free(m);
}

void worker_listen(struct worker *w, struct listen_sockets *sockets)
{
    post(w, on_listen, &(struct order){.sockets = sockets});
}

static void on_configure(void *arg)
{
    struct order *m = arg;
    struct worker *w = m->worker;

    loop_begin_turn(&w->loop);
    worker_adopt(w, &m->setup);
    if (w->listeners)
        listeners_look_again(w->listeners);
    config_unref(m->setup.config);
    loop_end_turn(&w->loop);
    free(m);
}

static void on_prepare(void *arg)
{
    struct order *m = arg;
    enum preparing step;

    loop_begin_turn(&m->worker->loop);
    step = generation_prepare(m->worker, &m->setup);
    loop_end_turn(&m->worker->loop);
    if (step == PREPARE_MORE) {
        mailbox_post(m->worker->loop.mailbox, on_prepare, m);
        return;
    }
    config_unref(m->setup.config);
    m->told(m->arg, step == PREPARE_DONE);
    free(m);
}

void worker_prepare(struct worker *w, const struct worker_setup *setup,
                    void (*told)(void *arg, bool ready), void *arg)
{
    config_ref(setup->config);
    post(w, on_prepare, &(struct order){.setup = *setup, .told = told, .arg = arg});
}

static void on_forget(void *arg)
{
    struct worker *w = arg;

    loop_begin_turn(&w->loop);
    generation_forget(w);
    loop_end_turn(&w->loop);
}

void worker_forget(struct worker *w)
{
    mailbox_post(w->loop.mailbox, on_forget, w);
}

void worker_configure(struct worker *w, const struct worker_setup *setup)
{
    config_ref(setup->config);
    post(w, on_configure, &(struct order){.setup = *setup});
}

static void on_endpoints(void *arg)
{
    struct order *m = arg;
    struct worker *w = m->worker;

    loop_begin_turn(&w->loop);
    upstreams_set_endpoints(w->upstreams, m->endpoints);
    loop_end_turn(&w->loop);
    free(m);
}

void worker_set_endpoints(struct worker *w, struct endpoint_set *set)
{
    post(w, on_endpoints, &(struct order){.endpoints = set});
}

static void on_leave(void *arg)
{
    struct order *m = arg;
    struct worker *w = m->worker;

    loop_begin_turn(&w->loop);
    w->leaving[m->direction] = LEAVING_TOLD;
    fronts_leave(w, m->direction);
    loop_end_turn(&w->loop);
    free(m);
}

void worker_leave(struct worker *w, enum direction_kind direction)
{
    post(w, on_leave, &(struct order){.direction = direction});
}

static void on_shut(void *arg)
{
    struct order *m = arg;
    struct worker *w = m->worker;

    loop_begin_turn(&w->loop);
    w->leaving[m->direction] = LEAVING_SHUT;
    if (w->listeners)
        listeners_shut(w->listeners, m->direction);
    fronts_shut(w, m->direction);
    loop_end_turn(&w->loop);
    free(m);
}

void worker_shut(struct worker *w, enum direction_kind direction)
{
    post(w, on_shut, &(struct order){.direction = direction});
}

static void on_look(void *arg)
{
    struct worker *w = arg;
    unsigned begun;

    loop_begin_turn(&w->loop);
    begun = fronts_begun(w);
    loop_end_turn(&w->loop);
    atomic_store_explicit(&w->begun, begun, memory_order_relaxed);
    atomic_fetch_add_explicit(&w->looked, 1, memory_order_release);
}

void worker_look(struct worker *w)
{
    mailbox_post(w->loop.mailbox, on_look, w);
}

static void on_trim(void *arg)
{
    struct worker *w = arg;

    loop_begin_turn(&w->loop);
    exchange_pool_trim(w->pool);
    loop_end_turn(&w->loop);
}

void worker_trim(struct worker *w)
{
    mailbox_post(w->loop.mailbox, on_trim, w);
}

static void on_cut(void *arg)
{
    struct worker *w = arg;

    loop_begin_turn(&w->loop);
    conns_cut_lingering(&w->loop); /* not what lingers from here on: it has a goodbye to read */
    exchanges_cut_all(w, SPAN_ERROR_DRAINING);
    tunnels_cut_all(w, SPAN_ERROR_DRAINING);
    loop_end_turn(&w->loop);
}

void worker_cut(struct worker *w)
{
    mailbox_post(w->loop.mailbox, on_cut, w);
}
