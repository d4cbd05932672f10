/*
 * A client of HTTP/1 that hangs up. Its FIN may be the end of its half, and the
 * response is still wanted, or the end of the client: the two look alike until
 * something is sent to it, which one that is gone answers with a reset. So what
 * is waited for has a bound, timeouts { half-closed } from the FIN on, whether
 * that was read or stands behind bytes that were not; and any byte that goes to
 * the client begins it anew. When it is over the exchange fails with
 * SPAN_ERROR_HALF_CLOSED: the client may still be there, so it can be answered.
 * One that has reset the connection cannot, and where the time is 0 the FIN is
 * taken for the client's end: both are SPAN_ERROR_CANCELLED.
 */
#include "proxy/http1_private.h"

/* How often a client that is not read is looked at where its FIN is waited for not at all. */
#define LOOK_AGAIN SECONDS(1)

static nsec_t half_closed(const struct http1 *h)
{
    return h->shared->timeouts->half_closed;
}

void http1_watch_client(struct http1 *h)
{
    nsec_t time = half_closed(h);

    timer_arm(h->loop->timers, &h->timer, loop_now(h->loop) + (time ? time : LOOK_AGAIN));
}

void http1_stop_reading(struct http1 *h)
{
    conn_read(h->conn, false);
    if (h->server && h->stream.events && !timer_armed(&h->timer))
        http1_watch_client(h);
}

static void hung_up(struct http1 *h, enum span_error why)
{
    h->close = true;
    h->stream.events->on_failed(h->stream.owner, why);
}

/* It has sent FIN, and nothing has moved since then. */
static void wait_since(struct http1 *h, nsec_t since)
{
    nsec_t until = since + half_closed(h);

    h->moved = h->conn->sent_bytes + h->conn->received_bytes;
    h->still_since = since;
    if (loop_now(h->loop) >= until)
        hung_up(h, half_closed(h) ? SPAN_ERROR_HALF_CLOSED : SPAN_ERROR_CANCELLED);
    else
        timer_arm(h->loop->timers, &h->timer, until);
}

void http1_look_for_client(struct http1 *h)
{
    struct conn *c = h->conn;
    uint64_t moved = c->sent_bytes + c->received_bytes;

    if (!c->reading && conn_end_now(c) == CONN_RESET) {
        hung_up(h, SPAN_ERROR_CANCELLED);
    } else if (!c->fin_seen || h->output == OUTPUT_BYTES) { /* a tunnel has limits of its own */
        if (!c->reading)
            http1_watch_client(h);
    } else if (!h->still_since && moved == c->fin_sent + c->fin_received) {
        wait_since(h, c->fin_at);
    } else {
        wait_since(h, moved == h->moved ? h->still_since : loop_now(h->loop));
    }
}

/* What was read until here says nothing: it was sent before the FIN. What was sent since does, and
 * so does a FIN that stood long behind a body which the upstream took slowly. */
static void read_to_the_end(struct http1 *h)
{
    const struct conn *c = h->conn;
    nsec_t now = loop_now(h->loop);
    bool counts = c->sent_bytes == c->fin_sent && now < c->fin_at + half_closed(h);

    wait_since(h, counts ? c->fin_at : now);
}

/* INPUT_OVER: a half-close; the response is still wanted. */
void http1_server_eof(struct http1 *h)
{
    if (h->input == INPUT_BYTES) {
        h->input = INPUT_OVER;
        h->stream.events->on_end(h->stream.owner, NULL);
    } else if (h->input == INPUT_BODY && h->stream.events) {
        h->stream.events->on_failed(h->stream.owner, SPAN_ERROR_CANCELLED);
    } else if (h->input == INPUT_HEAD || (h->input == INPUT_IDLE && !h->held)) {
        http1_server_close(h);
        http1_gone(h);
    } else if (h->stream.events) {
        read_to_the_end(h);
    }
}
