/*
 * What an HTTP/2 connection waits for: the rest of a head, an answer to PING, a
 * window, the last word of a drain, the next stream. One timer, looked at when
 * it fires, so that no stream arms it.
 */
#include <errno.h>

#include "proxy/http2_private.h"

/* How long a connection may take nothing while much waits for it. */
#define STALL_TIME SECONDS(30)

static void earliest(nsec_t *at, nsec_t since, nsec_t time)
{
    if (since && since + time < *at)
        *at = since + time;
}

static nsec_t idle_time(struct http2 *h)
{
    return h->keeper->idle(h->keeper_data, h);
}

static nsec_t stall_time(const struct timeouts *t)
{
    return t->idle && t->idle < STALL_TIME ? t->idle : STALL_TIME;
}

/* All but the idle time, which is looked at when it may be over. */
void http2_rearm(struct http2 *h)
{
    const struct timeouts *t = h->shared->timeouts;
    nsec_t at = TIMER_NEVER;

    if (h->gone || h->ending)
        return;
    if (h->quiet_since)
        earliest(&at, h->quiet_since, idle_time(h));
    earliest(&at, h->block_since, t->header);
    earliest(&at, h->first_word, 0);
    earliest(&at, h->last_word, 0);
    earliest(&at, h->stalled, stall_time(t));
    if (h->pinged)
        earliest(&at, h->pinged, t->ping_timeout);
    else if (h->n_streams && t->ping)
        earliest(&at, h->heard, t->ping);
    if (at < h->timer.deadline || !timer_armed(&h->timer))
        timer_arm(h->loop->timers, &h->timer, at);
}

static void ask_whether_there(struct http2 *h, nsec_t now)
{
    nghttp2_submit_ping(h->session, NGHTTP2_FLAG_NONE, NULL);
    h->pinged = now;
    http2_touch(h);
}

/* Servers of gRPC take three PINGs in 5 minutes, between which they sent no answer, for abuse. */
enum { PROBES_MOST = 2 };
#define DOUBT_AFTER MILLISECONDS(100)

void http2_doubt(struct http2_stream *s)
{
    struct http2 *h = s->h;
    nsec_t now = loop_now(h->loop);

    if (h->server || h->pinged || h->going || h->ending || h->gone || h->probes >= PROBES_MOST ||
        s->input != H2_HEAD || h->heard > s->stream.began || now < s->stream.began + DOUBT_AFTER)
        return;
    h->probes++;
    h->doubted = true;
    ask_whether_there(h, now);
    http2_rearm(h);
}

static void header_timeout(struct http2 *h)
{
    metrics_add(h->shared->metrics, COUNT_HEADER_TIMEOUTS, 1);
    http2_terminate(h, NGHTTP2_ENHANCE_YOUR_CALM, SPAN_ERROR_ABUSE);
}

static void idle_timeout(struct http2 *h)
{
    if (h->server)
        metrics_add(h->shared->metrics, COUNT_IDLE_TIMEOUTS, 1);
    http2_terminate(h, NGHTTP2_NO_ERROR, SPAN_ERROR_NONE);
}

static void peer_is_dead(struct http2 *h)
{
    metrics_add(h->shared->metrics, COUNT_PING_TIMEOUTS, 1);
    h->conn->broken = true;
    h->conn->error = ETIMEDOUT;
    h->ended_for = SPAN_ERROR_PING;
    http2_close(h);
}

/* No stream that was on its way can still be one that we have to take. */
static void say_last_word(struct http2 *h)
{
    h->last_word = 0;
    nghttp2_submit_goaway(h->session, NGHTTP2_FLAG_NONE,
                          nghttp2_session_get_last_proc_stream_id(h->session), NGHTTP2_NO_ERROR,
                          NULL, 0);
    http2_touch(h);
}

void http2_on_timer(struct timer *timer)
{
    struct http2 *h = container_of(timer, struct http2, timer);
    const struct timeouts *t = h->shared->timeouts;
    nsec_t now = loop_now(h->loop);

    if (h->first_word && now >= h->first_word)
        http2_drain(h);
    if (h->last_word && now >= h->last_word)
        say_last_word(h);
    if (h->quiet_since && now >= h->quiet_since + idle_time(h)) {
        idle_timeout(h);
    } else if (h->block_since && now >= h->block_since + t->header) {
        header_timeout(h);
    } else if (h->stalled && now >= h->stalled + stall_time(t)) {
        http2_abused(h, ABUSE_STALL, NGHTTP2_ENHANCE_YOUR_CALM);
    } else if (h->pinged && now >= h->pinged + t->ping_timeout) {
        peer_is_dead(h);
        return;
    } else if (h->n_streams && t->ping && !h->pinged && now >= h->heard + t->ping) {
        ask_whether_there(h, now);
    }
    http2_rearm(h);
}
