/*
 * A request that may have met a dead connection: what can be known of that, so
 * that it may be sent again or is kept away from such a one.
 */
#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "proxy/http1_private.h"

/* The peer has closed it, or said what nobody asked for. A fresh one was made a moment ago. */
bool http1_stale(struct stream *s)
{
    struct http1 *h = http1_of(s);
    char byte;

    return s->replayable && (h->messages || h->idle_since) &&
           (recv(h->conn->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0 ||
            (errno != EAGAIN && errno != EINTR));
}

/*
 * The peer's kernel acknowledged no byte after those of earlier requests, and
 * then its FIN came: the socket was closed there before ours came, so nobody
 * can have read it. A reset alone does not tell: it acknowledges nothing.
 */
static bool provably_unread(const struct http1 *h)
{
    struct tcp_info info = {0};
    socklen_t len = sizeof info;

    if (h->conn->fd < 0 || getsockopt(h->conn->fd, IPPROTO_TCP, TCP_INFO, &info, &len) != 0 ||
        len < offsetof(struct tcp_info, tcpi_bytes_acked) + sizeof info.tcpi_bytes_acked)
        return false;
    /* The SYN counts as one. */
    return info.tcpi_bytes_acked <= h->sent_before + 1;
}

enum replay http1_replay(struct stream *s, enum span_error why)
{
    struct http1 *h = http1_of(s);

    if (h->spoke_http2) /* before it had read the request, or having not understood it */
        return REPLAY_SAFE;
    if (h->conn->received_bytes != h->received_before)
        return REPLAY_NEVER;
    if (why == SPAN_ERROR_CLOSED_EARLY)
        return provably_unread(h) ? REPLAY_SAFE : REPLAY_IF_IDEMPOTENT;
    return why == SPAN_ERROR_RESET ? REPLAY_IF_IDEMPOTENT : REPLAY_NEVER;
}

/* ---- who speaks HTTP/2 ---- */

/* A server of HTTP/2 begins with SETTINGS (RFC 9113 section 3.4), whose first byte, of the length,
 * no response has; what of their head came in the first piece tells. */
static bool is_settings(const char *data, size_t n)
{
    static const char head[] = {0, 0, 0, 4, 0, 0, 0, 0, 0}; /* length, type, flags, stream */

    for (size_t i = 0; i < n && i < sizeof head; i++)
        if (i != 1 && i != 2 && data[i] != head[i])
            return false;
    return n > 0;
}

bool http1_met_http2(struct http1 *h, const char *data, size_t n)
{
    if (h->server || h->messages || h->conn->received_bytes != n || !h->keeper->on_http2 ||
        !is_settings(data, n))
        return false;
    h->spoke_http2 = h->keeper->on_http2(h->keeper_data, h);
    if (h->gone || !h->spoke_http2)
        return h->gone;
    h->close = true;
    if (h->stream.events)
        h->stream.events->on_failed(h->stream.owner, SPAN_ERROR_PROTOCOL);
    else
        http1_close_gone(h);
    return true;
}

/* As much as is kept to be sent again, and how long a server of HTTP/2 alone may take to say so. */
enum { DOUBTED_BYTES = 64 * 1024 };
#define DOUBTED_TIME MILLISECONDS(250)

void http1_doubt(struct http1 *h)
{
    h->doubted = true;
    timer_arm(h->loop->timers, &h->timer, loop_now(h->loop) + DOUBTED_TIME);
}

bool http1_unproven(struct stream *s)
{
    return http1_of(s)->doubted;
}

bool http1_must_wait(const struct http1 *h)
{
    return h->doubted &&
           h->conn->sent_bytes - h->sent_before + conn_queued(h->conn) >= DOUBTED_BYTES;
}

void http1_trust(struct http1 *h)
{
    bool waits = http1_must_wait(h);

    h->doubted = false;
    timer_disarm(&h->timer);
    if (waits && h->stream.events)
        h->stream.events->on_drained(h->stream.owner);
}

/* ---- how long it was idle ---- */

nsec_t http1_idle_time(const struct http1 *h)
{
    return h->idle_since ? loop_now(h->loop) - h->idle_since : 0;
}

nsec_t http1_idled(const struct http1 *h)
{
    return h->idled;
}

bool http1_ended_unanswered(const struct http1 *h)
{
    return (h->conn->eof || h->conn->broken) &&
           (h->in_pool || h->conn->received_bytes == h->received_before);
}
