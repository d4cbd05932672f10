/*
 * The life of a worker, and the end of its turns.
 */
#include "proxy/worker.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/admission.h"
#include "proxy/conn_private.h"
#include "proxy/exchange.h"
#include "proxy/front.h"
#include "proxy/http2.h"
#include "proxy/tunnel.h"
#include "proxy/upstream.h"

/* Callbacks in a row before the kernel is asked for more. */
enum { CALLBACKS_MAX = 32 };

/* ---- turns ---- */

void worker_see_time(struct worker *w)
{
    w->now = clock_monotonic();
    if (w->now >= w->wall_due) {
        w->wall_offset = clock_wall_offset();
        w->wall_due = w->now + SECONDS(1);
    }
}

void worker_begin_turn(struct worker *w)
{
    w->turns++;
    worker_see_time(w);
}

/* Nothing that was lent or buried is in use from here on. */
static void finish_turn(struct worker *w)
{
    w->gathering = false;
    while (!list_empty(&w->turn_ends) || !list_empty(&w->dirty) || w->buried) {
        struct burial *b;

        conns_flush(w);
        b = w->buried;
        w->buried = NULL;
        while (b) {
            struct burial *next = b->next;

            b->free(b);
            b = next;
        }
    }
    if (w->scratch.used_bytes)
        arena_reset(&w->scratch);
    w->received = 0;
}

static void on_end_of_turn(evutil_socket_t fd, short what, void *arg)
{
    struct worker *w = arg;

    w->turns++;
    worker_see_time(w); /* what is told now happens now */
    finish_turn(w);
    w->turns--;
}

/* What gathers does so until the callbacks that are due were made: many answers, one send(2). */
static bool goes_on(struct worker *w)
{
    conns_flush_written(w);
    if (!w->gathering && !list_empty(&w->turn_ends)) {
        w->gathering = true;
        event_active(w->end_of_turn, EV_TIMEOUT, 0);
    }
    return w->gathering;
}

void worker_end_turn(struct worker *w)
{
    assert(w->turns > 0);
    /* Those further out still hold what was buried. */
    if (w->turns == 1 && !goes_on(w))
        finish_turn(w);
    w->turns--;
}

void worker_bury(struct worker *w, struct burial *b, void (*fn)(struct burial *b))
{
    b->free = fn;
    b->next = w->buried;
    w->buried = b;
}

void worker_busy_add(struct worker *w, int n)
{
    unsigned was = atomic_load_explicit(&w->busy, memory_order_relaxed);

    atomic_store_explicit(&w->busy, was + (unsigned)n, memory_order_relaxed);
}

unsigned worker_busy(struct worker *w)
{
    return atomic_load_explicit(&w->busy, memory_order_relaxed);
}

unsigned worker_begun(struct worker *w, unsigned *looked)
{
    *looked = atomic_load_explicit(&w->looked, memory_order_acquire);
    return atomic_load_explicit(&w->begun, memory_order_relaxed);
}

/* ---- making and unmaking ---- */

static void begin_hook(void *arg)
{
    worker_begin_turn(arg);
}

static void end_hook(void *arg)
{
    worker_end_turn(arg);
}

static struct event_base *loop_new(void)
{
    struct event_config *config = event_config_new();
    struct event_base *base = NULL;

    if (!config)
        return NULL;
    event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
    event_config_set_flag(config, EVENT_BASE_FLAG_IGNORE_ENV);
    /* What one conn makes ready again and again must not keep the others from being asked. */
    event_config_set_max_dispatch_interval(config, NULL, CALLBACKS_MAX, 0);
    base = event_base_new_with_config(config);
    event_config_free(config);
    return base;
}

struct worker *worker_new(const struct worker_setup *setup, struct error *err)
{
    struct worker *w = calloc(1, sizeof *w);

    if (!w)
        goto fail;
    w->index = setup->index;
    w->spans = setup->spans;
    list_init(&w->dirty);
    list_init(&w->dying);
    list_init(&w->turn_ends);
    list_init(&w->doubtful);
    list_init(&w->conns);
    timer_init(&w->doubt_timer, conns_look_again);
    timer_init(&w->lost_timer, conns_look_for_lost);
    list_init(&w->http2_clients);
    list_init(&w->idle);
    list_init(&w->tunnels);
    list_init(&w->active);
    list_init(&w->sniffing);
    list_init(&w->dialling);
    list_init(&w->lingering);
    w->admission = setup->admission;
    if (!w->admission && !(w->admission = w->own_admission = admission_new(1)))
        goto fail;
    arena_init(&w->scratch, 16384, 0);
    random_init(&w->random);
    worker_see_time(w);
    if (!(w->base = loop_new()) || !(w->timers = timers_new(w->base)) ||
        !(w->end_of_turn = event_new(w->base, -1, 0, on_end_of_turn, w)) ||
        !(w->mailbox = mailbox_new(w->base)) || !(w->metrics = metrics_new()) ||
        !(w->receive = malloc(WORKER_RECEIVE_BYTES)) || !(w->upstreams = upstreams_new(w)) ||
        !(w->pool = exchange_pool_new(w)) || !(w->generation = generation_new(w, setup)))
        goto fail;
    timers_set_turn(w->timers, begin_hook, end_hook, w);
    return w;
fail:
    error_set(err, "a worker could not be made: %s", strerror(errno ? errno : ENOMEM));
    worker_free(w);
    return NULL;
}

static void *run(void *arg)
{
    struct worker *w = arg;

    event_base_loop(w->base, EVLOOP_NO_EXIT_ON_EMPTY);
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

    event_base_loopbreak(w->base);
}

/* All that is open ends here. */
static void close_all(struct worker *w)
{
    struct listeners *l = w->listeners;

    worker_begin_turn(w);
    w->listeners = NULL;
    if (l)
        listeners_stop(l);
    if (w->pool) {
        fronts_close_all(w);
        exchanges_cut_all(w, SPAN_ERROR_DRAINING);
        tunnels_cut_all(w, SPAN_ERROR_DRAINING);
        upstreams_hang_up(w);
        upstreams_close(w->upstreams);
        conns_cut_lingering(w);
    }
    finish_turn(w); /* exchanges held their generation until here */
    generations_end(w);
    upstreams_free(w->upstreams);
    finish_turn(w);
    w->turns--;
}

void worker_free(struct worker *w)
{
    if (!w)
        return;
    if (w->started) {
        mailbox_post(w->mailbox, leave, w);
        pthread_join(w->thread, NULL);
    }
    close_all(w);
    exchange_pool_free(w->pool);
    resolver_free(w->resolver);
    mailbox_free(w->mailbox);
    if (w->timers)
        timer_release(&w->doubt_timer);
    timer_release(&w->lost_timer);
    timers_free(w->timers);
    out_turns_free(w);
    metrics_free(w->metrics);
    admission_free(w->own_admission);
    arena_release(&w->scratch);
    free(w->spare_head);
    http2_common_free(w->http2);
    free(w->receive);
    if (w->end_of_turn)
        event_free(w->end_of_turn);
    if (w->base)
        event_base_free(w->base);
    free(w);
}

struct resolver *worker_resolver(struct worker *w, struct error *err)
{
    if (!w->resolver)
        w->resolver = resolver_new(w->base, err);
    return w->resolver;
}
