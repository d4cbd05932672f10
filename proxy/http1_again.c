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

/* ---- how long it was idle ---- */

nsec_t http1_idle_time(const struct http1 *h)
{
    return h->idle_since ? worker_now(h->worker) - h->idle_since : 0;
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
