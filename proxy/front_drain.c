/*
 * Clients' connections on the way out: who is told, who is closed, and who is
 * waited for, since it has begun.
 */
#include "proxy/front.h"
#include "proxy/front_private.h"
#include "proxy/http1.h"
#include "proxy/http2.h"

/* A connection that was made just before may be silent that long: its request is on the way. */
#define FRESH_TIME SECONDS(3)

static bool is_of(const struct front *f, enum direction_kind direction)
{
    return f->direction == (uint8_t)direction;
}

static bool is_fresh(const struct front *f)
{
    return loop_now(&f->worker->loop) < f->accepted + FRESH_TIME;
}

static bool is_shut(const struct front *f)
{
    return f->worker->leaving[f->direction] == LEAVING_SHUT;
}

void fronts_leave(struct worker *w, enum direction_kind direction)
{
    LIST_FOR_EACH (at, &w->http2_clients) {
        struct http2 *h = http2_from_link(at);

        if (is_of(http2_keeper_data(h), direction) && http2_messages(h) > 0)
            http2_drain(h);
    }
}

/* It has not sent a whole request so far, and is waited for. */
static bool http1_begun(struct http1 *h)
{
    return http1_has_begun(h) || (http1_messages(h) == 0 && is_fresh(http1_keeper_data(h)));
}

void fronts_shut(struct worker *w, enum direction_kind direction)
{
    struct list *last = w->idle.prev;

    LIST_FOR_EACH (at, &w->http2_clients) {
        struct http2 *h = http2_from_link(at);

        if (is_of(http2_keeper_data(h), direction))
            http2_drain(h);
    }
    /* Those that are spared stay in the list, at its end. */
    for (bool more = !list_empty(&w->idle); more;) {
        struct list *link = w->idle.next;
        struct http1 *h = http1_from_link(link);

        more = link != last;
        list_remove(link);
        list_push_back(&w->idle, link);
        if (is_of(http1_keeper_data(h), direction) && !http1_begun(h))
            http1_drain(h);
    }
}

static unsigned count_sniffing(struct worker *w)
{
    unsigned n = 0;

    LIST_FOR_EACH (at, &w->sniffing) {
        const struct sniffing *s = container_of(at, struct sniffing, link);

        n += is_shut(s->front) && (s->n > 0 || is_fresh(s->front));
    }
    return n;
}

/* What came meanwhile was read, as it is whenever something comes. */
static unsigned count_http1(struct worker *w)
{
    unsigned n = 0;

    LIST_FOR_EACH_SAFE (at, next, &w->idle) {
        struct http1 *h = http1_from_link(at);

        if (!is_shut(http1_keeper_data(h)))
            continue;
        if (http1_begun(h))
            n++;
        else
            http1_close_unasked(h);
    }
    return n;
}

static unsigned count_http2(struct worker *w)
{
    unsigned n = 0;

    LIST_FOR_EACH (at, &w->http2_clients) {
        struct http2 *h = http2_from_link(at);

        n += is_shut(http2_keeper_data(h)) && http2_is_awaited(h);
    }
    return n;
}

unsigned fronts_begun(struct worker *w)
{
    return count_sniffing(w) + count_http1(w) + count_http2(w);
}
