/*
 * The thread. Its loop takes a slice of spans from the feeds, then lets the
 * exporters have a turn, and so on until there is nothing: then it sleeps, and
 * no timer of its own wakes it.
 */
#include "proxy/telemetry.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/log.h"
#include "proxy/telemetry_private.h"
#include "proxy/timeval.h"

/* While spans come, the feeds are looked at so often. */
static const nsec_t drain_every = MILLISECONDS(50);
/* Spans taken before the exporters' sockets have a turn. */
enum { SLICE_SPANS = 1024, FEED_SPANS = 256 };
/* What a span takes in a ring, by experience. */
enum { SPAN_BYTES_USUAL = 768 };
enum { RING_BYTES_MIN = 1024 * 1024, RING_BYTES_MAX = 4 * 1024 * 1024 };

/* ---- draining ---- */

static size_t drain_feed(struct telemetry *t, struct span_feed *f, size_t most, nsec_t now)
{
    const struct span *s;
    size_t n = 0;

    export_table_add_lost(&t->table, span_feed_take_lost(f));
    for (; n < most && (s = span_feed_peek(f)); n++) {
        export_table_add(&t->table, s, now);
        span_feed_pop(f);
    }
    return n;
}

static struct span_feed *feed_of(struct list *link)
{
    return container_of(link, struct span_feed, link);
}

/* The one that was first is last the next time. */
static void rotate(struct list *feeds)
{
    struct list *first = feeds->next;

    if (!list_empty(feeds)) {
        list_remove(first);
        list_push_back(feeds, first);
    }
}

/* A slice, a part from each feed in turn. Returns how many spans were taken; less than a slice:
 * there were no more. */
static size_t drain_slice(struct telemetry *t)
{
    nsec_t now = clock_monotonic();
    size_t taken = 0, before;

    do {
        before = taken;
        LIST_FOR_EACH (at, &t->feeds) {
            size_t room = SLICE_SPANS - taken;
            taken += drain_feed(t, feed_of(at), room < FEED_SPANS ? room : FEED_SPANS, now);
        }
    } while (taken > before && taken < SLICE_SPANS);
    rotate(&t->feeds);
    return taken;
}

void telemetry_drain_all(struct telemetry *t)
{
    nsec_t now = clock_monotonic();

    /* What comes meanwhile is for later: else a busy worker could keep us here. */
    LIST_FOR_EACH (at, &t->feeds) {
        struct span_feed *f = feed_of(at);
        drain_feed(t, f, (size_t)(atomic_load(&f->pushed) - f->taken), now);
    }
}

/* The two steps of span_feed.h. False: a feed has news. */
static bool fall_asleep(struct telemetry *t)
{
    atomic_store(&t->wake.asleep, true);
    LIST_FOR_EACH (at, &t->feeds) {
        if (span_feed_has_news(feed_of(at))) {
            atomic_store(&t->wake.asleep, false);
            return false;
        }
    }
    return true;
}

static void drain(struct telemetry *t)
{
    size_t taken = drain_slice(t);
    struct timeval tv = timeval_of(taken == SLICE_SPANS ? 0 : drain_every);

    if (taken > 0 || !fall_asleep(t))
        event_add(t->drain_timer, &tv);
    else
        event_del(t->drain_timer);
}

static void on_drain_timer(evutil_socket_t fd, short what, void *arg)
{
    drain(arg);
}

static void on_woken(evutil_socket_t fd, short what, void *arg)
{
    struct telemetry *t = arg;
    uint64_t count;

    (void)!read((int)fd, &count, sizeof(count));
    drain(t);
}

/* ---- the loop ---- */

/* Nothing to do: after each turn of the loop the exporters are ticked anyway. */
static void on_tick_timer(evutil_socket_t fd, short what, void *arg)
{
}

static void tick(struct telemetry *t)
{
    nsec_t now = clock_monotonic(), next = export_table_tick(&t->table, now);

    if (next == INT64_MAX) {
        event_del(t->tick_timer);
    } else {
        struct timeval tv = timeval_of(next - now);
        event_add(t->tick_timer, &tv);
    }
}

static bool has_ended(const struct telemetry *t)
{
    return t->stop_by && export_table_empty(&t->table);
}

static void *run(void *arg)
{
    struct telemetry *t = arg;

    pthread_setname_np(pthread_self(), "telemetry");
    while (!has_ended(t)) {
        event_base_loop(t->base, EVLOOP_ONCE);
        tick(t);
    }
    return NULL;
}

/* ---- what the main thread asks for ---- */

struct configuring {
    struct telemetry *t;
    const struct config *config;
    struct error err;
    bool done;
};

static void run_configure(void *arg)
{
    struct configuring *c = arg;
    nsec_t now = clock_monotonic();

    telemetry_drain_all(c->t); /* what happened under the old config goes where that says */
    c->done = export_table_configure(&c->t->table, c->config, now, now + c->config->timeouts.flush,
                                     &c->err);
}

void telemetry_reload(struct telemetry *t, const struct config *config)
{
    struct configuring c = {.t = t, .config = config};

    mailbox_call(t->mailbox, run_configure, &c);
    if (!c.done)
        log_write(LOG_ERROR, "export", "the exporters stay as they were: %s", c.err.text);
}

struct feeding {
    struct telemetry *t;
    struct span_feed *feed;
};

static void run_add_feed(void *arg)
{
    struct feeding *f = arg;

    list_push_back(&f->t->feeds, &f->feed->link);
}

struct span_feed *span_feed_new(struct telemetry *t)
{
    struct feeding f = {t, span_feed_make(&t->wake, t->ring_bytes)};

    if (f.feed)
        mailbox_call(t->mailbox, run_add_feed, &f);
    return f.feed;
}

struct stopping {
    struct telemetry *t;
    nsec_t flush;
};

static void run_stop(void *arg)
{
    struct stopping *s = arg;
    nsec_t now = clock_monotonic();

    telemetry_drain_all(s->t);
    s->t->stop_by = now + s->flush;
    export_table_leave(&s->t->table, now, s->t->stop_by);
}

/* ---- life ---- */

static size_t ring_bytes_for(const struct config *config)
{
    size_t queue = config->trace.batch.queue;
    size_t bytes =
        queue < RING_BYTES_MAX / SPAN_BYTES_USUAL ? queue * SPAN_BYTES_USUAL : RING_BYTES_MAX;

    return bytes > RING_BYTES_MIN ? bytes : RING_BYTES_MIN;
}

static struct event_base *make_base(void)
{
    struct event_config *c = event_config_new();
    struct event_base *base = NULL;

    if (c && event_config_set_flag(c, EVENT_BASE_FLAG_NOLOCK) == 0)
        base = event_base_new_with_config(c);
    if (c)
        event_config_free(c);
    return base;
}

static bool make_events(struct telemetry *t)
{
    t->woken = event_new(t->base, t->wake.fd, EV_READ | EV_PERSIST, on_woken, t);
    t->drain_timer = evtimer_new(t->base, on_drain_timer, t);
    t->tick_timer = evtimer_new(t->base, on_tick_timer, t);
    t->mailbox = mailbox_new(t->base);
    return t->woken && t->drain_timer && t->tick_timer && t->mailbox &&
           event_add(t->woken, NULL) == 0;
}

/* Signals are the main thread's. */
static bool start_thread(struct telemetry *t, struct error *err)
{
    sigset_t all, before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int status = pthread_create(&t->thread, NULL, run, t);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (status != 0)
        return error_set(err, "the telemetry thread cannot start: %s", strerror(status));
    t->started = true;
    return true;
}

/* Takes half-built ones. The thread has ended. */
static void telemetry_free(struct telemetry *t)
{
    export_table_release(&t->table);
    LIST_FOR_EACH_SAFE (at, next, &t->feeds)
        span_feed_free(feed_of(at));
    mailbox_free(t->mailbox);
    resolver_free(t->resolver);
    if (t->woken)
        event_free(t->woken);
    if (t->drain_timer)
        event_free(t->drain_timer);
    if (t->tick_timer)
        event_free(t->tick_timer);
    if (t->base)
        event_base_free(t->base);
    if (t->wake.fd >= 0)
        close(t->wake.fd);
    free(t);
}

struct telemetry *telemetry_start(const struct config *config, struct error *err)
{
    struct telemetry *t = aligned_alloc(SPAN_FEED_LINE, sizeof(*t));
    nsec_t now = clock_monotonic();

    if (!t) {
        error_set(err, "no memory");
        return NULL;
    }
    *t = (struct telemetry){.base = make_base(), .ring_bytes = ring_bytes_for(config)};
    t->wake.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    list_init(&t->feeds);
    if (t->base)
        t->resolver = resolver_new(t->base, err);
    export_table_init(&t->table, t->base, t->resolver);
    if (!t->resolver || t->wake.fd < 0 || !make_events(t)) {
        error_set(err, "the telemetry thread cannot start: %s", strerror(errno));
        goto fail;
    }
    atomic_store(&t->wake.asleep, true);
    if (!export_table_configure(&t->table, config, now, now, err) || !start_thread(t, err))
        goto fail;
    return t;
fail:
    telemetry_free(t);
    return NULL;
}

void telemetry_stop(struct telemetry *t, nsec_t flush)
{
    struct stopping s = {t, flush};

    if (!t)
        return;
    mailbox_post(t->mailbox, run_stop, &s);
    pthread_join(t->thread, NULL);
    telemetry_free(t);
}
