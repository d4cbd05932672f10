#include "proxy/drain.h"

#include <stdlib.h>

#include "base/log.h"

enum { POLL_MILLISECONDS = 20 };
/* What was cut ends on its worker within this, or is left to it. */
#define CUT_TIME SECONDS(1)

/* What each state waits for. */
enum drain_state {
    DRAIN_DELAY,   /* those who still send here to have noticed: drain-delay */
    DRAIN_WAITING, /* exchanges and tunnels to end: drain */
    DRAIN_CUT,     /* those that were cut to have ended */
    DRAIN_DONE,    /* nothing */
};

struct drain {
    enum drain_state state;
    struct fleet *fleet;
    struct event *poll;
    nsec_t until;    /* of this state */
    nsec_t patience; /* timeouts.drain */
    unsigned quiet;  /* polls in a row without anything under way */
    unsigned cut;
    void (*done)(void *arg, unsigned cut);
    void *arg;
};

static void enter(struct drain *d, enum drain_state next, nsec_t until)
{
    d->state = next;
    d->until = until;
    d->quiet = 0;
}

static void finish(struct drain *d)
{
    enter(d, DRAIN_DONE, 0);
    event_del(d->poll);
    d->done(d->arg, d->cut);
}

/* Twice in a row: what waited in a listener's queue is accepted on the worker's thread, a moment
 * after the listener was told to stop. */
static bool quiet(struct drain *d)
{
    d->quiet = fleet_busy(d->fleet) == 0 ? d->quiet + 1 : 0;
    return d->quiet >= 2;
}

static void on_poll(evutil_socket_t fd, short what, void *arg)
{
    struct drain *d = arg;
    nsec_t now = clock_monotonic();

    (void)fd;
    (void)what;
    switch (d->state) {
    case DRAIN_DELAY:
        if (now < d->until)
            break;
        fleet_stop_listening(d->fleet);
        log_write(LOG_INFO, "drain", "not listening any more; %u under way", fleet_busy(d->fleet));
        enter(d, DRAIN_WAITING, now + d->patience);
        break;
    case DRAIN_WAITING:
        if (quiet(d)) {
            finish(d);
        } else if (now >= d->until) {
            d->cut = fleet_busy(d->fleet);
            fleet_cut(d->fleet);
            enter(d, DRAIN_CUT, now + CUT_TIME);
        }
        break;
    case DRAIN_CUT:
        if (quiet(d) || now >= d->until)
            finish(d);
        break;
    case DRAIN_DONE:
        break;
    }
}

struct drain *drain_start(struct event_base *base, struct fleet *fleet,
                          const struct timeouts *timeouts, void (*done)(void *arg, unsigned cut),
                          void *arg)
{
    struct drain *d = calloc(1, sizeof(*d));
    struct timeval often = {0, POLL_MILLISECONDS * 1000};

    if (!d)
        return NULL;
    *d = (struct drain){.fleet = fleet, .patience = timeouts->drain, .done = done, .arg = arg};
    d->poll = event_new(base, -1, EV_PERSIST, on_poll, d);
    if (!d->poll || event_add(d->poll, &often) != 0) {
        drain_free(d);
        return NULL;
    }
    enter(d, DRAIN_DELAY, clock_monotonic() + timeouts->drain_delay);
    fleet_drain(fleet);
    return d;
}

void drain_free(struct drain *d)
{
    if (!d)
        return;
    if (d->poll)
        event_free(d->poll);
    free(d);
}
