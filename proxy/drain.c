#include "proxy/drain.h"

#include <stdlib.h>

#include "base/log.h"

enum { POLL_MILLISECONDS = 20 };
/* What was cut ends on its worker within this, or is left to it. */
#define CUT_TIME SECONDS(1)

/* What each state waits for. */
enum drain_state {
    DRAIN_DELAY,   /* those who still send here to have noticed: drain-delay */
    DRAIN_WAITING, /* exchanges and tunnels to end, and who has begun: drain */
    DRAIN_LAST,    /* the same, when outbound is shut too */
    DRAIN_CUT,     /* those that were cut to have ended */
    DRAIN_DONE,    /* nothing */
};

struct drain {
    enum drain_state state;
    struct fleet *fleet;
    struct event *poll;
    nsec_t until;    /* of this state */
    nsec_t patience; /* timeouts.drain */
    unsigned quiet;  /* looks in a row that found nothing under way */
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

/* Twice in a row: a service that has answered may have something left to say to others. Each look
 * is carried out on the worker's thread, behind what it was told before. */
static bool quiet(struct drain *d)
{
    unsigned begun;

    if (!fleet_begun(d->fleet, &begun))
        return false;
    d->quiet = begun == 0 && fleet_busy(d->fleet) == 0 ? d->quiet + 1 : 0;
    if (d->quiet >= 2)
        return true;
    fleet_look(d->fleet);
    return false;
}

/* What comes in ends first: who is served may have to call others for it, so outbound stays as it
 * is until nothing is left. */
static void shut_inbound(struct drain *d, nsec_t now)
{
    fleet_shut(d->fleet, DIRECTION_INBOUND);
    fleet_look(d->fleet);
    log_write(
        LOG_INFO, "drain",
        "inbound is not listening any more; %u under way; outbound stays until they have ended",
        fleet_busy(d->fleet));
    enter(d, DRAIN_WAITING, now + d->patience);
}

static void shut_outbound(struct drain *d)
{
    fleet_leave(d->fleet, DIRECTION_OUTBOUND);
    fleet_shut(d->fleet, DIRECTION_OUTBOUND);
    fleet_look(d->fleet);
    enter(d, DRAIN_LAST, d->until);
}

static void cut(struct drain *d, nsec_t now)
{
    d->cut = fleet_busy(d->fleet);
    fleet_cut(d->fleet);
    fleet_look(d->fleet);
    enter(d, DRAIN_CUT, now + CUT_TIME);
}

static void on_poll(evutil_socket_t fd, short what, void *arg)
{
    struct drain *d = arg;
    nsec_t now = clock_monotonic();

    (void)fd;
    (void)what;
    switch (d->state) {
    case DRAIN_DELAY:
        if (now >= d->until)
            shut_inbound(d, now);
        break;
    case DRAIN_WAITING:
        if (now >= d->until)
            cut(d, now);
        else if (quiet(d))
            shut_outbound(d);
        break;
    case DRAIN_LAST:
        if (quiet(d))
            finish(d);
        else if (now >= d->until)
            cut(d, now);
        break;
    case DRAIN_CUT:
        if (now >= d->until || fleet_busy(d->fleet) == 0)
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
    fleet_leave(fleet, DIRECTION_INBOUND);
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
