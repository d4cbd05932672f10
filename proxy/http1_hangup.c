/*
 * A client of HTTP/1 that hangs up. Its FIN may be the end of its half, and the
 * response is still wanted, or the end of the client: the two look alike until
 * something is sent to it, which one that is gone answers with a reset. So what
 * is waited for has a bound, timeouts { half-closed }, and any byte that goes to
 * the client begins it anew.
 */
#include <poll.h>

#include "proxy/http1_private.h"

/* How often a client that is not read is looked at where its FIN is waited for not at all. */
#define LOOK_AGAIN SECONDS(1)

static nsec_t half_closed(const struct http1 *h)
{
    return worker_config(h->worker)->timeouts.half_closed;
}

static uint64_t moved(const struct http1 *h)
{
    return h->conn->sent_bytes + h->conn->received_bytes;
}

void http1_watch_client(struct http1 *h)
{
    nsec_t time = half_closed(h);

    h->moved = moved(h);
    timer_arm(h->worker->timers, &h->timer, worker_now(h->worker) + (time ? time : LOOK_AGAIN));
}

/* What it sent before need not be read to know it. */
static bool has_closed(const struct conn *c)
{
    struct pollfd p = {.fd = c->fd, .events = POLLRDHUP};

    return poll(&p, 1, 0) > 0;
}

static void hung_up(struct http1 *h)
{
    h->close = true;
    h->stream.events->on_failed(h->stream.owner, SPAN_ERROR_CANCELLED);
}

void http1_look_for_client(struct http1 *h)
{
    bool ended = h->conn->eof || (h->paused && has_closed(h->conn));

    if (ended && moved(h) == h->moved)
        hung_up(h);
    else if (ended || h->paused)
        http1_watch_client(h);
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
    } else if (h->stream.events && !half_closed(h)) {
        hung_up(h);
    } else if (h->stream.events) {
        http1_watch_client(h);
    }
}
