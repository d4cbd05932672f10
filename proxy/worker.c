/*
 * The life of a worker.
 */
#include "proxy/worker.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/admission.h"
#include "proxy/exchange.h"
#include "proxy/front.h"
#include "proxy/http2.h"
#include "proxy/tunnel.h"
#include "proxy/upstream.h"

unsigned worker_begun(struct worker *w, unsigned *looked)
{
    *looked = atomic_load_explicit(&w->looked, memory_order_acquire);
    return atomic_load_explicit(&w->begun, memory_order_relaxed);
}

/* ---- making and unmaking ---- */

struct worker *worker_new(const struct worker_setup *setup, struct error *err)
{
    struct worker *w = calloc(1, sizeof *w);
    bool loop_ready;

    if (!w)
        goto fail;
    loop_ready = loop_init(&w->loop, NULL);
    conns_init(&w->loop);
    w->index = setup->index;
    w->spans = setup->spans;
    list_init(&w->dying);
    list_init(&w->http2_clients);
    list_init(&w->idle);
    list_init(&w->tunnels);
    list_init(&w->active);
    list_init(&w->sniffing);
    list_init(&w->dialling);
    w->admission = setup->admission;
    if (!w->admission && !(w->admission = w->own_admission = admission_new(1)))
        goto fail;
    w->loop.busy = admission_busy(w->admission, w->index);
    if (!loop_ready || !(w->metrics = metrics_new()) || !(w->upstreams = upstreams_new(w)) ||
        !(w->pool = exchange_pool_new(w)) || !(w->generation = generation_new(w, setup)))
        goto fail;
    worker_tell_config(w);
    return w;
fail:
    error_set(err, "a worker could not be made: %s", strerror(errno ? errno : ENOMEM));
    worker_free(w);
    return NULL;
}

static void *run(void *arg)
{
    struct worker *w = arg;

    event_base_loop(w->loop.base, EVLOOP_NO_EXIT_ON_EMPTY);
    return NULL;
}

bool worker_start(struct worker *w, struct error *err)
{
    sigset_t all, was;
    int failed;

    /* Signals are the main thread's. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &was);
    failed = pthread_create(&w->thread, NULL, run, w);
    pthread_sigmask(SIG_SETMASK, &was, NULL);
    if (failed)
        return error_set(err, "a worker's thread could not be started: %s", strerror(failed));
    w->started = true;
    return true;
}

static void leave(void *arg)
{
    struct worker *w = arg;

    event_base_loopbreak(w->loop.base);
}

/* All that is open ends here. */
static void close_all(struct worker *w)
{
    struct listeners *l = w->listeners;

    loop_begin_turn(&w->loop);
    w->listeners = NULL;
    if (l)
        listeners_stop(l);
    if (w->pool) {
        fronts_close_all(w);
        exchanges_cut_all(w, SPAN_ERROR_DRAINING);
        tunnels_cut_all(w, SPAN_ERROR_DRAINING);
        upstreams_hang_up(w);
        upstreams_close(w->upstreams);
        conns_cut_lingering(&w->loop);
    }
    loop_end_turn_now(&w->loop); /* exchanges held their generation until here */
    loop_begin_turn(&w->loop);
    generations_end(w);
    upstreams_free(w->upstreams);
    loop_end_turn_now(&w->loop);
}

void worker_free(struct worker *w)
{
    if (!w)
        return;
    if (w->started) {
        mailbox_post(w->loop.mailbox, leave, w);
        pthread_join(w->thread, NULL);
    }
    close_all(w);
    exchange_pool_free(w->pool);
    resolver_free(w->resolver);
    conns_end(&w->loop);
    metrics_free(w->metrics);
    http_shared_release(&w->http);
    loop_end(&w->loop);
    admission_free(w->own_admission);
    free(w);
}

struct resolver *worker_resolver(struct worker *w, struct error *err)
{
    if (!w->resolver)
        w->resolver = resolver_new(w->loop.base, err);
    return w->resolver;
}
